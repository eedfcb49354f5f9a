"""What exchanges leave on the page, over real sockets, with time that stands still unless it is moved."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from spork_metrics.config import MetricsConfig

from spork_core.api import TRACE_ID, Exchange, Identity, Metric, Plugin, TooManyRequests, hookimpl, setting
from spork_core.testing import gateway, scripts
from spork_core.testing.harness import Harness

ADMIN = {"listen": "127.0.0.1:0"}
OPENMETRICS = "application/openmetrics-text; version=1.0.0"
DEAD = {"all": {"match": {}, "service": "dead"}}
REQUESTS = 'spork_http_requests_total{code="%s",method="%s",route="%s",service="%s",source="%s"}'
DURATION = 'spork_http_request_duration_seconds_%s{code_class="2xx",%sroute="all",service="up"}'


@asynccontextmanager
async def metered(
    settings: dict[str, Any] | None = None, *, others: dict[str, Any] | None = None, **more: Any
) -> AsyncIterator[Harness]:
    """A gateway with the plugin before ``others``."""
    plugins = {"metrics": {"use": "metrics", **(settings or {})}, **(others or {})}
    async with gateway(plugins=plugins, admin=ADMIN, **more) as gw:
        yield gw


async def page(gw: Harness, path: str = "/metrics") -> dict[str, float]:
    """Series, as the text format writes them → value."""
    text = (await gw.admin.get(path)).must_be(200).text
    lines = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    return {series: float(value) for series, value in lines}


def within(found: dict[str, float], name: str) -> dict[str, float]:
    """The series of one metric, without its name."""
    return {series.removeprefix(name): value for series, value in found.items() if series.split("{")[0] == name}


async def test_requests_are_told_apart_by_what_is_closed() -> None:
    async with metered(routes={"users": {"match": {"path": "/users/{id}"}, "service": "up"}}) as gw:
        await gw.get("/users/7")
        await gw.get("/users/8?page=2")
        (await gw.request("PROPFIND", "/users/7")).must_be(200)
        await gw.get("/nowhere")
        found = await page(gw)

    assert within(found, "spork_http_requests_total") == {
        '{code="200",method="GET",route="users",service="up",source="upstream"}': 2,
        '{code="200",method="OTHER",route="users",service="up",source="upstream"}': 1,
        '{code="404",method="GET",route="",service="",source="client"}': 1,
    }
    assert within(found, "spork_problems_total") == {'{problem="no-route",route="",service=""}': 1}


async def test_bytes_go_both_ways() -> None:
    async with metered(upstream=scripts.ok("four")) as gw:
        await gw.post("/", body=b"x" * 1000)
        found = await page(gw)

    assert within(found, "spork_http_request_body_bytes_total") == {'{route="all",service="up"}': 1000}
    assert within(found, "spork_http_response_body_bytes_total") == {'{route="all",service="up"}': 4}


async def test_a_duration_falls_into_its_buckets() -> None:
    async with metered({"buckets": ["100ms", "250ms", "1s"]}, upstream=scripts.slow_head(0.25)) as gw:
        asking = asyncio.ensure_future(gw.get("/"))
        await gw.clock.elapse(0.25)
        (await asking).must_be(200)
        found = await page(gw)

    assert [found[DURATION % ("bucket", f'le="{le}",')] for le in ("0.1", "0.25", "1.0", "+Inf")] == [0, 1, 1, 1]
    assert found[DURATION % ("sum", "")] == pytest.approx(0.25, rel=0.01)
    assert found[DURATION % ("count", "")] == 1
    upstream = within(found, "spork_upstream_request_duration_seconds_sum")
    assert list(upstream.values()) == [pytest.approx(0.25, rel=0.01)]


async def test_durations_are_told_apart_as_the_config_says() -> None:
    async with metered({"duration_labels": ["method", "source"]}) as gw:
        await gw.get("/")
        found = await page(gw)

    counts = within(found, "spork_http_request_duration_seconds_count")
    assert counts == {'{method="GET",route="all",service="up",source="upstream"}': 1}


async def test_attempts_and_retries_say_what_became_of_them() -> None:
    endpoints = ["http://127.0.0.1:9", "http://127.0.0.1:10"]
    async with metered(services={"dead": {"endpoints": endpoints}}, routes=DEAD) as gw:
        (await gw.get("/")).must_be(502)
        found = await page(gw)

    assert within(found, "spork_upstream_attempts_total") == {
        f'{{endpoint="{url}",result="upstream-connect-failed",service="dead"}}': 1 for url in endpoints
    }
    assert within(found, "spork_upstream_retries_total") == {'{reason="upstream-connect-failed",service="dead"}': 1}


async def test_a_client_that_leaves_is_a_499() -> None:
    async with metered(upstream=scripts.never()) as gw:
        async with await gw.connect() as client:
            await client.wire.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            await gw.upstream.sole()
            client.wire.reset()
        found = await page(gw)
        while not within(found, "spork_http_requests_total"):
            found = await page(gw)

    assert found[REQUESTS % (499, "GET", "all", "up", "client")] == 1
    assert found['spork_http_responses_incomplete_total{route="all",service="up"}'] == 1
    (attempt,) = within(found, "spork_upstream_attempts_total")
    assert 'result="abandoned"' in attempt


@attrs.frozen
class Size:
    """A config that a reload can change."""

    size: int = setting("Any.", default=1)


class Knows(Plugin):
    """Takes the caller's word for who it is, and for its trace."""

    @hookimpl
    def authenticate(self, exchange: Exchange) -> Identity | None:
        who = exchange.request.headers.get("X-Who")
        return None if who is None else Identity(who)

    @hookimpl
    def on_request(self, exchange: Exchange) -> None:
        if "X-Trace" in exchange.request.headers:
            exchange[TRACE_ID] = exchange.request.headers["X-Trace"]
        if "X-Stop" in exchange.request.headers:
            raise TooManyRequests

    def challenge(self) -> str:
        return "Word"


async def test_callers_are_counted_by_name_up_to_a_number() -> None:
    async with metered(
        {"consumers": 2},
        others={"knows": Knows},
        routes={"all": {"match": {}, "authenticate": "optional", "service": "up"}},
    ) as gw:
        for who in ("ann", "bob", "cy", "ann", "dee"):
            await gw.get("/", headers={"X-Who": who})
        await gw.get("/")
        found = await page(gw)

    assert within(found, "spork_consumer_requests_total") == {
        '{code_class="2xx",consumer="ann"}': 2,
        '{code_class="2xx",consumer="bob"}': 1,
        '{code_class="2xx",consumer="other"}': 2,
    }
    assert found["spork_metrics_series_overflow_total"] == 0


async def test_refusals_are_counted_by_their_code() -> None:
    async with metered(
        others={"knows": Knows}, routes={"all": {"match": {}, "authenticate": "optional", "service": "up"}}
    ) as gw:
        (await gw.get("/", headers={"X-Stop": "1"})).must_be(429)
        found = await page(gw)

    assert found[REQUESTS % (429, "GET", "all", "up", "client")] == 1
    assert found['spork_problems_total{problem="too-many-requests",route="all",service="up"}'] == 1


async def test_the_last_trace_of_a_bucket_is_its_exemplar() -> None:
    async with metered(
        others={"knows": Knows}, routes={"all": {"match": {}, "authenticate": "optional", "service": "up"}}
    ) as gw:
        await gw.get("/", headers={"X-Trace": "a" * 32})
        await gw.get("/", headers={"X-Trace": "b" * 32})
        await gw.get("/")
        text = (await gw.admin.get("/metrics", headers={"Accept": OPENMETRICS})).text
        plain = (await gw.admin.get("/metrics")).text

    families = {family.name: family for family in text_string_to_metric_families(text)}
    found = [sample.exemplar for sample in families["spork_http_request_duration_seconds"].samples if sample.exemplar]
    assert [(exemplar.labels, exemplar.value) for exemplar in found] == [({"trace_id": "b" * 32}, 0)]
    assert "trace_id" not in plain


# -- the page -----------------------------------------------------------------------------------------


async def test_the_client_decides_the_format() -> None:
    async with metered() as gw:
        (await gw.admin.get("/metrics")).must_have("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        answer = await gw.admin.get("/metrics", headers={"Accept": OPENMETRICS, "Accept-Encoding": "gzip"})
        answer.must_have("Content-Encoding", "gzip").must_have("Vary", "Accept, Accept-Encoding")
        assert gzip.decompress(answer.body).endswith(b"# EOF\n")
        (await gw.admin.head("/metrics")).must_be(200).must_say("")
        (await gw.get("/metrics")).must_have("Content-Length", "2")  # the public listener knows no such page


@pytest.mark.parametrize(
    "accept", ["application/openmetrics-text; version=x", "text/plain; version=1.0.0.x", ";;,=", "é"]
)
async def test_what_nobody_would_accept_gets_the_text_format(accept: str) -> None:
    async with metered() as gw:
        (await gw.admin.get("/metrics", headers={"Accept": accept})).must_be(200).must_mention("# TYPE")


async def test_who_asks_meanwhile_gets_the_next_page_together() -> None:
    async with metered() as gw:
        await gw.get("/")
        answers = await asyncio.gather(*(gw.admin.get("/metrics") for _ in range(20)))
        told = (await gw.admin.get("/status")).json()["instances"]["metrics"]["describe"]

    assert {answer.raw.status for answer in answers} == {200}
    assert told["pages"] < 20


async def test_what_others_tell_comes_along() -> None:
    class Tells(Plugin):
        """Tells of cookies, and of things that would break a page."""

        @hookimpl
        def collect(self) -> Iterable[Metric]:
            yield Metric("cookies", "counter", 'Baked.\n"Well".', ("kind",), {('a\n"b\\',): 3})
            yield Metric("cookies", "counter", "Baked elsewhere.", ("kind",), {("oat",): 2})
            yield Metric("http_requests", "counter", "Not mine to tell.", (), {(): 99})
            yield Metric("odd", "gauge", "A reserved label.", ("le",), {("1",): 1})
            yield Metric("odd", "gauge", "A value too many.", ("kind",), {("1", "2"): 1})

    async with metered(others={"tells": Tells}) as gw:
        found = await page(gw)
        text = (await gw.admin.get("/metrics", headers={"Accept": OPENMETRICS})).text

    assert within(found, "spork_cookies_total") == {'{kind="a\\n\\"b\\\\"}': 3, '{kind="oat"}': 2}
    assert within(found, "spork_http_requests_total") == within(found, "spork_odd") == {}
    assert list(text_string_to_metric_families(text))


async def test_counters_of_an_instance_that_begins_anew_go_on() -> None:
    class Counts(Plugin[Any]):
        """Forgets with each reload."""

        Config = Size
        count = 0

        @hookimpl
        def on_request(self) -> None:
            self.count += 1

        @hookimpl
        def collect(self) -> Iterable[Metric]:
            yield Metric("seen", "counter", "Seen.", (), {(): self.count})

    async with metered(others={"counts": Counts}) as gw:
        await gw.get("/")
        await gw.get("/")
        assert (await page(gw))["spork_seen_total"] == 2
        await gw.reload(plugins={"metrics": {"use": "metrics"}, "counts": (Counts, {"size": 2})})
        await gw.get("/")
        assert (await page(gw))["spork_seen_total"] == 3


async def test_the_loops_lag_is_looked_at_once_a_second() -> None:
    async with metered() as gw:
        await gw.clock.elapse(5)
        found = await page(gw)

    assert found["spork_event_loop_lag_seconds_count"] == 5


# -- reload -------------------------------------------------------------------------------------------


async def test_a_reload_that_changes_the_config_keeps_the_counts() -> None:
    async with metered({"buckets": ["1s"]}) as gw:
        await gw.get("/")
        await gw.reload(plugins={"metrics": {"use": "metrics", "buckets": ["500ms", "2s"], "path": "/m"}})
        await gw.get("/")
        found = await page(gw, "/m")

    assert found[REQUESTS % (200, "GET", "all", "up", "upstream")] == 2
    assert [found[DURATION % ("bucket", f'le="{le}",')] for le in ("0.5", "2.0", "+Inf")] == [1, 2, 2]


async def test_instances_count_for_themselves() -> None:
    plugins = {"one": {"use": "metrics", "path": "/one"}, "two": {"use": "metrics", "path": "/two"}}
    routes = {
        "all": {"service": "up", "match": {"path": "/*"}},
        "few": {"service": "up", "match": {"path": "/few"}, "chain": ["two"]},
    }
    async with gateway(plugins=plugins, chain=["one"], routes=routes, admin=ADMIN) as gw:
        await gw.get("/few")
        await gw.get("/many")
        one, two = await page(gw, "/one"), await page(gw, "/two")

    assert len(within(one, "spork_http_requests_total")) == 2
    assert len(within(two, "spork_http_requests_total")) == 1


async def test_a_flood_of_codes_ends_at_the_budget_and_is_told_of() -> None:
    storm = scripts.sequence(*(scripts.answer(code) for code in range(200, 600) if code not in (204, 205, 304)))
    async with metered({"max_series": 500}, upstream=storm) as gw:
        for _ in range(397):
            await gw.get("/")
        await gw.clock.elapse(1)
        found = await page(gw)
        told = (await gw.admin.get("/status")).json()

    assert sum(within(found, "spork_http_requests_total").values()) == 397
    beyond = found[REQUESTS % (("other",) * 5)]
    beyond += found['spork_upstream_attempts_total{endpoint="other",result="other",service="other"}']
    assert found["spork_metrics_series_overflow_total"] == beyond > 0
    assert found["spork_metrics_series"] <= 500
    assert [event["kind"] for event in told["events"]] == ["series-overflow"]


async def test_pages_and_exchanges_go_on_beside_each_other() -> None:
    async with metered() as gw:
        await asyncio.gather(*(gw.get(f"/{at}") for at in range(100)), *(page(gw) for _ in range(10)))
        found = await page(gw)

    assert found[REQUESTS % (200, "GET", "all", "up", "upstream")] == 100
    assert found[DURATION % ("count", "")] == 100


@pytest.mark.parametrize("path", ["/readyz", "/livez", "/status", "/reload", "metrics", "/a/", "/a b"])
def test_a_path_that_it_cannot_have_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match=r"write (another, such as|one like) /metrics"):
        MetricsConfig(path=path)
