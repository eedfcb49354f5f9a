"""The grammar of hostile requests: most of what it makes gets past the parser, and it is the same each time."""

from collections import Counter
from typing import Any

from hypothesis import given, settings

from spork_core.plugin import Plugin
from spork_core.testing.requests import SMUGGLING, requests, some, ugly
from spork_core.testing.rig import Rig, run
from tests.testing.subjects import offered


class Nothing(Plugin[Any]):
    """Has no hooks."""


def statuses(sent: list[bytes]) -> Counter[int]:
    async def work(rig: Rig) -> Counter[int]:
        return Counter([(await rig.send(request)).status for request in sent])

    return run(offered(Nothing), work)


def test_ugly_requests_are_accepted() -> None:
    found = statuses(ugly())

    assert found[200] >= 0.9 * found.total(), found


def test_smuggling_is_refused_or_read_one_way() -> None:
    found = statuses(list(SMUGGLING))

    assert found[0] == 0, "each gets an answer"
    assert sum(times for status, times in found.items() if status >= 400) >= 0.7 * found.total(), found


def test_some_are_the_same_each_time() -> None:
    again = some.__wrapped__

    assert again(5) == again(5)
    assert len(some(5)) == len(ugly()) + 5 + len(SMUGGLING)


@given(requests())
@settings(max_examples=30)
def test_a_request_ends_its_connection(request: bytes) -> None:
    head, end, _ = request.partition(b"\r\n\r\n")

    assert end
    assert head.count(b"\r\nConnection: close") == 1
    assert b"\n" not in head.replace(b"\r\n", b"")
