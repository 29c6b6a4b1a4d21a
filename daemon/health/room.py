"""Whether ingest has to pause: for want of room on the data folder's disk, or of a sound database.

A part of the disk is kept free, so that questions, which need a few KB each, go on when ingest
has filled the rest. A disk that turned read-only, as the kernel makes one that fails, has no
room at all: nothing new is accepted, what was is kept, and what is known can be read. Knows neither
files nor queues; it is asked before each piece of work and within it, and looks at the disk at
most once a second.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edge_lvr1.daemon.health.faults import Faults
from edge_lvr1.store.opening import read_only

DISK, LOCKED, DAMAGED = "disk", "disk.readonly", "database.damaged"
_LOOK_S = 1.0
_RESUME = 1.1  # so much more than the reserve, lest it pauses and resumes by turns
_MB = 1_000_000


class Room:
    """Watches what is free on the disk of `folder`; ingest pauses below `reserve_mb`.

    `free` gives the free bytes of a folder's disk, `locked` whether nothing can be written
    there; `on_short` is called once each time that room runs short, and may give some back.
    """

    def __init__(
        self,
        folder: Path,
        reserve_mb: int,
        faults: Faults,
        on_short: Callable[[], object] = lambda: None,
        free: Callable[[Path], int] | None = None,
        clock: Callable[[], float] = time.monotonic,
        locked: Callable[[Path], bool] | None = None,
    ) -> None:
        self._locked = locked or read_only
        self._folder = folder
        self._reserve_bytes = reserve_mb * _MB
        self._faults = faults
        self._on_short = on_short
        self._free = free or free_bytes
        self._clock = clock
        self._lock = threading.Lock()
        self._looked_s = float("-inf")
        self._short = False

    def paused(self) -> bool:
        """Whether no piece of ingest is to be begun or gone on with."""
        return self.short() or self._faults.has(DAMAGED)

    def short(self) -> bool:
        """Whether there is less than the reserve, or was and is not yet a tenth more."""
        with self._lock:
            now_s = self._clock()
            if now_s - self._looked_s < _LOOK_S:
                return self._short
            self._looked_s = now_s
            locked = self._locked(self._folder)
            was, self._short = self._short, locked or self._too_little(self._short)
            short = self._short
        if short and not was and not locked:
            self._on_short()
        self._tell(short, locked)
        return short

    def _too_little(self, was: bool) -> bool:
        try:
            free = self._free(self._folder)
        except OSError:  # a folder that is gone: the database says so
            return was
        return free < self._reserve_bytes * (_RESUME if was else 1.0)

    def _tell(self, short: bool, locked: bool) -> None:
        if not locked:
            self._faults.clear(LOCKED)
        if not short or locked:
            self._faults.clear(DISK)
        if locked:
            self._faults.put(
                LOCKED,
                f"ingest pauses and no question is accepted: the disk of {self._folder} can only "
                "be read; see the kernel's log, mount it for writing, and it goes on by itself",
            )
        if not short or locked:
            return
        reserve = self._reserve_bytes // _MB
        self._faults.put(
            DISK,
            f"ingest pauses: the disk of {self._folder} has less than {reserve} MB free "
            f"(ingest.reserve_mb); free some space, and it goes on by itself",
        )


@dataclass(frozen=True, slots=True)
class Pausing:
    """A worker's work that finds nothing to do while `paused`."""

    paused: Callable[[], bool]
    work: Callable[[], bool]

    def __call__(self) -> bool:
        """One piece of work, or none; whether there was any."""
        return False if self.paused() else self.work()


def free_bytes(folder: Path) -> int:
    """What this user may still write to the disk of a folder."""
    now = os.statvfs(folder)
    return now.f_bavail * now.f_frsize
