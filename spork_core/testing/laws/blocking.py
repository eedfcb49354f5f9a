"""The law about blocking: nothing the plugin does stops the loop."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from blockbuster import BlockingError

from spork_core.testing.law import Broken, Law, law
from spork_core.testing.places import place_raised
from spork_core.testing.requests import ugly
from spork_core.testing.rig import Rig, alone, prepared, started
from spork_core.testing.subject import Subject
from spork_core.testing.unblocked import unblocked
from spork_core.testing.watch import Call, Watch

_LOOKUPS: Final = ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr")
"""What of the module socket asks a name server, and blockbuster lets pass."""
_EACH: Final = 8
"""Every so many-th of the ugly requests is sent, too."""


@law()
def never_blocks_the_loop(subject: Subject) -> None:
    """None of its code that runs on the event loop waits for a file, a socket, a lock or a sleep.

    One loop serves everybody: a hook that reads a file from a slow disk for 20 ms makes each of a thousand clients wait
    for 20 ms, and no profile of the plugin shows it. Files and blocking clients belong in `asyncio.to_thread`, or in a
    thread of the plugin's own.
    """
    rig = Rig(subject, _Blocked())

    async def main() -> None:
        async with started(rig, *prepared(rig)):
            async for _ in rig.drive(ugly()[::_EACH]):
                pass

    with _refused(subject) as errors:
        alone(main, rig.wires)
    for error in errors:
        where = place_raised(error, subject.folder)
        raise Broken(
            f"{where}: it calls {str(error).removeprefix('Blocking call to ')} on the event loop",
            "await asyncio.to_thread(…), do it in __init__ when the config is loaded, or use a client that is async",
        )


class _Blocked(Watch):
    """Does not keep calls: what blocks is noted where it is refused."""

    def before(self, call: Call) -> None:
        """Nothing to note."""


@contextmanager
def _refused(subject: Subject) -> Iterator[list[BlockingError]]:
    """Blocking calls below the plugin's code raise BlockingError inside; each is kept, whoever catches it."""
    errors: list[BlockingError] = []
    made = BlockingError.__init__

    def keep(self: BlockingError, func: str) -> None:
        made(self, func)
        errors.append(self)

    lookups = {name: getattr(socket, name) for name in _LOOKUPS}
    BlockingError.__init__ = keep  # type: ignore[method-assign]
    for name, function in lookups.items():
        setattr(socket, name, _off_loop(name, function))
    try:
        with unblocked(subject.package):
            yield errors
    finally:
        BlockingError.__init__ = made  # type: ignore[method-assign]
        for name, function in lookups.items():
            setattr(socket, name, function)


def _off_loop(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def refusing(*given: Any, **more: Any) -> Any:
        if asyncio._get_running_loop() is not None:
            raise BlockingError(f"socket.{name}")
        return function(*given, **more)

    return refusing


LAWS: Final[tuple[Law, ...]] = (never_blocks_the_loop,)
