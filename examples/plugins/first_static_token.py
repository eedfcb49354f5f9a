"""A first hook: until the first answer that is not None. Says who is calling, by fixed tokens from the config."""

import hmac
from typing import ClassVar

from attrs import frozen

from spork_core.api import Exchange, Identity, Plugin, Secret, Unauthenticated, hookimpl, setting


@frozen
class StaticTokenConfig:
    """Tokens in the config file stand as ``${env:…}`` or ``${file:…}``; a Secret never shows in a dump or a log."""

    tokens: dict[str, Secret] = setting("Subject to its token.")


class StaticToken(Plugin[StaticTokenConfig]):
    """``plugins: {static-token: {tokens: {ci: "${env:CI_TOKEN}"}}}``, in the chain of a route."""

    Config: ClassVar[type] = StaticTokenConfig
    provides: ClassVar[tuple[str, ...]] = ("identity",)

    @hookimpl
    def authenticate(self, exchange: Exchange) -> Identity | None:
        scheme, _, sent = exchange.request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None  # no credential of this kind: the next instance is asked
        for subject, token in self.config.tokens.items():
            if hmac.compare_digest(sent.strip().encode("utf-8", "surrogateescape"), token.reveal().encode()):
                return Identity(subject, scheme="static-token")
        raise Unauthenticated("The token is not known.")  # of this kind, and bad: nobody else is asked

    def challenge(self) -> str:
        return 'Bearer realm="spork"'
