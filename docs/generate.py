"""Writes the pages of docs/reference that the code already says: the API, hooks, config, errors, laws, the kit.

`python docs/generate.py` writes them; with `--check` it only names the stale ones, and fails when there are any.
"""

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FunctionType
from typing import Any, Final, get_args, get_origin, get_type_hints

import attrs
from door import api_page
from kit import laws_page, testing_page
from markdown import page, prose, signature, slug, table

from spork_core import errors, hookspecs
from spork_core.config import GatewayConfig, describe

REFERENCE: Final = Path(__file__).resolve().parent / "reference"


def main(arguments: list[str]) -> int:
    stale = []
    for name, write in PAGES.items():
        path, text = REFERENCE / name, write()
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
            if "--check" not in arguments:
                path.write_text(text, encoding="utf-8")
    if stale and "--check" in arguments:
        print(f"stale: {', '.join(stale)}; run `tox -e fix`")
        return 1
    return 0


# -- hooks ----------------------------------------------------------------------------------------------

KINDS: Final = {
    hookspecs.Kind.GATE: "the first response ends the way in",
    hookspecs.Kind.FIRST: "the first answer that is not None counts",
    hookspecs.Kind.MAP: "each may replace the response",
    hookspecs.Kind.WATCH: "answers are ignored",
}


def hooks_of(group: type) -> dict[str, FunctionType]:
    """The specified hooks of a class, in the order they are written."""
    return {name: hook for name, hook in vars(group).items() if hasattr(hook, "spork_spec")}


def hooks_page() -> str:
    exchange, gateway = hooks_of(hookspecs.ExchangeHooks), hooks_of(hookspecs.GatewayHooks)
    rows = (
        (
            f"[`{name}`](#{name})",
            f"{kind.kind.value}: {KINDS[kind.kind]}",
            "reverse" if kind.reverse else "chain",
        )
        for name, kind in hookspecs.KINDS.items()
    )
    sections = [
        f"### {name}\n\n```python\n@hookimpl\n{signature(hook)}: ...\n```\n\n{prose(hook.__doc__)}"
        for name, hook in exchange.items()
    ]
    cold = [
        f"### {name}\n\n```python\n@hookimpl\n{signature(hook)}: ...\n```\n\n{prose(hook.__doc__)}"
        for name, hook in gateway.items()
    ]
    return page(
        "Hooks",
        "spork_core/hookspecs.py",
        "A hook is a moment at which a plugin may act. An implementation is a method marked `@hookimpl`, `def` or "
        "`async def`, that takes any of the arguments shown, by name.",
        "## Exchange hooks",
        prose(hookspecs.ExchangeHooks.__doc__),
        table(("hook", "kind", "order"), rows),
        *sections,
        "## Gateway hooks",
        prose(hookspecs.GatewayHooks.__doc__),
        *cold,
    )


# -- config ---------------------------------------------------------------------------------------------


def nested(hint: Any, path: str) -> Iterator[tuple[type, str]]:
    """The config classes inside a type, with their places in the file."""
    if attrs.has(hint) and any(field.description for field in describe(hint)):
        yield hint, path
    step = {tuple: "[]", dict: ".NAME"}.get(get_origin(hint), "")
    for argument in get_args(hint):
        yield from nested(argument, path + step)


def sections(cls: type, path: str, found: dict[type, str]) -> dict[type, str]:
    """Each config class with its place, in the order of the file; one that stands in several is at the first."""
    hints = get_type_hints(cls, include_extras=True)
    for field in attrs.fields(cls):
        for inner, place in nested(hints[field.name], f"{path}.{field.alias}".removeprefix(".")):
            if inner not in found:
                found[inner] = place
                sections(inner, place, found)
    return found


def settings(cls: type, titles: dict[type, str]) -> Iterator[tuple[str, ...]]:
    hints = {field.alias: get_type_hints(cls, include_extras=True)[field.name] for field in attrs.fields(cls)}
    for field in describe(cls):
        if field.description:
            kind, default = field.type, "*required*" if field.default is None else f"`{field.default}`"
            for inner, _ in nested(hints[field.name], ""):
                kind = f"[mapping](#{slug(titles[inner])})".join(kind.rsplit("mapping", 1))
                default = "its defaults" if re.match(r"`\{\w", default) else default
            yield f"`{field.name}`", kind, default, field.description


def config_page() -> str:
    titles = sections(GatewayConfig, "", {})
    blocks = []
    for cls, title in {GatewayConfig: "The file", **titles}.items():
        blocks += [f"## {title}", prose(cls.__doc__)]
        blocks.append(table(("key", "value", "default", "meaning"), settings(cls, titles)))
    return page(
        "Config",
        "spork_core/config/model.py",
        'One YAML file. A duration is written "250ms", "5s", "1.5h"; a size "512B", "64KiB", "10MB"; a rate '
        '"60/minute", "5/s". Any text may hold `${env:NAME}`, `${env:NAME:-default}` or `${file:/path}`. What a '
        "plugin itself can be told stands in that plugin's README; `spork schema` prints a JSON Schema of everything "
        "that is installed.",
        *blocks,
    )


# -- errors ---------------------------------------------------------------------------------------------

FAULTS: Final = {
    "client": "The client's fault",
    "gateway": "The gateway's fault",
    "plugin": "A plugin's fault",
    "upstream": "The upstream's fault",
}


def problems(cls: type[errors.Problem] = errors.Problem) -> Iterator[type[errors.Problem]]:
    """Every Problem whose docstring begins with its status; the others are bases."""
    if (cls.__doc__ or "").startswith(str(cls.status)):
        yield cls
    for below in cls.__subclasses__():
        yield from problems(below)


def problem_section(cls: type[errors.Problem]) -> str:
    meaning = prose((cls.__doc__ or "").removeprefix(str(cls.status)).lstrip(":, "))
    return f"### {cls.code}\n\nStatus {cls.status}, `{cls.__name__}`. {meaning[:1].upper()}{meaning[1:]}"


def errors_page() -> str:
    found = sorted(problems(), key=lambda cls: (cls.status, cls.code))
    blocks: list[str] = []
    for source, title in FAULTS.items():
        blocks += [f"## {title}", *(problem_section(cls) for cls in found if cls.source == source)]
    return page(
        "Errors",
        "spork_core/errors.py",
        "What a client sees when an exchange ends in a problem: RFC 9457 `application/problem+json`, HTML or text "
        "where `Accept` asks for it. Its `source` says whose fault it is, its `code` is one of these headings, and "
        "its request id finds the details in the log. A plugin raises these, from `spork_core.api`.",
        *blocks,
    )


PAGES: Final[dict[str, Callable[[], str]]] = {
    "api.md": api_page,
    "config.md": config_page,
    "errors.md": errors_page,
    "hooks.md": hooks_page,
    "laws.md": laws_page,
    "testing.md": testing_page,
}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
