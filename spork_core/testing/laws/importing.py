"""Laws about importing the plugin's module."""

import json
import linecache
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from spork_core.testing import imported
from spork_core.testing.law import Broken, Law, law
from spork_core.testing.places import place
from spork_core.testing.subject import Subject

_LIMIT: Final = 0.1
"""Seconds that an import may take, on top of spork_core.api."""
_TRIES: Final = 5
_TOLERATED: Final = ("the filters of warnings", "what runs at exit")
"""What libraries do when they are imported, and who imports them cannot help."""
_PATIENCE: Final = 60.0


@law()
def imports_fast_and_quietly(subject: Subject) -> None:
    """Importing the plugin takes less than 100 ms and changes nothing in the process.

    `spork check` and every worker import it, before any config says what it is for. What an import starts, opens,
    prints or sets is there for everybody in the process, and nobody can switch it off or close it.
    """
    found = _imported(subject)
    lines = _imported(subject, trace=True)["lines"] if found["changes"] else {}
    for what in found["changes"]:
        line = lines.get(what, "")
        if not (what in _TOLERATED and _imports(line)):
            raise Broken(
                f"importing {_module(subject)} changes {what}{_at(line)}",
                "do it in startup(self, gateway), and undo it in shutdown",
            )
    took, tries = found["seconds"], 1
    while took > _LIMIT and tries < _TRIES:  # a busy machine is slow now and then; a slow import is so each time
        took, tries = min(took, _imported(subject)["seconds"]), tries + 1
    if took > _LIMIT:
        slowest = _imported(subject, trace=True)["slowest"]
        line, seconds = slowest[0] if slowest else ("", 0.0)
        raise Broken(
            f"importing {_module(subject)} takes {took * 1e3:.0f} ms; {seconds * 1e3:.0f} of them one line{_at(line)}",
            "import what is slow in the method that needs it, such as __init__ or startup",
        )


def _imports(line: str) -> bool:
    file, _, number = line.rpartition(":")
    return bool(file) and linecache.getline(file, int(number)).lstrip().startswith(("import ", "from "))


def _module(subject: Subject) -> str:
    return subject.plugin_class.__module__


def _at(line: str) -> str:
    file, _, number = line.rpartition(":")
    return f" ({place(file, int(number))})" if file else ""


def _imported(subject: Subject, *, trace: bool = False) -> dict[str, Any]:
    """What a fresh process says of the import."""
    point = subject.entry_point
    module = _module(subject) if point is None else point.module
    folder = subject.folder
    order = {"path": sys.path, "module": module, "folder": str(folder), "trace": trace}
    ran = subprocess.run(  # noqa: S603  this interpreter, on a file of the kit
        [sys.executable, "-P", str(Path(imported.__file__))],
        input=json.dumps(order),
        capture_output=True,
        text=True,
        timeout=_PATIENCE,
        env=_environment(),
        check=False,
    )
    if ran.returncode != 0:
        raise Broken(
            f"importing {module} in a fresh process fails:\n{ran.stderr.strip()}",
            "import everything it needs in the module itself; do not count on what a test has imported before",
        )
    answer: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return answer


def _environment() -> dict[str, str]:
    """The variables that this process was started with, not those that the import has set here already."""
    try:
        entries = Path("/proc/self/environ").read_bytes().split(b"\0")
    except OSError:
        return dict(os.environ)
    return dict(entry.split("=", 1) for entry in map(os.fsdecode, entries) if "=" in entry)


LAWS: Final[tuple[Law, ...]] = (imports_fast_and_quietly,)
