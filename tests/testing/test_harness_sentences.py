"""Assertions that read like sentences: what they accept, and what they say when they fail."""

import re
from collections.abc import Callable

import pytest

from spork_core.attribution import Called
from spork_core.errors import TooManyRequests
from spork_core.exchange import Endpoint, Exchange, Identity, Request, Response
from spork_core.testing import Answer, Message, Received, Transcript, gateway

HEAD = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 60\r\nVary: Accept\r\nVary: Origin\r\nContent-Type: %b\r\n\r\n"


SHOWN = """\
  HTTP/1.1 429 Too Many Requests
  Retry-After: 60
  Vary: Accept
  Vary: Origin
  Content-Type: application/problem+json

  {"code": "too-many-requests"}"""


def answer(body: bytes = b'{"code": "too-many-requests"}', kind: bytes = b"application/problem+json") -> Answer:
    message = Message(HEAD % kind)
    message.body = body
    message.complete = True
    return Answer(message, asked="GET /x", context=lambda: "what else happened")


def received() -> Received:
    return Received(Message(b"GET /x?y HTTP/1.1\r\nHost: a\r\n\r\n"))


def test_a_chain_of_sentences_that_hold() -> None:
    said = answer().must_be(429).must_be_problem("too-many-requests", 429).must_have("retry-after", "60")
    said.must_have("Vary").must_have("Vary", "Accept", re.compile("Orig.*")).must_not_have("Via").must_be_complete()
    said.must_mention("too-many").must_not_mention("secret")
    answer(b"hello").must_say("hello").must_say(b"hello")
    received().must_ask("GET", "/x?y")


@pytest.mark.parametrize(
    ("claim", "sentence"),
    [
        (lambda a: a.must_be(200), "the answer to GET /x is 429 Too Many Requests, not 200 OK"),
        (lambda a: a.must_have("Via"), "the answer to GET /x has no Via"),
        (lambda a: a.must_have("Retry-After", "30"), "the answer to GET /x has Retry-After: 60, not 30"),
        (
            lambda a: a.must_have("Vary", "Accept", re.compile("O")),
            "the answer to GET /x has Vary: Accept and Origin, not Accept and /O/",
        ),
        (lambda a: a.must_not_have("Vary"), "the answer to GET /x has Vary: Accept and Origin, and must not have it"),
        (
            lambda a: a.must_be_problem("overloaded"),
            "the answer to GET /x is the problem too-many-requests, not overloaded",
        ),
        (lambda a: a.must_say("x"), """the answer to GET /x says b'{"code": "too-many-requests"}', not b'x'"""),
        (lambda a: a.must_mention("cat"), "the answer to GET /x does not mention 'cat'"),
        (lambda a: a.must_not_mention("Origin"), "the answer to GET /x mentions 'Origin', and must not"),
        (lambda a: a.must_be_cut_off(), "the answer to GET /x came whole, and must be cut off"),
        (lambda a: a.must_have_trailer("X"), "the answer to GET /x has no trailer X"),
    ],
)
def test_a_failure_says_what_is_wrong_and_shows_everything(claim: Callable[[Answer], object], sentence: str) -> None:
    with pytest.raises(AssertionError) as found:
        claim(answer())
    assert str(found.value) == f"{sentence}\n\n{SHOWN}\n\nwhat else happened"


def test_no_problem_is_told_so() -> None:
    with pytest.raises(
        AssertionError, match=r"is 429 Too Many Requests and no problem\+json, not the problem overloaded"
    ):
        answer(kind=b"text/html").must_be_problem("overloaded")


def test_a_cut_answer_and_a_long_content_are_shown_so() -> None:
    message = Message(b"HTTP/1.1 200 OK\r\n\r\n")
    message.body = b"x" * 5000
    with pytest.raises(AssertionError) as found:
        Answer(message).must_be_complete()
    assert "the answer was cut off" in str(found.value)
    assert "[and 3000 bytes more]" in str(found.value)
    assert str(found.value).endswith("[the connection ended here]")


def test_what_an_upstream_got_has_sentences_too() -> None:
    with pytest.raises(AssertionError, match=r"what the upstream got is GET /x\?y, not PUT /z"):
        received().must_ask("PUT", "/z")
    with pytest.raises(AssertionError, match="what the upstream got has Host: a, not b"):
        received().must_have("Host", "b")


async def test_an_upstream_tells_what_it_got() -> None:
    async with gateway() as gw:
        with pytest.raises(AssertionError, match="the upstream was not reached"):
            _ = gw.upstream.last
        await gw.get("/x")
        with pytest.raises(AssertionError) as found:
            gw.upstream.must_not_be_reached()
    told = "the upstream got 1 request:\n  GET /x\n\nthe hooks:\n  (no hook was called)"
    assert str(found.value) == f"the upstream must have got 0, but {told}"


# -- the transcript -----------------------------------------------------------------------------------

EXCHANGE = Exchange(Request())


def transcript(*calls: Called) -> Transcript:
    return Transcript(calls, lambda: "what else happened")


A = Called("a", "pre_auth", EXCHANGE)
B = Called("b", "on_request", EXCHANGE, error=TooManyRequests())


@pytest.mark.parametrize(
    ("call", "line"),
    [
        (A, "a.pre_auth → None"),
        (B, "b.on_request → raised TooManyRequests"),
        (Called("a", "authenticate", EXCHANGE, Identity("ann")), "a.authenticate → Identity(ann)"),
        (Called("a", "serve", EXCHANGE, Response(204)), "a.serve → Response(204)"),
        (Called("a", "select_upstream", EXCHANGE, Endpoint("s", "http://x")), "a.select_upstream → Endpoint(http://x)"),
        (Called("a", "should_retry", EXCHANGE, 0.5), "a.should_retry → 0.5"),
        (Called("a", "on_request", EXCHANGE, held=True), "a.on_request → held"),
        (Called("a", "serve", EXCHANGE, "x" * 100), f"a.serve → '{'x' * 58}…"),
    ],
)
def test_a_call_is_a_line(call: Called, line: str) -> None:
    assert transcript(call).lines == [line]


def test_lines_may_be_asked_for_in_part() -> None:
    both = transcript(A, B, A)
    both.must_be(["a.pre_auth → None", "b.on_request → raised TooManyRequests", "a.pre_auth → None"])
    both.must_show("a.pre_auth → None", "a.pre_auth → None").must_not_show("c.serve → None")
    assert len(both.of(instance="a")) == len(both.of(hook="pre_auth")) == 2


@pytest.mark.parametrize(
    ("claim", "sentence"),
    [
        (
            lambda t: t.must_be(["a.pre_auth → None", "x"]),
            "line 2 of the hooks is\n  b.on_request → raised TooManyRequests\nnot\n  x",
        ),
        (
            lambda t: t.must_be(["a.pre_auth → None"]),
            "line 2 of the hooks is\n  b.on_request → raised TooManyRequests\nnot\n  (nothing)",
        ),
        (lambda t: t.must_show("x"), "the hooks do not show\n  x"),
        (
            lambda t: t.must_show("b.on_request → raised TooManyRequests", "a.pre_auth → None"),
            "the hooks do not show\n  a.pre_auth → None, which stands there only before that",
        ),
        (lambda t: t.must_not_show("a.pre_auth → None"), "the hooks show, and must not,\n  a.pre_auth → None"),
    ],
)
def test_a_transcript_says_what_is_wrong_and_shows_itself(claim: Callable[[Transcript], object], sentence: str) -> None:
    with pytest.raises(AssertionError) as found:
        claim(transcript(A, B))
    told = "the hooks:\n  a.pre_auth → None\n  b.on_request → raised TooManyRequests"
    assert str(found.value) == f"{sentence}\n\n{told}\n\nwhat else happened"


def test_a_transcript_may_begin_anew() -> None:
    calls = transcript(A)
    calls.clear()
    assert str(calls) == "(no hook was called)"
