"""How bytes become messages: the same whole and in pieces, and never a crash."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spork_core.testing.wire import Message, content, messages

BODIES = st.binary(max_size=40)


def sized(body: bytes) -> bytes:
    return b"PUT /s HTTP/1.1\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def chunked(body: bytes) -> bytes:
    chunks = b"".join(
        b"%x;a=b\r\n%b\r\n" % (len(body[at : at + 7]), body[at : at + 7]) for at in range(0, len(body), 7)
    )
    return b"PUT /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n%b0\r\nX-T: 1\r\n\r\n" % chunks


def plain(_: bytes) -> bytes:
    return b"GET /p HTTP/1.1\r\n\r\n"


@given(st.lists(st.tuples(st.sampled_from([sized, chunked, plain]), BODIES)))
def test_every_message_is_found_with_its_content(wanted: list) -> None:
    data = b"".join(render(body) for render, body in wanted)

    found = [message for _, message in messages(data)]

    assert [message.body for message in found] == [b"" if render is plain else body for render, body in wanted]
    assert all(message.complete for message in found)


@given(BODIES, st.sampled_from([sized, chunked]), st.data())
def test_a_message_that_is_not_all_there_is_told_so(body: bytes, render: object, data: st.DataObject) -> None:
    whole = render(body)
    cut = data.draw(st.integers(0, len(whole) - 1))

    found = [message for _, message in messages(whole[:cut])]

    assert [message.complete for message in found] in ([], [False])
    assert all(body.startswith(message.body) for message in found)


@given(st.binary())
def test_what_is_no_http_is_no_crash(data: bytes) -> None:
    messages(data + b"\r\n\r\n" + data)


@pytest.mark.parametrize(
    "framing", [b"Content-Length: -9", b"Content-Length: x", b"Transfer-Encoding: chunked\r\n\r\n-3"]
)
def test_a_framing_that_is_none_ends_the_reading(framing: bytes) -> None:
    ((_, message),) = messages(b"PUT / HTTP/1.1\r\n" + framing + b"\r\n\r\nabc\r\n\r\n")

    assert not message.complete


def test_content_asks_for_what_it_needs() -> None:
    steps = content(Message(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"))

    assert [next(steps), steps.send(b"5\r\n"), steps.send(b"hello")] == [b"\r\n", 5, b"\r\n"]
    assert next(content(Message(b"HTTP/1.1 200 OK\r\n\r\n"))) is None
