"""The rig of the laws: bytes in, bytes out, and each call of the plugin's hooks between them."""

import asyncio
from typing import Any

import pytest

from spork_core.api import Exchange, Forbidden, GatewayView, Plugin, Response, hookimpl
from spork_core.hookspecs import KINDS
from spork_core.testing.ends import message_of
from spork_core.testing.rig import GET, LONG, Rig, post, run
from spork_core.testing.watch import Call, Watch, hooks_of, watched
from tests.testing.subjects import offered


class Sample(Plugin[Any]):
    """Takes part in everything, and says what it was given."""

    @hookimpl
    async def startup(self, gateway: GatewayView) -> None:
        self.started = gateway.clock.time()

    @hookimpl
    def pre_auth(self) -> None:
        """Wants no arguments."""

    @hookimpl(specname="authorize")
    async def check(self, exchange: Exchange) -> None:
        await asyncio.sleep(0)
        if exchange.request.path == "/no":
            raise Forbidden("No.")

    @hookimpl
    def on_complete(self, exchange: Exchange) -> None:
        """The last one."""


def test_an_exchange_is_seen_from_both_ends() -> None:
    async def work(rig: Rig) -> None:
        passed = await rig.send(*post([b"ab", b"cde"]))

        assert passed.status == 200
        assert passed.request is not None
        assert passed.request.body == b"abcde"
        assert [call.hook for call in passed.calls] == ["pre_auth", "authorize", "on_complete"]

    run(offered(Sample), work)


def test_a_refusal_reaches_no_service() -> None:
    async def work(rig: Rig) -> None:
        passed = await rig.send(GET.replace(b"/users/1", b"/no"))

        assert (passed.status, passed.upstream) == (403, b"")
        assert isinstance(passed.calls[1].error, Forbidden)

    run(offered(Sample), work)


def test_another_function_runs_in_place_of_a_hook() -> None:
    async def answer(_: Call) -> Response:
        return Response(201)

    async def work(rig: Rig) -> int:
        return (await rig.send(GET)).status

    assert run(offered(Sample), work, watch=Watch({"authorize": answer})) == 201


def test_what_hangs_is_found_at_once() -> None:
    async def hang(_: Call) -> None:
        await asyncio.get_running_loop().create_future()

    async def work(rig: Rig) -> bool:
        return (await rig.send(GET)).hung

    assert run(offered(Sample), work, watch=Watch({"authorize": hang}))


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_nothing_that_a_hook_raises_ends_the_law(error: type[BaseException]) -> None:
    async def fail(_: Call) -> None:
        raise error

    async def work(rig: Rig) -> tuple[int, type]:
        passed = await rig.send(GET)
        return passed.status, type(passed.calls[1].error)

    assert run(offered(Sample), work, watch=Watch({"authorize": fail})) == (500, error)


def test_suspensions_are_counted() -> None:
    class Counting(Watch):
        count = 0

        def suspended(self, call: Call, coroutine: Any) -> None:
            self.count += call.hook == "authorize"

    watch = Counting()

    async def work(rig: Rig) -> None:
        await rig.send(GET)

    run(offered(Sample), work, watch=watch)

    assert watch.count == 1


def test_a_client_that_leaves_is_a_cancellation() -> None:
    async def hang(_: Call) -> None:
        await asyncio.sleep(LONG)

    async def work(rig: Rig) -> list[tuple[str, bool]]:
        client, first = rig.client(), len(rig.watch.calls)
        client.feed(GET)
        await rig.turn()
        client.leave()
        passed = await rig.rest(client, first)
        return [(call.hook, call.cancelled) for call in passed.calls]

    calls = run(offered(Sample), work, watch=Watch({"authorize": hang}))

    assert calls == [("pre_auth", False), ("authorize", True), ("on_complete", False)]


def test_a_watched_class_is_the_class_with_a_watch() -> None:
    made = watched(Sample, Watch())

    assert (made.__name__, made.__module__) == (Sample.__name__, Sample.__module__)
    assert [(attribute, hook) for attribute, hook, _ in hooks_of(made)] == [
        ("check", "authorize"),
        ("on_complete", "on_complete"),
        ("pre_auth", "pre_auth"),
        ("startup", "startup"),
    ]
    assert {hook for _, hook, _ in hooks_of(made)} <= {*KINDS, "startup"}


@pytest.mark.parametrize(
    ("data", "body"),
    [
        (b"", None),
        (b"HTTP/1.1 200 OK\r\nContent-Le", None),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", b"ab"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", b"abc"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\nall of it", b"all of it"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    ],
)
def test_the_first_message_of_some_bytes(data: bytes, body: bytes | None) -> None:
    message = message_of(data)

    assert (None if message is None else message.body) == body
