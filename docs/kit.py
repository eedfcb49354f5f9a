"""The reference pages about the test kit: the laws, and the public names of spork_core.testing."""

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from itertools import pairwise
from sys import modules
from types import FunctionType, ModuleType
from typing import Final

import attrs
from markdown import page, plain, prose, signature, slug, table

from spork_core import shared, testing
from spork_core.hookspecs import GATEWAY_HOOKS, KINDS
from spork_core.testing.law import Law
from spork_core.testing.laws import LAWS

# -- laws -----------------------------------------------------------------------------------------------


def laws_page() -> str:
    homes = list(dict.fromkeys(law.check.__module__ for law in LAWS))
    blocks = []
    for home in homes:
        blocks.append(f"## {_title(modules[home])}")
        blocks += [_law(law) for law in LAWS if law.check.__module__ == home]
    rows = ((f"[`{law.name}`](#{slug(law.name)})", law.sentence) for law in LAWS)
    return page(
        "Laws",
        "spork_core/testing/laws",
        "What holds for every plugin, whatever it does. `contract_suite` makes a test of each law that applies; "
        "`spork test PLUGIN` tries them without pytest. [Why there are laws](../explanation/contract.md) is told "
        "elsewhere.",
        table(("law", "what holds"), rows),
        *blocks,
    )


def _title(module: ModuleType) -> str:
    """``Bodies``, of ``Laws about bodies: …``."""
    words = prose(module.__doc__).partition(":")[0].rstrip(".")
    about = words.partition(" about ")[2]
    return f"{about[:1].upper()}{about[1:]}"


def _law(law: Law) -> str:
    remedies = [f"- {plain(each[:1].upper() + each[1:])}." for each in dict.fromkeys(_remedies(law.check))]
    todo = ["What to do, by what is found:", "\n".join(remedies)] if remedies else []
    return "\n\n".join([f"### {law.name}", f"**{law.sentence}**", law.why, _applies(law), *todo])


def _applies(law: Law) -> str:
    hooks = [hook for hook in (*KINDS, *GATEWAY_HOOKS) if hook in law.hooks]
    every = set(hooks) == set(KINDS)
    whom = (
        "every plugin"
        if not hooks
        else "plugins that have a hook in exchanges"
        if every
        else f"plugins that have {' or '.join(f'`{hook}`' for hook in hooks)}"
    )
    return f"Applies to {whom}{', where it has something to look at' if law.when is not None else ''}."


def _remedies(check: Callable[..., object]) -> Iterator[str]:
    """The remedies that a check and the functions it calls can name; ``…`` where one depends on the plugin."""
    tree = ast.parse(inspect.getsource(modules[check.__module__]))
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    todo, seen = [check.__name__], set[str]()
    while todo:
        name = todo.pop(0)
        if name in seen or name not in functions:
            continue
        seen.add(name)
        for node in ast.walk(functions[name]):
            if isinstance(node, ast.Name):
                todo.append(node.id)
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Broken":
                yield from filter(None, map(_text, node.args[1:]))


def _text(node: ast.expr) -> str:
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr():
            return "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
        case _:
            return ""


# -- the kit --------------------------------------------------------------------------------------------

_ORDER: Final = ("contract_suite", "gateway", "upstream")
"""What most tests need comes first."""


def testing_page() -> str:
    names = [*_ORDER, *(name for name in testing.__all__ if name not in _ORDER)]
    blocks = [entry(name, getattr(testing, name)) for name in names]
    return page(
        "Testing",
        "spork_core/testing",
        "The names of `spork_core.testing`, which `pip install 'spork-core[testing]'` makes work. "
        "[How to test a plugin](../how-to/test-a-plugin.md) shows them at work.",
        *blocks,
    )


def entry(name: str, thing: object) -> str:
    """The section of one public name."""
    match thing:
        case FunctionType() | type():
            return _class(name, thing) if isinstance(thing, type) else _function(name, thing)
        case ModuleType():
            return _module(name, thing)
        case _:
            return f"## {name}\n\n{_explained(name)}"


def _function(name: str, function: FunctionType) -> str:
    inner = inspect.unwrap(function)
    used = "@asynccontextmanager\n" if inspect.isasyncgenfunction(inner) else ""
    return f"## {name}\n\n```python\n{used}{_wrapped(signature(inner))}\n```\n\n{prose(function.__doc__)}"


def _class(name: str, cls: type) -> str:
    parts = [f"## {name}", prose(cls.__doc__)]
    if attrs.has(cls):
        parts.insert(1, f"```python\n{name}{_made_with(cls)}\n```")
    rows = [row for base in _own(cls) for row in (*_declared(base), *_attributes(base), *_members(base))]
    rows = [row for row in rows if not row[1].startswith("The kernel's own")]
    if rows:
        parts.append(table(("", "what it is or does"), rows))
    parts += _besides(cls)
    return "\n\n".join(parts)


def _module(name: str, module: ModuleType) -> str:
    rows = [
        (f"`{each}{_parameters(function)}`", _line(function.__doc__))
        for each in module.__all__
        if inspect.isfunction(function := getattr(module, each)) and function.__module__ == module.__name__
    ]
    return "\n\n".join([f"## {name}", prose(module.__doc__), table(("", "what it does"), rows)])


_TOLD: Final = {"Asks": "Client", "Said": "Answer"}
"""Base classes → the class in whose section their members stand."""


def _own(cls: type) -> list[type]:
    """The classes whose members stand in the section of ``cls``, the base before what is made of it."""
    kit = [base for base in reversed(cls.__mro__) if base.__module__.startswith("spork_core")]
    return [base for base in kit if _TOLD.get(base.__name__, cls.__name__) == cls.__name__]


def _besides(cls: type) -> Iterator[str]:
    """What it has of base classes that stand elsewhere."""
    for base in cls.__mro__:
        home = _TOLD.get(base.__name__, cls.__name__)
        if home != cls.__name__:
            shown = [cell for cell, _ in (*_attributes(base), *_members(base))]
            names = ", ".join(re.sub(r"await |\(.*\)", "", cell) for cell in shown)
            yield f"And as of [{home}](#{slug(home)}): {names}."


def _attributes(cls: type) -> Iterator[tuple[str, str]]:
    """Attributes with a docstring below them, where ``__init__`` sets them."""
    if "__init__" not in vars(cls) or attrs.has(cls):
        return
    body = ast.parse(textwrap.dedent(inspect.getsource(vars(cls)["__init__"]))).body[0]
    assert isinstance(body, ast.FunctionDef)
    for node, below in pairwise(body.body):
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if isinstance(target, ast.Attribute) and isinstance(below, ast.Expr) and not target.attr.startswith("_"):
            yield f"`{target.attr}`", _line(_text(below.value))


def _declared(cls: type) -> Iterator[tuple[str, str]]:
    """Attributes with a docstring below them, where the class declares them."""
    if not (tree := ast.parse(textwrap.dedent(inspect.getsource(cls))).body) or not isinstance(tree[0], ast.ClassDef):
        return
    for node, below in pairwise(tree[0].body):
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if isinstance(target, ast.Name) and isinstance(below, ast.Expr) and not target.id.startswith("_"):
            yield f"`{target.id}`", _line(_text(below.value))


def _made_with(cls: type) -> str:
    """The arguments of an attrs class, as its author wrote their types."""
    shown = []
    for field in attrs.fields(cls):
        if field.init:
            kind = field.type if isinstance(field.type, str) else getattr(field.type, "__name__", None)
            kind = str(field.type).replace("typing.", "") if kind is None or "[" in str(field.type) else kind
            default = "" if field.default is attrs.NOTHING else " = ..."
            shown.append(f"{field.alias}: {re.sub(r'[a-z_]+[.]', '', kind)}{default}")
    return f"({', '.join(shown)})"


def _members(cls: type) -> Iterator[tuple[str, str]]:
    """Methods and properties with a docstring of their own."""
    for name, member in vars(cls).items():
        function = member.fget if isinstance(member, property) else member
        if name.startswith("_") or not inspect.isfunction(function) or not function.__doc__:
            continue
        word = "await " if inspect.iscoroutinefunction(function) else ""
        shown = name if isinstance(member, property) else f"{word}{name}{_parameters(function)}"
        yield f"`{shown}`", _line(function.__doc__)


def _parameters(function: Callable[..., object]) -> str:
    """``(seconds, *, every=1.0)``: what a caller writes."""
    given = inspect.signature(function)
    shown = [
        each.replace(annotation=each.empty, default=each.default)
        for each in given.parameters.values()
        if each.name != "self"
    ]
    return str(given.replace(parameters=shown, return_annotation=given.empty))


def _line(text: str | None) -> str:
    return " ".join(prose(text).replace("\n", " ").split())


def _wrapped(text: str) -> str:
    """A signature, one parameter a line when it is long."""
    if len(text) <= 100:
        return text
    head, _, rest = text.partition("(")
    inside, _, tail = rest.rpartition(")")
    depth, parts = 0, [""]
    for letter in inside:
        depth += (letter in "[(") - (letter in "])")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    lines = (re.sub(r"(?<=: )(.*?)=(?=[^=]*$)", r"\1 = ", part.strip()) for part in parts)
    return f"{head}(\n" + "".join(f"    {line},\n" for line in lines) + f"){tail}"


def _explained(name: str) -> str:
    """The string below the assignment of a name in the module that has it."""
    home = testing._HOME_OF.get(name)
    module = shared if home is None else modules[f"{testing.__name__}.{home}"]
    source = inspect.getsource(module)
    for node, below in pairwise(ast.parse(source).body):
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        if getattr(target, "id", "") == name and isinstance(below, ast.Expr):
            return f"```python\n{ast.get_source_segment(source, node)}\n```\n\n{prose(_text(below.value))}"
    return ""
