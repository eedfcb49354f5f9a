"""Laws about mistakes: what becomes of a bad value, and of an instance that is only made and never used."""

import re
from collections.abc import Mapping
from typing import Any, Final

from spork_core.config import GatewayConfig, InstanceConfig
from spork_core.config.faults import render_path
from spork_core.errors import ConfigError, ConfigProblem, SporkError
from spork_core.testing.badvalues import hostile_values
from spork_core.testing.blame import first_crash
from spork_core.testing.law import Broken, Law, law
from spork_core.testing.limits import TakesTooLong, at_most
from spork_core.testing.outside import touched_by
from spork_core.testing.places import place_raised
from spork_core.testing.settings import Setting, around, put, settings_of
from spork_core.testing.subject import Subject
from spork_core.testing.written import as_yaml, show

_QUICK: Final = 1.0
"""Seconds of processor time in which a value is accepted or refused."""
_CRASH: Final = re.compile(
    r"([A-Z]\w+(Error|Exception)|error): "
    r"|.*(not supported between instances|object (is not|has no|does not)|expected string or bytes)"
)
"""What an error says that no author wrote."""


@law()
def refuses_bad_values_with_a_path(subject: Subject) -> None:
    """Each bad value of each setting is accepted, or refused by an error that names its path; nothing else happens.

    A config comes from people, templates and pipelines. Whatever they put there, the operator is told in which setting
    and what to write; a crash tells him about the plugin's insides, and a loop keeps the gateway from starting.
    """
    for setting in settings_of(subject.plugin_class.Config):
        settings = around(subject, setting) or subject.settings
        values = [put(settings, setting.path, value) for value in hostile_values(setting.field.type)]
        _try_all(subject, setting, values)


def _try_all(subject: Subject, setting: Setting, values: list[dict[str, Any]]) -> None:
    """All at once, each as an instance of its own: a load finds every fault, and one is less work than a hundred."""
    instances = {f"try-{at}": {"use": subject.name, **value} for at, value in enumerate(values)}
    refused: dict[str, ConfigProblem] = {}
    try:
        with at_most(_QUICK * 2):
            config = _load_accepted(subject, instances, refused, setting)
    except TakesTooLong as error:
        raise _too_long(subject, setting, error) from error
    for name, problem in refused.items():
        if _CRASH.match(problem.message):
            raise _crashed(subject, setting, instances[name], problem.message)
    for name, accepted in config.plugins.items():
        _construct(subject, setting, accepted, instances[name])


def _load_accepted(
    subject: Subject, instances: dict[str, dict[str, Any]], refused: dict[str, ConfigProblem], setting: Setting
) -> GatewayConfig:
    """The config of the instances that nothing refuses; the problems of the others."""
    while True:
        accepted = {name: value for name, value in instances.items() if name not in refused}
        try:
            return subject.load(as_yaml({"plugins": accepted}))
        except ConfigError as error:
            before = len(refused)
            for problem in error.problems:
                name = _instance_of(problem.path, accepted)
                if name is None:
                    raise Broken(
                        f"a bad value of {setting.name} is reported at {problem.path or 'no path'}: {problem.message}",
                        "raise ValueError in its validator; the loader adds the path",
                    ) from error
                refused[name] = problem
            assert len(refused) > before
        except Exception as error:
            where = place_raised(error, subject.folder)
            raise Broken(
                f"a bad value of {setting.name} makes the load end with {type(error).__name__}: {error} ({where})",
                "raise ValueError in its validator; the loader adds the path",
            ) from error


def _instance_of(path: str, instances: Mapping[str, object]) -> str | None:
    name = re.match(r"\$\.plugins\.([\w-]+)", path)
    return name[1] if name and name[1] in instances else None


def _construct(subject: Subject, setting: Setting, config: InstanceConfig, written: Mapping[str, Any]) -> None:
    try:
        with at_most(_QUICK):
            subject.plugin_class(config.settings, config.name)
    except (ValueError, SporkError):
        return  # a refusal; make_instance adds the path of the instance
    except TakesTooLong as error:
        raise _too_long(subject, setting, error) from error
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        where = place_raised(error, subject.folder)
        raise Broken(
            f"{_shown(setting, written)} passes the config class and makes the plugin raise "
            f"{type(error).__name__}: {error} ({where})",
            f"give {setting.name} a validator that raises ValueError with a sentence for the operator",
        ) from error


def _too_long(subject: Subject, setting: Setting, error: BaseException) -> Broken:
    where = place_raised(error, subject.folder)
    return Broken(
        f"a value of {setting.name} takes more than {_QUICK:g} s to be refused or accepted ({where})",
        "limit its length or size in a validator before anything is done with it",
    )


def _crashed(subject: Subject, setting: Setting, written: Mapping[str, Any], message: str) -> Broken:
    with first_crash(subject.owns) as blame:
        try:
            subject.load(as_yaml({"plugins": {"subject": written}}))
        except ConfigError:
            pass
    where = f" ({blame.place})" if blame.place else ""
    return Broken(
        f"{_shown(setting, written)} makes a validator or converter crash: {message}{where}",
        "raise ValueError there, with a sentence that tells the operator what to write",
    )


def _shown(setting: Setting, written: Mapping[str, Any]) -> str:
    value: Any = written
    for step in setting.path:
        value = value[step] if step != "*" else next(iter(value.values()))
    return f"{render_path(setting.path).removeprefix('$.')}: {show(value)}"


@law()
def touches_nothing_when_made(subject: Subject) -> None:
    """Reading the config and making the instance touch no file, no network, no thread and no other process.

    `spork check` runs on laptops and in pipelines, where the production files and servers are not; and a reload makes
    the new instances while the old ones serve. What has to be opened is opened in `startup`.
    """
    with touched_by(subject.owns) as touched:
        subject.instance()
    for touch in touched:
        if not (touch.event == "open" and subject.owns(str(touch.what))):  # a file of its own is there wherever it is
            raise Broken(
                f"making an instance does {touch.event}({touch.shown}) ({touch.place})",
                "move it to startup(self, gateway)",
            )


LAWS: Final[tuple[Law, ...]] = (refuses_bad_values_with_a_path, touches_nothing_when_made)
