"""Keeps regular expressions of routes from eating the CPU: refuses dangerous shapes at load, caps the text at run time.

Python's ``re`` backtracks. Two shapes make that slow: a repeated group whose content can match in several ways
(exponential), and many repetitions in a row that can share the same text (polynomial). A scan of the pattern finds
both; it errs on the side of refusing, and possessive repetition (``[^/]++``) is the way to say that it is safe.
"""

import re
from collections.abc import Callable

from spork_core.errors import Problem

LONGEST_TEXT = 2048
"""Characters a route's regular expression is tried on; a longer text is refused, because skipping the route instead
would let a client choose another one by making its path long."""

_MOST_WAYS = LONGEST_TEXT**2  # two open repetitions: tens of milliseconds at worst
_REPEAT = re.compile(r"(?:[*+?]|\{(\d*)(,?)(\d*)\})([?+]?)")
_CLASS = re.compile(r"\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)
_GROUP = re.compile(r"\((?:\?(?:P<\w+>|<?[=!]|[:>]|P=\w+|[aiLmsu]+\)|[aiLmsu-]*:))?")
_SPECIAL = frozenset(".^$*+?{}[]\\|()")


class RegexFault(ValueError):
    """Why a pattern is refused; the text is for the operator."""


def compile_regex(pattern: str) -> re.Pattern[str]:
    """``pattern`` compiled. Raises RegexFault when it is wrong, or when a hostile text could make it slow."""
    try:
        compiled = re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as exc:
        raise RegexFault(f"is not a regular expression: {exc}") from None
    if compiled.flags & re.VERBOSE:
        raise RegexFault('uses the flag "x", which hides its shape')
    _scan(pattern)
    return compiled


def capped(pattern: re.Pattern[str], refusal: Callable[[], Problem]) -> Callable[[str], re.Match[str] | None]:
    """``pattern.fullmatch`` that raises ``refusal()`` for a text longer than LONGEST_TEXT."""
    fullmatch = pattern.fullmatch

    def test(text: str) -> re.Match[str] | None:
        if len(text) > LONGEST_TEXT:
            raise refusal()
        return fullmatch(text)

    return test


def literal_prefix(pattern: str) -> str:
    """The text that everything matched by ``pattern`` begins with; "" when that is not certain."""
    if "|" in pattern:
        return ""
    prefix = ""
    rest = pattern.removeprefix("^")
    while rest:
        step = 2 if rest[0] == "\\" else 1
        char = rest[step - 1 : step]
        if (step == 1 and char in _SPECIAL) or (step == 2 and (not char or char.isalnum())):
            break
        repeat = _REPEAT.match(rest, step)
        if repeat:
            break
        prefix += char
        rest = rest[step:]
    return prefix


def _scan(pattern: str) -> None:
    """Walk the atoms of ``pattern`` once, and multiply the ways in which repetitions can share a text out.

    ``here`` counts within a segment, as no text is shared across a "/" that must be there; ``across`` counts
    what can match "/" itself. Possessive repetitions count too: they do not give back, but read the text again.
    """
    groups = [_Group()]
    here = across = 1.0
    at = 0
    while at < len(pattern):
        char = pattern[at]
        content = None
        if char == "(":
            opening = _GROUP.match(pattern, at)
            assert opening is not None  # "(" alone always matches
            at = opening.end()
            if not opening[0].endswith(")") and "(?P=" not in opening[0]:
                groups.append(_Group())
            continue
        if char == "|":
            groups[-1].variable = True
            at += 1
            continue
        if char == ")" and len(groups) > 1:
            content = groups.pop()
            groups[-1].variable |= content.variable
            groups[-1].slash |= content.slash
            slash = content.slash
            end = at + 1
        else:
            found = _CLASS.match(pattern, at) if char == "[" else None
            end = found.end() if found else at + (2 if char == "\\" else 1)
            slash = _matches_slash(pattern[at:end])
            groups[-1].slash |= slash
        repeat = _REPEAT.match(pattern, end)
        if repeat is None:
            here = 1.0 if pattern[at:end] in ("/", "\\/") else here
            at = end
            continue
        at = repeat.end()
        ways, most = _reach(repeat)
        if repeat[4] != "+":
            if content and content.variable and most > 1:
                raise RegexFault(
                    "repeats a group that itself repeats or has alternatives, which can take exponential time"
                )
            groups[-1].variable |= ways > 1
        here *= ways
        across *= ways if slash else 1
        if max(here, across) > _MOST_WAYS:
            raise RegexFault("has too many repetitions that can share text, which is slow on long paths")


class _Group:
    """What a group holds: something that can match in several ways, something that can match a slash."""

    __slots__ = ("slash", "variable")

    def __init__(self) -> None:
        self.variable = False
        self.slash = False


def _reach(repeat: re.Match[str]) -> tuple[int, int]:
    """How many lengths a repetition can take in a text of LONGEST_TEXT, and how often it can repeat."""
    low, comma, high = repeat.group(1, 2, 3)
    symbol = repeat[0][0]
    if symbol == "?":
        return 2, 1
    if symbol in "*+":
        return LONGEST_TEXT, LONGEST_TEXT
    if not comma:
        return 1, int(low or 1)
    most = min(int(high), LONGEST_TEXT) if high else LONGEST_TEXT
    return max(most - int(low or 0), 0) + 1, most


def _matches_slash(atom: str) -> bool:
    try:
        return re.fullmatch(atom, "/") is not None
    except re.error:
        return True
