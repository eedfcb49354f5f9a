"""Snippets of the hooks that are called for an instance, and for no exchange."""

from typing import Final

from spork_core.cli.scaffold.snippet import Setting, Snippet

STARTUP: Final = Snippet(
    hook="startup",
    does="Asks a service for `/` before the first exchange, so that a connection to it is open.",
    limit="A service that cannot be reached at the start keeps a new config from being used.",
    settings=(
        Setting(
            name="warm_up",
            annotation="str | None",
            default="None",
            kind="text or `null`",
            shown="null",
            meaning="The service to ask; `null`: none.",
            example="users",
        ),
    ),
    code='''
        @hookimpl
        async def startup(self, gateway: GatewayView) -> None:
            """Before the first exchange. What is raised here keeps the config that serves in its place."""
            if self.config.warm_up is not None:
                response = await gateway.send(self.config.warm_up, Request("GET", "/"))
                response.body.discard()
    ''',
    test="""
        async def test_a_service_is_warm_before_the_first_exchange() -> None:
            settings = {$more"warm_up": "up"}
            async with gateway(plugins={"$name": settings}$routes) as gw:
                gw.upstream.must_have_got(1)
    """,
)

SHUTDOWN: Final = Snippet(
    hook="shutdown",
    does="Logs that an instance has ended, and when.",
    settings=(
        Setting(
            name="farewell",
            annotation="str",
            default='"ended"',
            kind="text",
            shown="ended",
            meaning="What the log says.",
            example="good night",
        ),
    ),
    code='''
        @hookimpl
        async def shutdown(self, gateway: GatewayView) -> None:
            """After the last exchange, and also when a startup failed half-way: what is open is closed here."""
            log.info("%s: %s at %.3f", self.name, self.config.farewell, gateway.clock.time())
    ''',
    test="""
        async def test_the_end_is_logged(caplog: pytest.LogCaptureFixture) -> None:
            caplog.set_level("INFO")
            settings = {$more"farewell": "good night"}
            async with gateway(plugins={"$name": settings}$routes):
                pass
            assert any("good night at" in line for line in caplog.messages)
    """,
)

HEALTH: Final = Snippet(
    hook="health",
    does="Takes the gateway out of a load balancer's rotation, by a sentence in the config.",
    settings=(
        Setting(
            name="out_of_service",
            annotation="str | None",
            default="None",
            kind="text or `null`",
            shown="null",
            meaning="Why `/readyz` says that the gateway is not ready; `null`: it is.",
            example="null",
        ),
    ),
    code='''
        @hookimpl
        async def health(self, gateway: GatewayView) -> str | None:
            """None when well, else a sentence saying what is wrong. May ask whatever it depends on."""
            return self.config.out_of_service
    ''',
    test="""
        async def test_readiness_says_why_it_is_out_of_service() -> None:
            settings = {$more"out_of_service": "moving house"}
            async with gateway(plugins={"$name": settings}, admin={}$routes) as gw:
                assert "moving house" in (await gw.admin.get("/readyz")).must_be(503).text
    """,
)

DESCRIBE: Final = Snippet(
    hook="describe",
    does="Shows in `spork plugins` who looks after an instance.",
    settings=(
        Setting(
            name="owner",
            annotation="str",
            default='"nobody"',
            kind="text",
            shown="nobody",
            meaning="Who looks after the instance.",
            example="team-users",
        ),
    ),
    code='''
        @hookimpl
        def describe(self, gateway: GatewayView) -> dict[str, object]:
            """Facts about the running instance, for ``spork plugins`` and the admin listener."""
            return {"owner": self.config.owner}
    ''',
    test="""
        async def test_operators_see_the_owner() -> None:
            settings = {$more"owner": "team-users"}
            async with gateway(plugins={"$name": settings}, admin={}$routes) as gw:
                status = (await gw.admin.get("/status")).must_be(200).json()
            assert status["instances"]["$name"]["describe"] == {"owner": "team-users"}
    """,
)

COLLECT: Final = Snippet(
    hook="collect",
    does="Tells whoever collects metrics what it costs to serve a month.",
    settings=(
        Setting(
            name="monthly_cost",
            annotation="float",
            default="0.0",
            kind="number",
            shown="0.0",
            meaning="What a month of it costs.",
            example="12.5",
        ),
    ),
    code='''
        @hookimpl
        def collect(self, gateway: GatewayView) -> list[Metric]:
            """The instance's numbers, for each scrape; the labels come from a closed set, never from a client."""
            cost = self.config.monthly_cost
            return [Metric("monthly_cost", "gauge", "What a month costs.", ("instance",), {(self.name,): cost})]
    ''',
    test="""
        async def test_the_cost_is_a_metric() -> None:
            settings = {$more"monthly_cost": 12.5}
            async with gateway(plugins={"$name": settings}$routes) as gw:
                assert gw.metrics()["monthly_cost"] == {("$name",): 12.5}
    """,
)

LOCAL_ROUTES: Final = Snippet(
    hook="local_routes",
    does="Answers the path of the instance's name on the admin listener, or on the public one.",
    settings=(
        Setting(
            name="page_on",
            annotation='Literal["admin", "public"]',
            default='"admin"',
            kind="`admin`, `public`",
            shown="admin",
            meaning="The listener that the page is on.",
            example="public",
        ),
    ),
    code='''
        @hookimpl
        def local_routes(self, gateway: GatewayView) -> list[LocalRoute]:
            """Paths that the instance answers itself, beside the routes of the config."""
            return [LocalRoute(f"/{self.name}", self._page, listener=self.config.page_on)]

        def _page(self, exchange: Exchange) -> Response:
            return Response.json({"plugin": "$name", "instance": self.name})
    ''',
    test="""
        async def test_the_page_is_there() -> None:
            settings = {$more"page_on": "public"}
            async with gateway(plugins={"$name": settings}$routes) as gw:
                page = (await gw.get("/$name")).must_be(200).json()
            assert page == {"plugin": "$name", "instance": "$name"}
    """,
)

ON_EVENT: Final = Snippet(
    hook="on_event",
    does="Logs events of some kinds as critical, for whoever is on call.",
    settings=(
        Setting(
            name="alert_on",
            annotation="tuple[str, ...]",
            default='("quarantined", "blocked")',
            kind="list of text",
            shown="[quarantined, blocked]",
            meaning="Kinds of events.",
            example="[quarantined, over_budget]",
        ),
    ),
    code='''
        @hookimpl
        def on_event(self, gateway: GatewayView, event: Event) -> None:
            """Something that an operator would want to know of. Called in the event loop: be quick."""
            if event.kind in self.config.alert_on:
                log.critical("%s: %s", self.name, event.message)
    ''',
    test="""
        async def test_some_events_are_critical(caplog: pytest.LogCaptureFixture) -> None:
            settings = {$more"alert_on": ["quarantined"]}
            async with gateway(plugins={"$name": settings}$routes) as gw:
                gw.gateway.view().event("quarantined", "limit is left out")
            assert "$name: limit is left out" in caplog.messages
    """,
)

SNIPPETS: Final = (STARTUP, SHUTDOWN, HEALTH, DESCRIBE, COLLECT, LOCAL_ROUTES, ON_EVENT)
