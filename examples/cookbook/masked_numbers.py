"""Masked numbers: payment card numbers in answers are made unreadable while the answers stream through."""

import re
from collections.abc import AsyncIterator
from typing import ClassVar

from attrs import frozen

from spork_core.api import Body, BodyUse, Exchange, IteratorBody, Plugin, hookimpl, setting

LONGEST = 19
NUMBER = re.compile(rb"[0-9]{13,19}")


def masked(found: re.Match[bytes]) -> bytes:
    """The first digit and the last four, zeros between them, when it is a card number: its check digit is right."""
    digits = found[0]
    total = sum(sum(divmod((int(chr(d)) << at % 2), 10)) for at, d in enumerate(reversed(digits)))
    return digits if total % 10 else digits[:1] + b"0" * (len(digits) - 5) + digits[-4:]


class Masked(IteratorBody):
    """A body with masked numbers, as long as the one it is made of."""

    def __init__(self, inner: Body) -> None:
        super().__init__(self._chunks_of(inner), length=inner.length, inner=inner)

    async def _chunks_of(self, inner: Body) -> AsyncIterator[bytes]:
        held = b""
        async for chunk in inner:
            text = held + chunk
            open_end = len(text) - len(text.rstrip(b"0123456789"))  # digits that may go on in the next chunk
            cut = len(text) - open_end % LONGEST
            held = text[cut:]
            yield NUMBER.sub(masked, text[:cut])
        yield NUMBER.sub(masked, held)
        self.trailers = inner.trailers


@frozen
class MaskedNumbersConfig:
    """Where to look."""

    types: tuple[str, ...] = setting("How the media types begin.", default=("application/json", "text/"))


class MaskedNumbers(Plugin[MaskedNumbersConfig]):
    """Masks payment card numbers in the answers of services."""

    Config: ClassVar[type] = MaskedNumbersConfig
    response_body: ClassVar[BodyUse] = "change"

    @hookimpl
    def on_request(self, exchange: Exchange) -> None:
        for name in ("Accept-Encoding", "Range"):  # of a part, or of compressed text, nothing could be read
            exchange.request.headers.popall(name, None)

    @hookimpl
    def on_upstream_response(self, exchange: Exchange) -> None:
        response = exchange.response
        if response is not None and response.headers.get("Content-Type", "").lower().startswith(self.config.types):
            response.body = Masked(response.body)
