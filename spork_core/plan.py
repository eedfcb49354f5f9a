"""What the snapshot decided for a route: everything an exchange needs, looked up once."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from attrs import define, evolve, field

from spork_core.errors import Problem
from spork_core.exchange import Exchange, Response, RouteInfo
from spork_core.pipeline import EMPTY_PIPELINE, Pipeline
from spork_core.routing import Match, Rewrite
from spork_core.timings import tell_times

if TYPE_CHECKING:
    from spork_core.config.model import RouteConfig
    from spork_core.upstream.pool import TimeLimits
    from spork_core.upstream.service import Service


@define(eq=False)
class Plan:
    """The compiled form of one route; of no route at all (then ``refuse`` makes the problem); of a path a plugin
    answers."""

    info: RouteInfo | None = None
    pipeline: Pipeline = EMPTY_PIPELINE
    service: "Service | None" = None
    limits: "TimeLimits | None" = None
    """None when there is no service."""
    rewrite: Rewrite | None = None
    host: str | None = None
    """The Host to send upstream; None: the client's."""
    set_headers: Mapping[str, str] | None = None
    remove_headers: tuple[str, ...] = ()
    identity_required: bool = False
    body_limit: int | None = None
    upgrade: bool = True
    server_timing: bool = False
    handler: Callable[[Exchange], Any] | None = None
    """Answers in place of a service."""
    refuse: Callable[[Exchange], Problem] | None = None

    finish: Callable[[Exchange, Response], Response] | None = field(init=False, default=None)
    """Has the last word on an answer before it is written, after ``on_response``; None: nobody has."""
    straight: bool = field(init=False)
    """True when the service is asked for just what the gateway was."""
    plain: bool = field(init=False)
    """True when nothing but attempts stands between the request and its answer."""
    config: "RouteConfig | None" = None
    """What the plan was made from; None when from no route."""
    light: "tuple[Plan, Plan] | None" = field(init=False, default=None)
    """The same plan twice for when there is much to do: with hooks measured as one exchange for many, and not measured
    at all. None: every exchange takes this one."""

    def __attrs_post_init__(self) -> None:
        hooks = self.pipeline
        if self.server_timing:
            self.finish = tell_times
        self.straight = not (self.rewrite or self.host or self.set_headers or self.remove_headers)
        self.plain = self.service is not None and not (
            hooks.chain
            or self.identity_required
            or self.body_limit is not None
            or self.handler is not None
            or self.refuse is not None
            or self.finish is not None
        )

    def lighten(self) -> None:
        """Makes ``light``, where the pipeline has it."""
        pipelines = self.pipeline.light()
        if pipelines is not None:
            weighty, unmeasured = (evolve(self, pipeline=pipeline) for pipeline in pipelines)
            self.light = (weighty, unmeasured)

    def target(self, exchange: Exchange) -> str:
        """The request target to send upstream; applies the route's changes to the request's headers too."""
        request = exchange.request
        headers = request.headers
        if self.host is not None:
            headers["Host"] = self.host
        for name in self.remove_headers:
            headers.popall(name, None)
        if self.set_headers is not None:
            for name, value in self.set_headers.items():
                headers[name] = value
        query = request.query
        if self.rewrite is None:
            return request.path if query is None else f"{request.path}?{query}"
        match = Match(self, request.path, exchange.captures, exchange.rest, False)
        return self.rewrite(match, "" if query is None else f"?{query}")
