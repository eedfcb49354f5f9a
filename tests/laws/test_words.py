"""Words that may not stand in the repository: paths of one machine, package registries, signs of unfinished work."""

import re
from collections.abc import Iterator
from typing import Final

import pytest

from tests.laws.tree import name_of, own_files

TEXT: Final = (".py", ".md", ".toml", ".cfg", ".ini", ".yaml", ".yml", ".txt", ".sh", "")

# Each is written so that it does not find itself.
MACHINE_PATHS: Final = re.compile(r"/(?:work|farm|root|home)[/]\w|/tmp[/]|[A-Z]:\\\\Users")
REGISTRIES: Final = re.compile(r"(?:pypi|pythonhosted|npmjs|docker|ghcr|quay)[.](?:org|io|com)|index[-]url")
UNFINISHED: Final = re.compile(
    r"\b(?:TO[D]O|FIX[M]E|XX[X]|HAC[K])\b|\b(?i:place[h]older|for [n]ow(?!,)|simpl[i]fied)\b"
)


def found(pattern: re.Pattern[str]) -> Iterator[str]:
    for path in own_files(*TEXT):
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            if match := pattern.search(line):
                yield f"{name_of(path)}:{number}: {match[0]}"


@pytest.mark.parametrize(
    "pattern",
    [
        pytest.param(MACHINE_PATHS, id="machine paths"),
        pytest.param(REGISTRIES, id="registries"),
        pytest.param(UNFINISHED, id="unfinished work"),
    ],
)
def test_no_file_holds(pattern: re.Pattern[str]) -> None:
    assert list(found(pattern)) == []


@pytest.mark.parametrize(
    ("pattern", "line"),
    [
        (MACHINE_PATHS, "cache = '" + "/tmp" + "/x'"),
        (REGISTRIES, "see pypi" + ".org"),
        (UNFINISHED, "# TO" + "DO: more"),
        (UNFINISHED, "good enough for" + " now"),
    ],
)
def test_the_law_sees(pattern: re.Pattern[str], line: str) -> None:
    assert pattern.search(line)
