"""The Python of a new plugin: its config, its class, its tests."""

from collections.abc import Mapping, Sequence
from string import Template
from typing import Final

from spork_core.cli.scaffold.imports import DOOR, KIT, imports, names_in
from spork_core.cli.scaffold.names import Names
from spork_core.cli.scaffold.snippet import Setting, Snippet, function, method, settings_of
from spork_core.cli.scaffold.snippets import GUARDS

HELPERS: Final = {
    "field_value": function('''
        def field_value(_: object, __: object, value: str) -> None:
            """Refuses what may not stand in a header field."""
            if not FIELD_VALUE.fullmatch(value):
                raise ValueError("holds a character that no header field may have; write it on one line")
    '''),
    "bearer_tokens": function('''
        def bearer_tokens(_: object, __: object, tokens: dict[str, Secret]) -> None:
            """Refuses what cannot be a bearer token (RFC 6750 section 2.1), such as none at all."""
            for subject, token in tokens.items():
                if not re.fullmatch(r"[A-Za-z0-9._~+/-]+=*", token.reveal()):
                    raise ValueError(f'the token of "{subject}" is not letters, digits and ._~+/- alone')
    '''),
}
"""Validators of settings."""

_TOKENS: Final = 'TOKENS: dict[str, Any] = {"tokens": {"ann": "a-token"}}'
_ANYBODY: Final = 'ANYBODY: dict[str, Any] = {"all": {"match": {}, "service": "up", "authenticate": "optional"}}'


def config_module(names: Names, snippets: Sequence[Snippet]) -> str:
    """``spork_NAME/config.py``."""
    settings = settings_of(snippets)
    helpers = [HELPERS[name] for name in dict.fromkeys(each.validator for each in settings) if name in HELPERS]
    fields = "\n".join(map(_field, settings))
    cls = f'@frozen\nclass {names.cls}Config:\n    """What a config file may say of an instance."""\n\n{fields}'
    return _module(f"What a config file may say of {names.name}.", "\n\n\n".join((*helpers, cls)), DOOR)


def plugin_module(names: Names, snippets: Sequence[Snippet]) -> str:
    """``spork_NAME/__init__.py``."""
    cls, config = names.cls, f"{names.cls}Config"
    first, *more = [_filled(snippet.does, names).replace("`", "") for snippet in snippets]
    lines = ["\n".join((f'"""{first}', "", *more, '"""')) if more else f'"""{first}"""', ""]
    lines.append(f"Config: ClassVar[type] = {config}")
    lines += [line for snippet in snippets for line in snippet.declares]
    if GUARDS.isdisjoint(snippet.hook for snippet in snippets):
        lines.append('on_failure: ClassVar[OnFailure] = "open"  # it guards nothing: without it, go on')
    doc = "\n".join(lines)
    head = f"class {cls}(Plugin[{config}]):\n{method(doc)}"
    code = "\n\n".join((head, *(_filled(snippet.code, names) for snippet in snippets)))
    exported = ", ".join(f'"{name}"' for name in sorted((cls, config)))
    constants = [f"__all__ = [{exported}]"]
    if "log" in names_in(code):
        constants.append("log: Final = logging.getLogger(__name__)")
    return _module(
        f"A Spork plugin, {names.name}: the class that its entry point names.",
        "\n\n".join(constants) + f"\n\n\n{code}",
        {**DOOR, config: f"{names.package}.config"},
    )


def contract_module(names: Names, snippets: Sequence[Snippet]) -> str:
    """``tests/test_contract.py``."""
    needed = ', config={"tokens": {"ann": "a-token"}}' if _authenticates(snippets) else ""
    return _module(
        f"The contract of {names.name}: every law of the kit that applies to it.",
        f'TestContract = contract_suite("{names.name}"{needed})',
        KIT,
    )


def behaviour_module(names: Names, snippets: Sequence[Snippet]) -> str:
    """``tests/test_NAME.py``."""
    doc = f"What {names.name} does, seen by a client of a gateway on a real port."
    tests = [snippet.test for snippet in snippets]
    if not _authenticates(snippets):
        return _module(doc, "\n\n\n".join(_filled(test, names, more="", routes="") for test in tests), KIT)
    constants = _TOKENS if len(tests) == 1 else f"{_TOKENS}\n{_ANYBODY}"
    filled = [_filled(test, names, more="**TOKENS, ", routes=", routes=ANYBODY") for test in tests]
    return _module(doc, "\n\n\n".join((constants, *filled)), KIT)


def _authenticates(snippets: Sequence[Snippet]) -> bool:
    return any(snippet.hook == "authenticate" for snippet in snippets)


def _filled(text: str, names: Names, **more: str) -> str:
    return Template(text).substitute(name=names.name, field=names.field, **more)


def _field(setting: Setting) -> str:
    """Written over several lines whatever its length: the comma at the end keeps the formatter from joining them."""
    lines = [f'    {setting.name}: {setting.annotation} = setting(\n        "{setting.meaning.replace("`", "")}",']
    if setting.default is not None:
        lines.append(f"        default={setting.default},")
    if setting.validator is not None:
        lines.append(f"        validator={setting.validator},")
    return "\n".join((*lines, "    )"))


def _module(docstring: str, code: str, homes: Mapping[str, str]) -> str:
    lines = imports(code, homes)
    gap = "\n\n\n" if code.startswith(("@", "def ", "async ")) else "\n\n"
    return f'"""{docstring}"""\n\n{lines}{gap}{code}\n'
