"""Problems as answers: RFC 9457 problem+json, or a small page for people, by what the request accepts."""

import json
import logging
from html import escape
from typing import Final

from spork_core.errors import Problem
from spork_core.exchange import Exchange, Response
from spork_core.headers import HeaderInjection, Headers, head_bytes
from spork_core.shared import TRACE_ID

log = logging.getLogger("spork_core.problems")

_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{status} {title}</title>
<style>body{{font:16px/1.5 system-ui,sans-serif;margin:15vh auto;max-width:34em;padding:0 1em;color:#223}}
h1{{font-size:1.4em}}small{{color:#667}}</style></head>
<body><h1>{status} {title}</h1><p>{detail}</p><p><small>Request id: {id}</small></p></body></html>
"""


class ProblemPages:
    """Renders problems. ``type_base``: what stands before the code in the ``type`` member; None: ``about:blank``."""

    def __init__(self, type_base: str | None = None) -> None:
        self._type_base = type_base

    def response(self, exchange: Exchange, problem: Problem) -> Response:
        """The answer to the client. It says what is safe to say: status, title, detail, code, source and request id."""
        headers = Headers()
        for name, value in problem.headers:
            try:
                head_bytes("", Headers({name: str(value)}))
            except HeaderInjection as error:  # a plugin built it from what a client sent; the others still hold
                log.error("exchange %s: %s", exchange.id, error)
            else:
                headers.add(name, str(value))
        content_type, body = self._render(exchange, problem)
        headers["Content-Type"] = content_type
        headers["Cache-Control"] = "no-store"
        headers.add("Vary", "Accept")
        response = Response(problem.status, body, headers, reason=problem.title)
        response.source = problem.source
        return response

    def _render(self, exchange: Exchange, problem: Problem) -> tuple[str, bytes]:
        wanted = preferred(",".join(exchange.request.headers.getall("Accept", ())))
        if wanted == "html":
            text = _PAGE.format(
                status=problem.status,
                title=escape(problem.title),
                detail=escape(problem.detail or "The request could not be served."),
                id=escape(exchange.id),
            )
            return "text/html; charset=utf-8", text.encode("utf-8", "replace")
        if wanted == "text":
            text = f"{problem.status} {problem.title}\n{problem.detail}\nRequest id: {exchange.id}\n"
            return "text/plain; charset=utf-8", text.encode("utf-8", "replace")
        members: dict[str, object] = {
            "type": f"{self._type_base}{problem.code}" if self._type_base else "about:blank",
            "title": problem.title,
            "status": problem.status,
        }
        if problem.detail:
            members["detail"] = problem.detail
        members |= {"instance": f"urn:request:{exchange.id}", "code": problem.code, "source": problem.source}
        members["request_id"] = exchange.id
        if TRACE_ID in exchange:
            members["trace_id"] = exchange[TRACE_ID]
        try:
            text = json.dumps({**problem.extensions, **members}, default=str, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            log.error("exchange %s: extensions of %s are no JSON: %s", exchange.id, problem.code, error)
            text = json.dumps(members)
        return "application/problem+json", text.encode()


def preferred(accept: str) -> str:
    """``html``, ``text`` or ``json``: the most wanted of the three by quality, then by order (RFC 9110 section 12.5.1).
    Wildcards and anything else mean ``json``."""
    best, best_quality = "json", 0.0
    for member in accept.lower().split(","):
        name, _, parameters = member.partition(";")
        kind = _KINDS.get(name.strip())
        if kind is not None and (quality := _quality(parameters)) > best_quality:
            best, best_quality = kind, quality
    return best


_KINDS: Final = {
    "text/html": "html",
    "application/xhtml+xml": "html",
    "text/plain": "text",
    "text/*": "text",
    "application/problem+json": "json",
    "application/json": "json",
    "application/*": "json",
    "*/*": "json",
}


def _quality(parameters: str) -> float:
    for parameter in parameters.split(";"):
        name, _, value = parameter.strip().partition("=")
        if name == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0
