"""The law about exchanges at the same time: what is one client's does not get to another."""

import asyncio
from typing import Final

from spork_core.hookspecs import KINDS
from spork_core.testing.ends import carrying
from spork_core.testing.law import Broken, Law, law
from spork_core.testing.places import place_of
from spork_core.testing.rig import GET, LONG, Client, Rig, run
from spork_core.testing.subject import Subject
from spork_core.testing.watch import Call

_CLIENTS: Final = 4
_FIELDS: Final = (
    *("Accept-Language", "Authorization", "Cookie", "Origin", "Referer", "Traceparent", "User-Agent"),
    *("X-Api-Key", "X-Correlation-Id", "X-Forwarded-User", "X-Request-Id", "X-Tenant", "X-User"),
)
_MARK: Final = "of-client-"


@law(hooks=KINDS)
def keeps_exchanges_apart(subject: Subject) -> None:
    """What one client sends appears in no other client's answer, and in no other request to the service.

    An instance serves all exchanges of its routes at once, and each await lets others go on. What a hook keeps on
    `self` until the next hook is by then another client's: its name, its token, its address. What belongs to an
    exchange stands in the exchange.
    """
    run(subject, _together)


async def _together(rig: Rig) -> None:
    for bare in (False, True):  # one who sends none of these fields may find those of the last
        clients = [rig.client((f"198.51.100.{number}", 50000)) for number in range(_CLIENTS)]
        for number, client in enumerate(clients):
            if not (bare and number % 2):
                client.feed(_request(rig, number))
                await asyncio.sleep(0)
        for number, client in enumerate(clients):
            if bare and number % 2:
                client.feed(GET)
        try:
            async with asyncio.timeout(LONG):
                await asyncio.gather(*(client.gone for client in clients))
        except TimeoutError:
            return  # why it hangs another law says
        await rig.settled()
        for number, client in enumerate(clients):
            _look(rig, number, client)
    for call in rig.watch.calls:
        _look_at_sent(call)


def _request(rig: Rig, number: int) -> bytes:
    mark = f"{_MARK}{number}"
    target = f"/{mark}?{mark}={mark}"
    head = f"GET {target} HTTP/1.1\r\nHost: api.example\r\nConnection: close\r\n\r\n".encode()
    fields = rig.subject.headers if number == 0 else {}
    return carrying(carrying(head, fields), dict.fromkeys(_FIELDS, mark))


def _look(rig: Rig, number: int, client: Client) -> None:
    said = client.received.decode("latin-1")
    for other in range(_CLIENTS):
        if other != number and f"{_MARK}{other}" in said:
            line = next(line for line in said.splitlines() if f"{_MARK}{other}" in line)
            hook = next((each for each in ("on_response", "on_error") if each in rig.subject.hooks), "")
            where = place_of(getattr(rig.subject.plugin_class, hook, rig.subject.plugin_class))
            raise Broken(f"{where}: a client is told what another has sent: {line[:100]}", _REMEDY)


def _look_at_sent(call: Call) -> None:
    request = call.exchange.request if call.hook in KINDS else None
    if request is None or _MARK not in request.path:
        return
    mine = request.path.strip("/")
    for name, value in request.headers.items():
        if _MARK in value and mine not in value:
            raise Broken(
                f"{place_of(call.function)}: a request to the service carries what another client has sent: "
                f"{name}: {value[:60]}",
                _REMEDY,
            )


_REMEDY: Final = 'keep it in the exchange: KEY = StateKey("…"), exchange[KEY] = …; and on self nothing of an exchange'

LAWS: Final[tuple[Law, ...]] = (keeps_exchanges_apart,)
