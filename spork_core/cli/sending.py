"""Sends the request of ``spork explain --live`` to a running gateway and takes its explanation."""

import http.client
import json
from io import BufferedReader
from typing import Final

import attrs

from spork_core.cli.admin import Admin
from spork_core.cli.console import Failure
from spork_core.cli.explanation import printable
from spork_core.explain.forecast import Inquiry
from spork_core.explain.model import Explanation, from_dict
from spork_core.explain.tokens import HEADER

_LARGEST: Final = 64 * 1024 * 1024
_LONGEST_LINE: Final = 65536
_SHOWN: Final = 500
"""Characters of a problem's detail that are shown."""


@attrs.frozen
class _Answer:
    """``body``: read as far as it is needed: of an explanation, or of a problem."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes = b""


def send(listener: Admin, inquiry: Inquiry, token: str, data: bytes | None, seconds: float) -> Explanation:
    """The explanation of a real request. ``data``: its content; None: it has none. ``seconds``: for each step of it.
    Raises Failure when there is none to be had."""
    extra = [(HEADER, token), ("Connection", "close")]
    if data is not None:
        extra.append(("Content-Length", str(len(data))))
    request = attrs.evolve(inquiry, headers=(*inquiry.headers, *extra)).head() + (data or b"")
    connection = listener.connection(seconds)
    try:
        connection.connect()
        sock = connection.sock
        sock.sendall(request)
        with sock.makefile("rb") as stream:
            answer = _read(stream)
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise Failure(
            f"no gateway answers at {listener}: {reason}", "start one (spork run), or name its listener with --to"
        ) from error
    finally:
        connection.close()
    return _explanation(listener, answer)


def _read(stream: BufferedReader) -> _Answer:
    """The head of the final answer, and its content where that matters; the content of an answer that is none of ours
    may never end."""
    while True:
        version, _, rest = stream.readline(_LONGEST_LINE).partition(b" ")
        if not version.startswith(b"HTTP/1."):
            raise ValueError("what answers does not speak HTTP/1.1")
        status = int(rest[:3])
        headers = http.client.parse_headers(stream)
        if not 100 <= status < 200:
            break
    if HEADER not in headers and "json" not in headers.get("Content-Type", ""):
        return _Answer(status, headers)
    length = min(int(headers.get("Content-Length", "0")), _LARGEST)
    return _Answer(status, headers, stream.read(length))


def _explanation(listener: Admin, answer: _Answer) -> Explanation:
    try:
        found = json.loads(answer.body) if answer.body else None
    except ValueError:
        found = None
    facts = found if isinstance(found, dict) else {}
    if answer.status == 200 and HEADER in answer.headers:
        try:
            return from_dict(facts)
        except ValueError as error:
            raise Failure(
                f"the explanation of the gateway at {listener} cannot be read: {error}",
                "ask it with the spork that it runs with",
            ) from error
    detail = printable(str(facts.get("detail", "")))[:_SHOWN]
    if facts.get("code") == "explain-refused":
        raise Failure(f"the gateway at {listener} refuses to explain: {detail}", "name the config it runs with")
    raise Failure(
        f"the gateway at {listener} answered {answer.status} without an explanation"
        + (f": {detail}" if detail else ""),
        "if that is its answer to any request, its config has no explain: add it there, and reload",
    )
