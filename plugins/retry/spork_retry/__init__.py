"""Another attempt for what failed: where that is safe, after a little while, and only as many as the service bears."""

from collections.abc import Collection, Coroutine, Iterable
from typing import Any, ClassVar, Final

from multidict import istr

from spork_core.api import (
    Attempt,
    BodyUse,
    Chance,
    Clock,
    Exchange,
    GatewayView,
    Metric,
    OnFailure,
    Plugin,
    Request,
    StateKey,
    UpstreamProblem,
    UpstreamUnavailable,
    hookimpl,
)
from spork_retry.conditions import fulfilled
from spork_retry.config import BudgetConfig, RetryConfig
from spork_retry.holding import held
from spork_retry.service import ServiceRetries, Totals
from spork_retry.waiting import asked_for, jittered

__all__ = ["BudgetConfig", "Retry", "RetryConfig"]

_RETRY_AFTER: Final = istr("Retry-After")
_MOST_SERVICES: Final = 1024
"""So many services are kept; past it, after many reloads, the ones seen first are forgotten."""


class _Mine:
    """What this instance did for one exchange."""

    __slots__ = ("granted", "running")

    def __init__(self) -> None:
        self.granted = 0
        """Retries so far."""
        self.running: ServiceRetries | None = None
        """Whose budget the running retry is part of."""


class Retry(Plugin[RetryConfig]):
    """Decides whether a failed attempt is followed by another, and when; the kernel makes it, at another endpoint if
    there is one."""

    Config: ClassVar[type] = RetryConfig
    on_failure: ClassVar[OnFailure] = "open"
    request_body: ClassVar[BodyUse] = "read"
    defers: ClassVar[tuple[str, ...]] = ("on_request",)

    def __init__(self, config: RetryConfig, name: str) -> None:
        super().__init__(config, name)
        self._on = frozenset(config.retry_on)
        self._statuses = frozenset(config.statuses)
        self._methods = frozenset(config.methods)
        self._max_body = config.max_body
        self._timeout = config.per_try_timeout
        self._header = None if config.attempt_header is None else istr(config.attempt_header)
        self._key: StateKey[_Mine] = StateKey(f"{name}.mine")
        self._services: dict[str, ServiceRetries] = {}
        self._running = 0
        self._clock = Clock()
        self._chance = Chance()

    def hooks(self) -> Collection[str]:
        config = self.config
        wanted = {"should_retry", "after_attempt", "on_complete"}
        if config.per_try_timeout is not None or config.attempt_header is not None:
            wanted.add("before_attempt")
        if config.hold_bodies:
            wanted.add("on_request")
        return wanted

    # -- the gateway --------------------------------------------------------------------------------

    @hookimpl
    def startup(self, gateway: GatewayView) -> None:
        self._clock = gateway.clock
        self._chance = gateway.chance

    def export_state(self) -> dict[str, Totals]:
        return {name: service.totals() for name, service in self._services.items()}

    def import_state(self, state: dict[str, Totals]) -> None:
        for name, totals in state.items():
            self._met(name).resume(totals)

    @hookimpl
    def describe(self, gateway: GatewayView) -> dict[str, object]:
        now = self._clock.monotonic_ns()
        return {"services": {name: service.told(now) for name, service in self._services.items()}}

    @hookimpl
    def collect(self, gateway: GatewayView) -> Iterable[Metric]:
        services = self._services.items()
        yield Metric(
            "retries",
            "counter",
            "Further attempts that were asked for, by what was wrong with the one before.",
            ("instance", "service", "reason"),
            {(self.name, name, why): count for name, one in services for why, count in one.reasons.items()},
        )
        yield Metric(
            "retries_succeeded",
            "counter",
            "Retries that brought an answer below 500.",
            ("instance", "service"),
            {(self.name, name): one.succeeded for name, one in services},
        )
        yield Metric(
            "retry_budget_exhausted",
            "counter",
            "Retries that the budget of the service had no room for.",
            ("instance", "service"),
            {(self.name, name): one.exhausted for name, one in services},
        )

    # -- exchanges ----------------------------------------------------------------------------------

    @hookimpl
    def on_request(self, exchange: Exchange) -> Coroutine[Any, Any, None] | None:
        request = exchange.request
        body = request.body
        if body.replayable or request.method not in self._methods:
            return None
        if body.length is not None and body.length > self._max_body:
            return None
        return self._hold(request)

    async def _hold(self, request: Request) -> None:
        request.body = await held(request.body, self._max_body)

    @hookimpl
    def before_attempt(self, exchange: Exchange, attempt: Attempt) -> None:
        # While content is still on its way, it may be the client who is slow, and it cannot be repeated anyway.
        if self._timeout is not None and exchange.request.body.replayable:
            attempt.timeout = self._timeout
        if self._header is not None:
            exchange.request.headers[self._header] = str(attempt.number)

    @hookimpl
    def after_attempt(self, exchange: Exchange, attempt: Attempt) -> None:
        endpoint = attempt.endpoint
        if endpoint is None:
            return
        if attempt.number == 1:
            if attempt.error is not None and isinstance(attempt.error, UpstreamUnavailable):
                return  # refused by the gateway itself: no load on the service that retries could be a share of
            name = endpoint.service
            service = self._services.get(name)
            if service is None:
                service = self._met(name)
            if attempt.started_ns >= service.until:
                service.turn(attempt.started_ns)
            service.requests += 1
        elif self._running:
            self._ended(exchange, attempt)

    @hookimpl
    def should_retry(self, exchange: Exchange, attempt: Attempt) -> float | None:
        reason = next((each for each in fulfilled(attempt, self._statuses) if each in self._on), None)
        if reason is None or attempt.endpoint is None or not self._repeatable(exchange.request, attempt):
            return None
        mine = exchange.get(self._key)
        if mine is None:
            mine = exchange[self._key] = _Mine()
        if mine.granted >= self.config.retries:
            return None
        delay = self._delay(exchange, mine.granted + 1)
        if delay is None:
            return None
        service = self._services.get(attempt.endpoint.service) or self._met(attempt.endpoint.service)
        if not service.grant(self._clock.monotonic_ns(), reason):
            return None
        mine.granted += 1
        mine.running = service
        self._running += 1
        return delay

    def _repeatable(self, request: Request, attempt: Attempt) -> bool:
        """The kernel asks only where the content is still there, and looks at the method once more itself."""
        error = attempt.error
        if isinstance(error, UpstreamProblem) and not error.sent:
            return True
        return request.method in self._methods and (request.body.length or 0) <= self._max_body

    def _delay(self, exchange: Exchange, number: int) -> float | None:
        """Seconds before retry ``number``; None when the service wants to be left alone for longer."""
        config = self.config
        delay = jittered(self._chance.random(), number, config.backoff, config.max_backoff)
        response = exchange.response
        text = None if response is None else response.headers.get(_RETRY_AFTER)
        asked = None if text is None else asked_for(text, self._clock.time())
        if asked is None:
            return delay
        return None if asked > config.max_retry_after else max(delay, asked)

    @hookimpl
    def on_complete(self, exchange: Exchange) -> None:
        if self._running:  # an attempt that is given up has no after_attempt
            self._ended(exchange, None)

    def _ended(self, exchange: Exchange, attempt: Attempt | None) -> None:
        """The running retry of the exchange is over, if there is one. ``attempt``: what became of it; None: nothing."""
        mine = exchange.get(self._key)
        if mine is None or mine.running is None:
            return
        service, mine.running = mine.running, None
        self._running -= 1
        service.give_back()
        if attempt is not None and attempt.error is None and attempt.status is not None and attempt.status < 500:
            service.succeeded += 1

    def _met(self, name: str) -> ServiceRetries:
        """A service is asked for the first time."""
        services = self._services
        while len(services) >= _MOST_SERVICES:
            del services[next(iter(services))]
        service = services[name] = ServiceRetries(self.config.retry_budget)
        return service
