"""Laws about secrets: that they are declared as such, and that nobody gets to read them."""

import base64
import contextlib
import io
import json
import logging
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import attrs

from spork_core.config import GatewayConfig, dump
from spork_core.config.fields import Secret
from spork_core.config.shapes import shape
from spork_core.testing.law import Broken, Law, law
from spork_core.testing.life import Heard, live
from spork_core.testing.places import place, place_of
from spork_core.testing.rig import DoesNotStart
from spork_core.testing.settings import Setting, get, line_of, path_in, put, settings_of
from spork_core.testing.subject import Subject

_SMELL: Final = re.compile(
    r"(.*_)?(secrets?|passwords?|passwd|passphrases?|tokens?|credentials?|"
    r"(api|private|secret|signing|encryption|hmac|shared|access|master)_?keys?)"
)
_TEXTUAL: Final = frozenset({"text", "any"})
_SHORTEST: Final = 6
"""Characters of a secret that can be told from other text."""


@law()
def declares_its_secrets(subject: Subject) -> None:
    """A setting that holds a password, a token or a key is a Secret.

    A Secret is shown by no repr, log or `spork config`; a text is shown by all of them, and ends up in a ticket.

    Where only the name sounds so (`token` is the name of a cookie), write `metadata={"secret": False}`.
    """
    for setting in settings_of(subject.plugin_class.Config):
        if not _SMELL.fullmatch(setting.field.key.lower().replace("-", "_")) or not setting.kinds & _TEXTUAL:
            continue
        if setting.field.attribute.metadata.get("secret") is not False:
            raise Broken(
                f"the setting {setting.name} sounds like a secret and is text ({line_of(setting)})",
                f"write {setting.field.attribute.name}: Secret; "
                'or, where it is none, setting(…, metadata={"secret": False})',
            )


def _secret_settings(subject: Subject) -> list[Setting]:
    return [each for each in settings_of(subject.plugin_class.Config) if "secret" in each.kinds]


@law(when=lambda subject: bool(_secret_settings(subject)))
def keeps_its_secrets(subject: Subject) -> None:
    """A secret appears in no repr, no log record, no answer to a client, no describe and no `spork config`.

    Logs are read by more people than configs are, problem pages by everybody; and whoever prints an object while
    debugging prints what its repr says.
    """
    whole = subject
    subject, names = _with_canaries(subject)
    forms = {form: name for text, name in names.items() for form in _forms(text)}
    records: list[logging.LogRecord] = []
    printed = io.StringIO()
    with _records(records), contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        try:
            heard = live(subject)
        except DoesNotStart as error:
            if found := next((name for form, name in forms.items() if form in str(error)), None):
                raise Broken(
                    f"the secret {found} appears in the error of a startup",
                    "say what is wrong with it, not what it is",
                ) from error
            heard = live(whole)  # of the wrong kind; with the contract's own it starts
    for where, said in _everything(subject, heard, records, printed.getvalue()):
        for form, name in forms.items():
            if form in said:
                raise Broken(
                    f"the secret {name} appears in {where}",
                    "leave it out: keep the Secret itself, and call reveal() only where the text is used",
                )


def _with_canaries(subject: Subject) -> tuple[Subject, dict[str, str]]:
    """The subject with secrets that appear nowhere else, where it accepts such; and the settings' names by text."""
    names: dict[str, str] = {}
    for at, setting in enumerate(_secret_settings(subject)):
        canary = f"canary{at}f00dfeedc0ffee5ea1edb0a7"
        written: Any = subject.settings
        for step in path_in(subject.settings, setting.path):
            found = isinstance(written, (list, dict)) and (step == 0 or step in written)
            written = written[step] if found and written else None
        settings = put(subject.settings, setting.path, _planted(setting.field.type, written, canary))
        headers = {name: _swapped(value, written, canary) for name, value in subject.headers.items()}
        trial = Subject(subject.name, settings, subject.others, subject.effort, headers)
        trial.registry = subject.registry
        if trial.made:
            subject, names[canary] = trial, setting.name
    for setting in _secret_settings(subject):  # also those of which only certain texts are accepted, such as PEM
        try:
            built = get(subject.instance_config().settings, setting.path)
        except LookupError:
            continue
        names |= dict.fromkeys((text for text in _texts(built) if len(text) >= _SHORTEST), setting.name)
    return subject, names


def _swapped(value: str, written: Any, canary: str) -> str:
    """A field's value with the canary in place of the secret that it carries."""
    for text in written.values() if isinstance(written, dict) else written if isinstance(written, list) else [written]:
        if isinstance(text, str) and text:
            value = value.replace(text, canary)
    return value


def _planted(hint: Any, written: Any, canary: str) -> Any:
    """``canary`` in place of each text that is written there; or where a value of this type holds its secret."""
    match written:
        case dict() if written:
            return {key: _planted(object, item, canary) for key, item in written.items()}
        case list() if written:
            return [_planted(object, item, canary) for item in written]
    found = shape(hint)
    match found.kind:
        case "list":
            return [_planted(found.items[0], None, canary)]
        case "mapping":
            return {"x": _planted(found.items[1], None, canary)}
        case "union":
            return _planted(next(item for item in found.items if shape(item).kind != "none"), None, canary)
    return canary


def _texts(built: object) -> Iterator[str]:
    """The secrets in a value of the config."""
    match built:
        case Secret():
            yield built.reveal()
        case Mapping():
            for item in built.values():
                yield from _texts(item)
        case list() | tuple() | set() | frozenset():
            for item in built:
                yield from _texts(item)


def _forms(text: str) -> Iterator[str]:
    data = text.encode("utf-8", "surrogateescape")
    yield text
    yield data.hex()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for before in range(3):  # what stands before it shifts the letters
            letters = encode(bytes(before) + data).decode().rstrip("=")
            yield letters[-(-before * 4 // 3) : len(data + bytes(before)) // 3 * 4]


@contextlib.contextmanager
def _records(found: list[logging.LogRecord]) -> Iterator[None]:
    """Every record of any logger, whatever its handlers are."""
    root, factory = logging.getLogger(), logging.getLogRecordFactory()
    level = root.level

    def make(*given: Any, **more: Any) -> logging.LogRecord:
        record = factory(*given, **more)
        found.append(record)
        return record

    logging.setLogRecordFactory(make)
    root.setLevel(1)
    try:
        yield
    finally:
        root.setLevel(level)
        logging.setLogRecordFactory(factory)


def _everything(
    subject: Subject, heard: Heard, records: list[logging.LogRecord], printed: str
) -> Iterator[tuple[str, str]]:
    """All that is shown to somebody, and where."""
    formatter = logging.Formatter()
    for record in records:
        yield f"a log record ({place(record.pathname, record.lineno)})", formatter.format(record)
        yield f"a log record's fields ({place(record.pathname, record.lineno)})", repr(vars(record))
    yield "what it prints", printed
    for name, thing in _owned(subject, heard):
        yield f"the repr of {name} ({place_of(type(thing))})", f"{thing!r} {thing}"
    for said in heard.said:
        yield "the answer of describe or health", json.dumps(said, default=repr)
    for problem in heard.problems:
        yield f"the detail or reason of a {type(problem).__name__}", f"{problem.detail} {problem.reason} {problem}"
    for answer in heard.clients:
        yield "an answer to a client", answer.decode("latin-1")
    yield "what spork config prints", dump(_own(heard.config))


def _own(config: GatewayConfig) -> GatewayConfig:
    return attrs.evolve(config, references={})


def _owned(subject: Subject, heard: Heard) -> Iterator[tuple[str, Any]]:
    """The plugin, and every object inside it whose repr its author wrote or had made: of a class of the plugin's own,
    or of attrs."""
    seen: set[int] = set()
    stack: list[tuple[str, Any]] = [("self", heard.plugin)]
    while stack:
        name, thing = stack.pop()
        if id(thing) in seen or isinstance(thing, (type, Secret)):
            continue
        seen.add(id(thing))
        cls = type(thing)
        own = subject.owns_module(cls.__module__)
        if own or attrs.has(cls):
            yield name, thing
        if own or attrs.has(cls) or thing is heard.plugin:
            stack += [(f"{name}.{attribute}", value) for attribute, value in _attributes(thing)]
        elif isinstance(thing, Mapping):
            stack += [(f"{name}[{key!r}]", value) for key, value in list(thing.items())]
        elif isinstance(thing, (list, tuple, set, frozenset)):
            stack += [(f"{name}[{at}]", value) for at, value in enumerate(list(thing))]


def _attributes(thing: Any) -> list[tuple[str, Any]]:
    names = [*getattr(thing, "__dict__", {})]
    for cls in type(thing).__mro__:
        slots = cls.__dict__.get("__slots__", ())
        names += [slots] if isinstance(slots, str) else list(slots)
    return [(name, getattr(thing, name)) for name in names if name != "__weakref__" and hasattr(thing, name)]


LAWS: Final[tuple[Law, ...]] = (declares_its_secrets, keeps_its_secrets)
