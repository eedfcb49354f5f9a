"""API keys: says who is calling by a key in a header field. Configs hold their digests, and may be read by many."""

import re
from hashlib import sha256
from typing import Any, ClassVar

from attrs import Attribute, frozen

from spork_core.api import Exchange, Identity, Plugin, Unauthenticated, hookimpl, setting


def digest(_: object, __: "Attribute[Any]", text: str) -> None:
    """Refuses what cannot be a digest, such as the key itself."""
    if not re.fullmatch("[0-9a-f]{64}", text):
        raise ValueError('is no SHA-256 digest; "printf %s KEY | sha256sum" prints one')


@frozen
class Caller:
    """One who may call."""

    sha256: str = setting("Digest of the caller's key: 64 hex digits.", validator=digest)
    scopes: tuple[str, ...] = setting("What the caller may do, for plugins that ask.", default=())


@frozen
class ApiKeysConfig:
    """Who may call."""

    callers: dict[str, Caller] = setting("The callers by name.")


class ApiKeys(Plugin[ApiKeysConfig]):
    """Says who is calling by the key in X-API-Key, which the service does not get to see."""

    Config: ClassVar[type] = ApiKeysConfig
    provides: ClassVar[tuple[str, ...]] = ("identity",)

    def __init__(self, config: ApiKeysConfig, name: str) -> None:
        super().__init__(config, name)
        self._known = {
            caller.sha256: Identity(subject, scheme="api-key", scopes=frozenset(caller.scopes))
            for subject, caller in config.callers.items()
        }

    @hookimpl
    def authenticate(self, exchange: Exchange) -> Identity | None:
        sent = exchange.request.headers.popall("X-API-Key", None)
        if sent is None:
            return None
        # Looked up by digest: how long that takes tells nothing about the keys.
        known = self._known.get(sha256(sent[0].encode("utf-8", "surrogateescape")).hexdigest())
        if known is None or len(sent) > 1:
            raise Unauthenticated("The API key is not known.")
        return known

    def challenge(self) -> str:
        return 'ApiKey header="X-API-Key"'
