"""A worker: a thread that does one kind of work, a piece at a time, until the daemon stops."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from edge_lvr1.daemon.turnstile import Stopped, Turnstile
from edge_lvr1.errors import StoreError

log = logging.getLogger(__name__)

OWNER = "daemon"
LEASE_S = 600.0  # longer than any single caption takes; a daemon that starts frees all at once
_LOOK_AGAIN_S = 5.0  # for retries that come due without news
_STORE_PAUSE_S = 10.0  # a full disk or a locked database: go on answering, try again later


class Worker:
    """A thread that calls `work` until it raises Stopped; `work` says whether it found any."""

    def __init__(self, name: str, turnstile: Turnstile, work: Callable[[], bool]) -> None:
        self._turnstile = turnstile
        self._work = work
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
        with self._turnstile.heartbeats.working(self.name):
            self._work_on()

    def _work_on(self) -> None:
        turnstile = self._turnstile
        try:
            while True:
                turnstile.heartbeats.beat()
                mark = turnstile.mark()
                try:
                    found = self._work()
                except StoreError as error:
                    log.error("%s: %s; trying again", self._thread.name, error)
                    turnstile.rest(_STORE_PAUSE_S)
                    continue
                if not found:
                    turnstile.wait(mark, _LOOK_AGAIN_S)
        except Stopped:
            log.debug("%s worker stopped", self._thread.name)
