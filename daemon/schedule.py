"""What happens by the clock: the rescan of folders, and looks at files that settle.

Knows when, not what: the work is passed in.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import datetime, timezone

from apscheduler.schedulers.background import BackgroundScheduler  # type: ignore[import-untyped]

_SETTLE = "settle"
_SLOWEST_LOOK_S = 1.0
_FASTEST_LOOK_S = 0.05


class Schedule:
    """Runs `rescan` every `rescan_s`, and `settle` often while it has something to wait for."""

    def __init__(
        self,
        rescan: Callable[[], None],
        settle: Callable[[], bool],
        rescan_s: float,
        settle_s: float,
    ) -> None:
        self._rescan = rescan
        self._settle = settle
        self._rescan_s = rescan_s
        self._look_s = look_interval_s(settle_s)
        self._scheduler = BackgroundScheduler(timezone="UTC")
        self._awake = False
        self._lock = threading.Lock()

    def start(self) -> None:
        """Begin with a first scan."""
        # APScheduler tells of every run, and warns of a scan that takes longer than its
        # interval: neither is the operator's story.
        logging.getLogger("apscheduler").setLevel(logging.ERROR)
        self._scheduler.add_job(
            self._rescan,
            "interval",
            seconds=self._rescan_s,
            next_run_time=datetime.now(timezone.utc),
            coalesce=True,
            misfire_grace_time=None,
        )
        self._scheduler.start()

    def stop(self) -> None:
        """End, started or not; work in hand is waited for."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=True)

    def wake(self) -> None:
        """There is a file to wait for: look at it until `settle` says that none is left."""
        with self._lock:
            if not self._awake:
                self._awake = True
                self._scheduler.add_job(
                    self._look,
                    "interval",
                    seconds=self._look_s,
                    id=_SETTLE,
                    replace_existing=True,
                    coalesce=True,
                    misfire_grace_time=None,
                )

    def _look(self) -> None:
        with self._lock:  # a file seen meanwhile wakes us again, after the job is removed
            if self._awake and not self._settle():
                self._awake = False
                self._scheduler.remove_job(_SETTLE)


def look_interval_s(settle_s: float) -> float:
    """A quarter of the settling time, so that a whole file waits at most that much longer."""
    return min(_SLOWEST_LOOK_S, max(_FASTEST_LOOK_S, settle_s / 4))
