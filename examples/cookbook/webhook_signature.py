"""Webhooks: only what their sender has signed gets to the service."""

import hmac
from typing import ClassVar

from attrs import frozen

from spork_core.api import BodyUse, Bytes, BytesBody, Exchange, Forbidden, Plugin, Secret, hookimpl, setting


@frozen
class WebhookSignatureConfig:
    """What sender and gateway share."""

    secret: Secret = setting("What the sender signs with.")
    limit: Bytes = setting("A longer body is refused with 413 before it is read.", default=1024 * 1024)


class WebhookSignature(Plugin[WebhookSignatureConfig]):
    """Refuses requests without the right X-Hub-Signature-256: the HMAC of their body."""

    Config: ClassVar[type] = WebhookSignatureConfig
    request_body: ClassVar[BodyUse] = "read"

    @hookimpl
    async def on_request(self, exchange: Exchange) -> None:
        request = exchange.request
        sent = request.headers.get("X-Hub-Signature-256")
        if sent is None:
            raise Forbidden("The request is not signed.")  # nothing is read of who does not even try
        body = await request.body.read(self.config.limit)
        request.body = BytesBody(body)  # read bodies are used up: put the bytes back for the service
        right = "sha256=" + hmac.digest(self.config.secret.reveal().encode(), body, "sha256").hex()
        if not hmac.compare_digest(sent.encode("utf-8", "surrogateescape"), right.encode()):
            raise Forbidden("The signature is wrong.")
