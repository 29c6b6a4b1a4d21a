"""Whether the wall clock is to be believed where what is old is removed for good.

A clock that is set a year forwards makes everything a year older at once. Mostly that is a
mistake which somebody, or NTP, soon puts right, so that it is believed only after it has gone
on like that for a day. Machines that sleep are told apart by a clock that counts their sleep.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from edge_lvr1.daemon.schedule import span_text

_LEAP_S = 3600.0
_DOUBTED_S = 24 * 3600.0


def _awake_and_asleep() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class DoubtedClock:
    """Compares a wall clock with one that nobody sets, from now on."""

    def __init__(
        self, wall: Callable[[], float], steady: Callable[[], float] = _awake_and_asleep
    ) -> None:
        self._wall = wall
        self._steady = steady
        self._apart_s = wall() - steady()
        self._since_s: float | None = None

    def doubt(self) -> str:
        """Why it is not believed now; empty where it is."""
        now_s = self._steady()
        ahead_s = self._wall() - now_s - self._apart_s
        if ahead_s <= _LEAP_S:
            self._apart_s += min(0.0, ahead_s)  # what is set back removes nothing
            self._since_s = None
            return ""
        if self._since_s is None:
            self._since_s = now_s
        if now_s - self._since_s >= _DOUBTED_S:
            self._apart_s += ahead_s
            self._since_s = None
            return ""
        return f"the clock was set forwards by {span_text(round(ahead_s))}; it is believed in a day"
