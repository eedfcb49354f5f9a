"""The demo: two small backends, the config of a gateway in front of them, and a WebSocket client to try it with."""
