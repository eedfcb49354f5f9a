"""What a client is sent of a stored answer, or of one that is still coming in."""

from spork_cache import rules
from spork_cache.asking import Ask
from spork_cache.core import Core
from spork_cache.entry import AGE, Entry
from spork_cache.flights import Flight
from spork_cache.stream import Reader
from spork_core.api import EMPTY, Body, BytesBody, Exchange, Response


def from_entry(ask: Ask, entry: Entry, now: float, item: str) -> Response:
    """``entry`` as the client of ``ask`` wants it: whole, a range, or a 304 to its condition. ``item``: of
    Cache-Status; "" for none."""
    stored, content = entry.stored, entry.content
    shape = rules.shape(ask.method, ask.asked, stored, len(content))
    headers = shape.headers
    headers[AGE] = str(stored.age(now))
    if item:
        rules.append(headers, item)
    body = entry.body if shape.whole else BytesBody(content[shape.first : shape.stop]) if shape.stop else EMPTY
    return _made(shape, stored, body)


def from_stream(core: Core, exchange: Exchange, ask: Ask, flight: Flight, now: float) -> Response | None:
    """The answer that is coming in for ``flight``, from its beginning; None when that is past."""
    stream, stored = flight.stream, flight.stored
    if stream is None or stored is None or not stream.open:
        return None
    shape = rules.shape(ask.method, ask.asked, stored, None)
    headers = shape.headers
    headers[AGE] = str(stored.age(now))
    if core.config.status:
        rules.append(headers, rules.forward(core.label, ask.fwd, collapsed=True, ttl=stored.ttl(now)))
    core.numbers.collapsed += 1
    ask.collapsed = ask.answered = True
    if shape.whole:
        ask.reader = joined(exchange, stream.reader())
        return _made(shape, stored, ask.reader)
    return _made(shape, stored, EMPTY)


def joined(exchange: Exchange, reader: Reader) -> Reader:
    """``reader`` as the body of the exchange's answer: when its client leaves, the answer goes on for the others."""

    def gone(leaving: Reader) -> None:
        if exchange.attempts and leaving.others:
            exchange.attempts[-1].release()

    reader.gone = gone
    return reader


def _made(shape: rules.Shape, stored: rules.Stored, body: Body) -> Response:
    answer = Response(shape.status, body, shape.headers, reason=stored.reason if shape.whole else None)
    answer.version = 11  # what it was stored from came through this gateway, and says so in Via
    return answer
