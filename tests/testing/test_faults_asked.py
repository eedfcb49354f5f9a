"""The client of the faults looks at every byte: what is malformed is told, what is cut is not taken for whole."""

import pytest

from spork_core.testing import impatient
from spork_core.testing.faults.asked import Seen, ask
from spork_core.testing.faults.samples import Sample
from spork_core.testing.upstreams import upstream
from spork_core.testing.wire import Wire

SAMPLE = Sample("r", "GET", "/", (("Host", "a"),))


def told(answer: bytes, *, stays: bool = False) -> Seen:
    """What is seen of a server that says ``answer`` and goes, or stays."""

    async def script(wire: Wire) -> None:
        await wire.message()
        await wire.send(answer)
        if stays:
            await wire.rest()

    async def main() -> Seen:
        async with upstream(script) as server:
            return await ask(("127.0.0.1", server.port), SAMPLE, 60)

    return impatient.run(main())


@pytest.mark.parametrize(
    ("answer", "wrong"),
    [
        (b"HTTP/2 200 OK\r\n\r\n", "status line"),
        (b"HTTP/1.1 200 OK\r\nA b: c\r\nContent-Length: 0\r\n\r\n", "it has the line"),
        (b"HTTP/1.1 200 OK\r\nA: b\0c\r\nContent-Length: 0\r\n\r\n", "it has the line"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "said twice"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", "its framing breaks off"),
        (b"HTTP/1.1 500 X\r\nContent-Type: application/problem+json\r\nContent-Length: 1\r\n\r\n{", "is no JSON"),
        (b"HTTP/1.1 200", "the connection ended after"),
    ],
)
def test_a_malformed_answer_is_told(answer: bytes, wrong: str) -> None:
    seen = told(answer)
    assert wrong in seen.malformed
    assert not seen.fine


def test_no_answer_at_all() -> None:
    assert (told(b"").status, told(b"").fine) == (None, False)


def test_a_problem_is_read() -> None:
    body = b'{"code": "upstream-timeout", "source": "upstream"}'
    head = b"HTTP/1.1 504 X\r\nContent-Type: application/problem+json\r\nContent-Length: %d\r\n\r\n" % len(body)
    seen = told(b"HTTP/1.1 103 Early Hints\r\n\r\n" + head + body)
    assert (seen.status, seen.code, seen.source, seen.whole, seen.fine) == (
        504,
        "upstream-timeout",
        "upstream",
        True,
        True,
    )


def test_an_answer_that_is_cut_is_fine_and_not_whole() -> None:
    seen = told(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok")
    assert (seen.whole, seen.fine, seen.body) == (False, True, b"ok")


@pytest.mark.parametrize(("answer", "waited"), [(b"", 60), (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", 600)])
def test_who_waits_too_long_gives_up(answer: bytes, waited: float) -> None:
    seen = told(answer, stays=True)
    assert seen.hung
    assert seen.waited == pytest.approx(waited, abs=0.5)
