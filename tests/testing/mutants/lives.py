"""Mutants of the laws about what goes on beside single exchanges: cancellation, start and stop, reloads, time, cost."""

from typing import Final

from tests.testing.mutants.frame import Mutant

_API: Final = "from spork_core.api import Exchange, Forbidden, GatewayView, Plugin, Seconds, Secret, hookimpl, setting"
_STARTED: Final = "self._started = gateway.clock.time()"
_STOPPED: Final = "        self._started = 0.0\n\n    @hookimpl\n    async def on_request"
_MADE: Final = "        self._started = 0.0\n\n    @hookimpl\n    async def startup"

MUTANTS: Final = (
    Mutant(
        "swallows cancellation",
        breaks="cancellation_goes_through",
        methods="""
            @hookimpl
            async def authorize(self, exchange: Exchange) -> None:
                try:
                    await asyncio.sleep(0)  # here
                except asyncio.CancelledError:
                    return
        """,
    ),
    Mutant(
        "a slot that is lost when the client leaves",
        breaks="cancellation_goes_through",
        methods="""
            @hookimpl
            async def on_request(self, exchange: Exchange) -> None:
                await self._turns.acquire()
                await asyncio.sleep(0)  # here
                self._turns.release()
        """,
    ),
    Mutant(
        "a task that outlives its exchange",
        breaks="cancellation_goes_through",
        methods="""
            @hookimpl
            async def authorize(self, exchange: Exchange) -> None:
                waiting = asyncio.get_running_loop().create_task(self._wait())
                await asyncio.sleep(0)  # here
                waiting.cancel()

            async def _wait(self) -> None:
                await asyncio.get_running_loop().create_future()
        """,
    ),
    Mutant(
        "a slot that is lost in the middle of a body",
        breaks="cancellation_goes_through",
        replace={_API: f"{_API}\nfrom spork_core.api import IteratorBody"},
        methods="""
            request_body = "change"

            @hookimpl
            def authorize(self, exchange: Exchange) -> None:
                exchange.request.body = IteratorBody(self._counted(exchange.request.body), inner=exchange.request.body)

            async def _counted(self, body: Any) -> Any:
                await self._turns.acquire()
                async for chunk in body:
                    yield chunk
                self._turns.release()
        """,
    ),
    Mutant(
        "right: a slot for as long as a body lasts",
        breaks=None,
        replace={_API: f"{_API}\nfrom spork_core.api import IteratorBody"},
        methods="""
            request_body = "change"

            @hookimpl
            def authorize(self, exchange: Exchange) -> None:
                exchange.request.body = IteratorBody(self._counted(exchange.request.body), inner=exchange.request.body)

            async def _counted(self, body: Any) -> Any:
                async with self._turns:
                    async for chunk in body:
                        yield chunk
        """,
    ),
    Mutant(
        "a task that outlives the instance",
        breaks="shutdown_leaves_nothing",
        replace={_STARTED: f"{_STARTED}\n        self._task = asyncio.create_task(self._work())"},
        methods="""
            async def _work(self) -> None:
                await asyncio.get_running_loop().create_future()
        """,
    ),
    Mutant(
        "a thread that outlives the instance",
        breaks="shutdown_leaves_nothing",
        replace={
            "import asyncio\n": "import asyncio\nimport threading\nfrom time import sleep\n",
            _STARTED: f"{_STARTED}\n        threading.Thread(target=sleep, args=(0.3,), daemon=True).start()",
        },
    ),
    Mutant(
        "a shutdown that counts on the startup",
        breaks="half_started_shuts_down",
        replace={
            _STARTED: f"{_STARTED}\n        self._task = asyncio.create_task(asyncio.sleep(0))",
            _STOPPED: _STOPPED.replace("self._started = 0.0", "self._task.cancel()  # here"),
        },
    ),
    Mutant(
        "a startup that fails and leaves a task",
        breaks="half_started_shuts_down",
        replace={
            _STARTED: (
                "task = asyncio.create_task(self._work())\n        await asyncio.sleep(0)\n        self._task = task"
            ),
            _STOPPED: _STOPPED.replace(
                "self._started = 0.0", "if self._task is not None:\n            self._task.cancel()"
            ),
            _MADE: _MADE.replace("self._started = 0.0", "self._started = 0.0\n        self._task: Any = None"),
        },
        methods="""
            async def _work(self) -> None:
                await asyncio.get_running_loop().create_future()
        """,
    ),
    Mutant(
        "a description that is no JSON",
        breaks="tells_about_itself",
        methods="""
            @hookimpl
            def describe(self, gateway: GatewayView) -> dict[str, Any]:  # here
                return {"methods": set(self.config.only.methods)}
        """,
    ),
    Mutant(
        "a health that is no sentence",
        breaks="tells_about_itself",
        methods="""
            @hookimpl
            async def health(self, gateway: GatewayView) -> Any:  # here
                return self._seen < 1000
        """,
    ),
    Mutant(
        "state that is exported and not imported",
        breaks="state_survives_as_declared",
        methods="""
            def export_state(self) -> object:
                return {"seen": self._seen}
        """,
    ),
    Mutant(
        "state that cannot be imported",
        breaks="state_survives_as_declared",
        methods="""
            def export_state(self) -> object:
                return {"seen": self._seen}

            def import_state(self, state: Any) -> None:  # here
                self._seen = state["count"]
        """,
    ),
    Mutant(
        "a hook that is swapped",
        breaks="compiled_is_reference",
        replace={_STARTED: f"{_STARTED}\n        self.authorize = self._stricter"},
        methods='''
            @hookimpl
            def authorize(self, exchange: Exchange) -> None:  # here
                """Lets everything pass until the plugin has started."""

            @hookimpl(specname="authorize")
            def _stricter(self, exchange: Exchange) -> None:
                raise Forbidden("Nothing passes.")
        ''',
    ),
    Mutant(
        "the machine's clock",
        breaks="takes_time_from_the_clock",
        replace={"import asyncio\n": "import asyncio\nimport time\n"},
        methods="""
            @hookimpl
            def on_complete(self, exchange: Exchange) -> None:
                self._seen += time.monotonic() > 0  # here
        """,
    ),
    Mutant(
        "a hook that sleeps",
        breaks="takes_time_from_the_clock",
        methods="""
            @hookimpl
            async def authorize(self, exchange: Exchange) -> None:
                await asyncio.sleep(0.5)  # here
        """,
    ),
    Mutant(
        "a file for each exchange",
        breaks="never_blocks_the_loop",
        replace={"import asyncio\n": "import asyncio\nimport os\n"},
        methods="""
            @hookimpl
            def authorize(self, exchange: Exchange) -> None:
                os.access("/", os.R_OK)  # here
        """,
    ),
    Mutant(
        "slow",
        breaks="costs_what_it_declares",
        methods="""
            @hookimpl
            def authorize(self, exchange: Exchange) -> None:  # here
                for _ in range(20_000):
                    pass
        """,
    ),
    Mutant(
        "an entry for every path",
        breaks="leaks_nothing",
        replace={"self._seen = 0\n": "self._seen = 0\n        self._paths: dict[str, int] = {}\n"},
        methods="""
            @hookimpl
            def authorize(self, exchange: Exchange) -> None:
                path = exchange.request.path
                self._paths[path] = self._paths.get(path, 0) + 1
        """,
    ),
    Mutant(
        "a task for every exchange",
        breaks="leaks_nothing",
        replace={"self._seen = 0\n": "self._seen = 0\n        self._tasks: list[Any] = []\n"},
        methods="""
            @hookimpl
            async def authorize(self, exchange: Exchange) -> None:
                self._tasks.append(asyncio.create_task(self._wait()))

            async def _wait(self) -> None:
                await asyncio.get_running_loop().create_future()

            @hookimpl
            async def shutdown(self, gateway: GatewayView) -> None:
                for task in self._tasks:
                    task.cancel()
        """,
    ),
    Mutant(
        "right: a memory with a bound",
        breaks=None,
        replace={"self._seen = 0\n": "self._seen = 0\n        self._paths: dict[str, int] = {}\n"},
        methods="""
            @hookimpl
            def authorize(self, exchange: Exchange) -> None:
                self._paths[exchange.request.path] = 1
                if len(self._paths) > 100:
                    del self._paths[next(iter(self._paths))]
        """,
    ),
    Mutant(
        "right: a task that is stopped",
        breaks=None,
        replace={
            _STARTED: f"{_STARTED}\n        self._task = asyncio.create_task(self._work())",
            _STOPPED: _STOPPED.replace(
                "self._started = 0.0", "if self._task is not None:\n            self._task.cancel()"
            ),
            _MADE: _MADE.replace("self._started = 0.0", "self._started = 0.0\n        self._task: Any = None"),
        },
        methods="""
            async def _work(self) -> None:
                while True:
                    await asyncio.sleep(60)
        """,
    ),
    Mutant(
        "right: cleans up when it is cancelled",
        breaks=None,
        methods="""
            @hookimpl
            async def authorize(self, exchange: Exchange) -> None:
                await self._turns.acquire()
                try:
                    await asyncio.sleep(0)
                except asyncio.CancelledError:
                    self._seen -= 1
                    raise
                finally:
                    self._turns.release()
        """,
    ),
    Mutant(
        "right: state that is handed over",
        breaks=None,
        methods="""
            def export_state(self) -> object:
                return {"seen": self._seen}

            def import_state(self, state: Any) -> None:
                self._seen = state["seen"]
        """,
    ),
)
