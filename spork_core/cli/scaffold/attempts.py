"""Snippets of the hooks around an attempt, and of the answer that it brings."""

from typing import Final

from spork_core.cli.scaffold.snippet import Setting, Snippet

SELECT_UPSTREAM: Final = Snippet(
    hook="select_upstream",
    does="Sends the same client, or the same path, to the same endpoint of a service.",
    limit="Another attempt of the same request goes where the service's own balancing sends it.",
    settings=(
        Setting(
            name="sticky_by",
            annotation='Literal["client", "path"]',
            default='"client"',
            kind="`client`, `path`",
            shown="client",
            meaning="What decides about the endpoint.",
            example="path",
        ),
    ),
    code='''
        @hookimpl
        def select_upstream(self, exchange: Exchange, attempt: Attempt) -> Endpoint | None:
            """None leaves the choice to the next instance, and in the end to the service's own balancing."""
            if attempt.number > 1:
                return None
            request = exchange.request
            value = request.path if self.config.sticky_by == "path" else request.client
            return attempt.choices[crc32(value.encode("utf-8", "surrogateescape")) % len(attempt.choices)]
    ''',
    test="""
        async def test_a_path_stays_with_its_endpoint() -> None:
            settings = {$more"sticky_by": "path"}
            async with upstream() as one, upstream() as two:
                both = {"up": {"endpoints": [one.url, two.url]}}
                async with gateway(plugins={"$name": settings}, services=both$routes) as gw:
                    for _ in range(4):
                        (await gw.get("/here")).must_be(200)
                assert sorted([len(one.got), len(two.got)]) == [0, 4]
    """,
)

BEFORE_ATTEMPT: Final = Snippet(
    hook="before_attempt",
    does="Tells the service in `X-Time-Left` how many seconds there are for its answer, and asks nothing in vain.",
    limit="It ends no request that is on its way; `timeouts` of the service do.",
    settings=(
        Setting(
            name="patience",
            annotation="Seconds",
            default="15.0",
            kind="duration",
            shown="15s",
            meaning="What an exchange may take; past it no further attempt is made, and the answer is 504.",
            example="5s",
        ),
    ),
    code='''
        @hookimpl
        def before_attempt(self, exchange: Exchange, attempt: Attempt) -> None:
            """Just before each attempt is sent: what is changed in the request goes out with it."""
            left = self.config.patience - exchange.elapsed_ns / 1e9
            if left <= 0:
                raise UpstreamTimeout("There is no time left for this request.")
            exchange.request.headers["X-Time-Left"] = f"{left:.3f}"
    ''',
    test="""
        async def test_the_service_knows_how_long_it_has() -> None:
            settings = {$more"patience": "5s"}
            async with gateway(plugins={"$name": settings}$routes) as gw:
                (await gw.get("/")).must_be(200)
                gw.upstream.last.must_have("X-Time-Left", "5.000")


        async def test_no_attempt_is_made_without_time_for_it() -> None:
            settings = {$more"patience": "0s"}
            async with gateway(plugins={"$name": settings}$routes) as gw:
                (await gw.get("/")).must_be(504)
                gw.upstream.must_not_be_reached()
    """,
)

AFTER_ATTEMPT: Final = Snippet(
    hook="after_attempt",
    does="Logs the attempts that failed, or all of them.",
    settings=(
        Setting(
            name="report",
            annotation='Literal["failures", "all"]',
            default='"failures"',
            kind="`failures`, `all`",
            shown="failures",
            meaning="Which attempts are logged.",
            example="all",
        ),
    ),
    code='''
        @hookimpl
        def after_attempt(self, exchange: Exchange, attempt: Attempt) -> None:
            """A response head is there, or the attempt has failed. Nothing here changes the outcome."""
            if attempt.error is not None:
                log.warning("%s: attempt %d failed: %s", self.name, attempt.number, attempt.error.code)
            elif self.config.report == "all":
                log.info("%s: attempt %d brought %s", self.name, attempt.number, attempt.status)
    ''',
    test="""
        async def test_attempts_are_logged(caplog: pytest.LogCaptureFixture) -> None:
            caplog.set_level("INFO")
            settings = {$more"report": "all"}
            async with gateway(plugins={"$name": settings}$routes) as gw:
                await gw.get("/")
            assert "$name: attempt 1 brought 200" in caplog.messages
    """,
)

SHOULD_RETRY: Final = Snippet(
    hook="should_retry",
    does="Has a request tried again when the service failed or was too busy.",
    limit="Only what can be repeated without harm is sent again: the kernel refuses the rest.",
    settings=(
        Setting(
            name="retries",
            annotation="int",
            default="1",
            kind="number",
            shown="1",
            meaning="Further attempts, at most.",
            example="2",
            validator="ge(0)",
        ),
        Setting(
            name="pause",
            annotation="Seconds",
            default="0.05",
            kind="duration",
            shown="50ms",
            meaning="How long to wait before each of them.",
            example="100ms",
        ),
    ),
    code='''
        @hookimpl
        def should_retry(self, exchange: Exchange, attempt: Attempt) -> float | None:
            """Seconds to wait before another attempt; None: no opinion."""
            failed = attempt.error is not None or attempt.status in (502, 503, 504)
            return self.config.pause if failed and attempt.number <= self.config.retries else None
    ''',
    test="""
        async def test_a_busy_service_is_asked_again() -> None:
            busy = scripts.storm(1, status=503)
            settings = {$more"retries": 1, "pause": "0s"}
            async with gateway(plugins={"$name": settings}, upstream=busy$routes) as gw:
                (await gw.get("/")).must_be(200)
                gw.upstream.must_have_got(2)
    """,
)

ON_UPSTREAM_RESPONSE: Final = Snippet(
    hook="on_upstream_response",
    does="Takes fields that tell too much out of a service's answers.",
    settings=(
        Setting(
            name="hide",
            annotation="tuple[str, ...]",
            default='("Server", "X-Powered-By")',
            kind="list of names",
            shown="[Server, X-Powered-By]",
            meaning="Fields that clients do not see.",
            example="[Server, X-Runtime]",
        ),
    ),
    code='''
        @hookimpl
        def on_upstream_response(self, exchange: Exchange) -> None:
            """Sees what a service answered, and nothing that was answered here. May return another Response."""
            assert exchange.response is not None
            for name in self.config.hide:
                exchange.response.headers.popall(name, None)
    ''',
    test="""
        async def test_a_hidden_field_stays_here() -> None:
            settings = {$more"hide": ["X-Runtime"]}
            chatty = scripts.ok(headers={"X-Runtime": "7"})
            async with gateway(plugins={"$name": settings}, upstream=chatty$routes) as gw:
                (await gw.get("/")).must_be(200).must_not_have("X-Runtime")
    """,
)

SNIPPETS: Final = (SELECT_UPSTREAM, BEFORE_ATTEMPT, AFTER_ATTEMPT, SHOULD_RETRY, ON_UPSTREAM_RESPONSE)
