"""Whether the daemon gets anywhere: signs of life of its workers, and the watchdog they feed.

A worker beats between any two steps of its work, and rests while it waits for work or for a
question to go first. One that is in a single step for longer than its patience is stuck: then
the service manager's watchdog is not fed any more, which ends and restarts the daemon. It is
not fed either while the HTTP loop or the database gives no answer at all; a database that
answers with an error is a fault, which a restart does not mend.
"""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from edge_lvr1.daemon.health.faults import Faults
from edge_lvr1.daemon.host.notify import Notifier
from edge_lvr1.errors import StoreError

log = logging.getLogger(__name__)

FAULT = "stuck"
_LOOK_S = 10.0
_LOOP_WITHIN_S = 5.0


@dataclass(frozen=True, slots=True)
class Stuck:
    """A worker that is in one step for so long."""

    name: str
    for_s: float


@dataclass(slots=True)
class _Sign:
    name: str
    at_s: float
    resting: int = 0


class Heartbeats:
    """The signs of life of the threads that signed up. `clock` runs like time.monotonic."""

    def __init__(self, patience_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.patience_s = patience_s
        self._clock = clock
        self._lock = threading.Lock()
        self._signs: dict[int, _Sign] = {}

    @contextlib.contextmanager
    def working(self, name: str) -> Iterator[None]:
        """While this is open the calling thread has to give signs of life."""
        me = threading.get_ident()
        with self._lock:
            self._signs[me] = _Sign(name, self._clock())
        try:
            yield
        finally:
            with self._lock:
                self._signs.pop(me, None)

    def beat(self) -> None:
        """The calling thread gets on with its work; nothing for threads that did not sign up."""
        with self._lock:
            sign = self._signs.get(threading.get_ident())
            if sign is not None:
                sign.at_s = self._clock()

    @contextlib.contextmanager
    def resting(self) -> Iterator[None]:
        """While this is open the calling thread rightly does nothing."""
        me = threading.get_ident()
        with self._lock:
            sign = self._signs.get(me)
            if sign is not None:
                sign.resting += 1
        try:
            yield
        finally:
            with self._lock:
                if sign is not None:
                    sign.resting -= 1
                    sign.at_s = self._clock()

    def stuck(self) -> list[Stuck]:
        """The workers that are in one step for longer than is right, the longest first."""
        now = self._clock()
        with self._lock:
            found = [
                Stuck(sign.name, now - sign.at_s)
                for sign in self._signs.values()
                if not sign.resting and now - sign.at_s > self.patience_s
            ]
        return sorted(found, key=lambda one: -one.for_s)


class Watch:
    """The thread that looks at the signs of life, and tells the service manager of them.

    `loop_answers` waits for the HTTP loop, at most so many seconds; `database` asks the
    database something small; `status` is the line that the service manager shows.
    """

    def __init__(
        self,
        heartbeats: Heartbeats,
        notifier: Notifier,
        faults: Faults,
        loop_answers: Callable[[float], bool],
        database: Callable[[], object],
        status: Callable[[], str],
    ) -> None:
        self._heartbeats = heartbeats
        self._notifier = notifier
        self._faults = faults
        self._loop_answers = loop_answers
        self._database = database
        self._status = status
        self._told: set[str] = set()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    @property
    def look_s(self) -> float:
        """How often it looks: three times within the watchdog's time, where there is one."""
        watchdog_s = self._notifier.watchdog_s
        return _LOOK_S if watchdog_s is None else min(_LOOK_S, watchdog_s / 3)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more; what is shutting down is not held to its patience."""
        self._done.set()
        if self._thread.is_alive():
            self._thread.join(self.look_s)

    def look(self) -> bool:
        """Look once: whether all is well. The watchdog is fed where it is."""
        well = self._workers_are_well() and self._loop_is_well() and self._database_answers()
        if well and not self._done.is_set():
            self._notifier.alive()
        return well

    def _run(self) -> None:
        while not self._done.wait(self.look_s):
            self.look()

    def _workers_are_well(self) -> bool:
        stuck = self._heartbeats.stuck()
        names = {one.name for one in stuck}
        for name in self._told - names:
            self._faults.clear(f"{FAULT}.{name}")
        for one in stuck:
            self._faults.put(
                f"{FAULT}.{one.name}",
                f"the {one.name} worker has been in one step for {one.for_s:.0f} s; "
                "where systemd watches, it restarts the daemon",
            )
        if names - self._told and sys.__stderr__ is not None:
            with contextlib.suppress(OSError, ValueError):
                faulthandler.dump_traceback(sys.__stderr__)  # where they are, for the log
        self._told = names
        return not stuck

    def _loop_is_well(self) -> bool:
        well = self._loop_answers(min(_LOOP_WITHIN_S, self.look_s))
        if not well:
            log.error("the HTTP loop does not answer; the watchdog is not fed")
        return well

    def _database_answers(self) -> bool:
        try:
            self._database()
            self._notifier.status(self._status())
        except StoreError as error:
            log.debug("the database answers with an error: %s", error)
        return True
