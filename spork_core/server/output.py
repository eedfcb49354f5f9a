"""The head of an answer: status line, fields, framing and what the gateway adds (RFC 9110, RFC 9112)."""

from typing import Final

from multidict import istr

from spork_core.clock import HttpDate
from spork_core.exchange import Response
from spork_core.headers import KERNELS_OWN, ORDINARY, head_bytes, keep_ordinary, special, version_of

DATE: Final = istr("Date")  # found in a third of the time that a str takes
NO_CONTENT: Final = frozenset((204, 304))


def response_head(response: Response, method: str, version: int, *, close: bool, date: HttpDate, via: str) -> bytes:
    """The head to send for ``response``.

    ``method``: of the request. ``version``: the client's, 10 or 11: HTTP/1.0 gets no chunks. ``close``: the connection
    ends after this answer. ``via``: this gateway's name. Raises HeaderInjection.
    """
    if response.raw and version == 11 and _untouched(response, method):
        # Framed as it will be sent: 0.7 µs saved.
        end = "" if response.version is None else f"Via: 1.{response.version - 10} {via}\r\n"
        if close:
            end += "Connection: close\r\n"
        if DATE not in response.headers:
            end += f"Date: {date()}\r\n"
        return b"%b%b\r\n" % (response.raw[:-2], end.encode())
    headers, status = response.headers, response.status
    length = response.body.length
    clean = version_of(headers) == response.unchanged
    content = method != "HEAD" and status not in NO_CONTENT
    if not content:
        extra = "" if clean else _without_content(response, length)
    else:
        if not clean and not ORDINARY.issuperset(headers):
            keep_ordinary(headers)
        if length is not None:
            extra = f"Content-Length: {length}\r\n"
        elif version == 11:
            extra = "Transfer-Encoding: chunked\r\n"
        else:
            extra = ""
    if DATE not in headers:
        extra += f"Date: {date()}\r\n"
    if response.version is not None:
        extra += f"Via: 1.{response.version - 10} {via}\r\n"
    if close:
        extra += "Connection: close\r\n"
    elif version == 10:
        extra += "Connection: keep-alive\r\n"
    return head_bytes(f"HTTP/1.1 {status} {response.reason}", headers, extra, clean=clean, ordinary=content)


def _untouched(response: Response, method: str) -> bool:
    """True when the head of ``response.raw`` is still its own."""
    made = response.raw_of
    if made is None:
        return True
    return (
        method != "HEAD"
        and version_of(response.headers) == response.unchanged
        and made[2] is response.body
        and made[0] == response.status
        and made[1] == response.reason
    )


def _without_content(response: Response, length: int | None) -> str:
    """HEAD and 304 keep the Content-Length that the upstream announced, and get that of a body made here; 204 has
    none."""
    headers = response.headers
    for name in special(headers, KERNELS_OWN):
        if name != "content-length" or response.status == 204 or len(headers.getall("Content-Length")) > 1:
            headers.popall(name)
    if length and response.status not in NO_CONTENT and "Content-Length" not in headers:
        return f"Content-Length: {length}\r\n"
    return ""
