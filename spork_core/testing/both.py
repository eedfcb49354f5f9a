"""The two forms of a Script, held equal: each call is made in memory and on a real server, at the same instant.

Rules of this file
1. Time is a number here. The server's scripts get it as their ``now``, and its keys never expire by themselves: each
   call puts back the time that its keys have left, and takes it away again, inside of one EVAL, for which the server's
   own clock stands still.
2. When a key ends is the memory's to say; that both forms gave it the same time to live is asserted after each call,
   to the millisecond that the server counts in.
"""

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from spork_core.clock import Clock
from spork_core.store import Argument, MemoryStore, Script
from spork_core.testing.control import NEW_YEAR

_LUA: Final = """\
local now = tonumber(ARGV[#ARGV])
for at, key in ipairs(KEYS) do
  local left = tonumber(ARGV[#ARGV - #KEYS - 1 + at])
  if left == 0 then redis.call('DEL', key) elseif left > 0 then redis.call('PEXPIRE', key, left) end
end
for _ = 0, #KEYS do table.remove(ARGV) end
local function body() %s
end
local answer = body()
local left = {}
for at, key in ipairs(KEYS) do
  left[at] = redis.call('PTTL', key)
  redis.call('PERSIST', key)
end
return {left, answer}
"""
_NONE: Final = -2
_ENDLESS: Final = -1
"""What PTTL says of a key that is not there, and of one without end."""


class Refused(Exception):
    """The server answered with an error, such as that of a script."""


class Both:
    """A Store in memory and a real server, asked the same at the same instants; ``both_forms`` makes one.

    ``memory``: the MemoryStore. ``server``: a connected socket; its database is emptied.
    """

    def __init__(self, server: socket.socket) -> None:
        self._server = server
        self._replies = server.makefile("rb")
        self._us = 0
        self.memory = MemoryStore(Clock(time=lambda: self.now))
        self.clear()

    def __repr__(self) -> str:
        return f"<Both at {self.now:.6f}, {len(self.memory)} values>"

    @property
    def now(self) -> float:
        """Seconds since the epoch at which both stand."""
        return self._us / 1_000_000

    def clear(self) -> None:
        """Empties both and puts the time back to New Year: the first line of each Hypothesis example."""
        self.memory = MemoryStore(Clock(time=lambda: self.now))
        self._us = int(NEW_YEAR) * 1_000_000
        self._ask("FLUSHDB")

    def elapse(self, seconds: float) -> None:
        """Moves the time of both."""
        assert seconds >= 0, "time does not go back"
        self._us += round(seconds * 1_000_000)

    def run(self, script: Script, keys: Sequence[str], arguments: Sequence[Argument] = ()) -> Any:
        """What both forms answer, text as bytes. Raises AssertionError where they answer, or leave ``keys``, apart:
        a key that only one of them has, or another time to live."""
        left = [self._left(key) for key in keys]
        now = int(self.now * 1_000_000)
        source = _LUA % script.lua
        asked = ("EVAL", source, len(keys), *keys, *map(_text, arguments), *left, now)
        told = f"{script.name}{(*keys, *arguments)} at {now}"
        try:
            by_server = self._ask(*asked)
        except Refused as error:
            raise AssertionError(f"{told}: the Lua form failed: {error}") from error
        by_memory = _as_told(self.memory.run_now(script, keys, arguments))
        answer = by_server[1] if len(by_server) > 1 else None
        assert by_memory == answer, f"{told}: Python answers {by_memory!r}, Lua {answer!r}"
        for key, milliseconds in zip(keys, by_server[0], strict=True):
            self._must_live_as_long(told, key, milliseconds)
        return answer

    def get(self, key: str) -> bytes | None:
        """What ``Store.get`` gives, of what both forms keep as text. Raises AssertionError where they differ."""
        value = self.memory.get_now(key)
        if value is None:
            self._ask("DEL", key)
            return None
        by_server: bytes | None = self._ask("GET", key)
        assert _as_told(value) == by_server, f"{key}: memory has {value!r}, the server {by_server!r}"
        return by_server

    def set(self, key: str, value: bytes, ttl: float | None = None) -> None:
        """Keeps ``value`` in both for ``ttl`` seconds, as ``Store.set``."""
        self.memory.set_now(key, value, ttl)
        self._ask("SET", key, value)

    def _left(self, key: str) -> int:
        """Milliseconds; 0: the server must forget it, -1: without end."""
        if self.memory.get_now(key) is None:
            return 0
        left = self.memory.ttl_now(key)
        return _ENDLESS if left is None else max(1, round(left * 1000))

    def _must_live_as_long(self, told: str, key: str, milliseconds: int) -> None:
        if self.memory.get_now(key) is None:
            assert milliseconds == _NONE, f"{told}: only Lua keeps {key}"
            return
        assert milliseconds != _NONE, f"{told}: only Python keeps {key}"
        left = self.memory.ttl_now(key)
        if left is None:
            assert milliseconds == _ENDLESS, f"{told}: {key} has no end in memory, and {milliseconds} ms on the server"
        else:
            same = abs(left * 1000 - milliseconds) <= 1.01
            assert same, f"{told}: {key} has {left * 1000:.3f} ms in memory, and {milliseconds} ms on the server"

    def _ask(self, *words: str | int | bytes) -> Any:
        said = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        self._server.sendall(b"*%d\r\n" % len(said) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in said))
        return _reply(self._replies)


@contextmanager
def both_forms(path: str) -> Iterator[Both]:
    """Holds the forms of scripts equal against the Redis or Valkey that listens on the unix socket ``path``.

    Its first database is emptied. One server and one ``Both`` serve a whole module::

        @pytest.fixture(scope="module")
        def both():
            with valkey() as server, both_forms(server.path) as both:
                yield both

    A test then asks the same of both forms::

        @given(st.lists(st.tuples(st.floats(0, 2), st.integers(1, 5))))
        def test_lua_and_python_agree(both, calls):
            both.clear()
            for seconds, cost in calls:
                both.elapse(seconds)
                both.run(TAKE, ["{ann}:minute"], [60, cost])
    """
    with socket.socket(socket.AF_UNIX) as server:
        server.settimeout(10)
        server.connect(path)
        both = Both(server)
        with both._replies:
            yield both


def _text(argument: Argument) -> str | bytes:
    return argument if isinstance(argument, str | bytes) else repr(argument)


def _as_told(answer: Any) -> Any:
    """A Python form's answer as it would come from Lua."""
    if isinstance(answer, str):
        return answer.encode()
    if isinstance(answer, list | tuple):
        return [_as_told(each) for each in answer]
    assert answer is None or type(answer) in (int, bytes), f"{answer!r} is no answer: give an int, text, None or a list"
    return answer


def _reply(lines: Any) -> Any:
    """One reply in RESP 2. Raises Refused."""
    line: bytes = lines.readline()
    kind, rest = line[:1], line[1:-2]
    match kind:
        case b"+":
            return rest
        case b"-":
            raise Refused(rest.decode(errors="replace"))
        case b":":
            return int(rest)
        case b"$":
            return None if rest == b"-1" else lines.read(int(rest) + 2)[:-2]
        case b"*":
            return None if rest == b"-1" else [_reply(lines) for _ in range(int(rest))]
    raise ConnectionError(f"the server said {line!r}" if line else "the server closed the connection")
