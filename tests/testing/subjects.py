"""Subjects for tests of the kit: a plugin class without a distribution."""

from pathlib import Path
from typing import Any

from spork_core.plugin import Plugin
from spork_core.registry import Registry
from spork_core.testing.subject import Effort, Subject


def offered(cls: type[Plugin[Any]], file: str | None = None, **settings: Any) -> Subject:
    """``cls`` as the subject of laws, with a small effort. ``file``: where its code is, when in no module."""
    subject = Subject("offered", settings, effort=Effort(exchanges=600, examples=5))
    subject.registry = Registry({"offered": cls})
    if file is not None:
        subject.__dict__["folder"] = Path(file)
    return subject
