"""The supervisor: keeps the workers alive, passes reloads on, and ends them."""

import atexit
import logging
import os
import select
import signal
import socket
import sys
import threading
import time
from typing import Final, NoReturn

from spork_core.config.model import GatewayConfig
from spork_core.errors import ConfigError
from spork_core.gateway import Gateway, check_sockets
from spork_core.registry import Registry
from spork_core.workers.herald import Herald
from spork_core.workers.serving import ECHO, SIGNALS, Source, log_refused
from spork_core.workers.sockets import Sockets
from spork_core.workers.worker import Word, work

log = logging.getLogger("spork_core.workers")

FIRST_DELAY: Final = 0.1
LONGEST_DELAY: Final = 30.0
LONG_LIFE: Final = 60.0
"""Seconds of life after which a worker's death counts as the first again."""
STILLBORN: Final = 3
"""Deaths of one worker during start-up, when none was ever ready, after which another try is pointless."""
MARGIN: Final = 5.0
"""Seconds that workers get on top of ``timeouts.drain`` before they are killed."""


class Slot:
    """The place of one worker, and who is in it."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.pid = 0
        """0 while nobody is in it."""
        self.line: socket.socket | None = None
        """Our end of the pair."""
        self.ready = False
        self.born = 0.0
        self.deaths = 0
        """In a row, without a long life between them."""
        self.stillborn = 0
        """Deaths before it was ready, in a row."""
        self.due = 0.0
        """When to fork the next one; all times are ``time.monotonic``'s."""

    def tell(self, word: Word) -> None:
        """Sends a message, if anybody is there."""
        if self.line is not None:
            try:
                self.line.send(word.value)
            except OSError:  # it is dying, and who comes after it starts with the current config
                pass

    def died(self, now: float) -> float:
        """Empties the slot and gives the seconds until it is filled again."""
        self.deaths = 1 if now - self.born >= LONG_LIFE else self.deaths + 1
        self.stillborn = 0 if self.ready else self.stillborn + 1
        self.pid, self.ready = 0, False
        delay: float = min(LONGEST_DELAY, FIRST_DELAY * 2 ** min(self.deaths - 1, 30))
        self.due = now + delay
        return delay


class Supervisor:
    """Forks ``count`` workers that serve on ``sockets``, and keeps them."""

    def __init__(
        self, source: Source, registry: Registry, config: GatewayConfig, sockets: Sockets, count: int, herald: Herald
    ) -> None:
        self._source = source
        self._registry = registry
        self._config = config
        """What the workers run on, and the next one starts with."""
        self._previous = config
        self._sockets = sockets
        self._slots = [Slot(number) for number in range(count)]
        self._herald = herald
        self._announced = False
        self._ever_ready = False
        self._reload_asked = False
        self._reloading: set[Slot] = set()
        """Who has not said yet how the reload went."""
        self._reload_taken = False
        self._stopping = False
        self._stopped_at = 0.0
        self._kill_at = 0.0
        self._code = 0
        self._alarm, self._ring = -1, -1
        """The two ends of the pipe into which Python writes the numbers of signals."""

    def run(self) -> int:
        """Until told to stop, and all are gone; gives the exit code."""
        self._alarm, self._ring = os.pipe()
        os.set_blocking(self._alarm, False)
        os.set_blocking(self._ring, False)
        handled = (*SIGNALS, signal.SIGCHLD)
        handlers = {number: signal.signal(number, lambda *_: None) for number in handled}
        ring = signal.set_wakeup_fd(self._ring, warn_on_full_buffer=False)
        try:
            while not (self._stopping and not any(slot.pid for slot in self._slots)):
                self._turn()
        finally:
            self._kill()
            signal.set_wakeup_fd(ring)
            for number, handler in handlers.items():
                signal.signal(number, handler)
            os.close(self._alarm)
            os.close(self._ring)
        return self._code

    def _turn(self) -> None:
        """Does what is due, waits for a signal, a message or the next thing due, and sees to it."""
        now = time.monotonic()
        if self._stopping:
            due = self._kill_at
            if now >= due:
                self._kill()
        else:
            for slot in self._slots:
                if not slot.pid and slot.due <= now:
                    self._fork(slot)
            due = min((slot.due for slot in self._slots if not slot.pid), default=now + LONGEST_DELAY)
        lines = {slot.line.fileno(): slot for slot in self._slots if slot.line is not None}
        poll = select.poll()
        for descriptor in (self._alarm, *lines):
            poll.register(descriptor, select.POLLIN)
        for descriptor, _ in poll.poll(max(0.0, due - time.monotonic()) * 1000):
            if descriptor == self._alarm:
                self._obey(os.read(self._alarm, 512))
            else:
                self._hear(lines[descriptor])
        self._bury()
        if self._reload_asked and not self._reloading and not self._stopping:
            self._reload()

    def _obey(self, numbers: bytes) -> None:
        """``numbers``: the signals that came in."""
        for number in numbers:
            if number in (signal.SIGTERM, signal.SIGINT):
                self._stop()
            elif number == signal.SIGHUP:
                self._reload_asked = True

    # -- workers ------------------------------------------------------------------------------------

    def _fork(self, slot: Slot) -> None:
        if threading.active_count() > 1:
            names = ", ".join(thread.name for thread in threading.enumerate()[1:])
            log.warning("forking beside running threads (%s): a plugin starts them when it is imported or made", names)
        ours, theirs = socket.socketpair()
        sys.stdout.flush()
        sys.stderr.flush()
        # Held back, so that a signal between the fork and the worker's own handlers is neither lost nor rung at us.
        held = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        pid = os.fork()
        if pid == 0:
            self._be_worker(slot, ours, theirs)
        signal.pthread_sigmask(signal.SIG_SETMASK, held)
        theirs.close()
        ours.setblocking(False)
        slot.pid, slot.line, slot.born = pid, ours, time.monotonic()
        log.info("worker %d started, pid %d", slot.number, pid)

    def _be_worker(self, slot: Slot, ours: socket.socket, theirs: socket.socket) -> NoReturn:
        """The other side of the fork. Nothing of the supervisor may stay: a copy of its end of a pair would hide its
        death from the others, and neither its exit functions nor its callers are to run twice."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            atexit._clear()
            os.close(self._alarm)
            os.close(self._ring)
            for line in (ours, *(other.line for other in self._slots)):
                if line is not None:
                    line.close()
            code = work(slot.number, self._config, self._source, self._registry, self._sockets, theirs)
        except BaseException:
            log.critical("worker %d ended with an unexpected error", slot.number, exc_info=True)
        finally:
            atexit._run_exitfuncs()
            logging.shutdown()
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _hear(self, slot: Slot) -> None:
        """Takes a worker's messages; its end of file means that it is about to be buried."""
        if slot.line is None:
            return
        try:
            words = slot.line.recv(64)
        except BlockingIOError:
            return
        except OSError:
            words = b""
        for byte in words:
            word = Word(bytes((byte,)))
            if word is Word.READY:
                slot.ready = self._ever_ready = True
                self._look_round()
            elif word is Word.ASK_RELOAD:
                self._reload_asked = True
            else:
                self._reload_over(slot, word is Word.RELOADED)
        if not words:
            slot.line.close()
            slot.line = None
            self._reload_over(slot, False)

    def _look_round(self) -> None:
        """Speaks when all serve for the first time."""
        if not self._announced and all(slot.ready for slot in self._slots):
            self._announced = True
            self._herald.ready(self._config, len(self._slots))

    def _bury(self) -> None:
        for slot in self._slots:
            if not slot.pid:
                continue
            pid, status = os.waitpid(slot.pid, os.WNOHANG)
            if pid:
                self._hear(slot)  # its last words
                self._hear(slot)  # and its end of file
                self._mourn(slot, os.waitstatus_to_exitcode(status))

    def _mourn(self, slot: Slot, code: int) -> None:
        pid, ready = slot.pid, slot.ready
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        delay = slot.died(time.monotonic())
        if self._stopping:
            log.info("worker %d (pid %d) ended: %s", slot.number, pid, how)
            return
        when = "" if ready else " during start-up"
        if slot.stillborn >= STILLBORN and not self._ever_ready:
            log.critical(
                "giving up: worker %d (pid %d) died%s %d times in a row, last: %s",
                slot.number,
                pid,
                when,
                STILLBORN,
                how,
            )
            self._code = 1
            self._stop()
        else:
            level = logging.ERROR if code else logging.WARNING
            log.log(level, "worker %d (pid %d) ended%s: %s; the next in %g s", slot.number, pid, when, how, delay)

    # -- reload -------------------------------------------------------------------------------------

    def _reload(self) -> None:
        """Looks at the new config once for all, and tells the workers to take it or that it is no good."""
        self._reload_asked = False
        self._herald.reloading()
        try:
            config = self._source()
            check_sockets(self._config, config)
            Gateway(config, self._registry)
        except ConfigError as error:
            log_refused(error)
        except Exception:
            log.exception("reload failed; the config that was stays in force")
        else:
            self._previous, self._config = self._config, config
            self._reload_taken = False
            self._reloading = {slot for slot in self._slots if slot.line is not None}
            for slot in self._reloading:
                slot.tell(Word.RELOAD)
            return
        for slot in self._slots:
            slot.tell(Word.REFUSED)
        self._herald.reloaded()

    def _reload_over(self, slot: Slot, taken: bool) -> None:
        """``slot`` has taken the new config, or kept the old, or died over it."""
        if slot not in self._reloading:
            return
        self._reloading.discard(slot)
        self._reload_taken |= taken
        if not self._reloading:
            if not self._reload_taken:
                self._config = self._previous
            self._herald.reloaded()

    # -- the end ------------------------------------------------------------------------------------

    def _stop(self) -> None:
        """Drains; told again, after ``ECHO`` seconds: ends at once."""
        now = time.monotonic()
        if self._stopping:
            if now - self._stopped_at >= ECHO:
                self._kill_at = 0.0
            return
        self._stopping, self._stopped_at = True, now
        self._herald.stopping()
        self._sockets.close()  # while one process holds them, clients wait in the queue instead of being refused
        drain = max(self._config.timeouts.drain, self._previous.timeouts.drain)
        self._kill_at = now + drain + MARGIN
        for slot in self._slots:
            if slot.pid:
                os.kill(slot.pid, signal.SIGTERM)

    def _kill(self) -> None:
        for slot in self._slots:
            if slot.pid:
                log.warning("killing worker %d (pid %d), which did not end in time", slot.number, slot.pid)
                os.kill(slot.pid, signal.SIGKILL)
                os.waitpid(slot.pid, 0)
                slot.pid = 0
