"""The head of an answer: status line, fields, framing and what the gateway adds (RFC 9110, RFC 9112)."""

from attrs import frozen

from spork_core.body import EMPTY
from spork_core.exchange import Response
from spork_core.headers import HOP_BY_HOP, head_bytes, special

NO_CONTENT = frozenset((204, 304))
_OWN = HOP_BY_HOP | {"content-length"}


@frozen
class ResponseHead:
    """``data``: the head as bytes. ``content``: whether a body follows; ``chunked``: framed so, else by its length or, when
    that is None, by the end of the connection."""

    data: bytes
    content: bool
    chunked: bool


def response_head(
    response: Response, method: str, version: int, *, close: bool, trailers: bool, date: str, via: str
) -> ResponseHead:
    """The head to send for ``response``.

    ``version``: the client's, 10 or 11: HTTP/1.0 gets no chunks. ``close``: the connection ends after this answer.
    ``trailers``: the client takes them. ``via``: this gateway's name. Raises HeaderInjection.
    """
    headers, status, body = response.headers, response.status, response.body
    content = not (method == "HEAD" or status in NO_CONTENT)
    extra = ""
    present = special(headers, _OWN)
    if present:
        for name in present:
            if name == "content-length" and not content and status != 204 and body.length in (None, 0):
                continue  # what a GET would have been answered with
            headers.popall(name)
    chunked = False
    length = body.length
    if content:
        if length is not None:
            extra = f"Content-Length: {length}\r\n"
        elif version == 11:
            chunked = True
            extra = "Transfer-Encoding: chunked\r\n"
    elif length and status not in NO_CONTENT and "Content-Length" not in headers:
        extra = f"Content-Length: {length}\r\n"
    if "Date" not in headers:
        extra += f"Date: {date}\r\n"
    if response.version is not None:
        extra += f"Via: 1.{response.version - 10} {via}\r\n"
    if close:
        extra += "Connection: close\r\n"
    elif version == 10:
        extra += "Connection: keep-alive\r\n"
    data = head_bytes(f"HTTP/1.1 {status} {response.reason}", headers, extra)
    return ResponseHead(data, content and body is not EMPTY, chunked)
