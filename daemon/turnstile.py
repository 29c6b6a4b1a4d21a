"""Questions go first: the place where ingest waits while a question is queued or asked.

Knows neither questions nor ingest; it is told how to find out whether somebody is waiting.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

from edge_lvr1.daemon.health.heartbeat import Heartbeats


class Stopped(Exception):  # noqa: N818 (not an error: the daemon was asked to end)
    """Work in hand is to be put down now, because the daemon stops."""


class Turnstile:
    """Lets ingest pass between two pieces of work, unless a question wants to go first.

    Everybody who passes gives a sign of life to `heartbeats`, and rests there while waiting.
    """

    def __init__(self, queued: Callable[[], int], heartbeats: Heartbeats | None = None) -> None:
        self._queued = queued
        self.heartbeats = heartbeats or Heartbeats(float("inf"))
        self._asking = 0
        self._aside = 0
        self._stopped = False
        self._news = 0
        self._changed = threading.Condition()

    def stop(self) -> None:
        """Everybody who waits here, or comes by later, raises Stopped."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def mark(self) -> int:
        """How much news there was so far: take it before looking for work, then `wait`."""
        with self._changed:
            return self._news

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stopped

    def news(self) -> None:
        """Something was queued or finished: whoever waits looks again."""
        with self._changed:
            self._news += 1
            self._changed.notify_all()

    @contextlib.contextmanager
    def asking(self) -> Iterator[None]:
        """While this is open, ingest waits."""
        with self._changed:
            self._asking += 1
        try:
            yield
        finally:
            with self._changed:
                self._asking -= 1
                self._news += 1
                self._changed.notify_all()

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """While this is open, a question in hand waits for somebody else, and ingest passes."""
        with self._changed:
            self._aside += 1
            self._news += 1
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._aside -= 1

    def pass_ingest(
        self, look_again_s: float = 0.5, on_wait: Callable[[], None] = lambda: None
    ) -> None:
        """Return as soon as no question is queued or being answered. Raises Stopped.

        `look_again_s` bounds the wait for a change that nobody announced; `on_wait` is called
        each time the wait goes on.
        """
        while True:
            self.heartbeats.beat()
            mark = self.mark()
            if self._stopped:
                raise Stopped
            if self._aside or (not self._asking and not self._queued()):
                return
            self.wait(mark, look_again_s)
            on_wait()

    def wait(self, mark: int, timeout_s: float) -> None:
        """Sleep until there is news since `mark`, but no longer than that. Raises Stopped."""
        with self.heartbeats.resting(), self._changed:
            self._changed.wait_for(lambda: self._stopped or self._news != mark, timeout_s)
            if self._stopped:
                raise Stopped

    def rest(self, seconds: float) -> None:
        """Sleep that long, news or not. Raises Stopped."""
        with self.heartbeats.resting(), self._changed:
            self._changed.wait_for(lambda: self._stopped, seconds)
            if self._stopped:
                raise Stopped
