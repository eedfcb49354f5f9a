"""The way to a service: connections, pools, endpoints, attempts. (With server and tunnel, the only importers of
aiohttp.)"""
