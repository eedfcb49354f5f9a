"""The names of a new plugin, and what a name may be."""

import re
from collections.abc import Mapping
from typing import Final

from attrs import frozen

from spork_core import api

LONGEST: Final = 32
"""Characters of a name; what is written has room for that many in its lines."""

_NAME: Final = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
_OWN: Final = "spork-"
_TAKEN: Final = frozenset(("core",))
"""Names whose distribution would be the kernel's."""
_USED: Final = frozenset(("Any", "ClassVar", "Config", "Final", "Literal"))
"""Names of classes that the written code uses, besides those of the plugin author's door."""


class BadName(ValueError):
    """The text cannot be a plugin's name. ``better``: one that can, made of it; "" when nothing can."""

    def __init__(self, message: str, better: str = "") -> None:
        super().__init__(message)
        self.better = better


@frozen
class Names:
    """What a plugin and its parts are called, all made of the one name that configs use."""

    name: str

    @property
    def distribution(self) -> str:
        """``spork-body-guard``; also the folder."""
        return _OWN + self.name

    @property
    def package(self) -> str:
        """``spork_body_guard``."""
        return self.distribution.replace("-", "_")

    @property
    def cls(self) -> str:
        """``BodyGuard``; with ``Plugin`` behind it where that is the name of something else."""
        name = "".join(map(str.capitalize, self.name.split("-")))
        return f"{name}Plugin" if name in _USED or name in api.__all__ else name

    @property
    def field(self) -> str:
        """``X-Body-Guard``."""
        return "-".join(("X", *map(str.capitalize, self.name.split("-"))))

    @property
    def test(self) -> str:
        """``test_body_guard.py``, beside which there is a ``test_contract.py``."""
        stem = self.name.replace("-", "_")
        return "test_contract_plugin.py" if stem == "contract" else f"test_{stem}.py"


def parse(text: str, installed: Mapping[str, str]) -> Names:
    """The names that come of ``text``. ``installed``: plugins there are → their distributions. Raises BadName."""
    if not _NAME.fullmatch(text):
        raise BadName("a name is lower-case words with hyphens between them", _better(text))
    if text.startswith(_OWN):
        raise BadName(f"the distribution is called {_OWN}NAME by itself", _better(text))
    if len(text) > LONGEST:
        raise BadName(f"a name has at most {LONGEST} characters")
    if text in _TAKEN:
        raise BadName(f"{_OWN}{text} is a distribution of Spork itself")
    if text in installed:
        raise BadName(f"that plugin is installed already ({installed[text]}), and two of one name cannot be told apart")
    return Names(text)


def _better(text: str) -> str:
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", text.strip()).lower()
    name = re.sub(r"[^a-z0-9]+", "-", words).strip("-").removeprefix(_OWN).lstrip("-0123456789")
    return name if _NAME.fullmatch(name) and len(name) <= LONGEST and name not in _TAKEN else ""
