"""Mutants of the laws about exchanges: refusing, failing, completing, headers, hostile requests."""

from typing import Final

from tests.testing.mutants.frame import Mutant

_API: Final = "from spork_core.api import Exchange, Forbidden, GatewayView, Plugin, Seconds, Secret, hookimpl, setting"
_REFUSES: Final = 'raise Forbidden("That is not how to greet a gateway.")'
_WAITS: Final = "await asyncio.sleep(0)"


def _imports(*names: str) -> dict[str, str]:
    """The change that lets a mutant use more of the kernel's door."""
    return {_API: f"{_API}\nfrom spork_core.api import {', '.join(names)}"}


MUTANTS: Final = (
    Mutant(
        "a refusal built and dropped",
        breaks="refusals_are_honoured",
        methods="""
            @hookimpl
            def pre_auth(self, exchange: Exchange) -> None:
                if "X-Api-Key" in exchange.request.headers:
                    Forbidden("No keys here.")  # here
        """,
    ),
    Mutant(
        "a refusal returned",
        breaks="refusals_are_honoured",
        methods="""
            @hookimpl
            def authorize(self, exchange: Exchange) -> Any:
                return Forbidden("No bots.") if "User-Agent" in exchange.request.headers else None  # here
        """,
    ),
    Mutant(
        "a refusal assigned",
        breaks="refusals_are_honoured",
        replace=_imports("Response"),
        methods="""
            @hookimpl
            async def authorize(self, exchange: Exchange) -> None:
                if "Origin" in exchange.request.headers:
                    exchange.response = Response(403, "Not from there.")  # here
        """,
    ),
    Mutant(
        "an answer that nobody returns",
        breaks="refusals_are_honoured",
        replace=_imports("Response"),
        methods="""
            @hookimpl
            def serve(self, exchange: Exchange) -> None:
                if exchange.request.path == "/":
                    Response(200, "Welcome.")  # here
        """,
    ),
    Mutant(
        "a refusal made a success",
        breaks="refusals_are_honoured",
        methods="""
            @hookimpl
            def on_response(self, exchange: Exchange) -> None:  # here
                assert exchange.response is not None
                if exchange.response.status == 403:
                    exchange.response.status = 200
        """,
    ),
    Mutant(
        "an error page that tells what the log should",
        breaks="fails_by_its_policy",
        replace=_imports("Problem", "Response"),
        methods="""
            @hookimpl
            def on_error(self, exchange: Exchange, error: Problem) -> Response:  # here
                return Response(error.status, error.reason.encode("utf-8", "replace"))
        """,
    ),
    Mutant(
        "a hook that counts on one that failed",
        breaks="fails_by_its_policy",
        replace=_imports("Attempt", "StateKey"),
        module='GREETED = StateKey[bool]("greeted")',
        methods="""
            @hookimpl
            def pre_auth(self, exchange: Exchange) -> None:
                exchange[GREETED] = True

            @hookimpl
            def before_attempt(self, exchange: Exchange, attempt: Attempt) -> None:
                assert exchange[GREETED]  # here
        """,
    ),
    Mutant(
        "a way out that counts on the way in",
        breaks="way_out_stands_alone",
        replace={**_imports("StateKey"), _WAITS: f"{_WAITS}\n            exchange[SEEN] = self._seen"},
        module='SEEN = StateKey[int]("seen")',
        methods="""
            @hookimpl
            def on_complete(self, exchange: Exchange) -> None:
                self._seen = exchange[SEEN] + 1  # here
        """,
    ),
    Mutant(
        "a slot given back that was never taken",
        breaks="on_complete_is_twice_safe",
        methods="""
            @hookimpl
            async def on_request(self, exchange: Exchange) -> None:
                await self._turns.acquire()

            @hookimpl
            def on_complete(self, exchange: Exchange) -> None:  # here
                self._turns.release()
        """,
    ),
    Mutant(
        "a line end from the path",
        breaks="leaves_headers_clean",
        replace={"import asyncio\n": "import asyncio\nfrom urllib.parse import unquote\n"},
        methods="""
            @hookimpl
            def on_response(self, exchange: Exchange) -> None:  # here
                assert exchange.response is not None
                path = unquote(exchange.request.path)
                if "\\ufffd" not in path:
                    exchange.response.headers["X-Path"] = path
        """,
    ),
    Mutant(
        "a field of the connection",
        breaks="leaves_headers_clean",
        methods="""
            @hookimpl
            def on_response(self, exchange: Exchange) -> None:  # here
                assert exchange.response is not None
                exchange.response.headers["Connection"] = "close"
        """,
    ),
    Mutant(
        "a second Content-Type",
        breaks="leaves_headers_clean",
        methods="""
            @hookimpl
            def on_response(self, exchange: Exchange) -> None:  # here
                assert exchange.response is not None
                exchange.response.headers.add("Content-Type", "text/plain")
        """,
    ),
    Mutant(
        "an answer shorter than it says",
        breaks="leaves_headers_clean",
        replace=_imports("IteratorBody", "Response"),
        module="""
            async def _short() -> Any:
                yield b"short"
        """,
        methods="""
            @hookimpl
            def serve(self, exchange: Exchange) -> Response | None:  # here
                if exchange.request.path != "/":
                    return None
                return Response(200, IteratorBody(_short(), length=100))
        """,
    ),
    Mutant(
        "a value that is no number",
        breaks="raises_nothing_but_problems",
        methods="""
            @hookimpl
            def authorize(self, exchange: Exchange) -> None:
                int(exchange.request.headers.get("X-Request-Id", "1"))  # here
        """,
    ),
    Mutant(
        "bytes that are no text",
        breaks="raises_nothing_but_problems",
        methods="""
            @hookimpl
            def on_response(self, exchange: Exchange) -> None:
                exchange.request.headers.get("User-Agent", "").encode()  # here
        """,
    ),
    Mutant(
        "a coroutine from a def",
        breaks="raises_nothing_but_problems",
        methods='''
            @hookimpl
            def authorize(self, exchange: Exchange) -> Any:  # here
                return self._allowed(exchange)

            async def _allowed(self, exchange: Exchange) -> None:
                """Never run."""
        ''',
    ),
    Mutant(
        "sys.exit",
        breaks="raises_nothing_but_problems",
        replace={"import asyncio\n": "import asyncio\nimport sys\n"},
        methods="""
            @hookimpl
            def authorize(self, exchange: Exchange) -> None:
                if exchange.request.method == "PUT":
                    sys.exit("This cannot happen.")  # here
        """,
    ),
    Mutant(
        "no Exception",
        breaks="raises_nothing_but_problems",
        methods="""
            @hookimpl
            async def authorize(self, exchange: Exchange) -> None:
                if exchange.request.method == "DELETE":
                    raise KeyboardInterrupt  # here
        """,
    ),
    Mutant(
        "an answer of a wrong type",
        breaks="raises_nothing_but_problems",
        methods="""
            @hookimpl
            def authorize(self, exchange: Exchange) -> Any:  # here
                return False if "Range" in exchange.request.headers else None
        """,
    ),
    Mutant(
        "an error in a body of its own",
        breaks="raises_nothing_but_problems",
        replace=_imports("IteratorBody"),
        methods="""
            request_body = "change"

            @hookimpl
            def authorize(self, exchange: Exchange) -> None:
                body = exchange.request.body
                if "Content-Encoding" in exchange.request.headers or body.length is not None:
                    exchange.request.body = IteratorBody(self._decoded(body), inner=body)

            async def _decoded(self, body: Any) -> Any:
                async for chunk in body:
                    yield chunk.decode("ascii").encode()  # here
        """,
    ),
    Mutant(
        "waits for ever",
        breaks="raises_nothing_but_problems",
        methods="""
            @hookimpl
            async def authorize(self, exchange: Exchange) -> None:
                if exchange.request.method == "PATCH":
                    await asyncio.get_running_loop().create_future()
        """,
    ),
    Mutant(
        "a path of its own that trusts its query",
        breaks="raises_nothing_but_problems",
        replace=_imports("LocalRoute", "Response"),
        methods="""
            @hookimpl
            def local_routes(self, gateway: GatewayView) -> list[LocalRoute]:
                return [LocalRoute("/good/greeting", self._greet, listener="public")]

            def _greet(self, exchange: Exchange) -> Response:
                name = (exchange.request.query or "a=you").split("=")[1]  # here
                return Response(200, f"Hello {name}.".encode("utf-8", "replace"))
        """,
    ),
    Mutant(
        "right: keeps a refusal for later",
        breaks=None,
        replace=_imports("Problem", "StateKey"),
        module='LATER = StateKey[Problem]("later")',
        methods="""
            @hookimpl
            def pre_auth(self, exchange: Exchange) -> None:
                if "X-Api-Key" in exchange.request.headers:
                    exchange[LATER] = Forbidden("No keys here.")

            @hookimpl
            def authorize(self, exchange: Exchange) -> None:
                if LATER in exchange:
                    raise exchange[LATER]
        """,
    ),
    Mutant(
        "right: catches a refusal of its own",
        breaks=None,
        methods="""
            @hookimpl
            def authorize(self, exchange: Exchange) -> None:
                try:
                    self._refuse(exchange)
                except Forbidden:
                    exchange.request.headers["X-Suspicious"] = "yes"

            def _refuse(self, exchange: Exchange) -> None:
                if "Origin" in exchange.request.headers:
                    raise Forbidden("Not from there.")
        """,
    ),
    Mutant(
        "right: reads a body and puts it back",
        breaks=None,
        replace=_imports("BytesBody"),
        methods="""
            request_body = "read"

            @hookimpl
            async def authorize(self, exchange: Exchange) -> None:
                exchange.request.body = BytesBody(await exchange.request.body.read(1_000_000))
        """,
    ),
    Mutant(
        "right: makes an answer and thinks better of it",
        breaks=None,
        replace=_imports("Response"),
        methods="""
            @hookimpl
            def serve(self, exchange: Exchange) -> Response | None:
                answer, refusal = Response(200, "Welcome."), Forbidden("Not welcome.")
                if exchange.request.method == "DELETE":
                    raise refusal
                return answer if exchange.request.path == "/" else None
        """,
    ),
)
