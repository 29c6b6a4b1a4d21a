"""One watched folder and its two threads: one walks it, one follows what was noticed.

A walk goes over the folder when it is asked for, and on its own while the folder is polled or
away. Where events tell of changes, all of it is watched before it is walked, so that one walk
finds what is there and misses nothing that comes. The other thread takes file system events
and looks at files that settle. A file system that does not answer holds up these two threads,
and nobody else.
"""

from __future__ import annotations

import logging
import os
import stat
import threading
import time
from collections.abc import Callable, Collection, Container, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Literal, Protocol

from edge_lvr1.daemon.health.faults import Faults
from edge_lvr1.daemon.watching.filesystems import tells_all
from edge_lvr1.daemon.watching.folder_events import Change, FolderEvents, NotWatched
from edge_lvr1.daemon.watching.reach import Reach, Sight
from edge_lvr1.daemon.watching.seen import SeenPaths
from edge_lvr1.daemon.watching.walking import Walk
from edge_lvr1.errors import StoreError

log = logging.getLogger(__name__)

FoundBy = Literal["auto", "events", "polling"]
_AWAY_FIRST_S = 1.0
_AWAY_LONGEST_S = 30.0
_STUCK_S = 60.0  # a file system that gives no sign for so long does not answer
_EVENTS_AGAIN_S = 600.0  # after the limit of watches was reached
_MOST_NOTICED = 50_000  # paths that wait to be looked at; more come by a walk
_MOST_SETTLING = 20_000  # files that a walk finds and that wait; then it waits for them
_AT_ONCE = 250  # paths that are asked about together
_RESTS, _RESTS_POLLED = 19, 3
"""Rests between walks, in times of what the last took: a folder of a million files is walked
at most 5 % of the time, or 25 % where nothing else tells of its files."""


class Receiver(Protocol):
    """Where files go that were seen, and who is told of a folder that is away."""

    def saw(self, paths: Sequence[str]) -> None:
        """Candidates were seen. Raises StoreError."""
        ...

    def settle(self, root: Path) -> bool:
        """Look at the files of a root that settle; whether others are still waited for."""
        ...

    def settling(self, root: Path) -> int:
        """How many files of a root are waited for until they stand still."""
        ...

    def away(self, root: Path) -> None:
        """The files below a root cannot be reached: what needs them waits."""
        ...

    def back(self, root: Path) -> None:
        """They can be reached: it goes on."""
        ...


@dataclass(frozen=True, slots=True)
class Pace:
    """How often what is done, in seconds."""

    poll_s: float
    rescan_s: float
    look_s: float
    settle_s: float


@dataclass(frozen=True, slots=True)
class RootState:
    """A watched folder as it was found last.

    `why` says what decided how changes are noticed; `problem`, of a folder that is there, what
    of it cannot be read. `scanned_s` is epoch seconds; None before the first walk.
    """

    path: Path
    found_by: Literal["events", "polling"] = "polling"
    why: str = ""
    there: bool = False
    problem: str = "it was not looked at yet"
    files: int = 0
    scanned_s: float | None = None
    took_s: float = 0.0


class WatchedRoot:
    """A watched folder. `events` None: it is polled. `found_by` is the setting."""

    def __init__(
        self,
        reach: Reach,
        skip: Collection[Path],
        receiver: Receiver,
        faults: Faults,
        pace: Pace,
        events: FolderEvents | None = None,
        found_by: FoundBy = "auto",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.path = reach.root
        self.reach = reach
        self._receiver = receiver
        self._faults = faults
        self._pace = pace
        self._events = events
        self._found_by = found_by
        self._clock = clock
        self._stopping = threading.Event()
        self._wake, self._news = threading.Event(), threading.Event()
        self._walk = Walk(self.path, tuple(skip), self._stopping.is_set)
        self._branch = Walk(self.path, tuple(skip), self._stopping.is_set)
        self._lock = threading.Lock()
        self._state = RootState(self.path)
        self._noticed: dict[Path, None] = {}
        self._signs_s: float | None = None
        self._reviewed_s = float("-inf")
        self._limited_s = float("-inf")
        self._away_s = 0.0
        self._ended_s, self._worked_s = float("-inf"), 0.0  # the last walk
        self._threads = [
            threading.Thread(target=work, name=f"{name} {self.path.name}", daemon=True)
            for name, work in (("walk", self._keep_walking), ("follow", self._keep_following))
        ]

    def start(self) -> None:
        """Begin with a first walk."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ask both threads to end; does not wait."""
        self._stopping.set()
        self._wake.set()
        self._news.set()

    def join(self, until_s: float) -> bool:
        """Wait for their ends until a moment of time.monotonic; False where one does not come."""
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0.0, until_s - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def state(self) -> RootState:
        """As it was found last."""
        with self._lock:
            return self._state

    def walk_soon(self, review: bool = False) -> None:
        """Have the folder walked, now or after the walk in hand; `review`: for what is gone too."""
        if review:
            self._reviewed_s = float("-inf")
        self._wake.set()

    def rescan(self) -> None:
        """Have it walked in its turn: not while it is, nor soon after a walk that took long."""
        rested = self._clock() >= self._ended_s + _RESTS * self._worked_s
        if rested and self._signs_s is None:
            self._wake.set()

    def follow_soon(self) -> None:
        """There is something to look at until it settles."""
        self._news.set()

    def notice(self, change: Change) -> None:
        """Something happened in it; does not wait. What is never walked is told of too."""
        if change.path != self.path and not self._branch.enters(change.path.parent):
            return
        if change.tree:
            self.walk_soon(review=True)
            return
        with self._lock:
            full = len(self._noticed) >= _MOST_NOTICED
            if not full:
                self._noticed[change.path] = None
        if full:
            self.walk_soon()
        self._news.set()

    def check_signs(self) -> None:
        """Call it away where its file system does not answer; does not wait."""
        since_s = self._signs_s
        if since_s is not None and self._clock() - since_s > _STUCK_S and self.state().there:
            self._be_away("its file system does not answer")

    def walk(self) -> bool:
        """Go over the folder once; False where it is away. Raises StoreError."""
        began_s, began_at_s = self._clock(), time.time()
        self._worked_s = 0.0  # one that comes to nothing is soon begun again
        with self._lock:
            self._signs_s = began_s
        try:
            sight = self.reach.look()
            if sight.problem:
                self._be_away(sight.problem)
                return False
            self._be_back(sight)
            seen, waited_s = self._walked()
            after = self.reach.look()
            if after.problem:
                self._be_away(after.problem)
                return False
            if self._stopping.is_set():
                return True
            if after == sight:
                self._review(seen, sight)
        finally:
            with self._lock:
                self._signs_s = None
        took_s = self._clock() - began_s
        self._ended_s, self._worked_s = self._clock(), took_s - waited_s
        self._put(
            problem=_told(self._walk.unreadable),
            files=len(seen),
            scanned_s=began_at_s,
            took_s=took_s,
        )
        return True

    def follow(self) -> bool:
        """Look at what was noticed and at what settles; whether more is waited for.

        Raises StoreError.
        """
        with self._lock:
            paths, self._noticed = list(self._noticed), {}
        try:
            gone = [str(path) for path in paths if not self._look_at(path)]
            if gone:
                self.reach.check(gone)
        except StoreError:
            with self._lock:  # looked at again, before what came meanwhile
                self._noticed = {**dict.fromkeys(paths), **self._noticed}
            raise
        return self._receiver.settle(self.path)

    def _walked(self) -> tuple[SeenPaths, float]:
        """What is there, and the seconds of the walk in which it waited for what it had found."""
        seen, waited_s = SeenPaths(), 0.0
        for paths in _batches(self._walk.files(self.path, self._sign)):
            for path in paths:
                seen.add(path)
            self._sign()
            self._receiver.saw(paths)
            waited_s += self._wait_for_settling()
        return seen, waited_s

    def _wait_for_settling(self) -> float:
        """Find no more while very many files settle, but for a file's time: some never do."""
        began_s = self._clock()
        until_s = began_s + 2 * self._pace.settle_s
        while self._receiver.settling(self.path) >= _MOST_SETTLING and self._clock() < until_s:
            if self._stopping.wait(self._pace.look_s):
                break
            self._sign()
        return self._clock() - began_s

    def _review(self, seen: Container[str], sight: Sight) -> None:
        if self._clock() - self._reviewed_s < self._pace.rescan_s / 2:
            return
        self._reviewed_s = self._clock()
        gone, returned = self.reach.review(seen, sight)
        if gone or returned:
            told = "watch: in %s %d known files are gone, and %d returned"
            log.info(told, self.path, gone, returned)

    def _look_at(self, path: Path) -> bool:
        """Pass on what is at a path; False where nothing is."""
        try:
            mode = os.lstat(path).st_mode
        except OSError:
            self._receiver.saw([str(path)])  # which forgets it, where it is surely gone
            return False
        if stat.S_ISDIR(mode):
            if self._branch.enters(path):
                for paths in _batches(self._branch.files(path)):
                    self._receiver.saw(paths)
        elif self._branch.wants(path):
            self._receiver.saw([str(path)])
        return True

    def _sign(self) -> None:
        """The file system answers; of use to the thread that walks alone."""
        with self._lock:
            if self._signs_s is not None:
                self._signs_s = self._clock()

    def _be_away(self, problem: str) -> None:
        if self._stopping.is_set():
            return
        self._put(there=False, problem=problem)
        if self._events is not None:
            self._events.forget(self.path)
        self._faults.put(
            f"root.{self.path}",
            f"the watched folder {self.path} is away: {problem}; its files wait, none is lost",
        )
        self._receiver.away(self.path)

    def _be_back(self, sight: Sight) -> None:
        self._choose(sight)
        self._put(there=True, problem="")
        self._away_s = 0.0
        self._receiver.back(self.path)
        self._faults.clear(f"root.{self.path}")

    def _choose(self, sight: Sight) -> None:
        """Decide how changes are noticed: by the setting, else by the file system."""
        kind = sight.mount.kind if sight.mount else "an unknown file system"
        if self._events is None:
            found_by, why = "polling", "there are no file system events"
        elif self._found_by != "auto":
            found_by, why = self._found_by, "by the setting ingest.found_by"
        elif tells_all(sight.mount):
            found_by, why = "events", kind
        else:
            found_by, why = "polling", f"{kind} does not tell of every change"
        if found_by == "events" and self._clock() - self._limited_s < _EVENTS_AGAIN_S:
            return
        if found_by == "events":
            found_by, why = self._watch(why)
        elif self._events is not None:
            self._events.forget(self.path)
        self._put(found_by=found_by, why=why)

    def _watch(self, why: str) -> tuple[Literal["events", "polling"], str]:
        assert self._events is not None
        try:
            self._events.watch(self.path, self._sign)
        except NotWatched as reason:
            self._limited_s = self._clock()
            self._faults.put(
                f"watch.{self.path}", f"{self.path} is polled, no events tell of it: {reason}"
            )
            return "polling", str(reason)
        self._faults.clear(f"watch.{self.path}")
        return "events", why

    def _put(self, **changes: object) -> None:
        with self._lock:
            self._state = replace(self._state, **changes)  # type: ignore[arg-type]

    def _keep_walking(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            try:
                self.walk()
            except StoreError as error:
                log.error("watch: %s: %s; trying again", self.path, error)
            except Exception:  # one walk; the next may go well, and other roots must go on
                log.exception("watch: a walk of %s broke something", self.path)
            self.follow_soon()
            self._wake.wait(self._pause_s())

    def _pause_s(self) -> float | None:
        state = self.state()
        if not state.there:
            self._away_s = min(_AWAY_LONGEST_S, max(_AWAY_FIRST_S, 2 * self._away_s))
            return self._away_s
        if state.found_by != "polling":
            return None
        return max(self._pace.poll_s, _RESTS_POLLED * self._worked_s)

    def _keep_following(self) -> None:
        waiting = False
        while not self._stopping.is_set():
            self._news.wait(self._pace.look_s if waiting else None)
            self._news.clear()
            try:
                waiting = self.follow()
            except StoreError as error:
                log.error("watch: %s: %s; trying again", self.path, error)
                waiting = True
            except Exception:  # one look; what it missed, the next walk brings
                log.exception("watch: a look at %s broke something", self.path)


def _batches(paths: Iterator[str]) -> Iterator[list[str]]:
    while batch := list(islice(paths, _AT_ONCE)):
        yield batch


def _told(unreadable: Collection[str]) -> str:
    first = next(iter(unreadable), None)
    if first is None:
        return ""
    more = f", and {len(unreadable) - 1} others" if len(unreadable) > 1 else ""
    return f"a folder cannot be read, {first}{more}"
