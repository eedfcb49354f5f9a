"""The code blocks of a page, and what a comment above one says is to be done with it.

How a block is marked
    An HTML comment in the line above the fence, which no reader sees:

    ``<!-- write PATH -->``        the block is the file PATH
    ``<!-- add PATH after TEXT -->``  the block goes into the file PATH, behind the line that begins with TEXT
    ``<!-- shows PATH -->``        the block stands so in the file PATH
    ``<!-- stays -->``             the command goes on until the end of the page, once it has shown what stands there
    ``<!-- fails -->``             the last command of the block ends with a failure
    ``<!-- prepared -->``          what it does is done before: the environment in which the page is run

    Without one, ``console`` is run and must show what stands there, ``python`` goes into one module of the page's, and
    ``yaml`` is looked at by ``tests/laws/test_configs.py`` when it is a whole config.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from attrs import frozen

_BLOCK: Final = re.compile(
    r"(?:^<!-- (?P<mark>write|add|shows|stays|fails|prepared)(?: (?P<of>[^\n]*?))? -->\n)?"
    r"^```(?P<language>[^\n]*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_GAP: Final = "..."


@frozen
class Block:
    """A code block. ``mark``: the word of its comment; "" without one. ``of``: what stands behind that. ``line``: of
    its fence."""

    language: str
    text: str
    mark: str
    of: str
    line: int

    def commands(self) -> Iterator[tuple[str, str]]:
        """Of a console block: each command, and what it must show."""
        for part in re.split(r"^\$ ", self.text, flags=re.MULTILINE)[1:]:
            command, _, shown = part.partition("\n")
            while command.endswith("\\"):
                more, _, shown = shown.partition("\n")
                command = f"{command}\n{more.removeprefix('> ')}"
            yield command, shown


def blocks(page: Path) -> Iterator[Block]:
    """The blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    for found in _BLOCK.finditer(text):
        line = text.count("\n", 0, found.start("language")) + 1
        yield Block(found["language"], found["text"], found["mark"] or "", found["of"] or "", line)


def agrees(shown: str, wanted: str) -> bool:
    """True when ``shown`` is what stands in a block. There, ``...`` stands for anything, and alone on its line for any
    lines or none."""
    pattern = "".join(
        r"(?:.*\n)?" if line == _GAP else ".*".join(map(re.escape, line.split(_GAP))) + r"\n" for line in _lines(wanted)
    )
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in _lines(shown)), re.DOTALL) is not None


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.strip().splitlines()]
