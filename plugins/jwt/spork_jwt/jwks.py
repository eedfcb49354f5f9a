"""Keys from the URL of an identity provider: fetched ahead of need, and kept while it does not answer.

Rules of this file
1. There is one fetch at a time; whoever needs its result waits for that one.
2. Between two fetches that tokens ask for lies a cool-down, whatever they name: a flood of unknown keys is no flood for
   the provider.
3. Keys are replaced only by a whole set that was read and has something in it. The last good ones serve on, up to
   ``max_stale``.
4. What comes over the network is bounded in size, in number and in time, and no redirect is followed.
"""

import asyncio
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from spork_core.api import SESSION_TRACING, DependencyDown, GatewayView
from spork_jwt.config import JwksConfig
from spork_jwt.keys import KeySet

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession

_FIRST_RETRY: Final = 1.0
"""Seconds after the first fetch that failed; each further one doubles them, up to ``refresh``."""
_SPREAD: Final = 0.1
"""The part by which times differ from gateway to gateway, so that not all ask at once."""


class FetchFailed(Exception):
    """Why there are no new keys, in words for operators."""


@frozen
class Fetched:
    """A document that was good, and when it was fetched, in seconds since the epoch: what a reload hands on."""

    url: str
    document: bytes
    at: float


class RemoteKeys:
    """The keys behind one URL.

    ``read``: makes keys of a document's bytes; raises ValueError. ``changed``: called when there are new keys.
    """

    def __init__(
        self,
        url: str,
        config: JwksConfig,
        gateway: GatewayView,
        read: Callable[[bytes], KeySet],
        changed: Callable[[], object],
        name: str,
    ) -> None:
        self._url = url
        self._config = config
        self._gateway = gateway
        self._read = read
        self._changed = changed
        self._name = name
        self._time = gateway.clock.time
        self._monotonic_ns = gateway.clock.monotonic_ns
        self._log = gateway.log.getChild(name)
        self._tls: Any = True
        self._keeper: asyncio.Task[None] | None = None
        self._fetching: asyncio.Task[None] | None = None
        self._asked_ns: int | None = None
        """When the last fetch began; None: there was none yet."""
        self.last: Fetched | None = None
        self.keys: KeySet | None = None
        """The last good ones, however old; None before the first."""
        self.fetches = 0
        self.failures = 0
        self.failed: str | None = None
        """Why the last fetch failed; None when it did not."""

    # -- life ---------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Fetches once, and goes on beside the requests. Where the provider does not answer, the gateway starts all the
        same: what needs no token is served, and the rest when the keys are there."""
        if self._config.ca_file is not None:
            self._tls = await asyncio.to_thread(_context, str(self._config.ca_file))
        await self._fetch()
        self._keeper = asyncio.get_running_loop().create_task(self._keep(), name=f"{self._name}: jwks")

    async def close(self) -> None:
        """Fetches no more."""
        tasks = [task for task in (self._keeper, self._fetching) if task is not None]
        self._keeper = self._fetching = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def adopt(self, fetched: Fetched) -> None:
        """Takes over what an instance before this one fetched, unless other keys were fetched since."""
        if fetched.url != self._url:
            return
        if self.last is None:
            self.keys = self._read(fetched.document)
            self._changed()
        elif self.last.document != fetched.document:
            return
        self.last = fetched

    # -- for exchanges ------------------------------------------------------------------------------

    def current(self) -> KeySet | None:
        """The keys to verify with now; None when there are none that are good."""
        if self.last is None or self._time() - self.last.at > self._config.max_stale:
            return None
        return self.keys

    @property
    def may_fetch(self) -> bool:
        """True when a fetch runs, or one may begin: a token with an unknown key is worth waiting for."""
        if self._fetching is not None or self._asked_ns is None:
            return True
        return self._monotonic_ns() - self._asked_ns >= self._config.cooldown * 1e9

    @property
    def nameless(self) -> bool:
        """True when a wrong signature may mean that the keys have changed, because they have no kid to tell by, and a
        fetch may begin."""
        return self.keys is not None and any(key.kid is None for key in self.keys.keys) and self.may_fetch

    async def fetched(self) -> KeySet:
        """The keys after a fetch, or after the one that runs. Raises DependencyDown when there are none."""
        if self.may_fetch:
            await self._fetch()
        keys = self.current()
        if keys is None:
            raise self.down()
        return keys

    def down(self) -> DependencyDown:
        """What a token is answered with that cannot be verified."""
        return DependencyDown(
            "The keys that tokens are checked with are not there at the moment.",
            reason=f"{self._name}: {self.failed or 'no keys yet'}",
            retry_after=max(1, round(min(self._config.cooldown, 30))),
        )

    # -- for operators ------------------------------------------------------------------------------

    @property
    def age(self) -> float | None:
        """Seconds since the keys were fetched; None when they never were."""
        return None if self.last is None else max(0.0, self._time() - self.last.at)

    def problem(self) -> str | None:
        """Why tokens cannot be verified, or soon will not be; None when all is well."""
        if self.current() is None:
            return f"no keys from {self._url}: {self.failed or 'none were fetched yet'}"
        return None

    def told(self) -> dict[str, Any]:
        """About the fetches, for operators."""
        return {
            "url": self._url,
            "age_seconds": self.age,
            "fetches": self.fetches,
            "failures": self.failures,
            "last_failure": self.failed,
        }

    # -- the work -----------------------------------------------------------------------------------

    async def _keep(self) -> None:
        """Fetches anew before anybody has to wait for it; after failures soon, and then less and less often."""
        pause = _FIRST_RETRY
        while True:
            wait = self._config.refresh
            if self.failed is not None:
                wait = min(pause, self._config.refresh)
                pause = min(pause * 2, self._config.refresh)
            else:
                pause = _FIRST_RETRY
            await asyncio.sleep(wait * (1 - _SPREAD * self._gateway.chance.random()))
            await self._fetch()

    async def _fetch(self) -> None:
        """Fetches once, or waits for the fetch that runs; raises nothing of what goes wrong there."""
        task = self._fetching
        if task is None:
            self._asked_ns = self._monotonic_ns()
            task = asyncio.get_running_loop().create_task(self._fetch_now(), name=f"{self._name}: jwks fetch")
            self._fetching = task
        await asyncio.shield(task)  # whoever leaves takes nothing from those who wait

    async def _fetch_now(self) -> None:
        self.fetches += 1
        try:
            document = await self._download()
            self._take(Fetched(self._url, document, self._time()))
        except (FetchFailed, ValueError) as error:
            self._fail(str(error))
        except Exception as error:  # whatever a library makes of a broken network
            self._fail(f"{type(error).__name__}: {error}")
        finally:
            self._fetching = None

    def _take(self, fetched: Fetched) -> None:
        keys = self.keys
        if keys is None or self.last is None or self.last.document != fetched.document:
            keys = self._read(fetched.document)
        self.last = fetched
        if self.failed is not None:
            self._gateway.event("jwks-back", f"{self._name}: the keys were fetched again", instance=self._name)
        self.failed = None
        if keys is not self.keys:
            self.keys = keys
            self._changed()
            for why in keys.refused:
                self._log.info("a key of %s is left out: %s", self._url, why)

    def _fail(self, why: str) -> None:
        self.failures += 1
        if self.failed is None:
            self._gateway.event(
                "jwks-failed", f"{self._name}: the keys cannot be fetched: {why}", instance=self._name, url=self._url
            )
        self.failed = why

    async def _download(self) -> bytes:
        try:
            async with asyncio.timeout(self._config.timeout), self._session() as session:
                headers = {"Accept": "application/jwk-set+json, application/json", "Accept-Encoding": "identity"}
                async with session.get(self._url, headers=headers, allow_redirects=False, ssl=self._tls) as answer:
                    return await self._content(answer)
        except TimeoutError:
            raise FetchFailed(f"no answer within {self._config.timeout:g} s") from None

    def _session(self) -> "ClientSession":
        """One for each fetch: between two fetches nothing stays open."""
        from aiohttp import ClientSession, DummyCookieJar, TCPConnector, ThreadedResolver

        traced = SESSION_TRACING in self._gateway.resources
        return ClientSession(
            connector=TCPConnector(resolver=ThreadedResolver(), force_close=True),
            cookie_jar=DummyCookieJar(),
            trace_configs=self._gateway.resources[SESSION_TRACING] if traced else None,
        )

    async def _content(self, answer: "ClientResponse") -> bytes:
        if answer.status != 200:
            raise FetchFailed(f"the answer is {answer.status}")
        content = bytearray()
        async for chunk in answer.content.iter_chunked(1 << 14):
            content += chunk
            if len(content) > self._config.max_size:
                raise FetchFailed(f"the document is larger than {self._config.max_size} bytes")
        return bytes(content)


def parsed(document: bytes) -> object:
    """The JSON value that ``document`` is. Raises ValueError with a sentence."""
    try:
        return json.loads(document.decode())
    except (ValueError, RecursionError):
        raise ValueError("it is no JSON") from None


def _context(ca_file: str) -> Any:
    import ssl

    return ssl.create_default_context(cafile=ca_file)
