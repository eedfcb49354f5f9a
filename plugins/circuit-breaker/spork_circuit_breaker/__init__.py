"""Circuit breakers: a service or an endpoint that fails or is slow is left alone for a while, and tried with care."""

import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import ClassVar, Final

from spork_circuit_breaker.admin import Desk
from spork_circuit_breaker.admission import Pass, last_resort, steered
from spork_circuit_breaker.board import Board, Name, Spot
from spork_circuit_breaker.circuit import Change, Circuit, Kin, State
from spork_circuit_breaker.config import CircuitBreakerConfig, Fallback
from spork_circuit_breaker.problems import CircuitOpen
from spork_circuit_breaker.sharing import Sharing
from spork_circuit_breaker.telling import metrics
from spork_core.api import (
    BREAKER,
    STORE,
    Attempt,
    Chance,
    Clock,
    Endpoint,
    Exchange,
    GatewayView,
    LocalRoute,
    Metric,
    OnFailure,
    Plugin,
    Problem,
    Response,
    StateKey,
    UpstreamConnectFailed,
    UpstreamMalformed,
    UpstreamReset,
    UpstreamTimeout,
    hookimpl,
    statuses_of,
)

__all__ = ["CircuitBreaker", "CircuitBreakerConfig", "CircuitOpen", "Fallback"]

_FAILURES: Final = (UpstreamConnectFailed, UpstreamReset, UpstreamTimeout, UpstreamMalformed)
"""What speaks against an endpoint. That too many requests wait for it, or that a client left, does not."""
_UNAVAILABLE: Final = 503


class CircuitBreaker(Plugin[CircuitBreakerConfig]):
    """Watches what becomes of attempts, and keeps further ones away from what does not work."""

    Config: ClassVar[type] = CircuitBreakerConfig
    on_failure: ClassVar[OnFailure] = "open"  # a service without a breaker is better than none

    def __init__(self, config: CircuitBreakerConfig, name: str) -> None:
        super().__init__(config, name)
        self._failing = statuses_of(config.statuses)
        self._slow = round(config.slow * 1e9)
        self._panic = config.all_open == "use"
        self._key: StateKey[Pass] = StateKey(f"{name}.pass")
        self._chance = Chance()
        self._clock = Clock()
        self._gateway: GatewayView | None = None
        self._desk: Desk | None = None
        self._log = logging.getLogger(__name__)
        self._board = Board(config.scope, config.policy(), self._random, self._changed)
        self._spots = self._board.spots
        self._unusual = self._board.unusual
        self._holding: set[Exchange] = set()
        """Those that hold permits of probes."""
        self._refusal = _answer(config.fallback)

    def _random(self) -> float:
        return self._chance.random()

    def hooks(self) -> Collection[str]:
        wanted = {"before_attempt", "after_attempt", "on_complete"}
        if self.config.scope != "service":
            wanted.add("select_upstream")
        if self.config.fallback is not None:
            wanted.add("on_error")
        return wanted

    # -- the gateway --------------------------------------------------------------------------------

    @hookimpl
    async def startup(self, gateway: GatewayView) -> None:
        self._gateway = gateway
        self._clock = gateway.clock
        self._chance = gateway.chance
        self._log = gateway.log.getChild(self.name)
        self._desk = desk = Desk(self.name, self.config.scope, self._board, gateway)
        store = gateway.resources[STORE]
        if store.shared:
            desk.sharing = Sharing(self.name, store, desk.adopt, self._log)
            await desk.sharing.begin()

    @hookimpl
    async def shutdown(self, gateway: GatewayView) -> None:
        if self._desk is not None and self._desk.sharing is not None:
            await self._desk.sharing.end()

    def export_state(self) -> Mapping[Name, Kin]:
        return self._board.keep()

    def import_state(self, state: Mapping[Name, Kin]) -> None:
        self._board.resume(state.items())

    @hookimpl
    def describe(self, gateway: GatewayView) -> dict[str, object]:
        return {} if self._desk is None else self._desk.told()

    @hookimpl
    def collect(self, gateway: GatewayView) -> Iterable[Metric]:
        return metrics(self.name, self._board)

    @hookimpl
    def local_routes(self, gateway: GatewayView) -> Iterable[LocalRoute]:
        return [LocalRoute(f"/plugins/{self.name}", self._answer, ("GET", "HEAD", "POST"))]

    async def _answer(self, exchange: Exchange) -> Response:
        assert self._desk is not None  # routes are there once it has started
        return await self._desk.answer(exchange)

    def _changed(self, circuit: Circuit, change: Change) -> None:
        """A circuit is in another state: events for what an operator must know, the log for the steps between."""
        what = f"service {circuit.service}"
        if circuit.endpoint:
            what = f"endpoint {circuit.endpoint} of {what}"
        if change.after is State.OPEN:
            wait = circuit.waits(circuit.since)
            self._event("circuit_opened", f"{self.name}: {what} is left alone for {wait:.3g} s: {change.why}", circuit)
        elif change.after is State.CLOSED:
            self._event("circuit_closed", f"{self.name}: {what} is used as usual again: {change.why}", circuit)
        else:
            self._log.info("%s: %s is %s: %s", self.name, what, change.after.value, change.why)

    def _event(self, kind: str, message: str, circuit: Circuit) -> None:
        if self._gateway is not None:
            self._gateway.event(
                kind,
                message,
                instance=self.name,
                service=circuit.service,
                endpoint=circuit.endpoint or None,
            )

    # -- before an attempt --------------------------------------------------------------------------

    @hookimpl
    def select_upstream(self, exchange: Exchange, attempt: Attempt) -> Endpoint | None:
        unusual = self._unusual
        if unusual and attempt.choices and attempt.choices[0].service in unusual:
            return self._steer(exchange, attempt)
        return None

    def _steer(self, exchange: Exchange, attempt: Attempt) -> Endpoint | None:
        choices = attempt.choices
        spots = [(endpoint, self._spot(endpoint, choices)) for endpoint in choices]
        if all(spot.own is None or spot.own.usual for _, spot in spots):
            return None
        now = attempt.started_ns
        service = spots[0][1].service
        if service is not None and service.shut(now):
            return None  # it will be refused, wherever it would go
        passing = self._pass(exchange, attempt)
        tried = (each.endpoint for each in exchange.attempts if each is not attempt)
        chosen = steered(spots, tried, passing, now, panic=self._panic)
        self._note(exchange, passing)
        if chosen is None:
            waits = min(spot.own.waits(now) for _, spot in spots if spot.own is not None)
            exchange[BREAKER] = "open"
            raise CircuitOpen(self.name, f"{self.name}: the circuits of all endpoints are open", waits)
        return chosen

    @hookimpl
    def before_attempt(self, exchange: Exchange, attempt: Attempt) -> None:
        unusual = self._unusual
        if unusual and attempt.endpoint is not None and attempt.endpoint.service in unusual:
            self._enter(exchange, attempt, attempt.endpoint)

    def _enter(self, exchange: Exchange, attempt: Attempt, endpoint: Endpoint) -> None:
        spot = self._spot(endpoint, attempt.choices)
        now = attempt.started_ns
        passing = self._pass(exchange, attempt)
        for circuit in spot.circuits:
            if circuit.usual or circuit is passing.cleared or passing.ask(circuit, now):
                continue
            if circuit is spot.own and self._panic and last_resort(circuit, self._all(attempt), now):
                continue
            self._note(exchange, passing)
            self._take_back(exchange)
            exchange[BREAKER] = "open"
            raise CircuitOpen(self.name, f"{self.name}: {circuit!r}: {circuit.why}", circuit.waits(now))
        self._note(exchange, passing)

    def _all(self, attempt: Attempt) -> Iterable[Spot]:
        return (self._spot(each, attempt.choices) for each in attempt.choices)

    def _spot(self, endpoint: Endpoint, choices: tuple[Endpoint, ...]) -> Spot:
        return self._spots.get(id(endpoint)) or self._board.spot(endpoint, choices)

    # -- permits ------------------------------------------------------------------------------------

    def _pass(self, exchange: Exchange, attempt: Attempt) -> Pass:
        """The exchange's Pass, made out for ``attempt``."""
        passing = exchange.get(self._key)
        if passing is None:
            passing = exchange[self._key] = Pass()
        if passing.attempt is not attempt:
            self._take_back(exchange)
            passing.attempt, passing.cleared = attempt, None
        return passing

    def _note(self, exchange: Exchange, passing: Pass) -> None:
        if passing.probing:
            self._holding.add(exchange)
            exchange[BREAKER] = "probe"

    def _take_back(self, exchange: Exchange) -> None:
        """The permits that nothing came of."""
        if exchange in self._holding:
            self._holding.discard(exchange)
            probing = exchange[self._key].probing
            while probing:
                probing.pop().give_back()

    # -- after an attempt ---------------------------------------------------------------------------

    @hookimpl
    def after_attempt(self, exchange: Exchange, attempt: Attempt) -> None:
        spot = self._spots.get(id(attempt.endpoint))
        took = attempt.took_ns
        if (
            spot is None
            or self._unusual
            or attempt.error is not None
            or took >= self._slow
            or attempt.status in self._failing
        ):
            self._judge(exchange, attempt)
            return
        now = attempt.started_ns + took
        for window in spot.windows:
            window.succeed(now)

    def _judge(self, exchange: Exchange, attempt: Attempt) -> None:
        endpoint, error = attempt.endpoint, attempt.error
        if endpoint is not None and (error is None or isinstance(error, _FAILURES)):
            failed = error is not None or attempt.status in self._failing
            # While content is still on its way, it may be the client who is slow.
            slow = attempt.took_ns >= self._slow and exchange.request.body.replayable
            passing = exchange.get(self._key)
            probing = passing.probing if passing is not None and passing.attempt is attempt else []
            began, now = attempt.started_ns, attempt.started_ns + attempt.took_ns
            for circuit in self._spot(endpoint, attempt.choices).circuits:
                probe = circuit in probing
                if probe:
                    probing.remove(circuit)
                circuit.record(now, began, failed=failed, slow=slow, probe=probe)
        self._take_back(exchange)

    @hookimpl
    def on_error(self, exchange: Exchange, error: Problem) -> Response | None:
        if self._refusal is None or not isinstance(error, CircuitOpen) or error.instance != self.name:
            return None
        exchange[BREAKER] = "fallback"
        return self._refusal(error)

    @hookimpl
    def on_complete(self, exchange: Exchange) -> None:
        if self._holding:  # an attempt that is given up has no after_attempt
            self._take_back(exchange)
        if exchange.error is not None:
            self._broke_off(exchange)

    def _broke_off(self, exchange: Exchange) -> None:
        """An answer whose content breaks off is a failure, though its head was fine."""
        attempt = exchange.attempts[-1] if exchange.attempts else None
        if attempt is None or attempt.status is None or attempt.endpoint is None or attempt.error is not None:
            return
        if not isinstance(exchange.error, _FAILURES) or attempt.status in self._failing:
            return
        passing = self._pass(exchange, attempt)
        if not passing.broke:
            passing.broke = True
            now = self._clock.monotonic_ns()
            for circuit in self._spot(attempt.endpoint, attempt.choices).circuits:
                circuit.broke_off(now, attempt.started_ns)


def _answer(fallback: Fallback | None) -> Callable[[CircuitOpen], Response] | None:
    """What makes the fallback's answers; None without one."""
    if fallback is None:
        return None
    body, content_type = fallback.body, fallback.content_type if fallback.body else None
    bare = fallback.status != _UNAVAILABLE or any(name.lower() == "retry-after" for name in fallback.headers)

    def answer(error: CircuitOpen) -> Response:
        headers = dict(fallback.headers) if bare else {**dict(error.headers), **fallback.headers}
        return Response(fallback.status, body.encode(), headers, content_type=content_type)

    return answer
