"""What a line says, and that nothing a client sends can break it."""

import json
import re
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis.strategies import characters, text
from spork_access_log.fields import FIELDS
from spork_access_log.lines import Lines
from spork_access_log.redact import HEADERS, all_but, names_only, no_query

from spork_core.api import (
    BREAKER,
    CACHE_STATUS,
    TRACE_ID,
    Attempt,
    Endpoint,
    Exchange,
    Forbidden,
    Headers,
    Identity,
    Outcome,
    Request,
    Response,
    RouteInfo,
)

NOON = 1_795_435_200.1239  # 2026-11-23T12:00:00Z and a little
TRACE = "0af7651916cd43dd8448eb211c80319c"

anything = text(characters(codec=None, exclude_categories=()), max_size=50)


def exchange(*fields: tuple[str, str], **request: Any) -> Exchange:
    seen = Exchange(Request(headers=Headers(fields), **request))
    seen.id = "id-1"
    seen.outcome = Outcome(200, "upstream", True, 5, 512, 2_345_678)
    return seen


def full() -> Exchange:
    """An exchange of which everything is known."""
    fields = (
        ("User-Agent", "curl/8"),
        ("Referer", "https://a.test/?t=1"),
        ("traceparent", f"00-{TRACE}-{'b' * 16}-01"),
    )
    seen = exchange(*fields, method="PUT", path="/u/7", query="a=1", host="h.test", client="192.0.2.1", scheme="https")
    seen.route = RouteInfo("users", "/u/{id}", "people")
    for number, took in ((1, 1_000_000), (2, 234_567)):
        attempt = Attempt(number, 0)
        attempt.endpoint, attempt.took_ns = Endpoint("people", f"http://10.0.0.{number}:80"), took
        seen.attempts.append(attempt)
    seen.identity = Identity("alice")
    seen.error = Forbidden()
    seen[CACHE_STATUS], seen[BREAKER] = "uri-miss", "open"
    seen.response = Response(200, headers=[("Set-Cookie", "a=1"), ("Vary", "A"), ("Vary", "B")])
    return seen


def lines(**settings: Any) -> Lines:
    settings = {"json": True, "fields": tuple(FIELDS), "names": {}, "query": names_only} | settings
    made = Lines(**{"request_headers": (), "response_headers": (), "hidden": HEADERS} | settings)
    made.use(lambda: NOON)
    return made


def line_of(made: Lines, seen: Exchange) -> str:
    return made.make([made.take(seen)])


def parsed(seen: Exchange, **settings: Any) -> dict[str, Any]:
    line = line_of(lines(**settings), seen)
    assert line.endswith("\n")
    assert line[:-1].isprintable()
    assert line.isascii()
    return json.loads(line)


def test_a_line_in_full() -> None:
    assert parsed(full()) == {
        "ts": "2026-11-23T12:00:00.123Z",
        "request_id": "id-1",
        "trace_id": TRACE,
        "client_ip": "192.0.2.1",
        "method": "PUT",
        "scheme": "https",
        "host": "h.test",
        "path_template": "/u/{id}",
        "path": "/u/7",
        "query": "a=***",
        "http": "1.1",
        "status": 200,
        "source": "upstream",
        "complete": True,
        "route": "users",
        "service": "people",
        "endpoint": "http://10.0.0.2:80",
        "identity": "alice",
        "bytes_in": 5,
        "bytes_out": 512,
        "total_ms": 2.346,
        "upstream_ms": 1.235,
        "gateway_ms": 1.111,
        "attempts": 2,
        "error": "forbidden",
        "cache": "uri-miss",
        "limit": None,
        "breaker": "open",
        "user_agent": "curl/8",
        "referer": "https://a.test/?t=***",
    }


def test_a_bare_exchange_has_the_same_keys() -> None:
    line = parsed(exchange(version=10))

    assert list(line) == list(FIELDS)
    assert (line["route"], line["endpoint"], line["error"], line["http"]) == (None, None, None, "1.0")


def test_text_has_the_same_keys_and_nothing_invented() -> None:
    line = line_of(lines(json=False), exchange(("User-Agent", 'a "b" = c'), client="::1"))

    assert re.findall(r"(?:^| )(\w+)=", line.replace(" = ", "")) == list(FIELDS)
    assert " client_ip=::1 " in line
    assert " route=- " in line
    assert r' user_agent="a \"b\" = c" ' in line


def test_fields_choose_order_and_names() -> None:
    line = line_of(lines(fields=("status", "ts"), names={"ts": "@timestamp"}), full())

    assert line == '{"status":200,"@timestamp":"2026-11-23T12:00:00.123Z"}\n'


def test_one_field_alone() -> None:
    assert line_of(lines(fields=("status",)), full()) == '{"status":200}\n'
    assert line_of(lines(fields=("path",), json=False), full()) == "path=/u/7\n"


def test_headers_are_logged_beside_the_fields() -> None:
    line = parsed(full(), request_headers=("User-Agent", "X-None"), response_headers=("Vary",))

    assert line["request_headers"] == {"user-agent": "curl/8", "x-none": None}
    assert line["response_headers"] == {"vary": "A, B"}


def test_headers_without_a_response() -> None:
    assert parsed(exchange(), response_headers=("Vary",))["response_headers"] == {"vary": None}


def test_headers_in_text() -> None:
    line = line_of(lines(json=False, fields=("status",), request_headers=("X-%s",), response_headers=("Vary",)), full())

    assert line == 'status=200 request_headers.x-%s=- response_headers.vary="A, B"\n'


@pytest.mark.parametrize("name", ["Authorization", "cookie", "Set-Cookie", "X-API-Key", "Proxy-Authorization"])
def test_a_secret_header_shows_only_that_it_was_there(name: str) -> None:
    seen = exchange((name, "the secret"))

    assert parsed(seen, request_headers=(name, "X-Auth-Token"))["request_headers"] == {
        name.lower(): "***",
        "x-auth-token": None,
    }


@pytest.mark.parametrize(
    ("sent", "trace"),
    [
        (f"00-{TRACE}-{'b' * 16}-01", TRACE),
        (f"cc-{TRACE}-{'b' * 16}-01-what-comes", TRACE),
        (f"ff-{TRACE}-{'b' * 16}-01", None),
        (f"00-{'0' * 32}-{'b' * 16}-01", None),
        (f"00-{TRACE.upper()}-{'b' * 16}-01", None),
        ("junk", None),
    ],
)
def test_the_trace_id_comes_from_a_valid_traceparent(sent: str, trace: str | None) -> None:
    assert parsed(exchange(("traceparent", sent)))["trace_id"] == trace


def test_bytes_that_are_not_utf8_stay_readable() -> None:
    assert parsed(exchange(("User-Agent", "caf\udce9 \U0001f44d")))["user_agent"] == "caf\\xe9 \U0001f44d"


@given(anything)
def test_no_value_breaks_a_json_line(value: str) -> None:
    seen = exchange(("User-Agent", value), ("Referer", value), path=value, query=value, host=value, method=value)

    line = parsed(seen, query=all_but(()), request_headers=("Referer",))

    assert list(line) == [*FIELDS, "request_headers"]


@given(anything)
def test_no_value_breaks_a_text_line(value: str) -> None:
    made = lines(json=False, fields=("status", "user_agent", "path"))

    line = line_of(made, exchange(("User-Agent", value), path=value))

    assert re.fullmatch(r'status=200 user_agent=("(?:[^"\\]|\\.)*"|[^ "]+) path=("(?:[^"\\]|\\.)*"|[^ "]+)\n', line)
    assert line[:-1].isprintable()
    assert line.isascii()


def test_a_date_changes_with_the_second() -> None:
    made, now = lines(fields=("ts",)), iter((0.0, 0.9999, 1.0, 951782400.5))
    made.use(lambda: next(now))

    stamps = [json.loads(line_of(made, exchange()))["ts"] for _ in range(4)]

    assert stamps[:3] == ["1970-01-01T00:00:00.000Z", "1970-01-01T00:00:00.999Z", "1970-01-01T00:00:01.000Z"]
    assert stamps[3] == "2000-02-29T00:00:00.500Z"


def test_a_query_can_be_left_out() -> None:
    line = parsed(exchange(("Referer", "https://a.test/b?c=d"), query="a=b"), query=no_query)

    assert (line["query"], line["referer"]) == (None, "https://a.test/b")


def timed() -> Exchange:
    """An exchange with times as the kernel keeps them: whose, own time and waiting in seconds."""
    seen = exchange()
    jwt, limit = (SimpleNamespace(instance=name, hook="on_request") for name in ("jwt", "limit"))
    seen.marks = [jwt, 0.001, 0.0, limit, 0.002, 0.25, jwt, 0.0005, 0.0]
    return seen


def test_timings_add_up_for_each_instance() -> None:
    line = json.loads(line_of(lines(timings=True), timed()))

    assert line["timings"] == {
        "jwt": {"own_ms": 1.5, "waiting_ms": 0.0},
        "limit": {"own_ms": 2.0, "waiting_ms": 250.0},
    }


@pytest.mark.parametrize(("json_format", "empty"), [(True, '"timings":{}}\n'), (False, " timings=-\n")])
def test_timings_without_any(json_format: bool, empty: str) -> None:
    assert line_of(lines(json=json_format, timings=True), exchange()).endswith(empty)


def test_timings_as_text() -> None:
    assert line_of(lines(json=False, fields=("status",), timings=True), timed()) == (
        "status=200 timings=jwt:1.500+0.000,limit:2.000+250.000\n"
    )


def test_a_line_says_which_trace_a_tracer_made() -> None:
    seen = full()
    seen[TRACE_ID] = "c" * 32

    assert parsed(seen)["trace_id"] == "c" * 32


def test_what_was_asked_before_is_told_apart_from_what_was_not() -> None:
    made = lines(fields=("path", "status", "user_agent", "route"))
    first, second = exchange(("User-Agent", "a"), path="/a"), exchange(("User-Agent", "b"), path="/a")
    third = exchange(("User-Agent", "a"), path="/a")
    third.route = RouteInfo("users", "/a", None)

    assert [json.loads(line_of(made, seen)) for seen in (first, second, first, third)] == [
        {"path": "/a", "status": 200, "user_agent": agent, "route": route}
        for agent, route in (("a", None), ("b", None), ("a", None), ("a", "users"))
    ]


def test_what_it_keeps_of_how_clients_ask_is_bounded() -> None:
    made = lines()
    for number in range(3000):
        line_of(made, exchange(("User-Agent", f"{number}")))
    line_of(made, exchange(("User-Agent", "a" * 3000)))

    assert len(made._known) <= 1024
    assert all(len("".join(texts)) <= 2048 for texts, _ in made._known.values())
