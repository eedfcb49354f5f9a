"""Snippets of the hooks of an answer's way out."""

from typing import Final

from spork_core.cli.scaffold.snippet import Setting, Snippet

ON_RESPONSE: Final = Snippet(
    hook="on_response",
    does="Sets `$field` on every answer, refusals and error pages too.",
    settings=(
        Setting(
            name="greeting",
            annotation="str",
            default='"hello"',
            kind="text",
            shown="hello",
            meaning="What clients read in the field.",
            example="good morning",
            validator="field_value",
        ),
    ),
    code='''
        @hookimpl
        def on_response(self, exchange: Exchange) -> None:
            """Called once for every answer. Change it, or return another Response in its place."""
            assert exchange.response is not None
            exchange.response.headers["$field"] = self.config.greeting
    ''',
    test="""
        async def test_every_answer_has_the_greeting() -> None:
            settings = {$more"greeting": "good morning"}
            async with gateway(plugins={"$name": settings}$routes) as gw:
                (await gw.get("/")).must_be(200).must_have("$field", "good morning")
    """,
)

ON_ERROR: Final = Snippet(
    hook="on_error",
    does="Tells clients whom to ask when something went wrong.",
    limit="Error pages are JSON, whatever a client accepts.",
    settings=(
        Setting(
            name="contact",
            annotation="str",
            default='"the people who run this gateway"',
            kind="text",
            shown="the people who run this gateway",
            meaning="Whom an error page names.",
            example="help@example.com",
        ),
    ),
    code='''
        @hookimpl
        def on_error(self, exchange: Exchange, error: Problem) -> Response | None:
            """The page of an error. Its status and headers stay: clients act on them."""
            page = {"error": error.code, "detail": error.detail, "contact": self.config.contact, "request": exchange.id}
            response = Response.json(page, error.status)
            response.headers.extend(error.headers)
            return response
    ''',
    test="""
        async def test_an_error_page_says_whom_to_ask() -> None:
            gone = scripts.closes_at_once()
            settings = {$more"contact": "help@example.com"}
            async with gateway(plugins={"$name": settings}, upstream=gone$routes) as gw:
                assert (await gw.get("/")).must_be(502).json()["contact"] == "help@example.com"
    """,
)

ON_COMPLETE: Final = Snippet(
    hook="on_complete",
    does="Warns in the log of exchanges that took too long.",
    settings=(
        Setting(
            name="slow",
            annotation="Seconds",
            default="1.0",
            kind="duration",
            shown="1s",
            meaning="What takes as long as this, or longer, is logged.",
            example="500ms",
        ),
    ),
    code='''
        @hookimpl
        def on_complete(self, exchange: Exchange) -> None:
            """Always called, once, after the last byte or the abort; ``exchange.outcome`` says how it ended."""
            outcome, route = exchange.outcome, exchange.route
            assert outcome is not None
            if outcome.seconds >= self.config.slow:
                where = "no route" if route is None else route.name
                log.warning("%s: %.3f s on %s, status %d", self.name, outcome.seconds, where, outcome.status)
    ''',
    test="""
        async def test_what_takes_long_is_logged(caplog: pytest.LogCaptureFixture) -> None:
            settings = {$more"slow": "0s"}
            async with gateway(plugins={"$name": settings}$routes) as gw:
                await gw.get("/")
            assert any(line.endswith("status 200") for line in caplog.messages)
    """,
)

SNIPPETS: Final = (ON_RESPONSE, ON_ERROR, ON_COMPLETE)
