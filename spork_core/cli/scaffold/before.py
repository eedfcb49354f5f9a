"""Snippets of the hooks of a request's way in."""

from typing import Final

from spork_core.cli.scaffold.snippet import Setting, Snippet

PRE_AUTH: Final = Snippet(
    hook="pre_auth",
    does="Refuses requests whose query is too long, before anything else looks at them.",
    limit="The query is measured as it was sent, percent-encoded.",
    settings=(
        Setting(
            name="max_query",
            annotation="Bytes",
            default="2048",
            kind="size",
            shown="2KiB",
            meaning="The longest query; a longer one is answered 414.",
            example="1KiB",
        ),
    ),
    code='''
        @hookimpl
        def pre_auth(self, exchange: Exchange) -> None:
            """A Problem that is raised is the answer. A hook that returns a Response answers with that."""
            if len(exchange.request.query or "") > self.config.max_query:
                raise UriTooLong(f"The query is longer than {self.config.max_query} bytes.")
    ''',
    test="""
        async def test_a_long_query_is_refused() -> None:
            settings = {$more"max_query": "8B"}
            async with gateway(plugins={"$name": settings}$routes) as gw:
                (await gw.get("/?q=123456")).must_be(200)
                (await gw.get("/?q=1234567")).must_be(414)
    """,
)

AUTHENTICATE: Final = Snippet(
    hook="authenticate",
    does="Says who is calling, by a bearer token of a fixed list.",
    limit="Tokens change with the config: reload to add one or to take one away.",
    settings=(
        Setting(
            name="tokens",
            annotation="dict[str, Secret]",
            default=None,
            kind="name → secret",
            shown="required",
            meaning="Who may call, and the token that proves it.",
            example='{ann: "$${env:ANNS_TOKEN}"}',
            validator="bearer_tokens",
        ),
    ),
    declares=('provides: ClassVar[tuple[str, ...]] = ("identity",)',),
    code='''
        @hookimpl
        def authenticate(self, exchange: Exchange) -> Identity | None:
            """None: no credential of this kind, and the next instance is asked. A bad one ends it here."""
            scheme, _, sent = exchange.request.headers.get("Authorization", "").partition(" ")
            if scheme.lower() != "bearer":
                return None
            given = sent.strip().encode("utf-8", "surrogateescape")
            for subject, token in self.config.tokens.items():
                if compare_digest(given, token.reveal().encode()):
                    return Identity(subject, scheme="bearer")
            raise Unauthenticated("The token is not known.")

        def challenge(self) -> str:
            """What a caller without credentials is asked for, in WWW-Authenticate."""
            return "Bearer"
    ''',
    test="""
        async def test_a_caller_needs_a_token_of_the_list() -> None:
            async with gateway(plugins={"$name": TOKENS}) as gw:
                (await gw.get("/")).must_be(401).must_have("WWW-Authenticate", "Bearer")
                (await gw.get("/", headers={"Authorization": "Bearer another"})).must_be(401)
                (await gw.get("/", headers={"Authorization": "Bearer a-token"})).must_be(200)
    """,
)

AUTHORIZE: Final = Snippet(
    hook="authorize",
    does="Lets only callers with a role use some methods.",
    limit="The role comes from the plugin that authenticates; put that before this one in the chain.",
    settings=(
        Setting(
            name="guarded",
            annotation="tuple[str, ...]",
            default='("DELETE",)',
            kind="list of text",
            shown="[DELETE]",
            meaning="Methods that need the role.",
            example="[DELETE, PUT]",
        ),
        Setting(
            name="role",
            annotation="str",
            default='"admin"',
            kind="text",
            shown="admin",
            meaning="The role that they need.",
            example="editor",
        ),
    ),
    code='''
        @hookimpl
        def authorize(self, exchange: Exchange) -> None:
            """Who is calling is known here; None when nobody authenticates."""
            if exchange.request.method in self.config.guarded:
                identity = exchange.identity
                if identity is None or self.config.role not in identity.roles:
                    raise Forbidden("Your role does not permit this method.")
    ''',
    test="""
        async def test_a_guarded_method_needs_the_role() -> None:
            settings = {$more"guarded": ["DELETE"]}
            async with gateway(plugins={"$name": settings}$routes) as gw:
                (await gw.get("/")).must_be(200)
                (await gw.delete("/")).must_be(403)
    """,
)

ON_REQUEST: Final = Snippet(
    hook="on_request",
    does="Tells the service in `$field` which gateway a request came through.",
    settings=(
        Setting(
            name="tag",
            annotation="str",
            default='"gateway"',
            kind="text",
            shown="gateway",
            meaning="What the service reads in the field.",
            example="edge-1",
            validator="field_value",
        ),
    ),
    code='''
        @hookimpl
        def on_request(self, exchange: Exchange) -> None:
            """What is changed here is what the service gets; what a client sent in the field is gone."""
            exchange.request.headers["$field"] = self.config.tag
    ''',
    test="""
        async def test_the_service_reads_the_tag() -> None:
            settings = {$more"tag": "edge-1"}
            async with gateway(plugins={"$name": settings}$routes) as gw:
                await gw.get("/", headers={"$field": "forged"})
                gw.upstream.last.must_have("$field", "edge-1")
    """,
)

SERVE: Final = Snippet(
    hook="serve",
    does="Answers one path itself, in place of the service.",
    settings=(
        Setting(
            name="answers_at",
            annotation="str",
            default='"/who-is-there"',
            kind="text",
            shown="/who-is-there",
            meaning="The path that it answers.",
            example="/hello",
        ),
    ),
    code='''
        @hookimpl
        def serve(self, exchange: Exchange) -> Response | None:
            """None: not mine; the next instance is asked, and in the end the service."""
            if exchange.request.path != self.config.answers_at:
                return None
            return Response.json({"plugin": "$name", "instance": self.name})
    ''',
    test="""
        async def test_one_path_is_answered_here() -> None:
            settings = {$more"answers_at": "/hello"}
            async with gateway(plugins={"$name": settings}$routes) as gw:
                assert (await gw.get("/hello")).must_be(200).json()["plugin"] == "$name"
                gw.upstream.must_not_be_reached()
                (await gw.get("/other")).must_be(200)
                gw.upstream.must_have_got(1)
    """,
)

SNIPPETS: Final = (PRE_AUTH, AUTHENTICATE, AUTHORIZE, ON_REQUEST, SERVE)
