"""The parts without a gateway: contexts, sampling, what is made of a client's texts, and when hooks began."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased
from opentelemetry.trace import TraceState
from spork_tracing.attributes import LONGEST, Peers, address_of, clean, redacted
from spork_tracing.context import Parent, parse, state_of, written
from spork_tracing.sampling import DEFAULT_SHARE, Sampling, bound_of, from_environment
from spork_tracing.timeline import placed

from spork_core.api import Attempt, Timing

HEX = "0123456789abcdef"
TRACES = st.text(HEX, min_size=32, max_size=32).filter(lambda text: set(text) != {"0"})
SPANS = st.text(HEX, min_size=16, max_size=16).filter(lambda text: set(text) != {"0"})
SHARES = st.one_of(st.floats(0, 1), st.sampled_from([0.0, 1.0, 0.5, 1e-9, 2**-64, 1 - 2**-53]))


@given(TRACES, SHARES)
def test_the_share_decides_as_opentelemetry_does(trace_id: str, share: float) -> None:
    theirs = TraceIdRatioBased(share).should_sample(None, int(trace_id, 16), "").decision.is_sampled()

    assert (trace_id[16:] < bound_of(share)) is theirs


@given(TRACES, SPANS, st.sampled_from([0, 1, 2, 3]))
def test_what_is_written_is_read(trace_id: str, span_id: str, flags: int) -> None:
    parent = Parent(trace_id, span_id, flags)

    assert parse([written(*parent)]) == parent


@given(st.lists(st.one_of(st.text(), st.text("0123456789abcdef-", min_size=50, max_size=60)), max_size=2))
def test_whatever_stands_there_is_read_or_is_nothing(values: list[str]) -> None:
    parent = parse(values)

    assert parent is None or written(*parent)[3:52] == values[0].strip()[3:52]


@pytest.mark.parametrize(
    ("values", "state"),
    [
        (["a=1", "b@c=2"], "a=1,b@c=2"),
        ([" a=1 , ,\tb=2"], "a=1,b=2"),
        ([], ""),
        (["a=1,a=2"], ""),
        (["A=1"], ""),
        (["a=\xe9"], ""),
        (["a=1 x"], "a=1 x"),
        ([",".join(f"k{number}=1" for number in range(33))], ""),
        (["a=" + "x" * 511], ""),
    ],
)
def test_a_state_that_is_malformed_is_none(values: list[str], state: str) -> None:
    assert state_of(values) == state
    assert TraceState.from_header([state]).to_header() == state


@pytest.mark.parametrize(
    ("name", "argument", "expected"),
    [
        ("", "", Sampling(DEFAULT_SHARE)),
        ("always_on", "", Sampling(1.0, parent=False)),
        ("always_off", "0.5", Sampling(0.0, parent=False)),
        ("traceidratio", "0.25", Sampling(0.25, parent=False)),
        ("parentbased_always_on", "", Sampling(1.0)),
        ("parentbased_always_off", "", Sampling(0.0)),
        ("ParentBased_TraceIdRatio", " 0.25 ", Sampling(0.25)),
        ("parentbased_traceidratio", "", Sampling(1.0)),
        ("parentbased_traceidratio", "2", Sampling(1.0)),
        ("parentbased_traceidratio", "often", Sampling(1.0)),
        ("jaeger_remote", "", Sampling(DEFAULT_SHARE)),
    ],
)
def test_the_environment_says_what_is_sampled(name: str, argument: str, expected: Sampling) -> None:
    told: list[str] = []

    found = from_environment({"OTEL_TRACES_SAMPLER": name, "OTEL_TRACES_SAMPLER_ARG": argument}, told.append)

    assert found == expected
    assert bool(told) is (argument in ("2", "often") or name == "jaeger_remote")


@given(st.text(), st.integers(0, LONGEST * 2))
def test_any_text_becomes_one_that_can_be_sent(text: str, times: int) -> None:
    cleaned = clean(text * (times // max(1, len(text)) + 1))

    cleaned.encode()
    assert len(cleaned) <= LONGEST * 10


def test_a_byte_that_is_no_text_is_shown() -> None:
    assert clean("a\udcff") == "a\\xff"
    assert clean("a\ud800").isascii()


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("a=1&b=2", "a=REDACTED&b=REDACTED"),
        ("token=a=b", "token=REDACTED"),
        ("flag", "flag"),
        ("", ""),
        ("a=&b", "a=REDACTED&b"),
    ],
)
def test_values_of_queries_are_hidden(query: str, expected: str) -> None:
    assert redacted(query) == expected


@pytest.mark.parametrize(
    ("authority", "scheme", "expected"),
    [
        ("a.example", "https", ("a.example", 443)),
        ("a.example:8080", "http", ("a.example", 8080)),
        ("[::1]:9", "http", ("[::1]", 9)),
        ("[::1]", "http", ("[::1]", 80)),
        ("a:99999x", "http", ("a", None)),
        ("a:", "http", ("a", 80)),
        ("", "http", ("", 80)),
    ],
)
def test_host_and_port(authority: str, scheme: str, expected: tuple[str, int | None]) -> None:
    assert address_of(authority, scheme) == expected


def test_peers_are_few() -> None:
    peers = Peers()

    for port in range(1000):
        assert peers[f"http://a:{port + 1}"]["server.port"] == port + 1

    assert len(peers._known) <= 256
    assert peers["unix:/run/a.sock"]["server.address"] == "/run/a.sock"


def attempt(number: int, started: int, took: int) -> Attempt:
    made = Attempt(number, started)
    made.took_ns = took
    return made


def test_hooks_are_placed_in_their_part_of_the_exchange() -> None:
    order = (
        ("pre_auth", 0), ("on_request", 10),
        ("before_attempt", 1000), ("after_attempt", 1300), ("should_retry", 1310),
        ("before_attempt", 2000), ("after_attempt", 2500),
        ("on_response", 2510), ("on_complete", 9000),
    )  # fmt: skip
    timings = [Timing("a", hook, 10e-9) for hook, _ in order]
    attempts = [attempt(1, 1000, 300), attempt(2, 2000, 500)]

    found = [(timing.hook, begin) for timing, begin, _ in placed(timings, 0, 9000, attempts)]

    assert found == list(order)


@given(st.lists(st.sampled_from(["pre_auth", "select_upstream", "before_attempt", "after_attempt", "on_complete"])))
def test_any_order_of_hooks_gives_times_in_order(hooks: list[str]) -> None:
    timings = [Timing("a", hook, 1e-6, 1e-6) for hook in hooks]

    found = [(begin, end) for _, begin, end in placed(timings, 0, 5000, [attempt(1, 100, 100)])]

    assert all(begin <= end for begin, end in found)
    assert all(one[1] <= other[0] for one, other in pairwise(found))
