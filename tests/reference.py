"""The reference dispatcher: what a pipeline must do, said with pluggy's own calls and nothing decided beforehand."""

from collections.abc import Callable, Sequence
from inspect import iscoroutine, iscoroutinefunction
from typing import Any

import pluggy

from spork_core.config.model import InstanceConfig
from spork_core.errors import PluginFailed, Problem
from spork_core.exchange import Exchange
from spork_core.hookspecs import KINDS, ExchangeHooks, HookKind, Kind, hookimpl
from spork_core.plugin import NoConfig, Plugin
from spork_core.registry import Instance, Registry, make_instance

ARGUMENTS = {"after_attempt": "attempt", "before_attempt": "attempt", "on_error": "error"}
ARGUMENTS |= {"select_upstream": "attempt", "should_retry": "attempt"}


def instance_of(cls: type[Plugin[Any]], name: str = "p", **envelope: Any) -> Instance:
    """An instance as the config makes it; ``envelope``: ``on_failure``, ``timeout``, ``budget``, ``settings``."""
    envelope.setdefault("settings", NoConfig())
    return make_instance(InstanceConfig(name=name, use=name, **envelope), Registry({name: cls}))


def plugin_of(attributes: dict[str, Any] | None = None, **hooks: Callable[..., Any]) -> type[Plugin[Any]]:
    """A plugin class with these hooks, each a function that takes ``self`` first."""
    marked = {name: hookimpl(function) for name, function in hooks.items()}
    return type("Made", (Plugin,), {**(attributes or {}), **marked})


class Reference:
    """Runs one hook of a chain after the other, each through pluggy."""

    def __init__(self, chain: Sequence[Instance]) -> None:
        self.chain = chain
        self.manager = pluggy.PluginManager("spork")
        self.manager.add_hookspecs(ExchangeHooks)
        for instance in chain:
            self.manager.register(instance.plugin, instance.name)

    async def run(self, hook: str, exchange: Exchange, second: object = None) -> Any:
        """The answer of the hook. Raises what a pipeline's phase raises."""
        kind, failed = KINDS[hook], None
        for instance in reversed(self.chain) if kind.reverse else self.chain:
            try:
                answer = await self._ask(instance, hook, exchange, second)
                self._check(answer, kind)
            except (Exception, SystemExit) as error:
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
        return await answer if iscoroutinefunction(getattr(instance.plugin, hook, None)) else answer

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
