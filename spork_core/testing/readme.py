"""The README of a distribution, in Markdown: where it is, and the parts of it that can be checked."""

import json
import re
from collections.abc import Iterator
from importlib.metadata import Distribution
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from attrs import frozen

_FENCE: Final = re.compile(
    r"^(?P<fence>`{3,}|~{3,})[ \t]*(?P<language>[\w-]*)[^\n]*\n(?P<text>.*?)^(?P=fence)[ \t]*$",
    re.MULTILINE | re.DOTALL,
)
_HEADING: Final = re.compile(r"^#{1,6}[ \t]+(.+?)[ \t#]*$", re.MULTILINE)
_CODE: Final = re.compile(r"`+([^`\n]+)`+")
_CELL: Final = re.compile(r"(?<!\\)\|")


@frozen
class Row:
    """A row of a table of settings: the setting's name, and its default as written, None when the cell has no code."""

    name: str
    default: str | None


@frozen
class Readme:
    """The text, and where it stands: a file, or a distribution's metadata."""

    text: str
    where: str

    @property
    def prose(self) -> str:
        """The text without its blocks of code."""
        return _FENCE.sub("", self.text)

    def headings(self) -> list[str]:
        """All of them, in order."""
        return [re.sub(r"[`*_]", "", heading) for heading in _HEADING.findall(self.prose)]

    def codes(self) -> set[str]:
        """What stands in backticks, as written and by its words; ``only.methods`` names ``only`` too."""
        found = _CODE.findall(self.prose)
        words = [word for code in found for word in re.findall(r"[\w.-]+", code)]
        return {*found, *words, *(part for word in words for part in word.split("."))}

    def blocks(self, *languages: str) -> Iterator[tuple[int, str]]:
        """Blocks of code in one of the languages, with the number of their first line."""
        for block in _FENCE.finditer(self.text):
            if block["language"].lower() in languages:
                yield self.text.count("\n", 0, block.start("text")) + 1, block["text"]

    def rows(self) -> Iterator[Row]:
        """The rows of every table with a column for defaults, whose first column names settings."""
        columns: list[str] | None = None
        for line in self.prose.splitlines():
            cells = (
                [cell.strip() for cell in _CELL.split(line.strip().strip("|"))]
                if line.lstrip().startswith("|")
                else None
            )
            if cells is None:
                columns = None
            elif columns is None:
                columns = [cell.lower() for cell in cells]
            elif (at := _default_column(columns)) is not None and len(cells) == len(columns):
                defaults = _CODE.findall(cells[at])
                for name in _CODE.findall(cells[0]):
                    yield Row(name, defaults[0] if len(defaults) == 1 else None)


def _default_column(columns: list[str]) -> int | None:
    return next((at for at, name in enumerate(columns) if "default" in name), None)


def readme_of(distribution: Distribution) -> Readme | None:
    """The README: the file itself where the source is installed in place, since its metadata tell an older one; None
    when there is none."""
    folder = _source(distribution)
    if folder is not None:
        for name in ("README.md", "README.rst", "README.txt", "README"):
            path = folder / name
            if path.is_file():
                return Readme(path.read_text(encoding="utf-8"), str(path))
    metadata: Any = distribution.metadata  # an email.message.Message, which its protocol does not say
    text = str(metadata.get_payload()) or str(metadata.get("Description") or "")
    return Readme(text, f"the description of {distribution.name}") if text.strip() else None


def _source(distribution: Distribution) -> Path | None:
    """The folder of an editable install (PEP 610); None for any other."""
    text = distribution.read_text("direct_url.json")
    told = {} if text is None else json.loads(text)
    url = urlsplit(told.get("url", ""))
    if not told.get("dir_info", {}).get("editable") or url.scheme != "file":
        return None
    return Path(unquote(url.path))
