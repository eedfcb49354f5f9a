"""The gateway: listeners in front, a snapshot behind, and the change from one snapshot to the next."""

import asyncio
import logging
import socket
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from ssl import SSLError
from typing import Final

from spork_core.admin import AdminSite
from spork_core.attribution import Observer
from spork_core.build import build
from spork_core.clock import Chance, Clock
from spork_core.config.model import Address, GatewayConfig
from spork_core.errors import ConfigError, ConfigProblem
from spork_core.outbox import Outbox
from spork_core.oversight import Oversight
from spork_core.plan import Plan
from spork_core.plugin import Resources
from spork_core.registry import Registry
from spork_core.routing import Router
from spork_core.server.listener import BACKLOG, Listening
from spork_core.server.tls import ListenerContext
from spork_core.snapshot import Snapshot
from spork_core.store import MemoryStore
from spork_core.view import View

log = logging.getLogger("spork_core.gateway")

_GOODBYE: Final = 1.0
"""Seconds that exchanges get to end once they have been cut."""


def bind(address: Address) -> socket.socket:
    """A socket bound to ``address`` and listening; replaces a unix socket that a dead process left. Raises OSError."""
    if address.path:
        path = Path(address.path)
        if path.exists() and stat.S_ISSOCK(path.stat().st_mode) and not _alive(address.path):
            path.unlink()
        sock = socket.socket(socket.AF_UNIX)
        target: object = address.path
    else:
        info = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        sock = socket.socket(info[0], info[1])
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if info[0] == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        target = info[4]
    try:
        sock.bind(target)  # type: ignore[arg-type]  # a path or an address, by family
        sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    sock.setblocking(False)
    return sock


def _alive(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except OSError:
            return False
    return True


class Gateway:
    """One process's gateway: ``start``, any number of ``reload``, ``stop``."""

    def __init__(
        self,
        config: GatewayConfig,
        registry: Registry | None = None,
        *,
        clock: Clock | None = None,
        chance: Chance | None = None,
        observer: Observer | None = None,
    ) -> None:
        """Builds the first snapshot; touches no network. ``observer``: told of every call of a hook, for tests; None:
        nobody looks. Raises ConfigError."""
        self.registry = registry or Registry()
        self.clock = clock or Clock()
        self.chance = chance or Chance()
        self.ready = False
        """True from the end of ``start`` to the beginning of ``stop``."""
        self.reloads = 0
        """Reloads that took effect."""
        self.reload_failures = 0
        """Reloads that did not."""
        self.last_reload_error: str | None = None
        """Why the last reload did not take effect; None when it did, or when there was none."""
        self.configured_at = self.clock.time()
        """When the config in effect was taken, in seconds since the epoch."""
        self.on_reload: Callable[[], object] | None = None
        """Asked for a reload by ``POST /reload`` on the admin listener; None: started without a file."""
        self.slot: int | None = None
        """Which worker of a supervisor this process is; None when it has none."""
        self._oversight = Oversight(self, observer)
        self.events = self._oversight.events
        """What an operator would want to know of."""
        self._outbox = Outbox()
        self.store = MemoryStore(self.clock)
        """What instances keep state in where none of them provides a store."""
        self.snapshot: Snapshot = self._build(config)
        self._contexts = _contexts(config)
        self._site = AdminSite(self)
        self._site.adopt(self._site.compile(self.snapshot, self.view()))
        self.front: Listening | None = None
        self.admin: Listening | None = None
        self._servers: list[asyncio.Server] = []
        self._admin_servers: list[asyncio.Server] = []
        self._paths: list[str] = []
        """The unix sockets that were bound here."""
        self._retiring: dict[asyncio.Task[None], Snapshot] = {}
        self._coming: Snapshot | None = None
        self._changing = asyncio.Lock()

    def _build(self, config: GatewayConfig, old: Snapshot | None = None) -> Snapshot:
        metering = self._oversight.metering(config)
        return build(
            config,
            self.registry,
            self.clock,
            self._view,
            old,
            self._outbox,
            metering=metering,
            events=self.events,
            store=self.store,
        )

    def _view(self, resources: Resources) -> View:
        return View(self, resources)

    def view(self) -> View:
        """What the plugins of the current snapshot see."""
        return self._view(self.snapshot.resources)

    def snapshots(self) -> tuple[Snapshot, ...]:
        """The one that serves, the one that a reload starts just now, and those whose exchanges still end."""
        coming = self._coming
        return (self.snapshot, *(() if coming is None else (coming,)), *tuple(self._retiring.values()))

    @property
    def config(self) -> GatewayConfig:
        """The config that serves."""
        return self.snapshot.config

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Where the public listeners are bound, ports resolved."""
        return tuple(_bound(sock) for server in self._servers for sock in server.sockets)

    @property
    def admin_addresses(self) -> tuple[Address, ...]:
        """Where the admin listener is bound; empty when it is off."""
        return tuple(_bound(sock) for server in self._admin_servers for sock in server.sockets)

    async def start(
        self, sockets: Sequence[socket.socket] | None = None, admin_socket: socket.socket | None = None
    ) -> None:
        """Starts the instances, then accepts connections.

        ``sockets``: bound sockets for the public listeners, in the order of the config; None: bind them here.
        ``admin_socket``: the same for the admin listener. Raises ConfigError and OSError.
        """
        config = self.snapshot.config
        admin = config.admin
        bound = [] if sockets is None else list(sockets)
        try:
            if sockets is None:
                for listener in config.listen:
                    bound.append(self._bind(listener.address))
                if admin_socket is None and admin is not None:
                    admin_socket = self._bind(admin.listen.address)
            self.events.settle()
            await self._oversight.watch(config, serving=False)
            await self.snapshot.start(self._view)
            await self._oversight.watch(config)
        except BaseException:
            await self._oversight.stop()
            for sock in (*bound, *((admin_socket,) if admin_socket is not None else ())):
                sock.close()
            self._unlink()
            raise
        self.front = Listening(config, self.snapshot, self.clock, self.chance, self._outbox)
        handshake = config.timeouts.tls_handshake
        try:
            for sock, context in zip(bound, self._contexts, strict=True):
                tls = None if context is None else context.context
                self._servers.append(await self.front.serve(sock, tls, handshake))
            if admin_socket is not None and admin is not None:
                self.admin = Listening(config, self._site, self.clock, self.chance, self._outbox)
                tls_config = admin.listen.tls
                context = None if tls_config is None else ListenerContext(tls_config)
                self._admin_servers.append(
                    await self.admin.serve(admin_socket, None if context is None else context.context, handshake)
                )
        except BaseException:
            await self.stop(0)
            raise
        self.ready = True

    def _bind(self, address: Address) -> socket.socket:
        sock = bind(address)
        if address.path:
            self._paths.append(address.path)
        return sock

    def _unlink(self) -> None:
        while self._paths:
            Path(self._paths.pop()).unlink(missing_ok=True)

    async def reload(self, config: GatewayConfig) -> None:
        """Serves by ``config`` from the next exchange on; those that run end as they began.

        Raises ConfigError when it cannot; then everything goes on as before.
        """
        async with self._changing:
            try:
                await self._change(config)
            except BaseException as error:
                self.reload_failed(error)
                raise
            self.last_reload_error = None
            self.configured_at = self.clock.time()
            self.reloads += 1

    def reload_failed(self, why: BaseException | str) -> None:
        """Notes for ``/status`` that a new config could not be used, or not even be read."""
        self.reload_failures += 1
        self.last_reload_error = str(why) or type(why).__name__

    async def _change(self, config: GatewayConfig) -> None:
        old, front = self.snapshot, self.front
        assert front is not None
        check_sockets(old.config, config)
        # In a thread: building 1,000 routes takes longer than an exchange likes to wait, and TLS files are read.
        contexts, new, admin_paths = await asyncio.to_thread(self._prepare, config, old)
        self._coming = new
        try:
            await new.start(self._view, old)
        finally:
            self._coming = None
        # From here on nothing can fail, and nothing awaits.
        for mine, renewed in zip(self._contexts, contexts, strict=True):
            if mine is not None and renewed is not None:
                mine.adopt(renewed)
        self.snapshot = front.snapshot = new
        front.configure(config)
        if self.admin is not None:
            self._site.adopt(admin_paths)
        front.migrate(old, new)
        old.retire()
        task = asyncio.get_running_loop().create_task(self._retire(old, config.timeouts.drain))
        self._retiring[task] = old
        task.add_done_callback(self._retiring.pop)
        await self._oversight.watch(config)

    def _prepare(
        self, config: GatewayConfig, old: Snapshot
    ) -> tuple[list[ListenerContext | None], Snapshot, Router[Plan]]:
        contexts = _contexts(config)
        new = self._build(config, old)
        return contexts, new, self._site.compile(new, self._view(new.resources))

    async def _retire(self, old: Snapshot, grace: float) -> None:
        """Lets a snapshot's exchanges end, for ``grace`` seconds; then ends them, and it."""
        assert self.front is not None
        try:
            async with asyncio.timeout(grace):
                await old.drained.wait()
        except TimeoutError:
            log.warning("ending %d exchanges that still ran on the old config after %g s", old.running, grace)
            self.front.abort_on(old)
            try:
                async with asyncio.timeout(_GOODBYE):  # for their on_complete, before the instances shut down
                    await old.drained.wait()
            except TimeoutError:
                log.warning("%d exchanges on the old config did not end", old.running)
        await old.close(self._view(old.resources))

    async def stop(self, grace: float | None = None) -> None:
        """Readiness off, no new connections, what runs ends within ``grace`` seconds (None: ``timeouts.drain``), then
        the rest is cut and the instances shut down."""
        self.ready = False
        if grace is None:
            grace = self.snapshot.config.timeouts.drain
        for server in self._servers:
            server.close()
        front = self.front
        if front is not None:
            front.drain()
            try:
                async with asyncio.timeout(grace):
                    await front.idle.wait()
            except TimeoutError:
                if front.connections:
                    log.warning("cutting %d connections that were not done after %g s", len(front.connections), grace)
            await front.abort()
        self.snapshot.retire()
        for old in self._retiring.values():
            old.drained.set()  # or not, but there is no more time
        if self._retiring:
            await asyncio.wait(tuple(self._retiring))
        await self.snapshot.close(self._view(self.snapshot.resources))
        await self._oversight.stop()
        for server in self._admin_servers:
            server.close()
        if self.admin is not None:
            self.admin.drain()
            await self.admin.abort()
        self._unlink()


def _contexts(config: GatewayConfig) -> list[ListenerContext | None]:
    contexts: list[ListenerContext | None] = []
    problems = []
    for at, listener in enumerate(config.listen):
        try:
            contexts.append(None if listener.tls is None else ListenerContext(listener.tls))
        except (OSError, SSLError) as error:
            problems.append(ConfigProblem(f"TLS files cannot be used: {error}", path=f"$.listen[{at}].tls"))
    if problems:
        raise ConfigError(problems)
    return contexts


def _bound(sock: socket.socket) -> Address:
    name = sock.getsockname()
    return Address(path=name) if isinstance(name, str) else Address(name[0], name[1])


def _handshakes(config: GatewayConfig) -> list[object]:
    """What asyncio was told of TLS when it began to accept."""
    handshake = config.timeouts.tls_handshake
    return [tls and (tls.min_version, tls.client_ca is None, handshake) for tls in (x.tls for x in config.listen)]


def check_sockets(old: GatewayConfig, new: GatewayConfig) -> None:
    """Raises ConfigError when ``new`` binds other sockets than ``old``: they are the process's, not a snapshot's."""
    problems = []
    restart = "restart to change it (spork run), or put the old value back"
    if [(x.address, x.tls is None) for x in old.listen] != [(x.address, x.tls is None) for x in new.listen]:
        problems.append(ConfigProblem("a reload cannot move the listeners", path="$.listen", remedy=restart))
    elif _handshakes(old) != _handshakes(new):
        message = "a reload can renew certificates, and not min_version, tls_handshake or whether clients need one"
        problems.append(ConfigProblem(message, path="$.listen", remedy=restart))
    if old.admin != new.admin:
        problems.append(ConfigProblem("a reload cannot move the admin listener", path="$.admin", remedy=restart))
    if old.workers != new.workers:
        problems.append(ConfigProblem("a reload cannot change the workers", path="$.workers", remedy=restart))
    if problems:
        raise ConfigError(problems)
