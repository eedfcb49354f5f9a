"""A ``def`` that may answer with a coroutine: at once where it can, waited for where it must."""

import asyncio
from types import CoroutineType
from typing import Any

import pytest

from spork_core.attribution import Metering
from spork_core.errors import ConfigError, Forbidden, PluginFailed
from spork_core.exchange import Exchange, Identity, Request, Response
from spork_core.fiber import Fiber
from spork_core.pipeline import Pipeline
from spork_core.plugin import LocalRoute
from spork_core.testing import gateway
from tests.reference import instance_of, plugin_of

ANN = Identity("ann")


def deferring(hook: str, slow: Any, **envelope: Any) -> Pipeline:
    """A chain of one instance: quick for a request to /quick, else ``slow``."""

    def quick(self: Any, exchange: Exchange) -> Any:
        return Response() if exchange.request.path == "/quick" else slow(exchange)

    return Pipeline([instance_of(plugin_of({"defers": (hook,)}, **{hook: quick}), **envelope)], metering=Metering(True))


def exchange(path: str = "/") -> Exchange:
    return Exchange(Request(path=path))


async def test_what_it_can_answer_at_once_makes_no_coroutine() -> None:
    async def slow(_: Exchange) -> None:
        raise AssertionError

    pipeline = deferring("serve", slow)

    assert not pipeline.tasked
    assert type(pipeline.serve(exchange("/quick"))) is Response  # type: ignore[misc]


async def test_what_it_waits_for_has_a_current_task() -> None:
    async def slow(_: Exchange) -> Response:
        async with asyncio.timeout(5):
            await asyncio.sleep(0)
        return Response(204)

    pending = deferring("serve", slow).serve(exchange())  # type: ignore[misc]
    assert type(pending) is CoroutineType
    answers: list[Any] = []
    done = asyncio.Event()

    async def run() -> None:
        answers.append(await pending)

    loop = asyncio.get_running_loop()
    loop.call_soon(lambda: Fiber(run(), lambda error: (answers.append(error), done.set())))
    await done.wait()

    assert (answers[0].status, answers[1]) == (204, None)


@pytest.mark.parametrize("leaving", [SystemExit, KeyboardInterrupt, ValueError])
async def test_whatever_it_raises_is_a_failure_under_the_policy(leaving: type[BaseException]) -> None:
    async def slow(_: Exchange) -> None:
        await asyncio.sleep(0)
        raise leaving

    with pytest.raises(PluginFailed):
        await deferring("pre_auth", slow).pre_auth(exchange())  # type: ignore[misc]
    assert await deferring("pre_auth", slow, on_failure="open").pre_auth(exchange()) is None  # type: ignore[misc]


async def test_a_cancelled_exchange_waits_for_its_clean_up() -> None:
    told: list[str] = []
    began, over = asyncio.Event(), asyncio.Event()

    async def slow(_: Exchange) -> None:
        try:
            began.set()
            await asyncio.get_running_loop().create_future()
        finally:
            await asyncio.sleep(0)
            told.append("cleaned up")

    async def run() -> None:
        await deferring("on_request", slow).on_request(exchange())  # type: ignore[misc]

    def ended(error: BaseException | None) -> None:
        told.append(type(error).__name__)
        over.set()

    fibers: list[Fiber] = []
    asyncio.get_running_loop().call_soon(lambda: fibers.append(Fiber(run(), ended)))
    await began.wait()
    asyncio.get_running_loop().call_soon(fibers[0].cancel)
    await over.wait()

    assert told == ["cleaned up", "CancelledError"]


async def test_the_time_limit_holds_for_what_it_waits_for() -> None:
    async def slow(_: Exchange) -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(PluginFailed, match="plugin"):
        await deferring("authorize", slow, timeout=0.001).authorize(exchange())  # type: ignore[misc]


async def test_the_instances_behind_it_are_asked_when_it_has_nothing_to_say() -> None:
    async def nothing(_: Exchange) -> None:
        await asyncio.sleep(0)

    first = instance_of(plugin_of({"defers": ("authenticate",)}, authenticate=lambda self, exchange: nothing(exchange)))
    second = instance_of(plugin_of(authenticate=lambda self: ANN), "q")
    third = instance_of(plugin_of({"defers": ("authenticate",)}, authenticate=lambda self: None), "r")

    for chain in ([first, second], [third, first, second], [first, first, second]):
        assert await Pipeline(chain).authenticate(exchange()) is ANN  # type: ignore[misc]


async def test_its_waiting_is_told_from_its_own_time() -> None:
    async def slow(_: Exchange) -> None:
        await asyncio.sleep(0.01)
        raise Forbidden

    pipeline = deferring("authorize", slow)
    with pytest.raises(Forbidden):
        await pipeline.authorize(exchange())  # type: ignore[misc]

    stats = pipeline.chain[0].stats["authorize"]
    assert stats.waiting >= 0.009 > stats.own


@pytest.mark.parametrize(
    ("hook", "said"),
    [
        ("on_response", "which cannot be deferred; these can: pre_auth,"),
        ("serv", "which cannot be deferred"),
        ("serve", "which is an async def; write def"),
    ],
)
def test_only_a_def_whose_first_answer_counts_can_defer(hook: str, said: str) -> None:
    async def serve(self: Any) -> None: ...

    with pytest.raises(ConfigError) as caught:
        instance_of(plugin_of({"defers": (hook,)}, serve=serve))
    assert said in str(caught.value)


async def test_in_a_gateway_it_answers_both_ways() -> None:
    async def slow() -> Response:
        await asyncio.sleep(0)
        return Response(203)

    def serve(self: Any, exchange: Exchange) -> Any:
        return Response(204) if exchange.request.path == "/quick" else slow()

    plugin = plugin_of({"defers": ("serve",)}, serve=serve)
    async with gateway(plugins={"both": plugin}) as gw:
        (await gw.get("/quick")).must_be(204)
        (await gw.get("/slow")).must_be(203)


async def test_a_local_path_that_waits_has_a_current_task() -> None:
    async def page(exchange: Exchange) -> Response:
        async with asyncio.timeout(5):
            await asyncio.sleep(0)
        return Response(200, "waited")

    plugin = plugin_of(
        local_routes=lambda self: [LocalRoute("/page", page), LocalRoute("/page", page, listener="public")]
    )
    async with gateway(plugins={"p": plugin}, admin={}) as gw:
        for asked in (gw, gw.admin):
            assert (await asked.get("/page")).must_be(200).text == "waited"
