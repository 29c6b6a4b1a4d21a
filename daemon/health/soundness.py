"""Whether the database is sound after a bad end: looked through before it is used, or behind it.

SQLite outlives a kill and a power cut by itself; what this finds is what disks and people do to
a file. Looking costs time by the size of the file, so that a big one is looked through while
the daemon serves already; where damage is found then, ingest pauses and the fault says what to
do. A file in which damage was found before is looked through before anything else is done.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edge_lvr1.daemon.health.faults import Faults
from edge_lvr1.daemon.health.room import DAMAGED
from edge_lvr1.store.opening import InUse, check_place, damage_of, damaged

log = logging.getLogger(__name__)

_AT_ONCE_BYTES = 256 << 20


class Soundness:
    """The marks and looks of one database file."""

    def __init__(self, path: Path, faults: Faults, at_once_bytes: int = _AT_ONCE_BYTES) -> None:
        self._path = path
        self._faults = faults
        self._at_once_bytes = at_once_bytes
        self._mark = InUse(path)
        self._doubted = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._look_behind, name="soundness", daemon=True)

    def check(self) -> None:
        """Look the file through where that has to be before it is opened.

        Raises StoreError for what is no database file, StoreDamaged for a damaged one.
        """
        check_place(self._path)
        self._doubted = self._mark.found() and self._path.exists()
        if not self._doubted:
            return
        small = self._path.stat().st_size <= self._at_once_bytes
        if not small and not self._mark.damage():
            return
        began_s = time.monotonic()
        if damage := damage_of(self._path):
            self._mark.note(damage)
            raise damaged(self._path, damage)
        self._mark.note("")
        self._doubted = False
        took_s = time.monotonic() - began_s
        log.info("the last daemon did not end well; its database is sound (%.1f s)", took_s)

    @contextmanager
    def in_use(self, well: Callable[[], bool] = lambda: True) -> Iterator[None]:
        """While this is open the file is marked, and looked through where it still has to be.

        The mark stays where `well` does not say, at the end, that all was closed.
        """
        self._mark.begin()
        if self._doubted:
            self._thread.start()
        try:
            yield
        finally:
            self._stopping.set()
            if self._thread.is_alive():
                self._thread.join()
            if not self._doubted and well():
                self._mark.end()

    def found_damage(self, told: str) -> None:
        """Somebody came upon damage: ingest pauses, and the next start looks before anything."""
        self._doubted = True
        with suppress(OSError):
            self._mark.note(told)
        self._faults.put(DAMAGED, told)

    def _look_behind(self) -> None:
        began_s = time.monotonic()
        log.info("the last daemon did not end well; its database is looked through meanwhile")
        damage = damage_of(self._path, self._stopping.is_set)
        if self._stopping.is_set():
            return
        if damage:
            self.found_damage(str(damaged(self._path, damage)))
            return
        self._doubted = False
        log.info("the database is sound (%.1f s)", time.monotonic() - began_s)
