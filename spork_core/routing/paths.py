"""The one form in which request paths and hosts are compared.

Rule 1: a route is chosen on a normalised copy, and the raw bytes are forwarded. The copy may therefore differ from
the raw path only in ways that every server reads alike: escapes of unreserved characters (RFC 3986 section 6.2.2.2)
and the case of hex digits (6.2.2.1).
Rule 2: dot segments are the exception. The upstream resolves them too, perhaps in another way, so ``/open/../admin``
would be judged as one resource and served as another. A path that held dot segments is forwarded in its normalised
form, never in its raw form.
Rule 3: what servers read differently (an encoded slash, a backslash, NUL, ``/..;/``) is refused, not guessed.
"""

import re
from ipaddress import IPv6Address
from urllib.parse import quote, unquote

from spork_core.errors import BadRequest

REFUSED_ESCAPES = frozenset({"%2F", "%5C", "%00"})
"""Escapes that servers read differently: refused unless the operator allows them."""

LONGEST_HOST = 262
"""253 characters of a name (RFC 1035), a trailing dot, and ``:65535`` with room for two brackets."""

_UNRESERVED = {f"%{ord(c):02X}": c for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"}
_ESCAPE = re.compile(r"%(?:[0-9A-Fa-f]{2})?")
_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")
_CONTROL = re.compile(r"[\x00-\x20\x7f]")
_ENCODED_SEPARATOR = re.compile(r"%2F|%5C")


def is_clean(path: str) -> bool:
    """Whether ``path`` is its own normal form; six ``in`` tests cost 120 ns, one regex 290 ns (CPython 3.11)."""
    return not (
        "%" in path
        or "/." in path
        or "\\" in path
        or "#" in path
        or " " in path
        or not path.isascii()
        or not path.isprintable()
    )


def normalise_path(path: str, refused: frozenset[str] = REFUSED_ESCAPES) -> tuple[str, bool]:
    """The form of a request path that routes are compared with, and whether dot segments were removed.

    Empty segments are kept: ``//`` is not ``/``. Bytes outside ASCII become escapes, so that a raw and an encoded
    ``é`` meet the same route. Raises BadRequest for what is ambiguous or breaks RFC 3986.
    """
    if not path.startswith("/"):
        raise BadRequest("The request target is not an absolute path.")
    if _CONTROL.search(path):
        raise BadRequest("The path holds a control character or a space.")
    if "\\" in path:
        raise BadRequest("The path holds a backslash.")
    if "#" in path:
        raise BadRequest("The path holds a fragment.")
    if not path.isascii():
        path = _NOT_ASCII.sub(_encode, path)
    if "%" in path:
        path = _ESCAPE.sub(lambda found: _canonical_escape(found, refused), path)
    if "/." in path:
        return _remove_dot_segments(path)
    if not refused.issuperset(("%2F", "%5C")):
        _refuse_hidden_dots(path)
    return path, False


def _encode(found: re.Match[str]) -> str:
    try:
        return quote(found[0].encode("utf-8", "surrogateescape"))
    except UnicodeEncodeError:
        raise BadRequest("The path holds a character that is not Unicode.") from None


def _canonical_escape(found: re.Match[str], refused: frozenset[str]) -> str:
    escape = found[0].upper()
    if len(escape) != 3:
        text = found.string[found.start() : found.start() + 3]
        shown = f' ("{text}")' if text[1:].isalnum() else ""
        raise BadRequest(f"The path holds an invalid percent escape{shown}.")
    if escape in refused:
        raise BadRequest(f'The path holds the escape "{escape}", which is not accepted here.')
    return _UNRESERVED.get(escape, escape)


def _remove_dot_segments(path: str) -> tuple[str, bool]:
    """RFC 3986 section 5.2.4, but a path that climbs above the root is refused where the RFC ignores the climb."""
    kept: list[str] = []
    removed = False
    segments = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            if not kept:
                raise BadRequest("The path climbs above the root.")
            kept.pop()
            removed = True
        elif segment == ".":
            removed = True
        else:
            kept.append(segment)
    if segments[-1] in (".", ".."):
        kept.append("")
    result = "/" + "/".join(kept)
    _refuse_hidden_dots(result)
    return result, removed


def _refuse_hidden_dots(path: str) -> None:
    """Refuse segments that some servers take for ``..``: with a parameter (``..;x``), or beside an allowed ``%2F``."""
    for segment in path.split("/"):
        for piece in _ENCODED_SEPARATOR.split(segment):
            if piece.startswith(".") and piece.partition(";")[0] in (".", ".."):
                raise BadRequest("The path holds a disguised dot segment.")


def decode_segment(raw: str) -> str:
    """``raw`` percent-decoded once; bytes that are not UTF-8 become lone surrogates, which encode back to themselves.

    Raises BadRequest when decoding brings a slash that was not there: the value would change its meaning in a path.
    """
    if "%" not in raw:
        return raw
    value = unquote(raw, errors="surrogateescape")
    if value.count("/") != raw.count("/"):
        raise BadRequest('A part of the path that the route captures holds "%2F".')
    return value


def normalise_host(host: str) -> str:
    """A ``Host`` value without port and trailing dot, in lower case; an IPv6 literal in its shortest form, bracketed.

    Returns "" for what is no host: it meets only the routes without one.
    """
    if len(host) > LONGEST_HOST:
        return ""
    host = host.strip().lower()
    if host.startswith("["):
        literal, bracket, port = host[1:].partition("]")
        if not bracket or not _is_port(port):
            return ""
        try:
            return f"[{IPv6Address(literal).compressed}]"
        except ValueError:
            return ""
    name, colon, port = host.partition(":")
    if not _is_port(colon + port):
        return ""
    return "" if name.startswith(".") else name.removesuffix(".")


def _is_port(text: str) -> bool:
    return not text or (text[0] == ":" and text[1:].isascii() and (text[1:].isdigit() or len(text) == 1))
