"""The errors a client may see, and the ones an operator may see; each says whose fault it is and what to do."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import ClassVar, Final, Literal

Source = Literal["client", "plugin", "upstream", "gateway"]
"""Whose fault a Problem is: the ``source`` member of the problem+json body, the access log and metrics."""


_PHRASES: Final = {int(status): status.phrase for status in HTTPStatus} | {
    413: "Content Too Large",  # HTTPStatus has the names of RFC 7231 before Python 3.13
    414: "URI Too Long",
    416: "Range Not Satisfiable",
    422: "Unprocessable Content",
}


def phrase(status: int) -> str:
    """The reason phrase of RFC 9110 section 15; "" for a status without one."""
    return _PHRASES.get(status, "")


class SporkError(Exception):
    """Base of every error Spork raises on purpose."""


class Problem(SporkError):
    """An error a client may see; rendered as RFC 9457 ``application/problem+json``.

    ``detail`` is a safe sentence for the client. ``headers`` are added to the answer
    (``Retry-After``, ``WWW-Authenticate``, …). ``extensions`` become members of the JSON body.
    ``reason`` is for logs only and never reaches a client.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal-error"
    source: Source = "gateway"

    def __init__(
        self,
        detail: str = "",
        *,
        headers: Mapping[str, str] | Sequence[tuple[str, str]] = (),
        extensions: Mapping[str, object] | None = None,
        reason: str = "",
        source: Source | None = None,
    ) -> None:
        super().__init__(detail or self.title)
        self.detail = detail
        self.headers: tuple[tuple[str, str], ...] = tuple(headers.items() if isinstance(headers, Mapping) else headers)
        self.extensions: Mapping[str, object] = extensions or {}
        self.reason = reason
        if source is not None:
            self.source = source

    @property
    def title(self) -> str:
        """The status phrase of RFC 9110 section 15, or the code for a status it does not name."""
        return phrase(self.status) or self.code


# -- the client's fault -------------------------------------------------------------------------------


class ClientProblem(Problem):
    """The request cannot be served as it was sent."""

    status = 400
    code = "bad-request"
    source: Source = "client"


class BadRequest(ClientProblem):
    """400: the request breaks RFC 9110 or 9112."""


class Unauthenticated(ClientProblem):
    """401: credentials are missing or bad. The kernel adds the chain's challenges (RFC 9110 section 11.6.1)."""

    status = 401
    code = "unauthenticated"


class Forbidden(ClientProblem):
    """403: the caller is known and may not do this."""

    status = 403
    code = "forbidden"


class ExplainRefused(Forbidden):
    """403: the token of ``X-Spork-Explain`` is not one of this gateway's, is too old, or is for another request."""

    code = "explain-refused"


class NotFound(ClientProblem):
    """404: no route matches."""

    status = 404
    code = "no-route"


class MethodNotAllowed(ClientProblem):
    """405: the path matches a route, the method none. Carries ``Allow`` (RFC 9110 section 15.5.6)."""

    status = 405
    code = "method-not-allowed"


class RequestTimeout(ClientProblem):
    """408: the client was too slow to send its head or body."""

    status = 408
    code = "request-timeout"


class LengthRequired(ClientProblem):
    """411: a Content-Length is required."""

    status = 411
    code = "length-required"


class PayloadTooLarge(ClientProblem):
    """413: the body is longer than the limit."""

    status = 413
    code = "content-too-large"


class UriTooLong(ClientProblem):
    """414: the request line is longer than the limit."""

    status = 414
    code = "uri-too-long"


class Misdirected(ClientProblem):
    """421: this gateway does not answer for that host."""

    status = 421
    code = "misdirected-request"


class ExpectationFailed(ClientProblem):
    """417: an Expect other than 100-continue (RFC 9110 section 10.1.1)."""

    status = 417
    code = "expectation-failed"


class TooManyRequests(ClientProblem):
    """429: a limit is used up. Give ``Retry-After`` in ``headers``."""

    status = 429
    code = "too-many-requests"


class HeadersTooLarge(ClientProblem):
    """431: a header field, their number or their sum is over the limit (RFC 6585 section 5)."""

    status = 431
    code = "header-fields-too-large"


class ClientDisconnected(ClientProblem):
    """499, in logs only: the client left before its answer was complete."""

    status = 499
    code = "client-disconnected"


# -- the gateway's ------------------------------------------------------------------------------------


class InternalError(Problem):
    """500: a fault inside the gateway; the log has the trace, the client only the request id."""


class PluginFailed(Problem):
    """500: an instance with ``on_failure: closed`` raised, hung or answered with the wrong type."""

    code = "plugin-failed"
    source: Source = "plugin"

    def __init__(self, instance: str, hook: str, reason: str) -> None:
        super().__init__("A plugin of this gateway failed.", reason=f"{instance}.{hook}: {reason}")
        self.instance = instance
        self.hook = hook


class PluginIsolated(Problem):
    """503: an instance that keeps failing, or is past its budget, is left out, and without it nothing is let in; the
    answer says when it is tried again."""

    status = 503
    code = "plugin-isolated"
    source: Source = "plugin"

    def __init__(self, instance: str, hook: str, reason: str, retry_after: int) -> None:
        """``retry_after``: seconds."""
        super().__init__(
            "A plugin of this gateway is being given a rest.",
            headers={"Retry-After": str(retry_after)},
            reason=f"{instance}.{hook}: {reason}",
        )
        self.instance = instance
        self.hook = hook


class NotImplementedByGateway(Problem):
    """501: a method or transfer coding the gateway does not do (RFC 9110 section 15.6.2)."""

    status = 501
    code = "not-implemented"
    source: Source = "client"


class Overloaded(Problem):
    """503: a limit of the gateway itself is reached, or it is draining."""

    status = 503
    code = "overloaded"


class DependencyDown(Problem):
    """503: something that the gateway itself needs, such as its store or an identity provider, does not answer, and
    without it nothing is let in. ``detail`` names no host."""

    status = 503
    code = "dependency-down"

    def __init__(self, detail: str = "", *, reason: str = "", retry_after: int = 1) -> None:
        """``retry_after``: seconds."""
        super().__init__(
            detail or "Something that this gateway depends on does not answer.",
            headers={"Retry-After": str(retry_after)},
            reason=reason,
        )


class VersionNotSupported(Problem):
    """505: a major HTTP version other than 1 (RFC 9110 section 15.6.6)."""

    status = 505
    code = "http-version-not-supported"
    source: Source = "client"


# -- the upstream's -----------------------------------------------------------------------------------


class UpstreamProblem(Problem):
    """An attempt failed. ``sent`` is False when no byte of the request can have been processed: retry is safe."""

    status = 502
    code = "bad-gateway"
    source: Source = "upstream"

    def __init__(self, detail: str = "", *, reason: str = "", sent: bool = True, **more: object) -> None:
        super().__init__(detail, reason=reason, **more)  # type: ignore[arg-type]  # same keywords, passed on
        self.sent = sent


class UpstreamConnectFailed(UpstreamProblem):
    """502: no connection to the endpoint (refused, unreachable, TLS, name not found)."""

    code = "upstream-connect-failed"


class UpstreamReset(UpstreamProblem):
    """502: the endpoint closed or reset the connection before its answer was complete."""

    code = "upstream-reset"


class UpstreamMalformed(UpstreamProblem):
    """502: the endpoint's answer is not HTTP/1.x, or breaks its framing."""

    code = "upstream-malformed"


class UpstreamUnavailable(UpstreamProblem):
    """503: no endpoint to try, or no free connection in time."""

    status = 503
    code = "upstream-unavailable"


class UpstreamTimeout(UpstreamProblem):
    """504: connect, response, idle or total time is used up."""

    status = 504
    code = "upstream-timeout"


# -- the operator's -----------------------------------------------------------------------------------


class ConfigError(SporkError):
    """A config that cannot be loaded. ``problems`` holds every fault found, in file order."""

    def __init__(self, problems: "Sequence[ConfigProblem]") -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


class ConfigProblem:
    """One fault of a config: where (``file``, 1-based ``line`` and ``column``, ``path``), what, and the remedy."""

    __slots__ = ("column", "file", "line", "message", "path", "remedy")

    def __init__(
        self, message: str, *, path: str = "$", remedy: str = "", file: str = "", line: int = 0, column: int = 0
    ) -> None:
        self.message = message
        self.path = path
        self.remedy = remedy
        self.file = file
        self.line = line
        self.column = column

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column} " if self.line else f"{self.file}: " if self.file else ""
        return f"{where}{self.path}: {self.message}" + (f"; {self.remedy}" if self.remedy else "")

    def __repr__(self) -> str:
        return f"ConfigProblem({str(self)!r})"
