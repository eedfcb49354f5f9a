"""Revocations: tokens, and all tokens of a subject, that are refused before they expire. They stand in the Store.

Rules of this file
1. Whoever revokes writes the key first and tells of it then; who is told looks at what he remembers, at once.
2. A message may be lost. So a remembered token is asked about again after a while, and at once when the store says that
   messages may have been missed.
3. Keys and messages hold digests: nobody learns ids or subjects from a store, and no text from a token becomes a key.

The keys, with ``R`` for the realm and ``D`` for the first 32 hex digits of a SHA-256:

- ``jwt:{R}:jti:D(jti)`` → ``1``: this token is revoked.
- ``jwt:{R}:sub:D(subject)`` → seconds since the epoch: all tokens of the subject issued before that time are, and those
  that do not say when.

On the channel ``jwt:{R}`` each key that was written is sent as a message.
"""

import hashlib
from collections.abc import Sequence
from math import inf
from typing import Any, Final

from attrs import frozen

from spork_core.api import Clock, MemoryStore, Script, Store, Subscription, Table
from spork_jwt.cache import TokenCache

Argument = str | int | float | bytes
"""What a script is given."""

JTI: Final = "jti"
SUBJECT: Final = "sub"


def _later(table: Table, keys: Sequence[str], arguments: Sequence[Argument], _now: int) -> bytes:
    before, ttl = str(arguments[0]), float(arguments[1])
    kept = table.get(keys[0])
    if kept is not None and float(kept) > float(before):
        before = kept.decode()
    table.set(keys[0], before.encode(), max(ttl, table.ttl(keys[0]) or 0.0))
    return before.encode()


REVOKE_SUBJECT: Final = Script(
    "jwt-revoke-subject",
    """
local before, ttl = ARGV[1], math.ceil(tonumber(ARGV[2]) * 1000)
local kept = redis.call('GET', KEYS[1])
if kept then
    if tonumber(kept) > tonumber(before) then before = kept end
    ttl = math.max(ttl, redis.call('PTTL', KEYS[1]))
end
redis.call('SET', KEYS[1], before, 'PX', string.format('%d', ttl))
return before
""",
    _later,
)
"""Sets the time before which a subject's tokens are revoked, never back to an earlier one. Arguments: that time and for
how long to keep it, in seconds. Answers with the time that holds now."""


_MOST_HEARD: Final = 100_000


@frozen
class Names:
    """The keys of one realm."""

    realm: str

    @property
    def channel(self) -> str:
        """Where revocations are told."""
        return f"jwt:{{{self.realm}}}"

    def key(self, kind: str, text: str) -> str:
        """The key of a token's id (``jti``) or of a subject (``sub``)."""
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
        return f"jwt:{{{self.realm}}}:{kind}:{digest}"


class Revocations:
    """What one instance knows of revocations, and how it tells of new ones.

    ``keep``: seconds for which a revocation is kept, at least the longest lifetime of a token and the leeway.
    """

    def __init__(self, realm: str, store: Store, cache: TokenCache, keep: float, clock: Clock) -> None:
        self.names: Final = Names(_key_part(realm))
        self._store = store
        self._cache = cache
        self._keep = keep
        self.heard = 0
        """Messages so far, and gaps in which some may have been lost."""
        self.memory: Final = store if type(store) is MemoryStore else None
        """The store, where it is the kernel's, which answers at once."""
        self._heard = MemoryStore(clock, entries=_MOST_HEARD)
        """What was heard of, where the store is the kernel's: other plugins fill that one, and it drops what is old."""
        self._subscription: Subscription | None = None

    def start(self) -> None:
        """Listens from here on."""
        self._subscription = self._store.subscribe(self.names.channel, self._hear, self._lost)

    def close(self) -> None:
        """Listens no more."""
        if self._subscription is not None:
            self._subscription.close()
            self._subscription = None

    def keys_of(self, subject: str, jti: str | None) -> tuple[str, ...]:
        """The keys that a token is revoked by."""
        whose = self.names.key(SUBJECT, subject)
        return (whose,) if jti is None else (whose, self.names.key(JTI, jti))

    async def ask(self, keys: Sequence[str], issued: float | None) -> bool:
        """True when a token with these keys is revoked. Raises StoreDown."""
        return _revoked(await self._store.get_many(keys), issued)

    def ask_now(self, keys: Sequence[str], issued: float | None) -> bool:
        """The same at once, where there is a ``memory``."""
        assert self.memory is not None
        heard, kept = self._heard.get_now, self.memory.get_now
        return _revoked([heard(key) or kept(key) for key in keys], issued)

    async def revoke_token(self, jti: str, keep: float | None = None) -> None:
        """Refuses the token with this id everywhere. ``keep``: seconds until it expires. Raises StoreDown."""
        key = self.names.key(JTI, jti)
        await self._store.set(key, b"1", keep or self._keep)
        await self._store.publish(self.names.channel, key.encode())

    async def revoke_subject(self, subject: str, before: float) -> float:
        """Refuses all tokens of ``subject`` that were issued before that time, in seconds since the epoch, everywhere;
        the time that holds now. Raises StoreDown."""
        key = self.names.key(SUBJECT, subject)
        holds: Any = await self._store.run(REVOKE_SUBJECT, [key], [f"{before:.6f}", f"{self._keep:.3f}"])
        await self._store.publish(self.names.channel, key.encode())
        return float(holds)

    def _hear(self, message: bytes) -> None:
        """Forgets the tokens that a revocation is about; who brings one is asked about in the store again."""
        self.heard += 1
        key = message.decode("utf-8", "replace")
        if self.memory is not None and (value := self.memory.get_now(key)) is not None:
            self._heard.set_now(key, value, self.memory.ttl_now(key))
        self._cache.drop_named(key)

    def _lost(self) -> None:
        self.heard += 1
        self._cache.doubt()


def _revoked(values: Sequence[bytes | None], issued: float | None) -> bool:
    before, *token = values
    if before is not None and (issued is None or issued < _seconds(before)):
        return True
    return any(value is not None for value in token)


def _seconds(value: bytes) -> float:
    """The time that a key holds; one that cannot be read revokes everything."""
    try:
        return float(value)
    except ValueError:
        return inf


def _key_part(realm: str) -> str:
    """The realm as a part of a key, which has no blanks and no braces of its own."""
    plain = realm.isascii() and not set(realm) & set(" {}")
    return realm if plain else hashlib.sha256(realm.encode()).hexdigest()[:16]
