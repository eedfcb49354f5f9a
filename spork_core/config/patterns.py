"""What hosts, paths, headers and URLs in a config may look like. Each check raises ParseError with the remedy."""

import re
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from spork_core.config.faults import quote
from spork_core.units import ParseError

TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A token of RFC 9110 section 5.6.2: field names and methods."""

INSTANCE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
"""Names of services, plugin instances and routes: they become metric labels, log fields and file names."""

MANAGED: Final = frozenset(
    "connection content-length expect host keep-alive proxy-connection te trailer transfer-encoding upgrade".split()
)
"""Fields that the gateway itself sets, by RFC 9110 sections 7.2 and 7.6.1 and RFC 9112 section 6."""

_METHODS: Final = frozenset("GET HEAD POST PUT DELETE CONNECT OPTIONS TRACE PATCH".split())
_LABEL: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BRACES: Final = re.compile(r"\{([^{}]*)\}")
_PATH_TEXT: Final = re.compile(r"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/{}]|%[0-9A-Fa-f]{2})*")


def check_name(name: object) -> None:
    """A name an operator gives to a service, an instance or a route."""
    if not isinstance(name, str):
        raise ParseError("a name must be text", f'write "{str(name).lower()}" in quotes')
    if not INSTANCE_NAME.fullmatch(name):
        raise ParseError("not a name", "use letters, digits, dots, hyphens and underscores, at most 128")


def check_host(pattern: str) -> None:
    """``api.example.com``, ``*.example.com``, an IP address, or ``*`` for any host."""
    if not pattern.isascii():
        try:
            remedy = f'write "{pattern.encode("idna").decode()}"'
        except UnicodeError:
            remedy = "write its ASCII form (xn--…)"
        raise ParseError(f"{quote(pattern)} is not ASCII", remedy)
    if pattern == "*":
        return
    host = pattern[1:-1] if pattern.startswith("[") and pattern.endswith("]") else pattern
    try:
        ip_address(host)
    except ValueError:
        pass
    else:
        if ":" in host and host == pattern:
            raise ParseError(f"{quote(pattern)} is not how Host says it", f'write "[{host}]"')
        return
    if re.fullmatch(r".*:[0-9]*", pattern):
        raise ParseError(f"{quote(pattern)} has a port", f'write "{pattern.rpartition(":")[0]}"; ports do not count')
    labels = pattern.removeprefix("*.").split(".")
    if "*" in pattern.removeprefix("*."):
        raise ParseError(f"{quote(pattern)}: * stands only for the whole first label", 'write "*.example.com"')
    if len(pattern) > 253 or not all(_LABEL.fullmatch(label.lower()) for label in labels):
        raise ParseError(f"{quote(pattern)} is not a host name")


def check_path(pattern: str) -> frozenset[str]:
    """A path pattern; returns the names it captures, ``rest`` among them when it ends in ``/*``."""
    if pattern.startswith("~"):
        return frozenset(check_regex(pattern).groupindex)
    if not pattern.startswith("/"):
        raise ParseError(f"{quote(pattern)} does not begin with /", f'write "/{pattern}", or "~regex"')
    _check_path_text(pattern)
    segments = pattern.split("/")[1:]
    names = ["rest"] if segments[-1] == "*" else []
    for index, segment in enumerate(segments):
        if "*" in segment and (segment != "*" or index < len(segments) - 1):
            raise ParseError(f"{quote(pattern)}: * stands only for the end", 'write "/prefix/*", or "~regex"')
        if "{" in segment or "}" in segment:
            found = _BRACES.fullmatch(segment)
            if found is None:
                raise ParseError(f"{quote(pattern)}: a capture is a whole segment", 'write "/users/{id}", or "~regex"')
            names.append(_capture(found[1], pattern))
    for name in names:
        if names.count(name) > 1:
            raise ParseError(f"{quote(pattern)} captures {{{name}}} twice", "give each capture its own name")
    return frozenset(names)


def check_target(template: str, captures: frozenset[str]) -> None:
    """The target of rewrite.path, which may use ``captures``."""
    if not template.startswith("/"):
        raise ParseError(f"{quote(template)} does not begin with /", f'write "/{template}"')
    _check_path_text(template)
    for name in _BRACES.findall(template):
        if _capture(name, template) not in captures:
            known = ", ".join(f"{{{known}}}" for known in sorted(captures))
            raise ParseError(
                f"{{{name}}} is not captured by match.path",
                f"it captures {known}" if known else "it captures nothing",
            )
    if {"{", "}"} & set(_BRACES.sub("", template)):
        raise ParseError(f"{quote(template)} has a brace without its partner")


def check_prefix(prefix: str) -> None:
    """A literal prefix of whole segments: ``/api`` or ``/api/v1``."""
    if not prefix.startswith("/"):
        raise ParseError(f"{quote(prefix)} does not begin with /", f'write "/{prefix}"')
    _check_path_text(prefix)
    if set("*{}") & set(prefix):
        raise ParseError(f"{quote(prefix)} is not literal", "use rewrite.path with captures")
    if prefix.endswith("/"):
        shorter = prefix.rstrip("/")
        remedy = f'write "{shorter}"' if shorter else "leave it out"
        raise ParseError(f"{quote(prefix)} ends in /", remedy)


def prefixes(prefix: str, pattern: str) -> bool:
    """True when every path that the pattern matches begins with the prefix's segments."""
    if pattern.startswith("~"):
        return True  # not known before a request comes
    literal = []
    for segment in pattern.split("/"):
        if segment == "*" or "{" in segment:
            break
        literal.append(segment)
    wanted = prefix.split("/")
    return literal[: len(wanted)] == wanted


def check_regex(pattern: str) -> "re.Pattern[str]":
    """``~regex``; returns it compiled."""
    try:
        return re.compile(pattern.removeprefix("~"))
    except (re.error, OverflowError, RecursionError) as exc:
        raise ParseError(f"{quote(pattern)} is not a regular expression: {exc}") from None


def check_method(method: str) -> None:
    """A method, which is case-sensitive (RFC 9110 section 9.1)."""
    if not TOKEN.fullmatch(method):
        raise ParseError(f"{quote(method)} is not a method")
    if method not in _METHODS and method.upper() in _METHODS:
        raise ParseError(
            f"{quote(method)} is not {method.upper()}: methods are case-sensitive", f'write "{method.upper()}"'
        )
    if method == "CONNECT":
        raise ParseError("CONNECT is always refused", "take it out")


def check_field_name(name: str) -> None:
    """The name of a header field."""
    if not TOKEN.fullmatch(name):
        raise ParseError(f"{quote(name)} is not a header name")


def check_changed_field(name: str) -> None:
    """The name of a header field that a route sets or removes."""
    check_field_name(name)
    if name.lower() in MANAGED:
        remedy = "use rewrite.host" if name.lower() == "host" else "take it out"
        raise ParseError(f"{name} is managed by the gateway", remedy)


def check_field_value(value: str) -> None:
    """The value of a header field (RFC 9110 section 5.5)."""
    if found := re.search(r"[\x00-\x08\x0a-\x1f\x7f]", value):
        raise ParseError(f"a header value holds no {found[0]!r}")


def check_matched_value(value: str) -> None:
    """An exact value, ``~regex`` or ``*``."""
    if value.startswith("~"):
        check_regex(value)


def check_authority(text: str) -> None:
    """The Host to send: a name or address with an optional port."""
    host, port = text, ""
    if re.fullmatch(r".+:[0-9]{1,5}", text) and not (text.count(":") > 1 and "]" not in text):
        host, _, port = text.rpartition(":")
    if port and not 1 <= int(port) <= 65535:
        raise ParseError(f"{quote(text)} has no port from 1 to 65535")
    if "*" in host:
        raise ParseError(f"{quote(text)} is not a host name")
    check_host(host)


def check_endpoint(url: str) -> None:
    """The origin of an endpoint. Messages never hold its userinfo."""
    if url.startswith("unix:"):
        path = url.removeprefix("unix:")
        if not path.startswith("/") or path.startswith("//") or "\0" in path:
            raise ParseError("not an absolute socket path", 'write "unix:/run/app.sock"')
        return
    try:
        parts = urlsplit(url)
    except ValueError as exc:
        raise ParseError(f"not a URL: {str(exc).lower()}") from None
    if parts.scheme not in {"http", "https"} or not url.partition(":")[2].startswith("//"):
        scheme = parts.scheme if "//" in url else ""
        message = f'the scheme "{scheme}" is not http, https or unix' if scheme else "not a URL"
        raise ParseError(message, "" if scheme else 'write it like "http://127.0.0.1:9000"')
    if "@" in parts.netloc:
        raise ParseError("an endpoint has no user and password", "let a plugin set the Authorization header")
    origin = f"{parts.scheme}://{parts.netloc}"
    if not parts.hostname or re.search(r"[\x00-\x20\x7f]", url):
        raise ParseError("the URL has no valid host")
    if parts.path or "?" in url or "#" in url:
        remedy = f'write "{origin}"' + (" and use rewrite.add_prefix" if parts.path not in {"", "/"} else "")
        raise ParseError(f"{quote(url)} is more than an origin", remedy)
    port = re.fullmatch(r"(?:\[[^\]]*\]|[^:]*)(?::([0-9]{1,5}))?", parts.netloc)
    if port is None or not 1 <= int(port[1] or 80) <= 65535:
        raise ParseError(f"{quote(url)} has no port from 1 to 65535")
    check_host(f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname)
    if "*" in parts.hostname:
        raise ParseError(f"{quote(url)} is not one host")


def _check_path_text(text: str) -> None:
    found = _PATH_TEXT.match(text)
    end = found.end() if found else 0
    if end < len(text):
        char = text[end]
        remedy = {"?": "use match.query", "%": 'write "%25" for %'}.get(char, "")
        if not remedy and char not in "#%":
            encoded = "".join(f"%{byte:02X}" for byte in char.encode(errors="replace"))
            remedy = f'write "{encoded}"'
        raise ParseError(f"{quote(text)}: {quote(char)} cannot stand in a path", remedy)


def _capture(name: str, pattern: str) -> str:
    if not _NAME.fullmatch(name):
        raise ParseError(f"{quote(pattern)}: {{{name}}} is not a name", "use letters, digits and underscores")
    return name
