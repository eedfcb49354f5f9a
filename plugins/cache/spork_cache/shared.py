"""The tier in the gateway's Store: answers that other workers and machines see, and purges that reach all of them.

Rules of this file
1. A look-up is one command: the answer, the last purge of its URL and the log of the other purges come together, so
   that a node that has missed every message still never serves what was purged.
2. The store being slow, gone or broken is a miss with a reason. Nothing here raises, and no exchange waits for a write.
3. What cannot be read back whole, or is for another key, is a miss (``rules.load``).
"""

import json
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Final

from attrs import frozen

from spork_cache import rules
from spork_cache.entry import Entry
from spork_cache.purges import KINDS, LETTERS, MOST, Purge, Verdict, verdict
from spork_core.api import Headers, Script, Store, StoreDown, Subscription, Table

_LONGEST: Final = 7 * 86_400.0
"""Seconds that anything stays in the store, and so that a purge has to be remembered."""
_VARIES: Final = b"V"
_WHOLE: Final = b"E"
_MOST_KNOWN: Final = 4096
_LONGEST_KNOWN: Final = 256
"""Keys whose places are remembered: how many, and of how many characters."""
_MOST_WRITES: Final = 256
"""Writes that wait for the store at a time; answers that come then stay in memory only."""

_LUA: Final = """
local text = redis.call('GET', KEYS[1])
local epoch, seq, rest
if text then epoch, seq, rest = string.match(text, '^(%d+) (%d+)(.*)$') end
if not epoch then epoch, seq, rest = string.format('%.0f', now), '0', '' end
if ARGV[1] ~= '' then
  seq = string.format('%.0f', tonumber(seq) + 1)
  if ARGV[1] ~= 'u' then
    local _, lines = string.gsub(rest, '\\n', '')
    if lines >= tonumber(ARGV[2]) then rest = '\\n' .. seq .. ' a0 '
    else rest = rest .. '\\n' .. seq .. ' ' .. ARGV[1] end
  end
end
text = epoch .. ' ' .. seq .. rest
redis.call('SET', KEYS[1], text)
return text
"""


def _note(table: Table, keys: Sequence[str], arguments: Sequence[str | int | float | bytes], now: int) -> bytes:
    """Numbers a purge and writes it into the log; a purge of one URL ("u") is only numbered, "" nothing."""
    record, most = str(arguments[0]), int(arguments[1])
    log = Log.parse(table.get(keys[0]))
    epoch, last, lines = str(now), 0, list[str]()
    if log is not None:
        epoch, last, lines = log.epoch, log.last, log.lines
    if record:
        last += 1
        if record != "u":
            lines = [f"{last} a0 "] if len(lines) >= most else [*lines, f"{last} {record}"]
    text = "\n".join([f"{epoch} {last}", *lines]).encode()
    table.set(keys[0], text)
    return text


NOTE: Final = Script("cache-note-purge", _LUA, _note)


class Log:
    """The purges that the store remembers: ``epoch last`` and a line ``number kind+soft what`` for each.

    The epoch is when the log was begun: what was stored by a log that is lost counts as purged.
    """

    def __init__(self, epoch: str, last: int, lines: list[str]) -> None:
        self.epoch = epoch
        self.last = last
        self.lines = lines
        self.mark = f"{epoch} {last}"
        """What an answer carries that the upstream is asked for from here on."""
        self._purges = [(int(number), _purge(rest)) for number, _, rest in (line.partition(" ") for line in lines)]

    @classmethod
    def parse(cls, data: bytes | None) -> "Log | None":
        """None when there is none, or not a readable one."""
        if data is None:
            return None
        try:
            first, *lines = data.decode().split("\n")
            epoch, _, last = first.partition(" ")
            return cls(str(int(epoch)), int(last), lines)
        except (ValueError, KeyError, IndexError):
            return None

    def judge(self, mark: str, by_url: bytes | None, uri: str, tags: Sequence[str]) -> Verdict:
        """What purges have made of an answer with ``mark``. ``by_url``: the note of the last purge of its URL."""
        epoch, _, number = mark.partition(" ")
        if epoch != self.epoch or not number.isdecimal() or int(number) > self.last:
            return "purged"
        since = int(number)
        found = verdict((purge for at, purge in self._purges if at > since), uri, tags)
        if by_url is not None and found != "purged":
            noted, _, soft = by_url.decode("ascii", "replace").rpartition(" ")
            noted_epoch, _, at = noted.partition(" ")
            if noted_epoch == self.epoch and at.isdecimal() and int(at) <= since:
                return found
            return "soft" if soft == "1" else "purged"
        return found


def _purge(text: str) -> Purge:
    return Purge(KINDS[text[0]], text[3:], text[1] == "1")


@frozen
class Found:
    """What a look-up gave. ``entry``: None for a miss. ``mark``: for what the upstream is asked for next; "" when the
    store does not say. ``miss``: what Cache-Status says of it: ``uri-miss`` or ``vary-miss``. ``detail``: why, where
    that is not all. ``soft``: a soft purge has come since."""

    entry: Entry | None
    mark: str = ""
    miss: rules.Miss = "uri-miss"
    detail: str = ""
    soft: bool = False


class Shared:
    """The Store as a cache's second tier.

    ``name``: of the instance; instances of one name share. ``spawn``: starts a task that ends at shutdown. ``heard``:
    told of each purge that another node has made. ``lost``: told when some may have been missed.
    """

    def __init__(
        self,
        store: Store,
        name: str,
        cache: str,
        keep: float,
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        heard: Callable[[Purge], object],
        lost: Callable[[], object],
        log: logging.Logger,
    ) -> None:
        self._store = store
        self._cache = cache
        self._keep = keep
        self._spawn = spawn
        self._heard = heard
        self._log = log
        self._prefix = f"cache:{name}:"
        self._log_key = f"cache:{name}:log"
        self._channel = f"cache:{name}"
        self._known: tuple[bytes, Log] | None = None
        self._places: dict[str, tuple[str, str, str]] = {}
        self.mark = ""
        """The last mark that was seen; an answer that carries an older one is taken for purged sooner, never later."""
        self.writing = 0
        """Writes that are under way."""
        self.failures = 0
        """Commands that the store did not answer."""
        self.unreadable = 0
        """Values that were cut short, damaged or of another version."""
        self.skipped = 0
        """Answers that were not written, because too many writes were under way."""
        self._subscription: Subscription | None = store.subscribe(self._channel, self._message, lost)

    def close(self) -> None:
        """Listens no more."""
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            subscription.close()

    def problem(self) -> str | None:
        """Why the store does not answer; None when it does."""
        return self._store.problem()

    # -- answers ------------------------------------------------------------------------------------

    async def find(self, key: str, uri: str, headers: Headers) -> Found:
        """What the store has for a request with ``headers``."""
        store = self._store
        miss: rules.Miss = "uri-miss"
        try:
            value, by_url, text = await store.get_many(self._places.get(key) or self._locate(key, uri))
            log = self._read(text)
            if log is None:
                log = self._read(await store.run(NOTE, (self._log_key,), ("", MOST)))
            if log is None:
                return Found(None, detail="store-corrupt")
            if value is not None and value[:1] == _VARIES:
                names = tuple(value[1:].decode("ascii", "replace").split(","))
                miss = "vary-miss"
                value = await store.get(self._prefix + rules.store_key(key, rules.vary_key(headers, names)))
        except StoreDown:
            self.failures += 1
            return Found(None, detail="store-down")
        return Found(None, log.mark, miss) if value is None else self._open(value, by_url, log, key, uri, headers, miss)

    def _locate(self, key: str, uri: str) -> tuple[str, str, str]:
        """Where the answer, the last purge of its URL and the log lie; remembered, since the digests take 1 µs."""
        places = (self._prefix + rules.store_key(key), self._url_key(uri), self._log_key)
        if len(key) <= _LONGEST_KNOWN:
            if len(self._places) >= _MOST_KNOWN:
                self._places.clear()
            self._places[key] = places
        return places

    def _open(
        self, value: bytes, by_url: bytes | None, log: Log, key: str, uri: str, headers: Headers, miss: rules.Miss
    ) -> Found:
        """What ``value`` is good for."""
        data_at = value.find(b"\n") + 1
        loaded = rules.load(value, key, data_at) if value[:1] == _WHOLE else "store-corrupt"
        if isinstance(loaded, str):
            self.unreadable += 1
            return Found(None, log.mark, miss, loaded)
        stored, content = loaded
        if stored.vary_key != rules.vary_key(headers, stored.vary):
            return Found(None, log.mark, "vary-miss")
        mark = value[1 : data_at - 1].decode("ascii", "replace")
        entry = Entry(stored, content, key, uri, self._cache, mark)
        judged = log.judge(entry.mark, by_url, uri, stored.tags)
        if judged == "purged":
            return Found(None, log.mark, miss, "purged")
        return Found(entry, log.mark, miss, soft=judged == "soft")

    def keep(self, entry: Entry, now: float) -> None:
        """Writes ``entry``, beside the exchange."""
        ttl = min(entry.useful_until(self._keep) - now, _LONGEST)
        if ttl <= 0 or not entry.mark:
            return
        if self.writing >= _MOST_WRITES:
            self.skipped += 1
            return
        self._spawn(self._write(entry, ttl))

    async def _write(self, entry: Entry, ttl: float) -> None:
        self.writing += 1
        try:
            stored, key = entry.stored, entry.key
            place = self._prefix + rules.store_key(key)
            value = b"%b%b\n%b" % (_WHOLE, entry.mark.encode(), rules.dump(stored, key, entry.content))
            if stored.vary:
                await self._store.set(self._prefix + rules.store_key(key, stored.vary_key), value, ttl)
                value = _VARIES + ",".join(stored.vary).encode()
            await self._store.set(place, value, ttl)
        except StoreDown:
            self.failures += 1
        finally:
            self.writing -= 1

    def forget(self, entry: Entry) -> None:
        """Takes ``entry`` out, beside the exchange: the upstream has said that it holds no more."""
        if self.writing < _MOST_WRITES:
            place = rules.store_key(entry.key, entry.stored.vary_key if entry.stored.vary else "")
            self._spawn(self._quietly(self._store.delete(self._prefix + place)))

    async def _quietly(self, command: Awaitable[object]) -> None:
        self.writing += 1
        try:
            await command
        except StoreDown:
            self.failures += 1
        finally:
            self.writing -= 1

    # -- purges -------------------------------------------------------------------------------------

    async def purge(self, purge: Purge) -> None:
        """Makes ``purge`` hold on every node, whether it listens or not. Raises StoreDown."""
        store = self._store
        record = "u" if purge.kind == "url" else f"{LETTERS[purge.kind]}{purge.soft:d} {purge.what}"
        log = self._read(await store.run(NOTE, (self._log_key,), (record, MOST)))
        if purge.kind == "url" and log is not None:
            await store.set(self._url_key(purge.what), f"{log.mark} {purge.soft:d}".encode(), _LONGEST)
        message = {"kind": purge.kind, "what": purge.what, "soft": purge.soft}
        await store.publish(self._channel, json.dumps(message).encode())

    def purge_soon(self, purge: Purge) -> None:
        """The same beside the exchange."""
        self._spawn(self._quietly(self.purge(purge)))

    def _message(self, message: bytes) -> None:
        try:
            said = json.loads(message)
            purge = Purge(said["kind"], said["what"], said["soft"] is True)
            if purge.kind not in LETTERS or not isinstance(purge.what, str):
                raise ValueError("no purge")
        except (ValueError, KeyError, TypeError):
            self._log.warning("a message on %s that is no purge was ignored", self._channel)
            return
        self._heard(purge)

    # -- the log ------------------------------------------------------------------------------------

    def _read(self, text: bytes | None) -> Log | None:
        known = self._known
        if known is not None and text == known[0]:
            return known[1]
        log = Log.parse(text)
        if log is not None and text is not None:
            self._known = (text, log)
            self.mark = log.mark
        return log

    def _url_key(self, uri: str) -> str:
        return f"{self._prefix}u:{rules.store_key(uri)}"
