"""Who wants to know about a question, and telling them that something happened to it.

Carries no content: what happened is in the database, where a listener reads it. So a
listener that comes late, or is told twice, sees the same as everybody.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator


class Hub:
    """Wakes the event streams of questions from whichever thread has news."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: dict[str, set[_Listener]] = {}
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether the daemon stops, and streams are to end."""
        return self._closed

    @contextlib.contextmanager
    def listening(self, question_id: str) -> Iterator[asyncio.Event]:
        """An event that is set whenever there is news; to be used in a running loop."""
        listener = _Listener(asyncio.get_running_loop(), asyncio.Event())
        with self._lock:
            self._listeners.setdefault(question_id, set()).add(listener)
        try:
            yield listener.event
        finally:
            with self._lock:
                others = self._listeners[question_id]
                others.discard(listener)
                if not others:
                    del self._listeners[question_id]

    def tell(self, question_id: str) -> None:
        """Something happened to a question."""
        with self._lock:
            for listener in self._listeners.get(question_id, ()):
                listener.wake()

    def close(self) -> None:
        """The daemon stops: wake everybody, so that they see it."""
        with self._lock:
            self._closed = True
            for listeners in self._listeners.values():
                for listener in listeners:
                    listener.wake()


class _Listener:
    """One stream: the loop that it runs in, and its event."""

    def __init__(self, loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
        self.loop = loop
        self.event = event

    def wake(self) -> None:
        """Set the event from any thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to wake
            self.loop.call_soon_threadsafe(self.event.set)
