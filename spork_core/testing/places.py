"""Where something stands in the source, as terminals and editors link it: ``path/to/file.py:12``."""

import inspect
from pathlib import Path
from types import CodeType
from typing import Any


def place(file: str, line: int) -> str:
    """``file:line``; the path from the working directory on where it lies below that, else whole."""
    path, here = Path(file), Path.cwd()
    return f"{path.relative_to(here) if path.is_relative_to(here) else path}:{line}"


def place_of(thing: Any) -> str:
    """The place of a class, function, method or code object; "" of one that has no source."""
    thing = inspect.unwrap(getattr(thing, "__func__", thing)) if callable(thing) else thing
    code = thing if isinstance(thing, CodeType) else getattr(thing, "__code__", None)
    if isinstance(code, CodeType):
        return place(code.co_filename, code.co_firstlineno + _decorators(code))
    try:
        file = inspect.getsourcefile(thing)
        lines, line = inspect.getsourcelines(thing)
    except (OSError, TypeError):
        return ""
    at = _below(lines, "class ")
    return place(file, line + at) if file else ""


def place_raised(error: BaseException, folder: Path | None = None) -> str:
    """The innermost line of its traceback that lies in ``folder``, or anywhere; "" when there is none."""
    trace, found = error.__traceback__, ""
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if not file.startswith("<") and (folder is None or Path(file).is_relative_to(folder)):
            found = place(file, trace.tb_lineno)
        trace = trace.tb_next
    return found


def _decorators(code: CodeType) -> int:
    """How many lines stand above ``def``: a function's first line is that of its first decorator."""
    try:
        return _below(inspect.getsourcelines(code)[0], "def ", "async def ")
    except OSError:
        return 0


def _below(lines: list[str], *beginnings: str) -> int:
    return next((at for at, line in enumerate(lines) if line.lstrip().startswith(beginnings)), 0)


__all__ = ["place", "place_of", "place_raised"]
