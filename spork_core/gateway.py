"""The gateway: listeners in front, a snapshot behind, and the exchange of one snapshot for the next."""

import asyncio
import logging
import socket
from collections.abc import Sequence

from spork_core.clock import Chance, Clock
from spork_core.config.model import Address, GatewayConfig
from spork_core.exchange import Request, Response
from spork_core.plugin import GatewayView, Resources
from spork_core.registry import Registry
from spork_core.server.listener import BACKLOG, Listening
from spork_core.snapshot import Snapshot, build

log = logging.getLogger("spork_core.gateway")


class View(GatewayView):
    """The gateway as plugins see it."""

    def __init__(self, gateway: "Gateway", resources: Resources) -> None:
        self._gateway = gateway
        self._resources = resources
        self._log = logging.getLogger("spork_core.plugin")

    @property
    def resources(self) -> Resources:
        return self._resources

    @property
    def clock(self) -> Clock:
        return self._gateway.clock

    @property
    def chance(self) -> Chance:
        return self._gateway.chance

    @property
    def log(self) -> logging.Logger:
        return self._log

    async def send(self, service: str, request: Request) -> Response:
        raise RuntimeError(service)

    async def dispatch(self, request: Request) -> Response:
        raise RuntimeError(str(request))


def bind(address: Address) -> socket.socket:
    """A socket bound and listening at ``address``. Raises OSError."""
    if address.path:
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(address.path)
    else:
        info = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        sock = socket.socket(info[0], info[1])
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(info[4])
    sock.listen(BACKLOG)
    sock.setblocking(False)
    return sock


class Gateway:
    """One process's gateway."""

    def __init__(
        self,
        config: GatewayConfig,
        registry: Registry | None = None,
        *,
        clock: Clock | None = None,
        chance: Chance | None = None,
    ) -> None:
        """Builds the first snapshot. Raises ConfigError."""
        self.registry = registry or Registry()
        self.clock = clock or Clock()
        self.chance = chance or Chance()
        self.snapshot: Snapshot = build(config, self.registry, self.clock, self._view)
        self._front: Listening | None = None
        self._servers: list[asyncio.Server] = []

    def _view(self, resources: Resources) -> View:
        return View(self, resources)

    async def start(self, sockets: Sequence[socket.socket] | None = None) -> None:
        """Starts the instances, then accepts connections."""
        config = self.snapshot.config
        await self.snapshot.start(self._view(self.snapshot.resources))
        self._front = Listening(config, self.snapshot, self.clock)
        bound = list(sockets) if sockets is not None else [bind(listener.address) for listener in config.listen]
        for sock in bound:
            self._servers.append(await self._front.serve(sock, None, config.timeouts.tls_handshake))
