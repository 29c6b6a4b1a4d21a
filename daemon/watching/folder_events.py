"""File system events, by watchdog: what happens in a root and in all folders below it.

Each root has an observer and a kernel queue of its own, for watchdog walks the tree to watch it,
and holds a lock meanwhile. Whoever watches a root before walking it misses nothing that comes.

With watchdog 6 (Python 3.10) three things are not told, and are left to the rescan: that the
kernel's queue overflowed, that the limit of watches was reached by a folder that is new, and
that the root was moved.
"""

from __future__ import annotations

import errno
import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers.api import BaseObserver
from watchdog.observers.inotify import InotifyFullEmitter
from watchdog.observers.inotify_c import InotifyConstants

try:
    from edge_lvr1.daemon.watching.kernel_queue import KernelQueue
except ImportError:  # watchdog 6
    KernelQueue = None  # type: ignore[assignment, misc]

if TYPE_CHECKING:
    from watchdog.observers.inotify_c import Mask

log = logging.getLogger(__name__)

# Not modified: a file that is being written is looked at anyway until it stands still, and a
# writer of small blocks would fill the kernel's queue. Nor opened, nor closed after reading.
_FILTER: list[type[FileSystemEvent]] = [
    FileCreatedEvent,
    FileClosedEvent,
    FileMovedEvent,
    FileDeletedEvent,
    DirCreatedEvent,
    DirMovedEvent,
    DirDeletedEvent,
]
_GONE = (errno.ENOENT, errno.ENOTDIR)
_LIMIT = "the limit of watched folders is reached; raise fs.inotify.max_user_watches with sysctl"
_INSTANCES = (
    "the limit of inotify instances is reached; raise fs.inotify.max_user_instances with sysctl"
)


class NotWatched(Exception):  # noqa: N818 (a state of the machine; the text says what to do)
    """Not all of a root can be watched."""


@dataclass(frozen=True, slots=True)
class Change:
    """Something happened at `path`, below `root`.

    `tree` says that a folder left, or the root itself was unmounted or moved: what that means
    for the files in it only a walk tells.
    """

    root: Path
    path: Path
    tree: bool


class FolderEvents:
    """Watches roots and tells `on_change` of what happens, `on_overflow` of where it was lost.

    Both are called in threads of the roots, and must not wait for anything.
    """

    def __init__(
        self, on_change: Callable[[Change], None], on_overflow: Callable[[Path], None]
    ) -> None:
        self._on_change = on_change
        self._on_overflow = on_overflow
        self._trees: dict[Path, _Tree] = {}
        self._ending: dict[Path, threading.Thread] = {}
        self._stopped = False
        self._lock = threading.Lock()

    def watch(self, root: Path, sign: Callable[[], None]) -> None:
        """Tell of what happens in a root and below from now on. Raises NotWatched.

        Nothing is done where it is watched and all is well. May wait as long as the root's file
        system does; `sign` is called for every folder. A root that is gone meanwhile is passed
        over: who walks it next will see. Not to be called by two threads for the same root.
        """
        tree = self._trees.get(root)
        if tree is not None and not tree.stale and not tree.full:
            return
        self.forget(root)
        ending = self._ending.pop(root, None)
        if ending is not None:
            ending.join()  # until then its watches count against the limit
        if tree is not None and tree.full:
            raise NotWatched(_LIMIT)
        tree = _Tree(root, self._on_change, self._on_overflow, sign)
        with self._lock:
            if self._stopped:
                return
            self._trees[root] = tree
        try:
            tree.start()
        except OSError as error:
            if tree.closed or error.errno in _GONE:
                log.debug("watch: %s went while it was to be watched: %s", root, error)
                tree.stale = True
                return
            self.forget(root)
            raise NotWatched(_told(error)) from error
        finally:
            if tree.closed:  # forgotten meanwhile, when there was not yet everything to stop
                tree.stop()
        if tree.full:
            self.forget(root)
            raise NotWatched(_LIMIT)

    def renew(self, root: Path) -> None:
        """Have the next `watch` of a root begin anew: other file systems are mounted in it."""
        tree = self._trees.get(root)
        if tree is not None:
            tree.stale = True

    def forget(self, root: Path) -> None:
        """Tell nothing of a root any more; does not wait for its file system."""
        with self._lock:
            tree = self._trees.pop(root, None)
            if tree is None:
                return
            tree.closed = True
            ending = threading.Thread(target=tree.stop, name=f"unwatch {root.name}", daemon=True)
            self._ending[root] = ending
            ending.start()

    def stop(self, until_s: float) -> bool:
        """Forget all; False where one does not end until a moment of time.monotonic."""
        with self._lock:
            self._stopped = True
        for root in list(self._trees):
            self.forget(root)
        endings = list(self._ending.values())
        for ending in endings:
            ending.join(max(0.0, until_s - time.monotonic()))
        return not any(ending.is_alive() for ending in endings)


class _Emitter(InotifyFullEmitter):
    """Tells of folders that move in or out as such, and has the kernel tell of moved roots."""

    def get_event_mask_from_filter(self) -> Mask:
        """The events that the kernel is asked for."""
        return cast("Mask", super().get_event_mask_from_filter() | InotifyConstants.IN_MOVE_SELF)


class _Tree(FileSystemEventHandler):
    """One watched root. `full`: the limit was reached; `stale`: it is to be watched anew."""

    def __init__(
        self,
        root: Path,
        on_change: Callable[[Change], None],
        on_overflow: Callable[[Path], None],
        sign: Callable[[], None],
    ) -> None:
        self.full = self.stale = self.closed = False
        self.sign = sign
        self._root = root
        self._on_change = on_change
        self._on_overflow = on_overflow
        self._queue: KernelQueue | None = None
        self._observer: BaseObserver | None = None

    def start(self) -> None:
        """Watch all folders. Raises OSError."""
        given: dict[str, Any] = {}
        if KernelQueue is not None:
            queue = given["inotify_fd"] = KernelQueue(self._root, self)
            queue.start()
            self._queue = queue
        observer = BaseObserver(_Emitter, **given)
        observer.start()
        self._observer = observer
        observer.schedule(self, str(self._root), recursive=True, event_filter=_FILTER)

    def stop(self) -> None:
        """End, started or not; more than once does no harm."""
        for thread in (self._observer, self._queue):
            if thread is not None:
                thread.stop()
                thread.join()

    def limited(self) -> None:
        """As `Troubles.limited`."""
        self.full = True
        self._tell(self._root, tree=True)

    def lost(self) -> None:
        """As `Troubles.lost`."""
        self.stale = True
        self._tell(self._root, tree=True)

    def overflowed(self) -> None:
        """As `Troubles.overflowed`."""
        if not self.closed:
            self._on_overflow(self._root)

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Tell of it. What watchdog adds for files in folders that moved, a walk finds."""
        if event.is_synthetic:
            return
        left, came = _path(event.src_path), _path(event.dest_path)
        if isinstance(event, DirMovedEvent):
            self._moved(left, came)
        elif isinstance(event, DirDeletedEvent) and left == self._root:
            self.lost()
        else:
            for path in filter(None, (left, came)):
                self._tell(path, tree=isinstance(event, DirDeletedEvent))

    def _moved(self, left: Path | None, came: Path | None) -> None:
        # watchdog goes on to watch what moved out, and 6 does not watch what moved in.
        if came is None or (left is None and KernelQueue is None):
            self.lost()
            return
        if left is not None:
            self._tell(left, tree=True)
        self._tell(came, tree=False)

    def _tell(self, path: Path, tree: bool) -> None:
        if not self.closed:
            self._on_change(Change(self._root, path, tree))


def _path(told: bytes | str) -> Path | None:
    return Path(os.fsdecode(told)) if told else None


def _told(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.ENOMEM):
        return _LIMIT
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return _INSTANCES
    return f"it cannot be watched: {error.strerror}"
