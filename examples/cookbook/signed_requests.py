"""Signed requests: a service can tell that a request came through the gateway, when, and on whose behalf."""

import hmac
from typing import ClassVar
from urllib.parse import quote

from attrs import frozen

from spork_core.api import Attempt, Clock, Exchange, GatewayView, Plugin, Secret, hookimpl, setting


@frozen
class SignedRequestsConfig:
    """What gateway and service share."""

    secret: Secret = setting("What requests are signed with; the service knows it, too.")


class SignedRequests(Plugin[SignedRequestsConfig]):
    """Sends X-Gateway-Caller, X-Gateway-Time, and X-Gateway-Signature: HMAC-SHA256 over method, caller and time."""

    Config: ClassVar[type] = SignedRequestsConfig

    def __init__(self, config: SignedRequestsConfig, name: str) -> None:
        super().__init__(config, name)
        self._clock = Clock()

    @hookimpl
    def startup(self, gateway: GatewayView) -> None:
        self._clock = gateway.clock

    @hookimpl
    def before_attempt(self, exchange: Exchange, attempt: Attempt) -> None:
        # In this hook, not in on_request: another attempt, seconds later, is signed with its own time.
        request, identity = exchange.request, exchange.identity
        caller = quote("" if identity is None else identity.subject, errors="surrogateescape")
        time = str(int(self._clock.time()))
        text = f"{request.method}\n{caller}\n{time}"
        request.headers["X-Gateway-Caller"] = caller
        request.headers["X-Gateway-Time"] = time
        request.headers["X-Gateway-Signature"] = hmac.digest(
            self.config.secret.reveal().encode(), text.encode("utf-8", "surrogateescape"), "sha256"
        ).hex()
