"""A service: its endpoints in turn, their pools, and one request sent to one of them."""

import ssl
from collections.abc import Collection, Sequence
from math import gcd
from typing import Final
from urllib.parse import urlsplit

from multidict import istr

from spork_core.body import EMPTY, Body
from spork_core.config.model import ServiceConfig, TimeoutOverrides, UpstreamTimeouts, UpstreamTLS
from spork_core.errors import UpstreamUnavailable
from spork_core.exchange import Endpoint, Request
from spork_core.headers import ORDINARY, TOKEN, HeaderInjection, head_bytes, keep_ordinary, version_of
from spork_core.outbox import Outbox
from spork_core.upstream.pool import Pool, TimeLimits
from spork_core.upstream.resolver import Resolver

HOST: Final = istr("Host")
IDEMPOTENT: Final = frozenset(("GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE", "QUERY", "PROPFIND"))
"""Methods that may be sent again when nobody knows whether the first was processed (RFC 9110 section 9.2.2)."""

_LONGEST_CYCLE: Final = 10_000


def repeatable(request: Request) -> bool:
    """True when sending ``request`` once more can do no harm: an idempotent method and a body that is still there."""
    return request.method in IDEMPOTENT and request.body.replayable


class Service:
    """The running form of one entry of ``services``."""

    def __init__(self, name: str, config: ServiceConfig, outbox: Outbox | None = None) -> None:
        """Reads the TLS files. Raises OSError and ssl.SSLError when they cannot be used."""
        self.name = name
        self.config = config
        self._outbox = outbox or Outbox()
        self.limits = TimeLimits(config.timeouts)
        self.users = 0
        """Snapshots that hold it; at 0 its pools are closed."""
        self._resolver = Resolver(config.resolve.refresh)
        self._special_limits: dict[TimeoutOverrides, TimeLimits] = {}
        tls = client_context(config.tls) if any(e.url.startswith("https:") for e in config.endpoints) else None
        self.pools: tuple[Pool, ...] = tuple(
            self._pool(Endpoint(name, endpoint.url, endpoint.weight), tls) for endpoint in config.endpoints
        )
        self.endpoints: tuple[Endpoint, ...] = tuple(pool.endpoint for pool in self.pools)
        """In the order of the config."""
        self._by_endpoint = {pool.endpoint: pool for pool in self.pools}
        self._cycle: Sequence[Pool] = _cycle(self.pools)
        self._stamps = _stamps(config.tls)
        self._turn = -1
        self.only = self.pools[0] if len(self.pools) == 1 else None
        """The pool when there is just one; None otherwise."""

    def __repr__(self) -> str:
        return f"<Service {self.name} {len(self.pools)} endpoints>"

    def _pool(self, endpoint: Endpoint, tls: ssl.SSLContext | None) -> Pool:
        if endpoint.url.startswith("unix:"):
            path = endpoint.url.removeprefix("unix:")
            return Pool(endpoint, self.config.pool, self.limits, self._resolver, self._outbox, path=path)
        url = urlsplit(endpoint.url)
        secure = url.scheme == "https"
        return Pool(
            endpoint,
            self.config.pool,
            self.limits,
            self._resolver,
            self._outbox,
            host=url.hostname or "",
            port=url.port or (443 if secure else 80),
            tls=tls if secure else None,
            server_name=self.config.tls.server_name,
        )

    @property
    def outdated(self) -> bool:
        """True when a TLS file has changed since it was read."""
        return _stamps(self.config.tls) != self._stamps

    def limits_for(self, overrides: TimeoutOverrides | None) -> TimeLimits:
        """The time limits of a route that overrides some of the service's."""
        if overrides is None:
            return self.limits
        limits = self._special_limits.get(overrides)
        if limits is None:
            mine = self.config.timeouts
            limits = self._special_limits[overrides] = TimeLimits(
                UpstreamTimeouts(
                    connect=overrides.connect or mine.connect,
                    response=overrides.response or mine.response,
                    idle=overrides.idle or mine.idle,
                    total=overrides.total or mine.total,
                )
            )
        return limits

    def pick(self, tried: Collection[Endpoint] = ()) -> Pool:
        """The pool of the next endpoint by weighted round robin; those in ``tried`` only when there is no other. Raises
        UpstreamUnavailable when there is none at all."""
        cycle = self._cycle
        for _ in range(len(cycle)):
            self._turn = turn = (self._turn + 1) % len(cycle)
            pool = cycle[turn]
            if not tried or pool.endpoint not in tried:
                return pool
        if not cycle:
            raise UpstreamUnavailable("The service has no endpoint.", reason=f"{self!r}", sent=False)
        self._turn = turn = (self._turn + 1) % len(cycle)
        return cycle[turn]

    def pool_of(self, endpoint: Endpoint) -> Pool | None:
        """The pool of an endpoint that a plugin chose; None when it is not one of this service's."""
        return self._by_endpoint.get(endpoint)

    def close(self) -> None:
        """Closes idle connections now, busy ones when they are done."""
        self._resolver.close()
        for pool in self.pools:
            pool.close()

    def abort(self) -> None:
        """Closes all connections now."""
        self._resolver.close()
        for pool in self.pools:
            pool.abort()


def request_head(request: Request, target: str, extra: str, body: Body, authority: str) -> bytes:
    """The head to send upstream: what hooks left of the client's fields, ``extra``, and the framing of ``body``."""
    headers = request.headers
    clean = version_of(headers) == request.unchanged
    if (
        clean
        and request.raw
        and body is EMPTY
        and target == request.raw_target
        and request.method is request.raw_method
    ):
        return b"%b%b\r\n" % (request.raw[:-2], extra.encode())  # untouched: 0.8 µs saved
    if not clean and not ORDINARY.issuperset(headers):
        keep_ordinary(headers)  # hooks had it: what frames the message, or belongs to one hop, is the kernel's to say
    if " " in target or not (request.method in IDEMPOTENT or TOKEN.fullmatch(request.method)):
        raise HeaderInjection("the method or the target that a hook set breaks the request line")
    if HOST not in headers:
        extra = f"Host: {authority}\r\n{extra}"
    if body is not EMPTY:
        length = body.length
        extra += "Transfer-Encoding: chunked\r\n" if length is None else f"Content-Length: {length}\r\n"
    return head_bytes(f"{request.method} {target} HTTP/1.1", headers, extra, clean=clean, ordinary=True)


def client_context(config: UpstreamTLS) -> ssl.SSLContext:
    """The TLS settings towards a service. Raises OSError and ssl.SSLError for files that cannot be used."""
    context = ssl.create_default_context(cafile=config.ca)
    context.set_alpn_protocols(["http/1.1"])
    if not config.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if config.certificate is not None:
        context.load_cert_chain(config.certificate, config.key)
    return context


def _stamps(config: UpstreamTLS) -> tuple[tuple[int, int], ...]:
    """Size and time of change of each TLS file."""
    files = (path.stat() for path in (config.ca, config.certificate, config.key) if path is not None and path.exists())
    return tuple((file.st_size, file.st_mtime_ns) for file in files)


def _cycle(pools: Sequence[Pool]) -> Sequence[Pool]:
    """One round of smooth weighted round robin, worked out beforehand: 5:1 gives a a b a a a, not a a a a a b."""
    weights = [pool.endpoint.weight for pool in pools]
    step = gcd(*weights) if weights else 1
    shares = [weight // step for weight in weights]
    total = sum(shares)
    if total > _LONGEST_CYCLE:
        shares = [max(1, share * _LONGEST_CYCLE // total) for share in shares]
        total = sum(shares)
    if total == len(pools):
        return pools
    current = [0] * len(pools)
    cycle = []
    for _ in range(total):
        current = [now + share for now, share in zip(current, shares, strict=True)]
        best = current.index(max(current))
        current[best] -= total
        cycle.append(pools[best])
    return cycle
