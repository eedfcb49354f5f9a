"""What a mutant is, and how it is installed.

How to add one
    Put a ``Mutant`` into the tuple ``MUTANTS`` of a module here, and the module into
    ``tests/testing/mutants/__init__.py``. It is the text of ``good.py`` with one thing wrong, written as source: what
    stands in ``methods`` goes to the end of the plugin class, where a method replaces the good one of that name;
    ``settings`` goes to the end of the config class, ``module`` before both; ``replace`` and ``readme`` change single
    passages, of ``good.py`` and of ``good.md``. The line that the law should point at ends with ``# here``. ``breaks``
    is the name of the one law that must find it out.

    A plugin that looks wrong and is right has ``breaks=None``: every law must let it pass.
"""

import importlib
import sys
from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent, indent
from typing import Any, Final

from attrs import field, frozen

_HERE: Final = Path(__file__).parent
_MARK: Final = "# here"
MODULE: Final = "spork_good"
"""The package that a mutant is."""


@frozen
class Mutant:
    """A plugin with one thing wrong. ``name``: the id of its test. ``breaks``: the law that finds it; None: it is good.

    ``config``, ``others`` and ``headers``: as of ``contract_suite``. ``entry_points``: what replaces the
    usual text of that file.
    """

    name: str
    breaks: str | None
    methods: str = ""
    settings: str = ""
    module: str = ""
    replace: Mapping[str, str] = field(factory=dict)
    readme: Mapping[str, str] = field(factory=dict)
    config: Mapping[str, Any] = field(factory=dict)
    others: Mapping[str, Mapping[str, Any]] = field(factory=dict)
    headers: Mapping[str, str] = field(factory=dict)
    use: str = "good"
    entry_points: str = f"[spork.plugins]\ngood = {MODULE}:Good\n"
    metadata: Mapping[str, str] = field(factory=dict)
    typed: bool = True

    def __str__(self) -> str:
        return self.name

    @property
    def source(self) -> str:
        """The text of its module."""
        text = _changed((_HERE / "good.py").read_text(encoding="utf-8"), self.replace)
        before, first, rest = text.partition("@frozen\nclass GoodOnly")
        config, second, plugin = rest.partition("\n\nclass Good(")
        settings, methods = (indent(dedent(part).strip("\n"), "    ") for part in (self.settings, self.methods))
        module = f"{dedent(self.module).strip()}\n\n\n" if self.module else ""
        return f"{before}{module}{first}{config.rstrip()}\n{settings}\n\n{second}{plugin.rstrip()}\n\n{methods}\n"

    @property
    def place(self) -> str | None:
        """Where the law should point, as ``spork_good/__init__.py:12``; None when no line is marked."""
        lines = [number for number, line in enumerate(self.source.splitlines(), 1) if line.endswith(_MARK)]
        return f"{MODULE}/__init__.py:{lines[0]}" if lines else None

    def install(self, site: Path) -> None:
        """Puts its distribution into ``site``, as pip would; the caller puts that on ``sys.path``."""
        package, info = site / MODULE, site / f"{MODULE}-1.0.dist-info"
        package.mkdir(parents=True)
        info.mkdir()
        (package / "__init__.py").write_text(self.source, encoding="utf-8")
        if self.typed:
            (package / "py.typed").touch()
        readme = _changed((_HERE / "good.md").read_text(encoding="utf-8"), self.readme)
        metadata = _changed(_METADATA, self.metadata)
        (info / "METADATA").write_text(f"{metadata}\n{readme}", encoding="utf-8")
        (info / "entry_points.txt").write_text(self.entry_points, encoding="utf-8")
        (info / "RECORD").write_text(f"{MODULE}/__init__.py,,\n{MODULE}/py.typed,,\n", encoding="utf-8")
        importlib.invalidate_caches()
        forget()


_METADATA: Final = """\
Metadata-Version: 2.4
Name: spork-good
Version: 1.0
Summary: Spork plugin: refuses wrong greetings
Requires-Dist: spork-core>=0.1,<0.2
Description-Content-Type: text/markdown
"""


def rows(*names: str) -> Mapping[str, str]:
    """What ``readme`` needs when the config has further settings."""
    more = "".join(f"| `{name}` | text | none | more |\n" for name in names)
    return {"| `key` |": f"{more}| `key` |"}


def forget() -> None:
    """The next import of the package reads its file."""
    for module in [name for name in sys.modules if name.partition(".")[0] == MODULE]:
        del sys.modules[module]


def _changed(text: str, changes: Mapping[str, str]) -> str:
    for old, new in changes.items():
        assert text.count(old) == 1, f"{old!r} is there {text.count(old)} times"
        text = text.replace(old, new)
    return text
