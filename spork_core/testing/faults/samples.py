"""Sample requests: one for each route, made of its match, or those that somebody named."""

from collections.abc import Callable, Iterator, Sequence
from random import Random
from string import ascii_letters, digits
from typing import Final
from urllib.parse import quote, urlsplit

import attrs

from spork_core.config.model import RouteConfig
from spork_core.errors import ConfigProblem, Problem
from spork_core.gateway import Gateway
from spork_core.headers import Headers
from spork_core.routing.paths import REFUSED_ESCAPES
from spork_core.routing.regex import compile_regex
from spork_core.routing.rule import PathPattern, parse_path

HOST: Final = "gateway.test"
"""The Host of a request to a route that takes any."""
_WITH_CONTENT: Final = ("POST", "PUT", "PATCH")
_IN_A_PATH: Final = ascii_letters + digits + "-._~!$&'()*+,;=:@/"
_IN_A_VALUE: Final = _IN_A_PATH + '?#[]{}<>|^`"% '
_EXAMPLES: Final = 500
"""Texts that are tried for a regular expression."""

Fields = tuple[tuple[str, str], ...]


class Underivable(Exception):
    """No sample request can be made; the message says why."""


@attrs.frozen
class Sample:
    """A request to try. ``route``: the name of the one that it takes. ``headers``: with its Host."""

    route: str
    method: str
    target: str
    headers: Fields
    body: bytes = b""

    def __str__(self) -> str:
        return f"{self.method} {self.target}"

    @property
    def host(self) -> str:
        """Its Host."""
        return next(value for name, value in self.headers if name.lower() == "host")

    def render(self) -> bytes:
        """The request's bytes."""
        fields = [*self.headers, *((("Content-Length", str(len(self.body))),) if self.body or self._counted else ())]
        lines = [f"{self.method} {self.target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields), "", ""]
        return "\r\n".join(lines).encode("utf-8", "surrogateescape") + self.body

    @property
    def _counted(self) -> bool:
        return self.method in _WITH_CONTENT


def named(gateway: Gateway, method: str, url: str, headers: Fields = ()) -> Sample:
    """The request for a path, or for a whole URL. Raises Underivable when no route takes it."""
    host, target = HOST, url
    if not url.startswith("/"):
        parts = urlsplit(url if "://" in url else f"http://{url}")
        host, target = parts.netloc.rpartition("@")[2], (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not any(name.lower() == "host" for name, _ in headers):
        headers = (("Host", host), *headers)
    sample = Sample("", method, target, headers)
    return attrs.evolve(sample, route=_route_of(gateway, sample))


def derived(gateway: Gateway, name: str, more: Fields = ()) -> Sample:
    """A request that takes the route ``name``, with the fields ``more`` besides. Raises Underivable."""
    route = gateway.config.routes[name]
    match = route.match
    method = "GET" if not match.methods or "GET" in match.methods else match.methods[0]
    host = match.host[0] if match.host and match.host[0] != "*" else HOST
    own = {"Host": host.replace("*", "www", 1)}
    own |= {field: _value(wanted, _IN_A_VALUE) for field, wanted in match.headers.items()}
    body = b"{}" if method in _WITH_CONTENT and (route.body_limit is None or route.body_limit >= 2) else b""
    if body:
        own.setdefault("Content-Type", "application/json")
    given = {field.lower() for field, _ in more}
    headers = (*((field, value) for field, value in own.items() if field.lower() not in given), *more)
    query = "&".join(
        f"{quote(field)}={quote(_value(wanted, _IN_A_VALUE), safe='')}" for field, wanted in match.query.items()
    )
    taken = ""
    for path in _paths(route):
        sample = Sample(name, method, f"{path}?{query}" if query else path, headers, body)
        taken = _taken_by(gateway, sample)
        if taken == name:
            return sample
    raise Underivable(f"requests made of its match take {taken or 'no route'}")


def _paths(route: RouteConfig) -> Iterator[str]:
    problems: list[ConfigProblem] = []
    pattern = parse_path(route.match.path, REFUSED_ESCAPES, "", problems)
    assert pattern is not None, problems
    if pattern.regex is not None:
        yield _value(route.match.path, _IN_A_PATH, lambda text: text.startswith("/") and "//" not in text)
        return
    for filling in ("1", "x"):
        path = "".join(f"/{filling if segment is None else segment}" for segment in pattern.segments)
        yield from (path + rest for rest in _rests(pattern))


def _rests(pattern: PathPattern) -> Sequence[str]:
    """What may follow the segments, the likeliest first."""
    if not pattern.rest:
        return ("",)
    return ("/", "/x", "/x/y") if not pattern.segments else ("/x", "", "/", "/x/y")


def _value(wanted: str, alphabet: str, also: Callable[[str], bool] = bool) -> str:
    """A text that a condition as it is written accepts. Raises Underivable."""
    if not wanted.startswith("~"):
        return "x" if wanted == "*" else wanted
    from hypothesis import find, settings
    from hypothesis import strategies as st
    from hypothesis.errors import InvalidArgument, NoSuchExample

    def good(text: str) -> bool:
        return text == text.strip() and also(text)

    texts = st.from_regex(compile_regex(wanted[1:]), fullmatch=True, alphabet=alphabet)
    try:
        dice = Random(0)  # noqa: S311  the same text in every run
        return find(texts, good, settings=settings(max_examples=_EXAMPLES, database=None), random=dice)
    except (NoSuchExample, InvalidArgument):
        raise Underivable(f'no text was found that "{wanted}" matches') from None


def _route_of(gateway: Gateway, sample: Sample) -> str:
    taken = _taken_by(gateway, sample)
    if taken not in gateway.config.routes:
        raise Underivable(f"{sample} at {sample.host} takes {taken or 'no route'}")
    return taken


def _taken_by(gateway: Gateway, sample: Sample) -> str:
    """The route that a request takes; "" when none does."""
    try:
        found = gateway.snapshot.router.find(sample.method, sample.host, sample.target, Headers(sample.headers))
    except Problem:
        return ""
    return "" if found.value.info is None else found.value.info.name
