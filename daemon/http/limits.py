"""What one client may cost: counts of connections and requests. Pure but for an injected clock.

Everything here runs in the server's event loop, so nothing is locked. A client is a user, or
"tcp" for everybody without one; root and the daemon's own user are privileged: some
connections are kept for them, and their requests are not counted.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

AT_ONCE = 8
"""Requests of one client that are worked on at once; more wait. There are 40 threads for all."""
_KEPT = 4  # connections that only the privileged get
_MOST_CLIENTS = 1000


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a client is told instead of an answer; `wait_s` is when to come again."""

    status: int
    sentence: str
    wait_s: float = 0.0

    @property
    def retry_after(self) -> str | None:
        """The value of the header Retry-After, in whole seconds; None where it would not help."""
        return str(max(1, math.ceil(self.wait_s))) if self.wait_s > 0 else None


class Buckets:
    """A token bucket for each client: `burst` at once, then `per_s` a second."""

    def __init__(self, per_s: float, burst: int, clock: Callable[[], float]) -> None:
        self._per_s = per_s
        self._burst = burst
        self._clock = clock
        self._filled: dict[str, tuple[float, float]] = {}

    def take(self, client: str) -> float:
        """Count one; 0 where it is within bounds, else the seconds until one is again."""
        now = self._clock()
        left, at = self._filled.get(client, (float(self._burst), now))
        left = min(self._burst, left + (now - at) * self._per_s)
        wait_s = 0.0 if left >= 1 else (1 - left) / self._per_s
        if client not in self._filled and len(self._filled) >= _MOST_CLIENTS:
            self._forget(now)
        self._filled[client] = (left - (wait_s == 0), now)
        return wait_s

    def _forget(self, now: float) -> None:
        """Drop the full ones, which say nothing; were none full, the one untouched longest."""
        to_fill = self._burst / self._per_s
        kept = {one: been for one, been in self._filled.items() if now - been[1] < to_fill}
        if len(kept) >= _MOST_CLIENTS:
            del kept[min(kept, key=lambda one: kept[one][1])]
        self._filled = kept


class Link(Protocol):
    """A connection, as far as counting goes."""

    @property
    def idle(self) -> bool:
        """Whether no whole request of it is in work."""

    def drop(self) -> None:
        """Close it in favour of another."""


class Connections:
    """The connections that are open, by client, oldest first."""

    def __init__(self, most: int, most_per_client: int) -> None:
        self._most = most
        self._most_per_client = most_per_client
        self._kept = min(_KEPT, most // 4)
        self._open: dict[Link, str] = {}

    def enter(self, link: Link, client: str, *, privileged: bool = False) -> Refusal | None:
        """Count a new connection; or why it is refused, and then it does not count.

        Where all are taken, a client that has many gives up an idle one to one that has fewer.
        """
        counts = Counter(self._open.values())
        if counts[client] >= self._most_per_client and not self._dropped(client):
            sentence = f"you have {counts[client]} connections open already; close some"
            return Refusal(429, sentence, 1)
        most = self._most if privileged else self._most - self._kept
        if len(self._open) >= most:
            greedy, many = counts.most_common(1)[0] if counts else (client, 0)
            if many <= counts[client] + 1 or not self._dropped(greedy):
                return Refusal(503, "too many connections are open; come again in a moment", 2)
        self._open[link] = client
        return None

    def leave(self, link: Link) -> None:
        """A connection is gone; one that never counted changes nothing."""
        self._open.pop(link, None)

    def __len__(self) -> int:
        return len(self._open)

    def _dropped(self, client: str) -> bool:
        """Whether a connection of a client could be closed."""
        theirs = [one for one, whose in self._open.items() if whose == client]
        idle = next((one for one in theirs if one.idle), None)
        if idle is None:
            return False
        del self._open[idle]
        idle.drop()
        return True


class Turns:
    """Holds each client to `at_once` requests in work; the others of it wait their turn."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._at_once = at_once
        self._turns: dict[str, asyncio.Semaphore] = {}
        self._users: Counter[str] = Counter()

    @asynccontextmanager
    async def turn(self, client: str) -> AsyncIterator[None]:
        """Inside, a request of a client is one of those in work."""
        semaphore = self._turns.setdefault(client, asyncio.Semaphore(self._at_once))
        self._users[client] += 1
        try:
            async with semaphore:
                yield
        finally:
            self._users[client] -= 1
            if not self._users[client]:
                del self._users[client], self._turns[client]
