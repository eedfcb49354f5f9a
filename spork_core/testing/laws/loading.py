"""Laws about how a plugin is found and loaded."""

import inspect
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from typing import Any, Final

from spork_core.errors import ConfigError, ConfigProblem, SporkError
from spork_core.hookspecs import GATEWAY_HOOKS, KINDS, ExchangeHooks, GatewayHooks
from spork_core.testing.law import Broken, Law, law
from spork_core.testing.places import place_of, place_raised
from spork_core.testing.subject import Subject

HOOKS: Final = (*KINDS, *GATEWAY_HOOKS)
CAPABILITIES: Final = ("provides", "requires", "before", "after")


@law(early=True)
def loads_by_its_entry_point(subject: Subject) -> None:
    """The plugin loads by its entry point, under the name that a config uses.

    A config says `use: NAME` and nothing else: what pip installed must be found by that name, or the operator sees
    an unknown plugin.
    """
    if subject.entry_point is None:
        raise Broken(
            f'no installed distribution has an entry point "{subject.name}" in the group spork.plugins',
            f'write {subject.name} = "package:Class" there, and install the distribution (pip install -e .)',
        )
    try:
        _ = subject.plugin_class
    except SporkError as error:
        cause = error.__cause__
        if cause is None:
            raise Broken(str(error), "name a subclass of spork_core.api.Plugin behind the colon") from error
        raise Broken(
            f"{subject.entry_point.value} cannot be imported: {type(cause).__name__}: {cause} ({place_raised(cause)})",
            "make the module importable on its own, with everything it needs in the distribution's dependencies",
        ) from error


def _loads(subject: Subject) -> bool:
    try:
        return bool(subject.plugin_class)
    except (KeyError, SporkError):
        return False


@law(early=True, when=_loads)
def implements_hooks_as_specified(subject: Subject) -> None:
    """Each hook it implements exists, takes arguments that the hook has, and leaves the order to the operator.

    pluggy matches hooks by name: one with a typo is registered and never called, and a plugin that guards something
    then guards nothing. Wrappers see coroutines where answers are meant. An implementation that asks to be first
    takes from the operator what the chain in the config promises: that it is the order.
    """
    cls = subject.plugin_class
    for name in CAPABILITIES:
        value: object = getattr(cls, name)
        if not (isinstance(value, tuple) and all(isinstance(item, str) for item in value)):
            raise Broken(f"{name} of {_of(cls)} is {value!r}, not a tuple of texts", f'write {name} = ("…",)')
    for attribute, function in _marked(cls):
        _check_hook(cls, attribute, function)
    if _constructs(subject) is None:
        try:
            subject.instance()
        except ConfigError as error:
            raise Broken(
                "\n".join(map(str, error.problems)), f"correct hooks() or challenge() of {_of(cls)}"
            ) from error


def _constructs(subject: Subject) -> ConfigError | None:
    """Why it cannot be constructed with the config of its contract; None when it can."""
    try:
        config = subject.instance_config()
        subject.plugin_class(config.settings, config.name)
    except ConfigError as error:
        return error
    except (Exception, SystemExit) as error:
        where = place_raised(error, subject.folder)
        message = f"{_of(subject.plugin_class)} refuses its config: {str(error) or type(error).__name__}"
        return ConfigError([ConfigProblem(f"{message} ({where})", path="$.plugins.subject")])
    return None


def _marked(cls: type) -> Iterator[tuple[str, Callable[..., Any]]]:
    """What ``@hookimpl`` marked, by attribute."""
    for attribute in dir(cls):
        found = inspect.getattr_static(cls, attribute)
        if getattr(found, "spork_impl", None) is not None:
            yield attribute, found


def _check_hook(cls: type, attribute: str, function: Callable[..., Any]) -> None:
    options: dict[str, Any] = function.spork_impl  # type: ignore[attr-defined]  # pluggy's mark
    name = options.get("specname") or attribute
    where = f"{cls.__name__}.{attribute} ({place_of(function)})"
    if name not in HOOKS:
        near = get_close_matches(name, HOOKS, 1)
        remedy = f"rename it to {near[0]}" if near else f"the hooks are {', '.join(HOOKS)}"
        raise Broken(f"{where} implements a hook that does not exist", remedy)
    if options.get("wrapper") or options.get("hookwrapper"):
        raise Broken(
            f"{where} is a hook wrapper, which sees coroutines in place of answers",
            "write @hookimpl without wrapper; change exchange.request.body, or use the hooks before and after",
        )
    if options.get("tryfirst") or options.get("trylast"):
        raise Broken(
            f"{where} asks to be first or last, but the operator's chain decides the order",
            "write @hookimpl without it, and declare before, after, requires or provides in the class",
        )
    spec = getattr(ExchangeHooks if name in KINDS else GatewayHooks, name)
    known = list(inspect.signature(spec).parameters)[1:]
    taken = list(inspect.signature(function).parameters)[1:]
    if extra := [argument for argument in taken if argument not in known]:
        raise Broken(
            f"{where} takes {', '.join(extra)}, which {name} does not give",
            f"write def {attribute}(self, {', '.join(known)})",
        )


def _of(cls: type) -> str:
    return f"{cls.__name__} ({place_of(cls)})"


@law(early=True, when=_loads)
def accepts_the_config_of_its_contract(subject: Subject) -> None:
    """The config that the contract test gives is one that the plugin accepts.

    Everything else here is tried with that config.
    """
    refused = _constructs(subject)
    if refused is not None:
        raise Broken(
            "\n".join(map(str, refused.problems)), "correct the config that contract_suite is given"
        ) from refused
    try:
        instance = subject.instance()
    except ConfigError:
        return  # it breaks the hook contract, as another law says
    try:
        problems = subject.order_problems(instance)
    except ConfigError as error:
        problems = list(error.problems)
    if problems:
        raise Broken(
            "\n".join(problem.message for problem in problems),
            "name what it needs before it: contract_suite(…, others={name: settings})",
        )


LAWS: Final[tuple[Law, ...]] = (
    loads_by_its_entry_point,
    implements_hooks_as_specified,
    accepts_the_config_of_its_contract,
)
