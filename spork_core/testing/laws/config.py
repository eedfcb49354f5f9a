"""Laws about a plugin's config: what an operator may write, and can count on."""

from collections.abc import Mapping
from typing import Any, Final

from spork_core.config import dump
from spork_core.config.faults import render_path
from spork_core.config.fields import DESCRIPTION, Secret
from spork_core.errors import ConfigError
from spork_core.testing.fingerprint import is_frozen
from spork_core.testing.law import Broken, Law, law
from spork_core.testing.places import place_of
from spork_core.testing.settings import around, classes_of, get, line_of, path_in, put, settings_of
from spork_core.testing.subject import Subject
from spork_core.testing.written import as_yaml, show


@law()
def its_config_is_frozen(subject: Subject) -> None:
    """The config is a frozen attrs class, and so are the classes inside it.

    A reload compares the new config with the old one to see what changed, and exchanges run while it does. A config
    that changes after it was read is compared wrongly, and read differently by two requests.
    """
    for cls in classes_of(subject.plugin_class.Config):
        if not is_frozen(cls):
            raise Broken(
                f"{cls.__name__} ({place_of(cls)}) can be changed after it was read",
                "decorate it with @attrs.frozen",
            )


@law()
def describes_each_setting(subject: Subject) -> None:
    """Each setting says what it is for.

    The description is what `spork schema` gives to editors and what the reference tables are made of; a setting without
    one is a guess.
    """
    for setting in settings_of(subject.plugin_class.Config):
        description = str(setting.field.attribute.metadata.get(DESCRIPTION, "")).strip()
        if not description or description.lower().strip(".") == setting.field.key.replace("_", " "):
            name = setting.field.attribute.name
            raise Broken(
                f"the setting {setting.name} has no description ({line_of(setting)})",
                f'write {name}: … = setting("What it is for.", …)',
            )


@law()
def its_defaults_are_valid(subject: Subject) -> None:
    """Each default is a value that a config may say.

    Whoever copies a default out of the reference table into a config, to change it later, must not get an error.
    """
    for setting in settings_of(subject.plugin_class.Config):
        settings = around(subject, setting) if setting.has_default else None
        if settings is None:
            continue
        try:
            default = setting.default()
        except Exception as error:
            raise Broken(
                f"the default of {setting.name} cannot be made ({line_of(setting)}): {type(error).__name__}: {error}",
                "change the defaults inside it, or their validators",
            ) from error
        where = render_path(("plugins", "subject", *path_in(settings, setting.path)))
        try:
            subject.instance_config(put(settings, setting.path, default))
        except ConfigError as error:
            # What is refused for the sake of another setting has that one's path, or the instance's.
            if refused := [problem for problem in error.problems if problem.path.startswith(where)]:
                raise Broken(
                    f"{setting.name}: {show(default)} is its default, and refused when a config says it "
                    f"({line_of(setting)}): {refused[0].message}",
                    "change the default, or the validator",
                ) from error


@law()
def its_config_round_trips(subject: Subject) -> None:
    """What `spork config` prints loads back to the same config.

    It prints the effective config, so that an operator can see it, keep it and use it. A setting that is lost or
    changed on the way makes that a lie.
    """
    settings, environ = _with_references(subject)
    text = as_yaml({"plugins": {"subject": {"use": subject.name, **settings}}})
    first = subject.load(text, environ)
    printed = dump(first)
    try:
        second = subject.load(printed, environ)
    except ConfigError as error:
        raise Broken(
            f"what is printed is refused: {error.problems[0].message}",
            "accept in the validator what the converter makes",
        ) from error
    mine, its = first.plugins["subject"].settings, second.plugins["subject"].settings
    if mine == its:
        return
    for setting in settings_of(subject.plugin_class.Config):
        try:
            before, after = get(mine, setting.path), get(its, setting.path)
        except LookupError:
            continue
        if before != after:
            raise Broken(
                f"{setting.name} is {before!r} and after a round trip {after!r} ({line_of(setting)})",
                "let its converter leave alone what it has converted, and give its class an __eq__ (attrs has one)",
            )
    raise Broken(f"{mine!r} is {its!r} after a round trip", "give the class an __eq__; attrs does")


def _with_references(subject: Subject) -> tuple[dict[str, Any], dict[str, str]]:
    """The settings with a variable in place of each secret, which a dump would not show; and the environment."""
    settings: dict[str, Any] = dict(subject.settings)
    environ: dict[str, str] = {}
    built = subject.instance_config().settings
    for setting in settings_of(subject.plugin_class.Config):
        try:
            value = get(built, setting.path)
        except LookupError:
            continue
        if (referenced := _referenced(value, environ)) is not None:
            settings = put(settings, setting.path, referenced)
    return settings, environ


def _referenced(value: object, environ: dict[str, str]) -> Any:
    """A variable in place of a secret, and of each in a mapping or a list of them; None for anything else."""
    match value:
        case Secret():
            name = f"SPORK_CONTRACT_{len(environ)}"
            environ[name] = value.reveal()
            return f"${{env:{name}}}"
        case Mapping() if value and all(isinstance(each, Secret) for each in value.values()):
            return {key: _referenced(each, environ) for key, each in value.items()}
        case list() | tuple() if value and all(isinstance(each, Secret) for each in value):
            return [_referenced(each, environ) for each in value]
    return None


LAWS: Final[tuple[Law, ...]] = (
    its_config_is_frozen,
    describes_each_setting,
    its_defaults_are_valid,
    its_config_round_trips,
)
