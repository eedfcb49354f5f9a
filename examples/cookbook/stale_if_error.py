"""Stale if error: when a service does not answer, its last good answer is given, if that is not too old."""

from collections import OrderedDict
from typing import ClassVar

from attrs import frozen
from attrs.validators import ge

from spork_core import api
from spork_core.api import Exchange, GatewayView, Plugin, Response, hookimpl, setting


@frozen
class StaleIfErrorConfig:
    """Bounds in time, number and size."""

    age: api.Seconds = setting("How old an answer may be.", default=300.0)
    answers: int = setting("How many are kept.", default=1000, validator=ge(1))
    largest: api.Bytes = setting("A longer one is not kept.", default=65536)


class StaleIfError(Plugin[StaleIfErrorConfig]):
    """Keeps answers that are the same for everybody, and gives one when the service does not answer."""

    Config: ClassVar[type] = StaleIfErrorConfig
    on_failure: ClassVar[api.OnFailure] = "open"
    response_body: ClassVar[api.BodyUse] = "read"

    def __init__(self, config: StaleIfErrorConfig, name: str) -> None:
        super().__init__(config, name)
        self._clock = api.Clock()
        self._kept: OrderedDict[tuple[str, str] | None, tuple[float, api.Headers, bytes]] = OrderedDict()

    @hookimpl
    def startup(self, gateway: GatewayView) -> None:
        self._clock = gateway.clock

    @hookimpl
    async def on_upstream_response(self, exchange: Exchange) -> None:
        response, key = exchange.response, _key(exchange)
        if response is None or key is None or not _keepable(response, self.config.largest):
            return
        data = await response.body.read(self.config.largest)
        response.body = api.BytesBody(data)  # what was read is used up: put it back
        self._kept[key] = self._clock.time(), response.headers.copy(), data
        self._kept.move_to_end(key)
        if len(self._kept) > self.config.answers:
            self._kept.popitem(last=False)

    @hookimpl
    def on_error(self, exchange: Exchange, error: api.Problem) -> Response | None:
        kept = self._kept.get(_key(exchange))
        if kept is None or not isinstance(error, api.UpstreamProblem):
            return None
        then, headers, data = kept
        answer = Response(200, data, headers)
        age = self._clock.time() - then
        answer.headers["Age"] = f"{age:.0f}"
        return answer if age <= self.config.age else None


def _key(exchange: Exchange) -> tuple[str, str] | None:
    """None for what may be somebody's own."""
    request = exchange.request
    own = exchange.identity is not None or "Authorization" in request.headers or "Cookie" in request.headers
    return None if own or request.method != "GET" else (request.host, request.target)


def _keepable(response: Response, largest: int) -> bool:
    headers, length, control = response.headers, response.body.length, response.headers.get("Cache-Control", "").lower()
    if response.status != 200 or length is None or length > largest or "Set-Cookie" in headers or "Vary" in headers:
        return False
    return "private" not in control and "no-store" not in control
