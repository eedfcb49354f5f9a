"""The plugin: the quick way of a token that is known, and the long way of one that is not.

Rules of this file
1. A known token costs a look-up and an update of fields: no JSON, no signature, no task.
2. What can be decided here and now is; only keys that must be fetched and a store elsewhere are waited for.
3. A token that is bad is refused, whatever the route wants; one that is not there is nobody's business here.
"""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, ClassVar, Final

from spork_core.api import (
    STORE,
    Clock,
    DependencyDown,
    Exchange,
    GatewayView,
    Identity,
    LocalRoute,
    Metric,
    Plugin,
    Response,
    StoreDown,
    hookimpl,
)
from spork_jwt import telling
from spork_jwt.cache import Entry, TokenCache, weight_of
from spork_jwt.claims import Rules, lifetime_of
from spork_jwt.config import JwtConfig, check_secrets
from spork_jwt.fields import AUTHORIZATION, Guard, Places, canonical
from spork_jwt.jwks import Fetched, RemoteKeys
from spork_jwt.keys import KeySet
from spork_jwt.reasons import REASONS, Challenges, Refused
from spork_jwt.revocations import Revocations
from spork_jwt.revoking import revoked_by_request
from spork_jwt.sources import local_keys, remote_keys
from spork_jwt.tokens import Tokens

_NOTHING: Final[tuple[()]] = ()
_NO_KEYS: Final = KeySet(())
_AFTER_ERROR: Final = 1.0
"""Seconds for which a token passes unasked where the store is down and ``on_store_error`` lets it."""

Later = Coroutine[Any, Any, Identity]


class Jwt(Plugin[JwtConfig]):
    """Bearer tokens (RFC 6750) that are JSON Web Tokens (RFC 7519), signed."""

    Config: ClassVar[type] = JwtConfig
    provides: ClassVar[tuple[str, ...]] = ("identity",)
    defers: ClassVar[tuple[str, ...]] = ("authenticate",)

    def __init__(self, config: JwtConfig, name: str) -> None:
        super().__init__(config, name)
        check_secrets(config)
        self._challenges = Challenges(config.realm)
        self._tokens = Tokens(frozenset(config.accepted), frozenset(_types(config.typ)))
        self._rules = Rules(config)
        self._places = Places(config.cookie, config.query)
        self._guard = Guard(config.forward)
        self._cache = TokenCache(config.cache.entries, config.cache.size)
        self._known = self._cache.entries
        self._max_age = config.cache.max_age
        self._several = self._places.several
        self._strip = config.strip
        self._strip_field = config.strip and not self._several
        self._time = Clock().time
        self._keys: KeySet | None = None
        self._remote: RemoteKeys | None = None
        self._revocations: Revocations | None = None
        self._recheck = config.recheck
        self._keys_changed = 0
        self.hits = 0
        """Tokens that were known."""
        self.results = dict.fromkeys(("accepted", "allowed_unasked", "no_keys", "store_down", *REASONS), 0)
        """What became of the others, by reason."""

    def hooks(self) -> tuple[str, ...]:
        return ("pre_auth", "authenticate") if self.config.forward else ("authenticate",)

    def challenge(self) -> str:
        return self._challenges.plain

    # -- life ---------------------------------------------------------------------------------------

    @hookimpl
    async def startup(self, gateway: GatewayView) -> None:
        self._time = gateway.clock.time
        self._keys = await local_keys(self.config)
        if self.config.revocation:
            self._listen(gateway)
        self._remote = remote_keys(self.config, gateway, self._changed, self.name)
        if self._remote is not None:
            await self._remote.start()

    @hookimpl
    async def shutdown(self, gateway: GatewayView) -> None:
        if self._revocations is not None:
            self._revocations.close()
        if self._remote is not None:
            await self._remote.close()
        self._cache.clear()

    def export_state(self) -> Fetched | None:
        """The last good keys: a reload while the provider is down must not lock everybody out."""
        return None if self._remote is None else self._remote.last

    def import_state(self, state: Fetched) -> None:
        if self._remote is not None:
            self._remote.adopt(state)

    def _listen(self, gateway: GatewayView) -> None:
        store = gateway.resources[STORE]
        keep = (lifetime_of(self.config) or 0.0) + 2 * self.config.leeway
        self._revocations = Revocations(self.config.realm, store, self._cache, keep, gateway.clock)
        self._revocations.start()
        if gateway.slot is not None and not store.shared:
            gateway.event(
                "revocations-apart",
                f"{self.name}: each worker has revocations of its own; add a store that they share, such as redis",
                instance=self.name,
            )

    def _changed(self) -> None:
        """There are new keys: one that is gone vouches for nothing any more, and which did is not kept."""
        self._keys_changed += 1
        self._tokens.forget()
        self._cache.clear()

    # -- exchanges ----------------------------------------------------------------------------------

    @hookimpl
    def pre_auth(self, exchange: Exchange) -> None:
        """Here and not in ``authenticate``, which is not asked when another instance knows the caller."""
        self._guard.sweep(exchange.request.headers)

    @hookimpl
    def authenticate(self, exchange: Exchange) -> "Identity | Later | None":
        headers = exchange.request.headers
        fields = headers.getall(AUTHORIZATION, _NOTHING)
        if len(fields) == 1:
            entry = self._known.get(fields[0])
            if entry is not None and entry.until > self._time() and not self._several:
                self.hits += 1
                entry.used = True
                if self._strip_field:
                    del headers[AUTHORIZATION]
                headers.update(entry.fields)
                return entry.identity
        elif not fields and not self._several:
            return None
        return self._look(exchange, fields)

    def _look(self, exchange: Exchange, fields: "list[str] | tuple[()]") -> "Identity | Later | None":
        """What is known of the token; a coroutine where somebody must be asked."""
        token = None
        try:
            token = self._places.find(exchange.request, fields)
            if token is None:
                return None
            field = canonical(token)
            now = self._time()
            entry = self._known.get(field)
            if entry is not None and entry.until > now:
                self.hits += 1
                entry.used = True
                return self._pass(exchange, entry)
            if entry is not None and entry.trusted > now:
                return self._ask(exchange, field, entry, now)
            keys = self._keys if self._remote is None else self._remote.current()
            if keys is None:  # what is no token at all is refused all the same, and fetches nothing
                self._tokens.forget()
                keys = _NO_KEYS
            claims = self._tokens.verify(token, keys)
            if claims is None:
                if self._remote is not None and (keys is _NO_KEYS or self._remote.may_fetch):
                    return self._fetch(exchange, field, token)
                raise Refused("key")
            return self._accept(exchange, field, token, claims)
        except Refused as refused:
            if token and refused.why == "signature" and self._remote is not None and self._remote.nameless:
                return self._fetch(exchange, canonical(token), token)
            self.results[refused.why] += 1
            raise self._challenges.problem(refused.why) from None

    async def _fetch(self, exchange: Exchange, field: str, token: str) -> Identity:
        """The long way, with keys that are fetched for this token, or were for another meanwhile."""
        assert self._remote is not None
        try:
            keys = await self._remote.fetched()
        except DependencyDown:
            self.results["no_keys"] += 1
            raise
        try:
            claims = self._tokens.verify(token, keys)
            if claims is None:
                raise Refused("key")
            found = self._accept(exchange, field, token, claims)
        except Refused as refused:
            self.results[refused.why] += 1
            raise self._challenges.problem(refused.why) from None
        return found if isinstance(found, Identity) else await found

    def _accept(self, exchange: Exchange, field: str, token: str, claims: dict[str, Any]) -> "Identity | Later":
        """Judges claims whose signature is good. Raises Refused."""
        now = self._time()
        accepted = self._rules.accept(claims, now)
        trusted = min(accepted.ends, now + self._max_age)
        names: tuple[str, ...] = ()
        if self._revocations is not None:
            names = self._revocations.keys_of(accepted.identity.subject, accepted.jti)
        return self._ask(exchange, field, Entry(accepted, trusted, names, weight_of(token)), now)

    def _ask(self, exchange: Exchange, field: str, entry: Entry, now: float) -> "Identity | Later":
        """Asks the store about a token that is good otherwise. Raises Refused."""
        revocations = self._revocations
        if revocations is not None:
            if revocations.memory is None:
                return self._ask_elsewhere(exchange, field, entry, revocations)
            if revocations.ask_now(entry.names, entry.accepted.issued):
                self._cache.drop(field)
                raise Refused("revoked")
        entry.until = entry.trusted
        return self._keep(exchange, field, entry, now)

    async def _ask_elsewhere(self, exchange: Exchange, field: str, entry: Entry, revocations: Revocations) -> Identity:
        heard, keys = revocations.heard, self._keys_changed
        try:
            revoked = await revocations.ask(entry.names, entry.accepted.issued)
        except StoreDown:
            if entry.vouched > self._time():
                return self._pass(exchange, entry)
            if self.config.on_store_error == "deny":
                self.results["store_down"] += 1
                raise
            self.results["allowed_unasked"] += 1
            revoked, recheck = False, _AFTER_ERROR
        else:
            # What was heard while the store was asked may be newer than its answer: ask again next time.
            recheck = self._recheck if heard == revocations.heard else 0.0
        if revoked:
            self._cache.drop(field)
            self.results["revoked"] += 1
            raise self._challenges.problem("revoked")
        if keys != self._keys_changed:  # its key may be gone: good this once, and not to be remembered
            self.results["accepted"] += 1
            return self._pass(exchange, entry)
        now = self._time()
        entry.until = entry.vouched = min(entry.trusted, now + recheck)
        return self._keep(exchange, field, entry, now)

    def _keep(self, exchange: Exchange, field: str, entry: Entry, now: float) -> Identity:
        self._cache.put(field, entry, now)
        self.results["accepted"] += 1
        return self._pass(exchange, entry)

    def _pass(self, exchange: Exchange, entry: Entry) -> Identity:
        """Lets the exchange through, with the fields that the service gets."""
        if self._strip:
            self._places.strip(exchange.request)
        exchange.request.headers.update(entry.fields)
        return entry.identity

    # -- operators ----------------------------------------------------------------------------------

    @hookimpl
    def health(self, gateway: GatewayView) -> str | None:
        return None if self._remote is None else self._remote.problem()

    @hookimpl
    def describe(self, gateway: GatewayView) -> dict[str, Any]:
        return telling.described(self.keys, self._remote, self._cache, self.hits, self.results, self._revocations)

    @hookimpl
    def collect(self, gateway: GatewayView) -> Iterable[Metric]:
        return telling.collected(self.name, self.keys, self._remote, self._cache, self.hits, self.results)

    @property
    def keys(self) -> KeySet | None:
        """The keys that tokens are verified with now; None when there are none."""
        return self._keys if self._remote is None else self._remote.current()

    @hookimpl
    def local_routes(self, gateway: GatewayView) -> Iterable[LocalRoute]:
        if not self.config.revocation:
            return ()
        return (LocalRoute(f"/plugins/{self.name}/revoke", self._revoke, methods=("POST",)),)

    async def _revoke(self, exchange: Exchange) -> Response:
        assert self._revocations is not None, "the instance has started"
        # The kernel answers such paths without a task, and a store elsewhere waits with time-outs, which need one.
        revoked = revoked_by_request(exchange, self._revocations, self._time())
        working = asyncio.get_running_loop().create_task(revoked, name=f"{self.name}: revoke")
        try:
            return await working
        finally:
            working.cancel()


def _types(names: Iterable[str]) -> Iterable[str]:
    return (name.lower().removeprefix("application/") for name in names)
