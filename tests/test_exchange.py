"""The exchange and what it carries."""

import json
from collections.abc import AsyncIterator

import pytest

from spork_core.body import EMPTY, BytesBody, IteratorBody
from spork_core.clock import Clock
from spork_core.errors import UpstreamTimeout
from spork_core.exchange import Attempt, Endpoint, Exchange, Identity, Outcome, Request, Response, StateKey, phrase
from spork_core.headers import Headers

COUNT: StateKey[int] = StateKey("count")


async def chunks() -> AsyncIterator[bytes]:
    yield b"a"


def test_state_is_kept_by_key() -> None:
    exchange = Exchange(Request())
    assert (COUNT in exchange, exchange.get(COUNT), exchange.get(COUNT, 7)) == (False, None, 7)

    exchange[COUNT] = 1
    assert (COUNT in exchange, exchange[COUNT], exchange.get(COUNT, 7)) == (True, 1, 1)

    del exchange[COUNT]
    assert (COUNT in exchange, exchange.get(COUNT)) == (False, None)


def test_a_key_is_equal_only_to_itself() -> None:
    exchange = Exchange(Request())
    exchange[COUNT] = 1

    assert StateKey("count") not in exchange
    assert repr(COUNT) == "StateKey('count')"


def test_state_that_is_not_there_is_a_key_error() -> None:
    exchange = Exchange(Request())
    for use in (lambda: exchange[COUNT], lambda: exchange.__delitem__(COUNT)):
        with pytest.raises(KeyError):
            use()


def test_two_exchanges_share_nothing() -> None:
    one, other = Exchange(Request()), Exchange(Request())
    one[COUNT] = 1
    one.request.headers["A"] = "b"
    one.attempts.append(Attempt(1, 0))

    assert (COUNT in other, dict(other.request.headers), other.attempts) == (False, {}, [])
    assert one.id != other.id


def test_an_id_is_made_on_first_use_and_may_be_set() -> None:
    exchange = Exchange(Request())
    assert (len(exchange.id), exchange.id) == (32, exchange.id)

    exchange.id = "mine"
    assert exchange.id == "mine"


def test_elapsed_time_is_the_clocks() -> None:
    times = iter([1_000, 4_500])

    assert Exchange(Request(), Clock(monotonic_ns=lambda: next(times))).elapsed_ns == 3_500


@pytest.mark.parametrize(("query", "target"), [(None, "/a"), ("", "/a?"), ("b=c?d", "/a?b=c?d")])
def test_a_target_is_path_and_query(query: str | None, target: str) -> None:
    assert Request(path="/a", query=query).target == target


@pytest.mark.parametrize(
    ("body", "kind", "length", "content_type"),
    [
        (b"", type(EMPTY), 0, None),
        (b"abc", BytesBody, 3, None),
        ("äbc", BytesBody, 4, "text/plain; charset=utf-8"),
        ("", BytesBody, 0, "text/plain; charset=utf-8"),
        (BytesBody(b"x"), BytesBody, 1, None),
        (chunks(), IteratorBody, None, None),
    ],
)
def test_a_response_takes_any_body(body, kind, length, content_type) -> None:  # type: ignore[no-untyped-def]
    response = Response(200, body)

    assert type(response.body) is kind
    assert (response.body.length, response.headers.get("Content-Type")) == (length, content_type)


def test_a_response_keeps_the_content_type_it_was_given() -> None:
    assert Response(200, "a", {"content-type": "text/css"}).headers.getall("Content-Type") == ["text/css"]
    assert Response(200, b"a", content_type="text/css").headers["Content-Type"] == "text/css"


def test_the_headers_given_stay_the_callers() -> None:
    headers = Headers([("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])

    response = Response(headers=headers)
    response.headers["X-Own"] = "1"

    assert response.headers.getall("Set-Cookie") == ["a=1", "b=2"]
    assert "X-Own" not in headers


@pytest.mark.parametrize(("data", "text"), [({"a": [1, "ä"]}, '{"a":[1,"ä"]}'), ("\udcff", '"\\udcff"')])
async def test_json(data: object, text: str) -> None:
    response = Response.json(data, 201, {"X-A": "b"})

    assert (response.status, await response.body.read(99)) == (201, text.encode())
    assert dict(response.headers) == {"X-A": "b", "Content-Type": "application/json"}
    assert json.loads(text) == data


@pytest.mark.parametrize(("status", "reason"), [(200, "OK"), (418, "I'm a Teapot"), (599, "")])
def test_a_reason_is_the_standard_phrase(status: int, reason: str) -> None:
    assert (phrase(status), Response(status).reason, Response(status, reason="x").reason) == (reason, reason, "x")


def test_reprs_are_short_and_hold_no_secret() -> None:
    exchange = Exchange(Request("POST", "/a", "token=s3cret", headers=Headers({"Authorization": "s3cret"})))
    attempt = Attempt(2, 0)
    attempt.endpoint = Endpoint("users", "http://u:80")
    attempt.error = UpstreamTimeout(reason="s3cret")

    assert repr(exchange) == "<Exchange POST /a running>"
    exchange.response = Response(204)
    assert repr(exchange) == "<Exchange POST /a <Response 204 >>"
    assert repr(attempt) == "<Attempt 2 http://u:80 upstream-timeout>"
    assert "s3cret" not in repr([exchange, attempt, exchange.request, Identity("ann", claims={"k": "s3cret"})])


def test_an_outcome_knows_its_seconds() -> None:
    assert Outcome(200, "upstream", True, 0, 0, 1_500_000_000).seconds == 1.5


def test_equal_endpoints_are_two() -> None:
    assert Endpoint("a", "http://b") != Endpoint("a", "http://b")
