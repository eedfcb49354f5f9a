"""What CORS says about a request, decided by aiohttp-cors and made ready to be used again.

Rules of this file
1. aiohttp-cors says whether an origin, a method and fields are allowed. It is made for ``aiohttp.web.Application``; its
   public ``router_adapter`` and a few lines that stand for the application let it decide without one. Its coroutines
   wait for nothing, so one step runs each to its end.
2. What it said is kept, as fields that are put on a response in 0.1 µs. What is kept is bounded; the rest is decided
   again each time.
3. It lists what was asked for, in capitals and in any order, while a browser remembers a whole permission. So where it
   says yes the lists are the config's.
"""

from collections.abc import Coroutine
from typing import Any, Final, cast

from aiohttp import web
from aiohttp_cors import CorsConfig as Rules
from aiohttp_cors import ResourceOptions
from aiohttp_cors.abc import AbstractRouterAdapter

from spork_core.api import TOKEN, Headers
from spork_cors.config import CorsConfig
from spork_cors.fields import (
    ALLOW_HEADERS,
    ALLOW_METHODS,
    ALLOW_ORIGIN,
    EXPOSE_HEADERS,
    ORIGIN,
    REQUEST_HEADERS,
    REQUEST_METHOD,
    VARY,
)
from spork_cors.origins import LONGEST, Origins

REMEMBERED: Final = 512
"""Origins, and preflights, about which a decision is kept."""
_LONGEST_KEPT: Final = 1024
"""Characters of a preflight whose decision is kept."""


class _Application:
    """What aiohttp-cors uses of an application."""

    def __init__(self) -> None:
        self.on_response_prepare: list[Any] = []


class _Message:
    """What aiohttp-cors looks at in a request, and changes in a response."""

    __slots__ = ("headers",)

    def __init__(self, headers: Headers) -> None:
        self.headers = headers


class _Routes(AbstractRouterAdapter):
    """Answers what aiohttp-cors asks about the routes: they all allow the same."""

    def __init__(self, methods: frozenset[str], origins: Origins[ResourceOptions]) -> None:
        self._methods = methods
        self._origins = origins
        self.preflight: Any = None
        """What aiohttp-cors decides preflights with."""

    def add_preflight_handler(self, routing_entity: object, handler: Any, webview: bool = False) -> None:
        self.preflight = handler

    def is_preflight_request(self, request: Any) -> bool:
        return False  # it is asked about other requests only

    def is_cors_enabled_on_request(self, request: Any) -> bool:
        return True

    def set_config_for_routing_entity(self, routing_entity: object, config: Any) -> None:
        """Its mapping knows no patterns, so ours is used."""

    async def get_preflight_request_config(self, preflight_request: Any, origin: str, requested_method: str) -> Any:
        if requested_method not in self._methods and "*" not in self._methods:
            raise KeyError(requested_method)
        return self._origins

    def get_non_preflight_request_config(self, request: Any) -> Any:
        return self._origins


class Decisions:
    """What CORS says about the requests of one instance."""

    def __init__(self, config: CorsConfig) -> None:
        options = ResourceOptions(  # type: ignore[no-untyped-call]  # its own types end here
            allow_credentials=config.allow_credentials,
            expose_headers=config.expose_headers,
            allow_headers="*" if "*" in config.allow_headers else config.allow_headers,
            max_age=None if config.max_age is None else int(config.max_age),
        )
        self._origins = Origins(config.allow_origins, options)
        self._allowed_methods = frozenset(config.allow_methods)
        application, self._routes = _Application(), _Routes(self._allowed_methods, self._origins)
        Rules(cast("web.Application", application), router_adapter=self._routes).add("everything")
        self._prepare = application.on_response_prepare[0]
        self.everybody = "*" in config.allow_origins
        """Every origin is allowed, so that answers do not differ by origin."""
        self._any_method, self._any_header = "*" in config.allow_methods, "*" in config.allow_headers
        self._methods, self._headers = ", ".join(config.allow_methods), ", ".join(config.allow_headers)
        self._exposed = ", ".join(config.expose_headers)
        self._nothing = self._granted("*") if self.everybody else Headers({VARY: "Origin"})
        self.known: dict[str | None, Headers] = {None: self._nothing}
        """Fields of the answer by origin: of those that the config names, which stay, and of those seen last."""
        for origin in self._origins.named:
            self.known[origin] = self._granted(origin)
        self._named = len(self.known)
        self._preflights: dict[object, Headers | str] = {}

    def fields(self, origin: str | None) -> Headers:
        """The fields that the answer to a request of ``origin`` gets, ``Vary`` among them. Not to be changed."""
        found = self.known.get(origin)
        if found is not None:
            return found
        assert origin is not None
        if self.everybody or len(origin) > LONGEST:
            return self._nothing
        fields = self._granted(origin)
        if ALLOW_ORIGIN not in fields:
            fields = self._nothing
        _keep(self.known, origin, fields, self._named)
        return fields

    def _granted(self, origin: str) -> Headers:
        """What aiohttp-cors puts on an answer for ``origin``."""
        answer = _Message(Headers())
        _run(self._prepare(_Message(Headers({ORIGIN: origin})), answer))
        fields = answer.headers
        if EXPOSE_HEADERS in fields:
            fields[EXPOSE_HEADERS] = self._exposed
        if not self.everybody:
            fields[VARY] = "Origin"
        return fields

    def preflight(self, origin: str, method: str, wanted: str) -> Headers | str:
        """The fields of the answer to a preflight, without ``Vary``; or why it is refused, as a sentence that repeats
        nothing of it. ``wanted``: the value of ``Access-Control-Request-Headers``."""
        key = (origin, method, wanted)
        answer = self._preflights.get(key)
        if answer is None:
            answer = self._permission(origin, method, wanted)
            if len(origin) + len(method) + len(wanted) <= _LONGEST_KEPT:
                _keep(self._preflights, key, answer, 0)
        return answer

    def _permission(self, origin: str, method: str, wanted: str) -> Headers | str:
        names = [name for name in (part.strip(" \t") for part in wanted.split(",")) if name]
        if not all(map(TOKEN.fullmatch, (method, *names))):
            return "The preflight asks for something that is no method, or no header field."
        asking = Headers({ORIGIN: origin, REQUEST_METHOD: method, REQUEST_HEADERS: wanted})
        try:
            answer = _run(self._routes.preflight(_Message(asking)))
        except web.HTTPForbidden:
            return self._why(origin, method)
        fields = Headers(answer.headers)
        for name in set(fields):
            if not name.startswith("Access-Control-"):  # of the response that aiohttp made
                del fields[name]
        if self.everybody:
            fields[ALLOW_ORIGIN] = "*"
        fields[ALLOW_METHODS] = method if self._any_method else self._methods
        headers = ", ".join(names) if self._any_header else self._headers
        if headers:
            fields[ALLOW_HEADERS] = headers
        return fields

    def _why(self, origin: str, method: str) -> str:
        if self._origins.get(origin, self._origins.get("*")) is None:
            return "Scripts of this origin may not call this service."
        if not self._any_method and method not in self._allowed_methods:
            return "Scripts of other origins may not use this method here."
        return "Scripts of other origins may not send all of these header fields here."


def _keep(memory: dict[Any, Any], key: object, value: object, least: int) -> None:
    """Keeps a value. When there are too many the older half of them goes, but none of the first ``least``."""
    if len(memory) - least >= REMEMBERED:
        for oldest in list(memory)[least : least + REMEMBERED // 2]:
            del memory[oldest]
    memory[key] = value


def _run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """What a coroutine that waits for nothing returns."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    coroutine.close()
    raise RuntimeError("aiohttp-cors waits for something")
