"""CORS: which pages of other origins may call a service from a browser, and what the browser is told about it."""

from collections.abc import Iterator
from typing import Any, ClassVar, Final

from spork_core.api import Exchange, Forbidden, GatewayView, Headers, Metric, Plugin, Request, Response, hookimpl
from spork_cors.config import CorsConfig
from spork_cors.fields import (
    ALLOW_PRIVATE,
    NONE_IN,
    ORIGIN,
    REQUEST_HEADERS,
    REQUEST_METHOD,
    REQUEST_PRIVATE,
    VARY,
    remove_answers,
    varied,
)

__all__ = ["Cors", "CorsConfig"]

_VARY_KEPT: Final = 64
"""Values of ``Vary`` for which the grown one is kept; services send few."""


class Cors(Plugin[CorsConfig]):
    """Answers preflights before anybody asks who is calling, and puts the fields of CORS on every answer."""

    Config: ClassVar[type] = CorsConfig

    def __init__(self, config: CorsConfig, name: str) -> None:
        from spork_cors.deciding import Decisions  # it takes aiohttp.web, which is slow to import

        super().__init__(config, name)
        self._decisions = Decisions(config)
        self._known = self._decisions.known
        self._everybody = self._decisions.everybody
        self._varied: dict[str, str] = {}
        self._vary_preflight = (
            *(() if self._everybody else (ORIGIN,)),
            REQUEST_METHOD,
            REQUEST_HEADERS,
            *((REQUEST_PRIVATE,) if config.private_network else ()),
        )
        self._allowed = self._refused = 0

    def hooks(self) -> tuple[str, ...]:
        return ("on_response",) if self.config.preflight_continue else ("pre_auth", "on_response")

    @hookimpl
    def pre_auth(self, exchange: Exchange) -> Response | None:
        request = exchange.request
        if request.method != "OPTIONS" or not _is_preflight(request):
            return None
        answer = self._preflight(request)
        if isinstance(answer, str):
            self._refused += 1
            raise Forbidden(answer)
        self._allowed += 1
        return Response(204)  # on_response puts the fields on it

    @hookimpl
    def on_response(self, exchange: Exchange) -> None:
        request, response = exchange.request, exchange.response
        assert response is not None
        headers = response.headers
        if not NONE_IN(headers):
            remove_answers(headers)
        if request.method == "OPTIONS" and _is_preflight(request):
            answer = self._preflight(request)
            if not isinstance(answer, str) and response.status < 300:
                headers.update(answer)
            headers[VARY] = varied(headers.getall(VARY, ()), self._vary_preflight)
            return
        origin = request.headers.get(ORIGIN)
        fields = self._known.get(origin) or self._decisions.fields(origin)
        if self._everybody or VARY not in headers:
            headers.update(fields)
            return
        vary = headers.getall(VARY)
        headers.update(fields)
        grown = self._varied.get(vary[0]) if len(vary) == 1 else None
        headers[VARY] = self._vary(vary) if grown is None else grown

    def _preflight(self, request: Request) -> Headers | str:
        headers = request.headers
        answer = self._decisions.preflight(
            headers[ORIGIN], headers[REQUEST_METHOD], ", ".join(headers.getall(REQUEST_HEADERS, ()))
        )
        if self.config.private_network and headers.get(REQUEST_PRIVATE) == "true" and not isinstance(answer, str):
            answer = answer.copy()
            answer[ALLOW_PRIVATE] = "true"
        return answer

    def _vary(self, values: list[str]) -> str:
        grown = varied(values, (ORIGIN,))
        if len(values) == 1 and len(values[0]) <= 256:
            if len(self._varied) >= _VARY_KEPT:
                self._varied.clear()
            self._varied[values[0]] = grown
        return grown

    @hookimpl
    def describe(self, gateway: GatewayView) -> dict[str, Any]:
        return {
            "allow_origins": list(self.config.allow_origins),
            "preflights": "sent on" if self.config.preflight_continue else "answered here",
            "allowed": self._allowed,
            "refused": self._refused,
        }

    @hookimpl
    def collect(self, gateway: GatewayView) -> Iterator[Metric]:
        samples: dict[tuple[str, ...], float] = {
            (self.name, "allowed"): self._allowed,
            (self.name, "refused"): self._refused,
        }
        yield Metric(
            "cors_preflights",
            "counter",
            "Preflights that were answered here, by the answer.",
            ("instance", "result"),
            samples,
        )


def _is_preflight(request: Request) -> bool:
    return ORIGIN in request.headers and REQUEST_METHOD in request.headers
