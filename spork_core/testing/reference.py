"""The reference dispatcher: what a pipeline must do, said with pluggy's own calls and nothing decided beforehand."""

import asyncio
from collections.abc import Sequence
from inspect import iscoroutine, iscoroutinefunction
from typing import Any, Final

import pluggy

from spork_core.errors import PluginFailed, PluginIsolated, Problem
from spork_core.exchange import Exchange
from spork_core.hookspecs import KINDS, ExchangeHooks, HookKind, Kind
from spork_core.registry import Instance

ARGUMENTS: Final = {
    "after_attempt": "attempt",
    "before_attempt": "attempt",
    "on_error": "error",
    "select_upstream": "attempt",
    "should_retry": "attempt",
}
"""Hook → its second argument, for those that have one."""


class Reference:
    """Runs one hook of a chain after the other, each through pluggy."""

    def __init__(self, chain: Sequence[Instance]) -> None:
        self.chain = chain
        self.manager = pluggy.PluginManager("spork")
        self.manager.add_hookspecs(ExchangeHooks)
        for instance in chain:
            self.manager.register(instance.plugin, instance.name)

    async def run(self, hook: str, exchange: Exchange, second: object = None) -> Any:
        """The answer of the hook, with ``second`` as its second argument. Raises what a pipeline's phase raises."""
        kind, failed = KINDS[hook], None
        for instance in reversed(self.chain) if kind.reverse else self.chain:
            if hook not in instance.impls:
                continue  # not there, or not needed by its config
            try:
                if self._held(instance, hook, kind, exchange):
                    continue
                answer = await self._ask(instance, hook, exchange, second)
                self._check(answer, kind)
            except BaseException as error:
                if _left(error):
                    raise
                failed = self._failure(instance, hook, kind, error) or failed
                if failed is not None and kind.kind is not Kind.MAP:
                    raise failed from error
                continue
            if kind.kind is Kind.MAP and answer is not None:
                exchange.response = answer
            elif kind.kind is not Kind.WATCH and answer is not None:
                return answer
        if failed is not None:
            raise failed
        return None

    async def _ask(self, instance: Instance, hook: str, exchange: Exchange, second: object) -> Any:
        others = [other.plugin for other in self.chain if other is not instance]
        call = self.manager.subset_hook_caller(hook, others)
        arguments = {"exchange": exchange} | ({ARGUMENTS[hook]: second} if hook in ARGUMENTS else {})
        answers = call(**arguments)
        answer = answers[0] if answers else None  # pluggy leaves None out
        is_async = iscoroutinefunction(getattr(instance.plugin, hook, None))
        if iscoroutine(answer) and hook in instance.plugin.defers:
            is_async = True
        return await answer if is_async and answer is not None else answer

    def _held(self, instance: Instance, hook: str, kind: HookKind, exchange: Exchange) -> bool:
        """True when an isolated instance is passed by. Raises PluginIsolated where without it nothing is let in."""
        isolation = instance.isolation
        if isolation.effect is None or isolation.admits(exchange):
            return False
        denies = isolation.effect == "deny" and kind.kind is not Kind.WATCH
        if denies and not isinstance(exchange.error, PluginIsolated):
            raise PluginIsolated(instance.name, hook, isolation.why, isolation.retry_after)
        return True

    def _check(self, answer: object, kind: HookKind) -> None:
        if iscoroutine(answer):
            answer.close()
            raise TypeError("a coroutine")
        if kind.kind is Kind.WATCH or answer is None:
            return
        if not isinstance(answer, kind.answer) or isinstance(answer, bool):
            raise TypeError("an answer of a wrong type")

    def _failure(self, instance: Instance, hook: str, kind: HookKind, error: BaseException) -> Problem | None:
        """What the exchange runs into; None when it goes on."""
        if isinstance(error, Problem) and kind.kind is not Kind.WATCH:
            return error
        instance.failures += 1
        if kind.kind is Kind.WATCH or instance.on_failure == "open":
            return None
        return PluginFailed(instance.name, hook, "")


def _left(error: BaseException) -> bool:
    """True for the cancellation of the exchange itself; one of something the hook awaited is the hook's failure."""
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0


__all__ = ["ARGUMENTS", "Reference"]
