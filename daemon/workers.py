"""A worker: a thread that does one kind of work, a piece at a time, until the daemon stops.

What a piece of work raises does not end the worker. It begins anew after a pause, which
doubles up to a bound, for as long as that takes: a worker keeps nothing between two pieces but
its database connection, which is opened anew too, so that ending the process would mend no
more, and would cut off the questions in hand. Only what ends the thread itself ends the
daemon, for whoever started it to start it again.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TypeVar

from edge_lvr1.daemon.health.faults import Faults
from edge_lvr1.daemon.host.journal import about
from edge_lvr1.daemon.turnstile import Stopped, Turnstile
from edge_lvr1.errors import EdgeLvr1Error, StoreError

log = logging.getLogger(__name__)

T = TypeVar("T")

OWNER = "daemon"
LEASE_S = 600.0  # longer than any single caption takes; a daemon that starts frees all at once
_LOOK_AGAIN_S = 5.0  # for retries that come due without news
_FIRST_PAUSE_S, _MOST_PAUSE_S = 1.0, 30.0


class Worker:
    """A thread that calls `work` until it raises Stopped; `work` says whether it found any.

    `begin_anew` is told what went wrong; `on_end` where the thread ends unasked.
    """

    def __init__(
        self,
        name: str,
        turnstile: Turnstile,
        work: Callable[[], bool],
        faults: Faults | None = None,
        begin_anew: Callable[[Exception], None] = lambda error: None,
        on_end: Callable[[], None] = lambda: None,
    ) -> None:
        self._turnstile = turnstile
        self._work = work
        self._faults = faults or Faults()
        self._begin_anew = begin_anew
        self._on_end = on_end
        self._missed = 0
        self._told = ""
        # A daemon thread, so that one stuck in a decoder cannot keep the process alive.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def name(self) -> str:
        """What its log lines and its thread are called."""
        return self._thread.name

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def join(self, timeout_s: float) -> bool:
        """Wait for the end, after the turnstile was stopped; False where it does not come."""
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            with self._turnstile.heartbeats.working(self.name), about(worker=self.name):
                self._work_on()
        except Stopped:
            log.debug("%s worker stopped", self.name)
        except BaseException:
            log.critical("the %s worker ended; the daemon ends with it", self.name, exc_info=True)
            self._on_end()

    def _work_on(self) -> None:
        turnstile = self._turnstile
        while True:
            turnstile.heartbeats.beat()
            mark = turnstile.mark()
            try:
                found = self._work()
            except Stopped:
                raise
            except (EdgeLvr1Error, OSError) as error:
                self._put_off(error)
                continue
            except Exception as error:
                if told_of(error) != self._told:
                    log.exception("the %s worker broke something", self.name)
                self._put_off(error)
                continue
            self._went_well()
            if not found:
                turnstile.wait(mark, _LOOK_AGAIN_S)

    def _put_off(self, error: Exception) -> None:
        """Say what is wrong, once, and wait for the next try. Raises Stopped."""
        told = told_of(error)
        self._faults.put(f"worker.{self.name}", f"the {self.name} worker waits: {told}")
        self._told = told
        self._begin_anew(error)
        pause_s = _FIRST_PAUSE_S * 2.0 ** min(self._missed, 10)
        self._missed += 1
        self._turnstile.rest(min(_MOST_PAUSE_S, pause_s))

    def _went_well(self) -> None:
        if self._missed:
            self._missed, self._told = 0, ""
            self._faults.clear(f"worker.{self.name}")


class Owed:
    """What is still to be stored of work that ended when the database could take nothing.

    Writes are kept in order and made before the next piece of work; each must be such that a
    second time changes nothing.
    """

    def __init__(self) -> None:
        self._writes: list[Callable[[], object]] = []

    def store(self, write: Callable[[], T]) -> T:
        """Make a write now, or owe it and raise StoreError."""
        try:
            return write()
        except StoreError:
            self.later(write)
            raise

    def later(self, write: Callable[[], object]) -> None:
        """Owe a write."""
        self._writes.append(write)

    def settle(self) -> None:
        """Make what is owed. Raises StoreError, the rest still owed."""
        while self._writes:
            self._writes[0]()
            self._writes.pop(0)


def told_of(error: Exception) -> str:
    """An error that nobody foresaw, in a sentence."""
    if isinstance(error, EdgeLvr1Error):
        return str(error)
    if isinstance(error, MemoryError):
        return "the daemon ran out of memory over it; give it more, or keep less in memory"
    return f"{type(error).__name__}: {error}"
