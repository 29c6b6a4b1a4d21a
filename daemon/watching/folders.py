"""All watched folders: started, stopped and asked together, each in threads of its own."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from edge_lvr1.config import Ingest
from edge_lvr1.daemon.health.faults import Faults
from edge_lvr1.daemon.ingest.offers import Offers
from edge_lvr1.daemon.schedule import look_interval_s
from edge_lvr1.daemon.watching.candidates import below, root_of
from edge_lvr1.daemon.watching.filesystems import Mount, concerning, mounts
from edge_lvr1.daemon.watching.folder_events import Change, FolderEvents
from edge_lvr1.daemon.watching.mount_watch import MountWatch
from edge_lvr1.daemon.watching.reach import Reach
from edge_lvr1.daemon.watching.watched_root import FoundBy, Pace, RootState, WatchedRoot
from edge_lvr1.errors import SettingsError
from edge_lvr1.store.presence import Presence
from edge_lvr1.store.queues import BuildQueue, IngestQueue

log = logging.getLogger(__name__)

T = TypeVar("T")

_STOP_WITHIN_S = 3.0
_ANSWER_WITHIN_S = 5.0


class Holding:
    """What roots tell: files to the offers, and to the queues what can be reached."""

    def __init__(
        self, offers: Offers, jobs: IngestQueue, builds: BuildQueue, news: Callable[[], None]
    ) -> None:
        self._offers = offers
        self._jobs = jobs
        self._builds = builds
        self._news = news

    def saw(self, paths: Sequence[str]) -> None:
        """As `Receiver.saw`."""
        self._offers.saw(paths)

    def settle(self, root: Path) -> bool:
        """As `Receiver.settle`."""
        return self._offers.settle(root)

    def settling(self, root: Path) -> int:
        """As `Receiver.settling`."""
        return self._offers.settling(root)

    def away(self, root: Path) -> None:
        """As `Receiver.away`."""
        held = self._jobs.hold(str(root)), self._builds.hold(str(root))
        if any(held):
            log.debug("watch: %s: %d files and %d recordings wait for it", root, *held)

    def back(self, root: Path) -> None:
        """As `Receiver.back`."""
        if self._jobs.unhold(str(root)) + self._builds.unhold(str(root)):
            self._news()


class Folders:
    """The watched folders of a daemon; `skip` are places that are never walked."""

    def __init__(
        self,
        roots: Sequence[Path],
        skip: Sequence[Path],
        holding: Holding,
        known: Presence,
        ingest: Ingest,
        faults: Faults,
        mounted: Callable[[], tuple[Mount, ...]] = mounts,
    ) -> None:
        self._holding = holding
        self._events = FolderEvents(self._changed, self._overflowed)
        self._mount_watch = MountWatch(self._mounts_changed)
        self._mounted = mounted
        self._overflows = 0
        self._counting = threading.Lock()
        settle_s = ingest.settle_s
        pace = Pace(ingest.poll_s, ingest.rescan_s, look_interval_s(settle_s), settle_s)
        found_by = found_by_of(ingest.found_by)
        self._roots = {
            root: WatchedRoot(
                Reach(root, known, inner := _inside(root, roots), mounted),
                [*skip, *inner],
                holding,
                faults,
                pace,
                self._events,
                found_by.get(root, "auto"),
            )
            for root in roots
        }
        self._mounts = self._mounts_now()
        self._stopped = threading.Event()

    def hold(self) -> None:
        """Have what needs a root wait until it was seen: for a daemon that starts.

        A worker that opened a file below a dead mount would not come back from there.
        """
        for root in self._roots:
            self._holding.away(root)

    def start(self) -> None:
        """Begin with a first walk of each."""
        if self._roots:
            self._mount_watch.start()
        for watched in self._roots.values():
            watched.start()

    def stop(self) -> bool:
        """End all, started or not; False where a file system holds a thread."""
        self._stopped.set()
        self._mount_watch.stop()
        for watched in self._roots.values():
            watched.stop()
        until_s = time.monotonic() + _STOP_WITHIN_S
        ended = [watched.join(until_s) for watched in self._roots.values()]
        return self._events.stop(until_s) and all(ended)

    def rescan(self) -> str:
        """Have all roots walked, without waiting; tells how many are there."""
        for watched in self._roots.values():
            watched.check_signs()
            watched.rescan()
        there = sum(one.there for one in self.states())
        return f"{there} of {len(self._roots)} watched folders are there"

    def follow_soon(self, root: Path) -> None:
        """A file of a root is to be looked at until it settles."""
        if root in self._roots:
            self._roots[root].follow_soon()

    def root_of(self, path: Path) -> Path | None:
        """The watched folder that a path lies in, the innermost of several; None outside."""
        return root_of(path, self._roots)

    def is_away(self, path: Path) -> bool:
        """Whether the watched folder of a path cannot be reached; looks at it, and may wait."""
        root = self.root_of(path)
        if root is None:
            return False
        watched = self._roots[root]
        if not watched.state().there:
            return True
        if watched.reach.look().problem:
            watched.walk_soon()
            return True
        return False

    def problem_of(self, path: Path) -> str:
        """Why the watched folder of a path was away when last looked at; empty where it was not."""
        root = self.root_of(path)
        state = self._roots[root].state() if root is not None else None
        return "" if state is None or state.there else state.problem

    def is_gone(self, path: str) -> bool:
        """Whether a known file is not there any more, its watched folder being there."""
        root = self.root_of(Path(path))
        if root is not None:
            return self._roots[root].reach.is_gone(path)
        try:
            return not Path(path).exists()
        except OSError:
            return False

    def states(self) -> list[RootState]:
        """How each root was found last."""
        return [watched.state() for watched in self._roots.values()]

    def overflows(self) -> int:
        """How often the kernel lost events, since the start."""
        return self._overflows

    def _mounts_now(self) -> dict[Path, tuple[Mount, ...]]:
        listed = self._mounted()
        return {root: concerning(root, listed) for root in self._roots}

    def _mounts_changed(self) -> None:
        before, self._mounts = self._mounts, self._mounts_now()
        for root, watched in self._roots.items():
            if before[root] != self._mounts[root]:
                self._events.renew(root)
                watched.walk_soon(review=True)

    def _changed(self, change: Change) -> None:
        watched = self._roots.get(change.root)
        if watched is not None:
            watched.notice(change)

    def _overflowed(self, root: Path) -> None:
        with self._counting:
            self._overflows += 1
        if not self._stopped.is_set():
            log.warning("watch: events of %s were lost; it is walked at once", root)
        self._roots[root].walk_soon(review=True)


def found_by_of(setting: Mapping[str, FoundBy]) -> dict[Path, FoundBy]:
    """`ingest.found_by` by the real paths of its folders."""
    return {real(Path(root).expanduser()): way for root, way in setting.items()}


def check_root(root: Path) -> None:
    """Raise SettingsError where a folder to watch is something else.

    One that is not there, or cannot be read, is no mistake: at boot a daemon may be there
    before its mounts. It is waited for, and `status` says so.
    """

    def is_something_else() -> bool:
        try:
            return root.exists() and not root.is_dir()
        except OSError:
            return False

    if _in_time(is_something_else, False):
        raise SettingsError(f"{root} is not a folder; --watch takes folders, `ingest` takes files")


def real(root: Path) -> Path:
    """A folder's path without links; as it is, where its file system does not answer."""

    def resolved() -> Path:
        try:
            return root.resolve()
        except (OSError, RuntimeError):  # a loop of links: RuntimeError before Python 3.13
            return root.absolute()

    return _in_time(resolved, root.absolute())


def _in_time(look: Callable[[], T], otherwise: T) -> T:
    """What a look at a file system gives; `otherwise` where it does not answer.

    The thread that looks cannot be ended; it is left behind.
    """
    found = [otherwise]
    thread = threading.Thread(target=lambda: found.append(look()), name="look", daemon=True)
    thread.start()
    thread.join(_ANSWER_WITHIN_S)
    return found[-1]


def _inside(root: Path, roots: Sequence[Path]) -> list[Path]:
    return [one for one in roots if str(one).startswith(below(root))]
