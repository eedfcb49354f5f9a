"""What the pages of the docs show, happens: their files are written, their commands typed."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.docs.blocks import agrees, blocks
from tests.docs.reader import Reader, environment, reader
from tests.laws.environments import checkout, run
from tests.laws.tree import ROOT
from tests.services import valkey

DOCS: Final = ROOT / "docs"
PAGES: Final = (
    "tutorial/first-gateway.md",
    "tutorial/write-a-plugin.md",
    "how-to/test-a-plugin.md",
    "how-to/watch-plugins.md",
    "how-to/trace.md",
)


@pytest.fixture
def one(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Reader]:
    """Somebody with an empty folder, and an environment of their own."""
    home = tmp_path / "home"
    home.mkdir()
    ports: dict[str, str] = getattr(request, "param", {})
    with reader(home, environment(tmp_path / "venv") / "bin", ports) as one:
        yield one


@pytest.mark.skipif(shutil.which("curl") is None, reason="the pages ask with curl")
@pytest.mark.parametrize("page", PAGES)
def test_a_page_can_be_followed(page: str, one: Reader) -> None:
    one.follows(DOCS / page)


def test_the_page_about_faults_can_be_followed_beside_a_redis(tmp_path: Path) -> None:
    with (
        valkey() as server,
        reader(tmp_path, environment(tmp_path / "venv") / "bin", {"6379": str(server.port)}) as one,
    ):
        one.follows(DOCS / "how-to" / "faults.md")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_environment_of_the_pages_is_made_as_they_say(tmp_path: Path) -> None:
    (prepared,) = (block for block in blocks(DOCS / PAGES[1]) if block.mark == "prepared")
    commands = "\n".join(command for command, _ in prepared.commands())

    said = run("sh", "-ec", f"{commands}\nspork plugins && pytest --version", folder=checkout(tmp_path))

    assert re.search(r"^request-id +spork-request-id", said, re.MULTILINE)


@pytest.mark.parametrize(
    ("said", "wanted", "right"),
    [
        ("a\nb\n", "a\nb", True),
        ("a  \nb", "a\nb\n", True),
        ("a\nb", "a\nc", False),
        ("took 12 ms", "took ... ms", True),
        ("a\nb\nc", "a\n...\nc", True),
        ("a\nc", "a\n...\nc", True),
        ("ab\nc", "a\n...\nc", False),
        ("a\nb", "a", False),
    ],
)
def test_what_is_shown_is_compared_line_by_line(said: str, wanted: str, right: bool) -> None:
    assert agrees(said, wanted) is right
