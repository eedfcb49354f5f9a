"""What was measured: sections of figures and the targets they are held against, as text, Markdown and JSON."""

import statistics
from collections.abc import Iterable, Sequence
from typing import Any, Final

import attrs
from attrs import define, frozen

ONE_RUN: Final = "a single round"
_HOW: Final = (
    "Measured by `{command}` from a checkout; `python -m benchmarks --help` tells how to run it. Absolute figures "
    "belong to the machine below. Ratios are taken between two proxies of the same round and carry over better. Where "
    "nothing else is said all requests are alike, and Spork keeps what it made of heads and targets that come again: "
    "the tables of requests that all differ say what is left without that."
)


@frozen
class Target:
    """A promise and what was measured. ``most``: ``limit`` is an upper bound. ``aim``: what we would like beyond it."""

    name: str
    value: float
    limit: float
    unit: str = ""
    most: bool = False
    spread: str = ""
    aim: float | None = None

    @property
    def met(self) -> bool:
        """True when the promise is kept."""
        return self.value <= self.limit if self.most else self.value >= self.limit

    def cells(self) -> tuple[str, ...]:
        """One row of the table of targets."""
        aim = "" if self.aim is None else f" (aim {figure(self.aim)}{self.unit})"
        bound = f"{'≤' if self.most else '≥'} {figure(self.limit)}{self.unit}{aim}"
        return self.name, bound, f"{figure(self.value)}{self.unit}", self.spread, "met" if self.met else "**not met**"


@define
class Section:
    """One table of figures. ``about``: how they were got. ``notes``: what was left out, and what went wrong."""

    name: str
    title: str
    about: str
    head: tuple[str, ...]
    rows: list[tuple[str, ...]] = attrs.Factory(list)
    targets: list[Target] = attrs.Factory(list)
    notes: list[str] = attrs.Factory(list)
    failed: bool = False


TARGETS: Final = ("target", "wanted", "measured", "spread", "")


def figure(value: float) -> str:
    """Three significant digits or so, thousands grouped."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def spread(values: Sequence[float]) -> str:
    """From the least to the most."""
    return f"{figure(min(values))}–{figure(max(values))}" if len(values) > 1 else ONE_RUN


def median(values: Iterable[float]) -> float:
    return statistics.median(values)


def as_text(section: Section) -> str:
    """For a terminal."""
    blocks = [f"{section.title}\n{'-' * len(section.title)}"]
    if section.rows:
        blocks.append(_columns([section.head, *section.rows]))
    if section.targets:
        blocks.append(_columns([TARGETS, *(_plain(target.cells()) for target in section.targets)]))
    blocks += [f"note: {note}" for note in section.notes]
    return "\n\n".join(blocks)


def _plain(cells: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(cell.replace("**", "").upper() if cell.startswith("**") else cell for cell in cells)


def _columns(lines: list[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def as_markdown(sections: Sequence[Section], machine: Sequence[tuple[str, str]], command: str) -> str:
    """The page docs/reference/benchmarks.md."""
    targets = [target.cells() for section in sections for target in section.targets]
    blocks = [
        "# Benchmarks",
        "<!-- Written by `python -m benchmarks --write`: run that again, do not edit. -->",
        _HOW.format(command=command),
        "## Targets",
        _table(TARGETS, targets),
        "## Machine and versions",
        _table(("what", "which"), machine),
    ]
    for section in sections:
        blocks += [f"## {section.title}", section.about]
        if section.rows:
            blocks.append(_table(section.head, section.rows))
        blocks += [f"> {note}" for note in section.notes]
    return "\n\n".join(blocks) + "\n"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = (head, ("---",) * len(head), *rows)
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def as_json(sections: Sequence[Section], machine: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """Everything, for programs."""
    return {
        "machine": dict(machine),
        "sections": [attrs.asdict(section) for section in sections],
        "targets": [attrs.asdict(target) | {"met": target.met} for section in sections for target in section.targets],
    }
