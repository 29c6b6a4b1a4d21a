"""What is wrong with the daemon right now: a register that its parts write and clients read.

A fault is not an error: it is a state that somebody may have to do something about, such as a
full disk, and that ends. Each is said once in the log when it begins and once when it ends. It
knows nothing of what its keys stand for.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that is wrong: its key, one sentence for a person, since when (epoch seconds)."""

    key: str
    sentence: str
    since_s: float


class Faults:
    """The faults of now, by key. Safe to share by threads; `clock` gives epoch seconds."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[str, Fault] = {}

    def put(self, key: str, sentence: str) -> bool:
        """Something is wrong, or still is; whether that is news. The sentence may change."""
        with self._lock:
            known = self._known.get(key)
            since_s = self._clock() if known is None else known.since_s
            self._known[key] = Fault(key, sentence, since_s)
        if known is None:
            log.warning("fault: %s", sentence)
        return known is None

    def clear(self, key: str) -> bool:
        """It is well again, or always was; whether it was wrong."""
        with self._lock:
            known = self._known.pop(key, None)
        if known is not None:
            log.info("no fault any more: %s", known.sentence)
        return known is not None

    def has(self, key: str) -> bool:
        """Whether that is wrong now."""
        with self._lock:
            return key in self._known

    def now(self) -> tuple[Fault, ...]:
        """What is wrong, the oldest first."""
        with self._lock:
            return tuple(self._known.values())
