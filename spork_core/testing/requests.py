"""A grammar of HTTP requests that nobody should send: Hypothesis strategies, and a corpus of known attacks.

``requests()`` makes whole requests as bytes. Most of them are HTTP that a parser accepts and a plugin therefore sees:
odd methods, targets that decode to something else, field values of any byte, fields that are there twice. ``SMUGGLING``
are requests about whose end or meaning two parsers may disagree.
"""

from functools import cache
from typing import Final

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

Draw = st.DrawFn

METHODS: Final = (
    b"GET",
    b"HEAD",
    b"POST",
    b"PUT",
    b"PATCH",
    b"DELETE",
    b"OPTIONS",
    b"TRACE",
    b"PURGE",
    b"get",
    b"X-!~",
)

PATHS: Final = (
    b"/",
    b"/users/1",
    b"//",
    b"/users//1",
    b"/users/../admin",
    b"/users/%2e%2e/admin",
    b"/a%0d%0aSet-Cookie:%20a=b",
    b"/%ff%fe",
    b"/%c0%af",
    b"/users/1;jsessionid=1",
    b"/{users}",
    b"/${jndi:ldap://a}",
    b"/" + b"a" * 2000,
    b"/" + b"a/" * 500,
    b"/users/%F0%9F%8D%B4",
)
"""Paths that mean one thing to a filter and another to what stands behind it."""

REFUSED: Final = (b"/users/..%2fadmin", b"/users/..;/admin", b"/a%00b", b"/%", b"/%zz", b"/\\..\\admin", b"*")
"""Targets that the gateway refuses by itself."""

QUERIES: Final = (
    b"",
    b"",
    b"?",
    b"?a=1&a=2",
    b"?a",
    b"?=",
    b"?&&&",
    b"?a=%0d%0aX:%20y",
    b"?a=%ff",
    b"?access_token=s3cret",
    b"?a[b][c]=1",
    b"?a=" + b"x" * 3000,
    b"?a=%00",
    b"??",
    b"?a=1?b=2",
    b"?a;b;c",
)

VALUES: Final = (
    b"",
    b"x",
    b"\xff\xfe",
    b"\xc3\x28",
    "ü".encode(),
    "ü".encode("latin-1"),
    b"a" * 3000,
    b"0",
    b"-1",
    b"99999999999999999999999",
    b"NaN",
    b"a\tb",
    b"a, b,, c",
    b'"',
    b'"a\\"b"',
    b"%0d%0aX: y",
    b"*/*;q=2",
    b",",
    b";",
    b"=",
    b"null",
    b"{}",
    b"[[[[",
    b"../../etc/passwd",
    b"1970-01-01",
    b"Thu, 99 Foo 9999 99:99:99 GMT",
)
"""Field values that a parser lets through."""

NAMES: Final = (
    *(b"Accept", b"Accept-Encoding", b"Accept-Language", b"Access-Control-Request-Method", b"Authorization"),
    *(b"Cache-Control", b"Content-Encoding", b"Content-Type", b"Cookie", b"Date", b"Forwarded", b"If-Match"),
    *(b"If-Modified-Since", b"If-None-Match", b"Origin", b"Range", b"Referer", b"Traceparent", b"User-Agent"),
    *(b"X-Api-Key", b"X-Forwarded-For", b"X-Forwarded-Proto", b"X-Http-Method-Override", b"X-Request-Id", b"X_Y", b"!"),
)
"""Names of fields that plugins look at, and names that are only just tokens."""

BODIES: Final = (
    b"{",
    b'{"a":[',
    b"null",
    b"NaN",
    b"\xff\xfe\x00",
    b"[" * 2000,
    b"a=1&a=2&=%ff",
    b"--x\r\n",
    b"x" * 5000,
)
"""Contents that are no JSON, no text, or more than they seem."""

CREDENTIALS: Final = (
    b"",
    b"Bearer",
    b"Bearer ",
    b"Bearer a.b.c",
    b"Bearer eyJhbGciOiJub25lIn0.e30.",
    b"Bearer \xff",
    b"bearer\tx",
    b"Basic",
    b"Basic Og==",
    b"Basic !!!!",
    b"Basic " + b"A" * 3000,
    b"Basic /////w==",
    b"Digest username=",
    b"Negotiate x",
    b"AWS4-HMAC-SHA256 Credential=",
)

HOSTS: Final = (
    b"api.example",
    b"API.EXAMPLE:443",
    b"[::1]:80",
    b"127.0.0.1",
    b"xn--bcher-kva.example",
    b"a" * 250,
    b"",
)

SMUGGLING: Final[tuple[bytes, ...]] = tuple(
    b"POST /users HTTP/1.1\r\nHost: api.example\r\nConnection: close\r\n" + rest
    for rest in (
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcde",
        b"Content-Length: 5, 5\r\n\r\nabcde",
        b"Content-Length: +5\r\n\r\nabcde",
        b"Content-Length: 0x5\r\n\r\nabcde",
        b"Content-Length: 5\r\n\r\nabcdeGET /admin HTTP/1.1\r\nHost: a\r\n\r\n",
        b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n5;a=\nb\r\nabcde\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n0x5\r\nabcde\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff1\r\nabcde\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 5\r\n\r\n",
        b"X: a\r\n b\r\n\r\n",
        b"X: a\nY: b\r\n\r\n",
        b"X: a\rb\r\n\r\n",
        b"X: a\0b\r\n\r\n",
        b"X\0: a\r\n\r\n",
        b": a\r\n\r\n",
        b"no colon\r\n\r\n",
        b"Host: b.example\r\n\r\n",
        b"Expect: 200-maybe\r\n\r\n",
        b"Connection: host, content-length\r\nContent-Length: 2\r\n\r\nab",
        b"X: " + b"a" * 100_000 + b"\r\n\r\n",
    )
)
"""Requests about whose end or meaning two parsers may disagree. A parser refuses most of them; a hook may still be
called for the refusal."""


ODD_ANSWERS: Final = (
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 304 Not Modified\r\nETag: \xff\r\n\r\n",
    b"HTTP/1.1 599 \xff\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.0 200\r\n\r\n",
    b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\nContent-Type: \xc3\x28\r\nSet-Cookie: \xff\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nVary: *\r\nDate: no\r\n\r\n1\r\na\r\n0\r\nX: \xff\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Encoding: gzip, \xff\r\nCache-Control: max-age=x,,\r\n\r\na",
    b"HTTP/1.1 503 Later\r\nContent-Length: 0\r\nRetry-After: soon\r\n\r\n",
    b"HTTP/9 no\r\n\r\n",
)
"""What a service should not answer either."""


def targets() -> st.SearchStrategy[bytes]:
    """Request targets: known ugly ones, made ones, and the absolute form."""
    made = st.binary(max_size=20).map(lambda data: b"/" + bytes(b for b in data if b in _PLAIN))
    origin = st.builds(bytes.__add__, st.one_of(st.sampled_from(PATHS), made), st.sampled_from(QUERIES))
    absolute = origin.map(lambda target: b"http://api.example" + target)
    return st.one_of(origin, origin, origin, origin, absolute, st.sampled_from(REFUSED))


def values() -> st.SearchStrategy[bytes]:
    """Field values of any bytes that may stand there, which are not always text."""
    made = st.binary(max_size=30).map(lambda data: bytes(b for b in data if b in b"\t" or (b >= 0x20 and b != 0x7F)))
    return st.one_of(st.sampled_from(VALUES), made.map(bytes.strip))


def fields() -> st.SearchStrategy[tuple[bytes, bytes]]:
    """Header fields: a name and a value. ``Authorization`` has a way to go wrong of its own."""
    known = st.tuples(st.sampled_from(NAMES), values())
    return st.one_of(known, known, st.tuples(st.just(b"Authorization"), st.sampled_from(CREDENTIALS)))


def bodies() -> st.SearchStrategy[tuple[bytes, ...]]:
    """Contents, as the pieces they come in."""
    return st.lists(st.one_of(st.binary(min_size=1, max_size=40), st.just(b'{"a":[')), max_size=4).map(tuple)


@st.composite
def requests(draw: Draw, paths: tuple[bytes, ...] = ()) -> bytes:
    """Whole requests, each asking to close the connection after it. ``paths``: targets to use besides."""
    method = draw(st.sampled_from(METHODS))
    target = draw(st.one_of(targets(), st.sampled_from(paths)) if paths else targets())
    version = draw(st.sampled_from((b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0")))
    lines = [b"%b %b %b" % (method, target, version), b"Host: " + draw(st.sampled_from(HOSTS))]
    lines += [b"%b: %b" % each for each in draw(st.lists(fields(), max_size=6, unique_by=_repeats))]
    pieces = draw(bodies())
    lines.append(b"Connection: close")
    if not pieces:
        return b"\r\n".join(lines) + b"\r\n\r\n"
    whole = b"".join(pieces)
    if version == b"HTTP/1.1" and draw(st.booleans()):
        lines.append(b"Transfer-Encoding: chunked")
        chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
        return b"\r\n".join(lines) + b"\r\n\r\n" + chunks + b"0\r\n\r\n"
    lines.append(b"Content-Length: %d" % len(whole))
    return b"\r\n".join(lines) + b"\r\n\r\n" + whole


def hostile() -> st.SearchStrategy[bytes]:
    """``requests()``, now and then one of ``SMUGGLING`` or one with bytes lost, doubled or changed."""
    whole = requests()
    damaged = st.builds(_damaged, whole, st.integers(0, 10_000), st.integers(0, 255))
    return st.one_of(*[whole] * 7, damaged, st.integers(0, len(SMUGGLING) - 1).map(SMUGGLING.__getitem__))


def _repeats(field: tuple[bytes, bytes]) -> object:
    """What may be there once only: the parser refuses it twice."""
    return object() if field[0] in _LISTS else field[0]


_PLAIN: Final = frozenset(b"ABCXYZabcxyz0129-._~!$&'()*+,;=:@/")
_LISTS: Final = frozenset((b"Accept", b"Cookie", b"Forwarded", b"X-Forwarded-For", b"X-Request-Id", b"X_Y", b"!"))


def _damaged(request: bytes, at: int, byte: int) -> bytes:
    at %= len(request)
    return request[:at] + bytes([byte]) + request[at + byte % 3 :]


def ugly(target: bytes = b"/users") -> list[bytes]:
    """Requests that a parser accepts, with everything odd that this file knows in one of them: each path, each query,
    each value in all fields at once, each credential, each method, each content.

    ``target``: where those go whose path is not odd.
    """
    found = [_get(path) for path in PATHS] + [_get(target + query) for query in QUERIES]
    for value in VALUES:
        every = [b"%b: %b" % (name, value) for name in NAMES]
        found += [_get(target, *every), _get(target, every[NAMES.index(b"X-Request-Id")])]
    found += [_get(target, b"Authorization: " + credential) for credential in CREDENTIALS]
    found += [_get(target, host=host) for host in HOSTS]
    for method in METHODS:
        found += [_get(target, method=method), _get(target, b"Content-Length: 2", method=method) + b"{}"]
    for body in BODIES:
        for kind in (b"application/json", b"text/plain; charset=latin-1", b"multipart/form-data; boundary=x"):
            length = b"Content-Length: %d" % len(body)
            found.append(_get(target, b"Content-Type: " + kind, length, method=b"POST") + body)
    return found


def _get(target: bytes, *lines: bytes, host: bytes = b"api.example", method: bytes = b"GET") -> bytes:
    head = (b"%b %b HTTP/1.1" % (method, target), b"Host: " + host, *lines, b"Connection: close")
    return b"\r\n".join(head) + b"\r\n\r\n"


@cache
def some(examples: int) -> tuple[bytes, ...]:
    """``ugly()``, so many of ``hostile()``, the same ones each time, and ``SMUGGLING``."""
    found: list[bytes] = ugly()

    @settings(
        max_examples=examples,
        database=None,
        derandomize=True,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(hostile())
    def draw(request: bytes) -> None:
        found.append(request)

    draw()
    return (*found, *SMUGGLING)


__all__ = ["ODD_ANSWERS", "SMUGGLING", "bodies", "fields", "hostile", "requests", "some", "targets", "ugly", "values"]
