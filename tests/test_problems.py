"""Problems as answers: what a client may see, in the form it asked for."""

import asyncio
import json
from typing import Any

import pytest

from spork_core.errors import (
    ClientDisconnected,
    InternalError,
    PluginFailed,
    Problem,
    TooManyRequests,
    Unauthenticated,
    UpstreamTimeout,
)
from spork_core.exchange import Exchange, Request, Response
from spork_core.headers import Headers
from spork_core.problems import ProblemPages, preferred

SECRET = "connect to 10.0.0.7: refused"


def exchange(*accept: str) -> Exchange:
    made = Exchange(Request(headers=Headers([("Accept", value) for value in accept])))
    made.id = "id-<1>"
    return made


def body(response: Response) -> str:
    return asyncio.run(response.body.read(9999)).decode()


def page(problem: Problem, *accept: str) -> Response:
    return ProblemPages().response(exchange(*accept), problem)


def test_problem_json() -> None:
    response = page(TooManyRequests("Slow down.", headers={"Retry-After": "7"}, extensions={"limit": 60}))
    assert json.loads(body(response)) == {
        "type": "about:blank",
        "title": "Too Many Requests",
        "status": 429,
        "detail": "Slow down.",
        "instance": "urn:request:id-<1>",
        "code": "too-many-requests",
        "source": "client",
        "limit": 60,
        "request_id": "id-<1>",
    }
    assert (response.status, response.source, response.headers["Retry-After"]) == (429, "client", "7")


def test_type_base_gives_each_code_its_page() -> None:
    response = ProblemPages("https://docs.example/errors/").response(exchange(), InternalError())

    assert json.loads(body(response))["type"] == "https://docs.example/errors/internal-error"


def test_an_answer_without_detail_has_none() -> None:
    assert "detail" not in json.loads(body(page(InternalError())))


@pytest.mark.parametrize("name", ["type", "status", "code", "source", "instance", "request_id", "title"])
def test_extensions_cannot_say_otherwise(name: str) -> None:
    members = json.loads(body(page(TooManyRequests(extensions={name: "forged"}))))

    assert members[name] != "forged"


@pytest.mark.parametrize("accept", ["application/json", "text/html", "text/plain"])
@pytest.mark.parametrize(
    "problem",
    [
        UpstreamTimeout("Late.", reason=SECRET),
        PluginFailed("jwt", "authenticate", SECRET),
        InternalError(reason=SECRET),
    ],
)
def test_no_inner_detail_gets_out(problem: Problem, accept: str) -> None:
    response = page(problem, accept)
    seen = body(response) + repr(response.headers) + response.reason

    assert SECRET not in seen
    assert "jwt" not in seen


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", "json"),
        ("*/*", "json"),
        ("application/json", "json"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "html"),
        ("application/xhtml+xml", "html"),
        ("Text/HTML", "html"),
        ("text/plain", "text"),
        ("text/*", "text"),
        ("text/plain;q=0.5, text/html;q=0.8", "html"),
        ("text/html;q=0.5, text/plain; charset=utf-8; q=0.8", "text"),
        ("text/html;q=0.5, application/json", "json"),
        ("text/html;q=0.5, application/problem+json;q=0.4", "html"),
        ("text/html;q=0", "json"),
        ("text/html;q=0, text/plain;q=0.1", "text"),
        ("text/html;q=high", "json"),
        ("text/html;q=nan, text/plain;q=0.1", "text"),
        ("text/html;level=1", "html"),
        ("text/html;q=0.9;ext=1, application/json;q=0.95", "json"),
        ("image/png, text/css", "json"),
        (",;,;q=,text/", "json"),
    ],
)
def test_the_most_wanted_form_wins(accept: str, kind: str) -> None:
    assert preferred(accept) == kind


def test_all_accept_fields_count() -> None:
    assert page(InternalError(), "image/png", "text/html").headers["Content-Type"] == "text/html; charset=utf-8"


def test_html_is_escaped() -> None:
    text = body(page(TooManyRequests('<script>alert(1)</script> & "x"'), "text/html"))

    assert "<script>" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;x&quot;" in text
    assert "id-&lt;1&gt;" in text


def test_text_has_the_same() -> None:
    assert body(page(TooManyRequests("Slow down."), "text/plain")) == (
        "429 Too Many Requests\nSlow down.\nRequest id: id-<1>\n"
    )


@pytest.mark.parametrize("accept", ["application/json", "text/html", "text/plain"])
@pytest.mark.parametrize("sent", ["\udcff", "a\ud800", "caf\u00e9"])
def test_what_a_client_sent_may_stand_in_a_detail(sent: str, accept: str) -> None:
    assert page(TooManyRequests(f"No tenant {sent}."), accept).status == 429


@pytest.mark.parametrize("accept", ["application/json", "text/html", "text/plain"])
def test_headers_of_an_answer(accept: str) -> None:
    problem = Unauthenticated(
        headers=[("WWW-Authenticate", "Bearer"), ("WWW-Authenticate", "Basic"), ("Vary", "Origin")]
    )

    headers = page(problem, accept).headers

    assert headers.getall("WWW-Authenticate") == ["Bearer", "Basic"]
    assert (headers["Cache-Control"], headers.getall("Vary")) == ("no-store", ["Origin", "Accept"])
    assert headers.getall("Content-Type") == [
        {"text/html": "text/html; charset=utf-8", "text/plain": "text/plain; charset=utf-8"}.get(
            accept, "application/problem+json"
        )
    ]


def test_a_header_that_cannot_be_sent_is_left_out_and_the_others_stay() -> None:
    bad: Any = {"X-Tenant": "a\r\nSet-Cookie: b", "X Y": "1", "Retry-After": 60, "X-Fine": "1"}

    headers = page(TooManyRequests(headers=bad)).headers

    assert sorted(headers) == ["Cache-Control", "Content-Type", "Retry-After", "Vary", "X-Fine"]
    assert headers["Retry-After"] == "60"


@pytest.mark.parametrize(
    "extensions", [{("a", "b"): 1}, {"self": ...}, {"x": {1, 2}}, {"x": b"\xff"}, {"x": float("nan")}]
)
def test_extensions_that_are_not_json_do_no_harm(extensions: dict[Any, Any]) -> None:
    if "self" in extensions:
        extensions["self"] = extensions

    text = body(page(TooManyRequests("Slow down.", extensions=extensions)))

    assert json.loads(text, parse_constant=pytest.fail)["status"] == 429


def test_a_status_without_a_phrase_has_its_code_as_title() -> None:
    assert json.loads(body(page(ClientDisconnected())))["title"] == "client-disconnected"
