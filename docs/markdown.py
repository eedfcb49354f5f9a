"""Markdown of what code says: pages, tables, docstrings, signatures."""

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Iterable


def page(title: str, source: str, *blocks: str) -> str:
    note = f"<!-- Written by docs/generate.py from {source}: change that, then run `tox -e fix`. -->"
    return "\n\n".join([f"# {title}", note, *(block.strip() for block in blocks if block)]) + "\n"


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def prose(text: str | None) -> str:
    """A docstring as Markdown: its paragraphs unwrapped, ``literals`` with one backtick, examples in fences."""
    paragraphs = inspect.cleandoc(text or "").replace("``", "`").split("\n\n")
    found: list[str] = []
    for paragraph in paragraphs:
        if not paragraph.startswith("    "):
            found.append(" ".join(paragraph.split()).removesuffix(" ::"))
        elif found and found[-1].endswith("```"):
            found[-1] = f"{found[-1].removesuffix('```')}\n{textwrap.dedent(paragraph)}\n```"
        else:
            found.append(f"```python\n{textwrap.dedent(paragraph)}\n```")
    return "\n\n".join(found)


def plain(text: str) -> str:
    """Text in which no character means anything to Markdown."""
    return re.sub(r"([\\*_<>\[\]`])", r"\\\1", text)


def slug(title: str) -> str:
    """The anchor that GitHub and MyST give a heading."""
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def signature(hook: Callable[..., object]) -> str:
    """The ``def`` line as it stands in the source, without quotes around annotations."""
    node = ast.parse(textwrap.dedent(inspect.getsource(hook))).body[0]
    assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    word = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return f"{word} {node.name}({ast.unparse(node.args)}){returns}".replace("'", "")
