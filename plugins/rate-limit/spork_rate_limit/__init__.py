"""Exact limits of how much a caller may ask: counted before the answer, told to the client, refused with 429."""

from collections.abc import Coroutine, Sequence
from typing import Any, ClassVar, Final

from attrs import frozen

from spork_core.api import LIMIT, STORE, Clock, Exchange, GatewayView, Metric, Plugin, Store, StoreDown, hookimpl
from spork_rate_limit.callers import caller, tag
from spork_rate_limit.config import RateLimitConfig
from spork_rate_limit.fields import TOLD, WRITERS, refusal
from spork_rate_limit.memory import Counters, Kept
from spork_rate_limit.policies import Plan, plan
from spork_rate_limit.tally import Tally
from spork_rate_limit.tiers import tiering
from spork_rate_limit.windows import SlidingWindow

__all__ = ["RateLimit", "RateLimitConfig"]

_KNOWN: Final = frozenset(("identity", "key"))
"""What ``by`` may name that is known only once the caller is."""

_INSTEAD: Final = {
    "local": "this process counts for itself",
    "allow": "everything is let through",
    "deny": "everything is refused",
}


@frozen(eq=False)
class _HandedOver:
    """What goes on over a reload. ``whom``: how callers were told apart."""

    whom: tuple[object, ...]
    kept: dict[str, Kept]
    """Tier → its callers."""


class RateLimit(Plugin[RateLimitConfig]):
    """Counts each request against its caller's limit, and refuses it when nothing is left."""

    Config: ClassVar[type] = RateLimitConfig
    defers: ClassVar[tuple[str, ...]] = ("pre_auth", "on_request")
    overhead: ClassVar[float] = 20e-6

    def __init__(self, config: RateLimitConfig, name: str) -> None:
        super().__init__(config, name)
        needs_identity = "identity" in config.by or config.tiers is not None
        self.requires = ("identity",) if needs_identity else ()  # type: ignore[misc]  # by config
        self.after = ("identity",) if "key" in config.by else ()  # type: ignore[misc]  # by config
        self._late = needs_identity or not _KNOWN.isdisjoint(config.by)
        if config.store == "memory":
            self.defers = ()  # type: ignore[misc]  # it never has to wait
        policy = config.policy or name
        tiers = config.tiers.limits if config.tiers is not None else {}
        limits = {"": config.limit, **{tier: each.limit for tier, each in tiers.items()}}
        self._counters = {
            tier: Counters(plan(tier, policy, rates, config.algorithm, config.burst), config.max_keys)
            for tier, rates in limits.items()
        }
        self._all = self._counters[""]
        self._tier = tiering(config.tiers.by, tuple(tiers)) if config.tiers is not None else None
        self._who = caller(config.by, config.ipv6_prefix)
        self._whom = (config.by, config.ipv6_prefix)
        self._seeds = {tier: repr((*self._whom, tier)) for tier in limits}
        """Tier → what makes its callers' keys in the store its own: where it changes, counts begin anew."""
        self._cost = config.cost
        self._costs = config.costs
        self._dry = config.dry_run
        self._notes = config.on_store_error == "local"
        self._write = None if config.dry_run else WRITERS.get(config.headers)
        self._now_ns = Clock().monotonic_ns
        one = self._all.plan.one
        simple = self._cost > 0 and not self._costs and self._tier is None
        self._quick = one if simple and isinstance(one, SlidingWindow) else None
        """The only window there is, where it can be counted in one step; None also while the store is asked."""
        policy_of = self._all.plan.policies[0]
        self._words = (self._all.plan.text, policy_of.begin, policy_of.limit)
        """What clients are told of the first window, but for the numbers."""
        self._gateway: GatewayView | None = None
        self._store: Store | None = None
        self._lost = False
        self._tally = Tally()

    def hooks(self) -> tuple[str, ...]:
        counting = "on_request" if self._late else "pre_auth"
        return (counting,) if self._write is None else (counting, "on_response")

    @hookimpl
    def startup(self, gateway: GatewayView) -> None:
        self._gateway = gateway
        self._now_ns = gateway.clock.monotonic_ns
        if self.config.store == "shared":
            store = gateway.resources[STORE]
            if store.shared:
                self._store = store
                self._quick = None
            elif gateway.slot == 0:  # one of several workers, and the one that tells
                self._tell(
                    "limit_per_worker",
                    f'"{self.name}" is counted in each worker for itself, since no instance provides a shared store; '
                    "add one such as {use: redis}, or write store: memory",
                )

    @hookimpl
    def shutdown(self, gateway: GatewayView) -> None:
        self._store = None

    # -- an exchange --------------------------------------------------------------------------------

    @hookimpl
    def on_request(self, exchange: Exchange) -> Coroutine[Any, Any, None] | None:
        window, counters = self._quick, self._all
        if window is not None:
            # What happens most of the time, in one go: 1.0 µs where the general way takes 2.5.
            log = counters.state(self._who(exchange))
            if log is not None and TOLD not in exchange:
                now = self._now_ns() // 1000
                left = window.add(log, now, self._cost)
                if left >= 0:
                    self._tally.allowed += 1
                    if self._write is not None:
                        seconds = -((now - log.oldest - window.length) // 1_000_000)
                        exchange[TOLD] = (self, *self._words, left, seconds)
                    return None
        cost = self._costs.get(exchange.request.method, self._cost) if self._costs else self._cost
        if not cost:
            return None
        if self._tier is not None and exchange.identity is not None:
            counters = self._counters.get(self._tier(exchange.identity) or "", counters)
        store = self._store
        if store is not None:
            if self._lost and (problem := store.problem()) is not None:  # told at once, without a task for each
                self._do_without(exchange, counters, cost, problem)
                return None
            return self._ask(store, exchange, counters, cost)
        self._settle(exchange, counters.plan, counters.take(self._who(exchange), cost, self._now_ns() // 1000))
        return None

    pre_auth = on_request  # ``hooks`` names one of the two

    async def _ask(self, store: Store, exchange: Exchange, counters: Counters, cost: int) -> None:
        """Counts in the store. What got no answer in time may have been counted: it is not asked for again."""
        plan, who = counters.plan, self._who(exchange)
        begin = f"limit:{{{self.name}:{tag(self._seeds[plan.tier], who)}}}:"
        try:
            answer = await store.run(plan.script, [begin + kind for kind in plan.kinds], (cost, *plan.arguments))
        except StoreDown as error:
            if not self._lost and store.problem() is not None:  # down, and not only late this time
                self._store_lost(error.reason)
            self._do_without(exchange, counters, cost, error.reason)
            return
        if self._lost:
            self._store_found()
        if self._notes:
            counters.note(who, answer, self._now_ns() // 1000)
        self._settle(exchange, plan, answer)

    def _do_without(self, exchange: Exchange, counters: Counters, cost: int, problem: str) -> None:
        """Does what ``on_store_error`` says."""
        self._tally.store_errors += 1
        if self.config.on_store_error == "deny":
            raise StoreDown("Requests cannot be counted now, and none is let in uncounted.", reason=problem)
        if self.config.on_store_error == "allow":
            self._tally.uncounted += 1
            return
        self._settle(exchange, counters.plan, counters.take(self._who(exchange), cost, self._now_ns() // 1000))

    def _settle(self, exchange: Exchange, plan: Plan, answer: Sequence[int]) -> None:
        """Keeps what the client is told, and raises the refusal if there is one. ``answer``: as of ``decide``."""
        tightest, left, grows = plan.policies[0], answer[2], answer[3]
        if plan.one is None:
            for at, policy in enumerate(plan.policies[1:], 2):
                if (answer[2 * at], -answer[2 * at + 1]) < (left, -grows):
                    tightest, left, grows = policy, answer[2 * at], answer[2 * at + 1]
        if self._write is not None:
            seconds = -(-grows // 1_000_000)
            before = exchange.get(TOLD)
            if before is None:
                exchange[TOLD] = (self, plan.text, tightest.begin, tightest.limit, left, seconds)
            elif (left, -seconds) < (before[4], -before[5]):
                exchange[TOLD] = (self, f"{before[1]}, {plan.text}", tightest.begin, tightest.limit, left, seconds)
            else:
                exchange[TOLD] = (self, f"{before[1]}, {plan.text}", *before[2:])
        if not answer[0]:
            self._tally.allowed += 1
        elif self._dry:
            self._tally.excused += 1
        else:
            self._tally.limited += 1
            violated = plan.policies[answer[0] - 1]
            exchange[LIMIT] = f"limited:{violated.rate}"
            raise refusal(violated, answer[1])

    @hookimpl
    def on_response(self, exchange: Exchange) -> None:
        told = exchange.get(TOLD)
        if told is not None and told[0] is self and exchange.response is not None and self._write is not None:
            self._write(exchange.response.headers, told)

    # -- the store ----------------------------------------------------------------------------------

    def _store_lost(self, problem: str) -> None:
        self._lost = True
        message = f'"{self.name}" cannot count in the store: {_INSTEAD[self.config.on_store_error]} meanwhile'
        self._tell("limit_store_down", message, reason=problem)

    def _store_found(self) -> None:
        self._lost = False
        self._tell("limit_store_up", f'"{self.name}" counts in the store again')

    def _tell(self, kind: str, message: str, **facts: str) -> None:
        if self._gateway is not None:
            self._gateway.event(kind, message, instance=self.name, **facts)

    # -- a reload, and what operators see -----------------------------------------------------------

    def export_state(self) -> _HandedOver:
        kept = {tier: counters.states() for tier, counters in self._counters.items()}
        return _HandedOver(self._whom, kept)

    def import_state(self, state: _HandedOver) -> None:
        if state.whom == self._whom:
            for tier in state.kept.keys() & self._counters.keys():
                self._counters[tier].adopt(state.kept[tier])

    @hookimpl
    def describe(self, gateway: GatewayView) -> dict[str, object]:
        limits = {tier: [str(policy.rate) for policy in each.plan.policies] for tier, each in self._counters.items()}
        return {
            "limit": limits.pop(""),
            "tiers": limits,
            "by": list(self.config.by),
            "algorithm": self.config.algorithm,
            "dry_run": self._dry,
            "counts_in": "store" if self._store is not None and not self._lost else "process",
            "store_problem": self._store.problem() if self._store is not None else None,
            "callers": sum(map(len, self._counters.values())),
            "decisions": self._tally.decisions(),
        }

    @hookimpl
    def collect(self, gateway: GatewayView) -> list[Metric]:
        return self._tally.metrics(self.name, self._counters.values())
