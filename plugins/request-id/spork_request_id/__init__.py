"""Gives every exchange an id: the client's where it may be believed, else one made here."""

import re
from typing import Any, ClassVar, Final, Literal

from attrs import Attribute, frozen

from spork_core.api import TOKEN, Chance, Clock, Exchange, GatewayView, Plugin, hookimpl, setting
from spork_request_id.ids import FORMATS

__all__ = ["RequestId", "RequestIdConfig"]

USABLE: Final = re.compile(r"[A-Za-z0-9._~:/+=@-]{1,128}")
"""An id from outside that is safe in a header, a log line, a file name and a shell: no quotes, blanks or controls."""

_TAKEN: Final = frozenset(
    "authorization connection content-length content-type cookie date expect host keep-alive max-forwards "
    "proxy-authenticate proxy-authorization proxy-connection set-cookie te trailer transfer-encoding upgrade "
    "via".split()
)


def _carries_an_id(_: object, _field: "Attribute[Any]", name: str) -> None:
    if not TOKEN.fullmatch(name):
        raise ValueError(f'"{name}" is not a header name; use letters, digits and hyphens, such as X-Request-Id')
    if name.lower() in _TAKEN:
        raise ValueError(f'"{name}" already means something in HTTP; use a name of its own, such as X-Request-Id')


@frozen
class RequestIdConfig:
    """Where ids come from and where they go."""

    header: str = setting(
        "The header field that carries the id, on requests to the service and on responses.",
        default="X-Request-Id",
        validator=_carries_an_id,
    )
    trust: Literal["never", "trusted-proxies", "always"] = setting(
        "Whose ids to take over: nobody's, those of peers in trusted_proxies, or any client's.",
        default="trusted-proxies",
    )
    format: Literal["hex", "uuid4", "uuid7", "counter"] = setting(
        "What ids made here look like: 32 random hex digits, a random UUID, a UUID that sorts by time, or a random "
        "prefix and a counter.",
        default="hex",
    )
    echo: bool = setting("Put the id on the response too.", default=True)


class RequestId(Plugin[RequestIdConfig]):
    """Sets ``exchange.id`` before anything else looks at it."""

    Config: ClassVar[type] = RequestIdConfig
    provides: ClassVar[tuple[str, ...]] = ("request-id",)

    def __init__(self, config: RequestIdConfig, name: str) -> None:
        super().__init__(config, name)
        self._header = config.header
        self._from_anyone = config.trust == "always"
        self._from_proxies = config.trust == "trusted-proxies"
        self._ids = FORMATS[config.format](Chance(), Clock())
        self._usable = USABLE.fullmatch

    def hooks(self) -> tuple[str, ...]:
        return ("pre_auth", "on_response") if self.config.echo else ("pre_auth",)

    @hookimpl
    def startup(self, gateway: GatewayView) -> None:
        self._ids = FORMATS[self.config.format](gateway.chance, gateway.clock)

    @hookimpl
    def pre_auth(self, exchange: Exchange) -> None:
        request = exchange.request
        headers = request.headers
        made = None
        if self._from_anyone or (self._from_proxies and request.trusted):
            made = headers.get(self._header)
            if made is not None and self._usable(made) is None:
                made = None
        if made is None:
            made = next(self._ids)
        exchange.id = made
        headers[self._header] = made  # also when it came from there: one field, whatever the client repeated

    @hookimpl
    def on_response(self, exchange: Exchange) -> None:
        assert exchange.response is not None
        exchange.response.headers[self._header] = exchange.id
