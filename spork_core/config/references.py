"""``${env:NAME}``, ``${env:NAME:-default}`` and ``${file:/path}`` inside the text of a config."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from spork_core.config.faults import Resolved
from spork_core.units import ParseError

LARGEST_FILE: Final = 2**20
"""The most bytes that ``${file:…}`` reads."""

_REFERENCE: Final = re.compile(r"\$\$\{|\$\{([^{}]*)(\})?")
_WAYS: Final = 'write "${env:NAME}", "${env:NAME:-default}" or "${file:/path}", or "$${" for "${" itself'


def resolve(text: str, environ: Mapping[str, str], base: Path) -> str | Resolved:
    """The text with its references replaced. A relative file starts at ``base``. Raises ParseError."""
    found = False

    def replace(match: re.Match[str]) -> str:
        nonlocal found
        if match[0] == "$${":
            return "${"
        if match[2] is None:
            raise ParseError(f"{match[0]} is not closed", _WAYS)
        found = True
        return _look_up(match[1], environ, base)

    result = _REFERENCE.sub(replace, text)
    return Resolved(result, text) if found else result


def escape(text: str) -> str:
    """The text as a config must say it to mean itself."""
    return text.replace("${", "$${")


def _look_up(inner: str, environ: Mapping[str, str], base: Path) -> str:
    kind, _, rest = inner.partition(":")
    if kind == "env" and rest:
        name, has_default, default = rest.partition(":-")
        if not name or "=" in name or "\0" in name:
            raise ParseError(f"${{{inner}}} names no variable", _WAYS)
        value = environ.get(name)
        if value or (value is not None and not has_default):
            return value
        if has_default:
            return default
        raise ParseError(f"the environment has no variable {name}", f'set it, or write "${{env:{name}:-default}}"')
    if kind == "file" and rest:
        return _read(base / rest, inner)
    raise ParseError(f"${{{inner}}} is not a reference", _WAYS)


def _read(path: Path, inner: str) -> str:
    try:
        if path.exists() and not path.is_file():  # a FIFO or a device would block the load
            raise ParseError(f"${{{inner}}} is not a regular file")
        with path.open("rb") as stream:
            data = stream.read(LARGEST_FILE + 1)
        text = data.decode()
    except ParseError:
        raise
    except UnicodeDecodeError:
        raise ParseError(f"${{{inner}}} is not UTF-8 text") from None
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
        raise ParseError(f"${{{inner}}} cannot be read: {reason}") from None
    if len(data) > LARGEST_FILE:
        raise ParseError(f"${{{inner}}} is larger than 1 MiB")
    return text.removesuffix("\n").removesuffix("\r")
