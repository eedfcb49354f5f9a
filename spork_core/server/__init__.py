"""The way in: listeners, client connections, request heads. (With upstream and tunnel, the only importers of
aiohttp.)"""
