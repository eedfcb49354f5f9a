"""What was parsed before means the same as if it were parsed anew."""

from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spork_core.config.model import Limits
from spork_core.errors import Problem
from spork_core.memo import Memo
from spork_core.server.heads import ClientRequest, HeadParser
from spork_core.testing.requests import hostile, requests, ugly
from spork_core.upstream.heads import Reply, ReplyParser

LIMITS = Limits()
HEADS = [request.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" for request in ugly()]
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\n"


def facts(thing: Any) -> dict[str, Any]:
    """All that is known of a parsed head, but for the objects that it is made of."""
    names = {name for cls in type(thing).__mro__ for name in getattr(cls, "__slots__", ())}
    known = {name: getattr(thing, name) for name in names - {"client", "peer", "tls", "scheme", "trusted", "unchanged"}}
    known["framing"] = str(known["framing"]).partition(" at ")[0]
    return known | {"headers": list(thing.headers.items())}


def parsed(parser: HeadParser, head: bytes) -> object:
    try:
        return facts(parser.parse(head, trusted=False))
    except Problem as problem:
        return type(problem), problem.detail


def agrees(parser: HeadParser, head: bytes) -> bool:
    """Whatever ``parser`` has seen, it says what a new one says, at the first time and at the second."""
    anew = parsed(HeadParser(LIMITS), head)
    return [parsed(parser, head), parsed(parser, head)] == [anew, anew]


def test_ugly_requests_mean_the_same_again() -> None:
    parser = HeadParser(LIMITS)
    assert all(agrees(parser, head) for head in HEADS)


@given(st.lists(requests() | hostile(), max_size=6))
def test_any_requests_mean_the_same_again(heads: list[bytes]) -> None:
    parser = HeadParser(LIMITS)
    assert all(agrees(parser, head.partition(b"\r\n\r\n")[0] + b"\r\n\r\n") for head in heads)


@given(st.sampled_from(HEADS), st.binary(max_size=30) | st.sampled_from(["GET /a b HTTP/1.1", "GET /%00#x HTTP/1.1"]))
def test_known_fields_say_nothing_of_another_request_line(head: bytes, line: bytes | str) -> None:
    parser = HeadParser(LIMITS)
    parsed(parser, head)
    start = line.encode() if isinstance(line, str) else line.replace(b"\r\n", b"")
    assert agrees(parser, start + head[head.find(b"\r\n") :])


def test_what_a_hook_changes_is_not_there_the_next_time() -> None:
    parser, head = HeadParser(LIMITS), b"GET /a HTTP/1.1\r\nHost: a\r\nX-A: 1\r\n\r\n"
    for _ in range(3):
        request: ClientRequest = parser.parse(head, trusted=False)
        assert list(request.headers.items()) == [("Host", "a"), ("X-A", "1")]
        request.headers["X-A"] = "2"
        request.method = "PUT"


def test_a_trusted_peer_is_read_anew() -> None:
    parser, head = HeadParser(LIMITS), b"GET /a HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n"
    assert "X-Forwarded-For" not in parser.parse(head, trusted=False).headers
    assert "X-Forwarded-For" in parser.parse(head, trusted=True).headers
    assert "X-Forwarded-For" not in parser.parse(head, trusted=False).headers


@pytest.mark.parametrize("no_body", [False, True])
def test_answers_mean_the_same_again(no_body: bool) -> None:
    parser = ReplyParser()
    again: list[Reply] = []
    for _ in range(3):
        reply = parser.parse(ANSWER, no_body=no_body)
        assert facts(reply) == facts(ReplyParser().parse(ANSWER, no_body=no_body))
        reply.headers["X-A"] = "1"
        again.append(reply)
    assert len({id(reply) for reply in again}) == 3


def test_it_is_bounded() -> None:
    memo: Memo[int] = Memo(10, 5)
    for number in range(1000):
        memo.put(b"%d" % number, number)
    memo.put(b"longer", 1)
    assert len(memo.kept) <= 10
    assert memo.kept.get(b"longer") is None


def test_it_rests_where_it_does_not_pay_and_tries_again_later() -> None:
    memo: Memo[int] = Memo(10, 5)
    number = 0
    while memo.on:
        memo.put(b"%d" % number, number)
        number += 1
    assert (number, memo.kept.get(b"1")) == (4096, None)

    rests = 0
    while not memo.on:
        memo.rest()
        rests += 1
    assert rests == 256 * 1024


def test_it_goes_on_where_it_pays() -> None:
    memo: Memo[int] = Memo(10, 5)
    memo.put(b"often", 1)
    for number in range(10_000):
        if memo.kept.get(b"often") is None:
            memo.put(b"often", 1)
        memo.hits += 1
        memo.put(b"%d" % number, number)
    assert memo.on


def test_limits_hold_for_what_is_known() -> None:
    parser = HeadParser(attrs.evolve(LIMITS, request_line=64))
    fields = b"\r\nHost: a\r\n\r\n"
    parser.parse(b"GET /a HTTP/1.1" + fields, trusted=False)
    with pytest.raises(Problem, match="longer than 64"):
        parser.parse(b"GET /" + b"a" * 64 + b" HTTP/1.1" + fields, trusted=False)
