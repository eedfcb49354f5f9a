"""Laws about what a plugin keeps to itself: its config as it was, and its state apart from other instances'."""

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from spork_core.config import GatewayConfig
from spork_core.testing.blame import Blame, first_change
from spork_core.testing.fingerprint import Table, changes, fingerprint
from spork_core.testing.law import Broken, Law, law
from spork_core.testing.life import SUBJECT, live
from spork_core.testing.subject import Subject


@law()
def leaves_its_config_alone(subject: Subject) -> None:
    """Nothing that the plugin does changes its config.

    The config is shared: by every exchange, and with the reload that compares it with the next one to see whether the
    instance may live on. A hook that adds to a list of the config changes what all later requests are measured by.
    """
    changed: list[str] = []
    live(subject, lambda config: _changing(changed, lambda: _settings(config)))
    if not changed:
        return
    found: list[Blame] = []
    live(subject, lambda config: _blaming(subject, found, lambda: _settings(config)))
    raise Broken(
        f"self.config{changed[0]} is not what it was when it was read{_at(found)}",
        "copy it in __init__ (dict(config.…), list(config.…)) and change the copy",
    )


@law()
def two_instances_share_nothing(subject: Subject) -> None:
    """What one instance does, another of the same plugin does not see.

    An operator gives two routes an instance each so that they do not meet: two limits, two caches, two sets of
    credentials. A dict in the module or in the class, or a default argument that is a list, makes them one.
    """
    for path, thing in _held(subject):
        if isinstance(thing, (asyncio.Lock, asyncio.Event, asyncio.Condition, asyncio.Semaphore, asyncio.Queue)):
            raise Broken(f"{path} is a {type(thing).__name__} that all instances and event loops share", _OWN)
    other = subject.instance().plugin

    def state() -> Table:
        return {**fingerprint(other, "self"), **_globals(subject)}

    changed: list[str] = []
    live(subject, lambda _: _changing(changed, state))
    if not changed:
        return
    found: list[Blame] = []
    live(subject, lambda _: _blaming(subject, found, state))
    raise Broken(
        f"{changed[0]} changes while another instance works{_at(found)}",
        _OWN,
    )


_OWN: Final = (
    "make it in __init__, as an attribute of self; what instances share on purpose is a resource of the gateway"
)


def _held(subject: Subject) -> Iterator[tuple[str, object]]:
    """What stands in the plugin's modules, and in its class."""
    for name, module in list(sys.modules.items()):
        if subject.owns_module(name):
            yield from ((f"{name}.{attribute}", value) for attribute, value in list(vars(module).items()))
    cls = subject.plugin_class
    yield from ((f"{cls.__qualname__}.{attribute}", value) for attribute, value in vars(cls).items())


def _settings(config: GatewayConfig) -> Table:
    return fingerprint(config.plugins[SUBJECT].settings)


@contextmanager
def _changing(changed: list[str], state: Callable[[], Table]) -> Iterator[None]:
    """Tells what is not as it was before. A module that was imported on demand is as good as there."""
    before = state()
    yield
    after = state()
    changed += [path for path in changes(before, after) if not _is_module(after.get(path))]


def _is_module(entry: object) -> bool:
    return isinstance(entry, tuple) and entry[0] == "module"


@contextmanager
def _blaming(subject: Subject, found: list[Blame], state: Callable[[], Table]) -> Iterator[None]:
    """Finds the line, if it does the same in another life."""
    with first_change(subject.owns, state) as blame:
        found.append(blame)
        yield


def _at(found: list[Blame]) -> str:
    return f" ({found[0].place})" if found and found[0].place else ""


def _globals(subject: Subject) -> Table:
    """What the plugin's modules and classes hold."""
    table: Table = {}
    for name, module in list(sys.modules.items()):
        if not subject.owns_module(name):
            continue
        for attribute, value in list(vars(module).items()):
            if attribute.startswith("__"):
                continue
            if isinstance(value, type):
                if value.__module__ == name:
                    table |= _class(value)
            else:
                table |= fingerprint(value, f"{name}.{attribute}")
    return table


def _class(cls: type) -> Table:
    table: Table = {}
    for attribute, value in list(vars(cls).items()):
        function = getattr(value, "__func__", value)
        defaults = getattr(function, "__defaults__", None)
        if defaults is not None and hasattr(function, "__code__"):
            table |= fingerprint(defaults, f"the defaults of {cls.__qualname__}.{attribute}")
        elif not attribute.startswith("__"):
            table |= fingerprint(value, f"{cls.__qualname__}.{attribute}")
    return table


LAWS: Final[tuple[Law, ...]] = (leaves_its_config_alone, two_instances_share_nothing)
