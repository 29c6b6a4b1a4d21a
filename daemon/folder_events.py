"""inotify: what happens in folders that are watched one by one.

Whoever walks a tree watches each folder before listing it, so that one walk finds what is
there and misses nothing that comes. This is a thin layer of our own, for what is told here is
what a library that walks by itself keeps to itself: that the kernel's queue overflowed, and
that a folder could not be watched because the limit of watches is reached.

A folder that can be reached by two paths is known by the one that was watched last.
"""

from __future__ import annotations

import errno
import logging
import os
import select
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from inotify_simple import Event, INotify, flags  # type: ignore[import-untyped]

from edge_lvr1.daemon.candidates import below

log = logging.getLogger(__name__)

# No MODIFY: a file that is being written is looked at anyway until it stands still, and a
# writer of small blocks would fill the kernel's queue with them.
_MASK = (
    flags.CREATE
    | flags.CLOSE_WRITE
    | flags.MOVED_FROM
    | flags.MOVED_TO
    | flags.DELETE
    | flags.DELETE_SELF
    | flags.MOVE_SELF
    | flags.ONLYDIR
    | flags.DONT_FOLLOW
    | flags.EXCL_UNLINK
)
_LEFT = flags.DELETE | flags.MOVED_FROM
_SELF = flags.DELETE_SELF | flags.MOVE_SELF | flags.UNMOUNT


class WatchLimit(Exception):  # noqa: N818 (a state of the machine; the text says what to do)
    """No more folders can be watched."""


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
    """Watches folders and tells `on_change` of what happens, `on_overflow` of what was lost.

    Both are called in one thread of its own, and must not wait for anything.
    """

    def __init__(
        self, on_change: Callable[[Change], None], on_overflow: Callable[[], None]
    ) -> None:
        self._on_change = on_change
        self._on_overflow = on_overflow
        self._inotify: INotify | None = None
        self._wake: int | None = None
        self._watched: dict[int, tuple[Path, Path]] = {}
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="events", daemon=True)

    def open(self) -> None:
        """Ask the kernel for a queue. Raises WatchLimit where it has none to give."""
        try:
            self._inotify = INotify()
        except OSError as error:
            raise WatchLimit(
                "there are no file system events, the limit of inotify instances is reached; "
                f"raise fs.inotify.max_user_instances with sysctl ({error.strerror})"
            ) from error
        self._wake = os.eventfd(0, os.EFD_CLOEXEC)

    def start(self) -> None:
        """Begin to read what the kernel tells; what it told since `open` comes first."""
        if self._inotify is not None:
            self._thread.start()

    def stop(self) -> None:
        """End, started or not."""
        if self._wake is not None:
            os.eventfd_write(self._wake, 1)
        if self._thread.is_alive():
            self._thread.join()
        with self._lock:
            if self._inotify is not None:
                self._inotify.close()
                self._inotify = None
            self._watched.clear()
        if self._wake is not None:
            os.close(self._wake)
            self._wake = None

    def watch(self, folder: Path, root: Path) -> None:
        """Tell of what happens in a folder from now on. Raises WatchLimit.

        A folder that is gone meanwhile, or cannot be read, is passed over: who lists it next
        will see.
        """
        inotify = self._inotify
        if inotify is None:
            raise WatchLimit("there are no file system events")
        try:
            # Outside the lock: a file system that does not answer holds up only its own root.
            number = inotify.add_watch(folder, _MASK)
        except ValueError:  # closed meanwhile
            return
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.ENOMEM):
                return
            raise WatchLimit(
                "the limit of watched folders is reached; raise "
                "fs.inotify.max_user_watches with sysctl"
            ) from error
        with self._lock:
            self._watched[number] = (folder, root)

    def forget(self, root: Path) -> None:
        """Watch nothing of a root any more."""
        with self._lock:
            for number in [n for n, (_, of) in self._watched.items() if of == root]:
                del self._watched[number]
                try:
                    if self._inotify is not None:
                        self._inotify.rm_watch(number)
                except OSError as error:  # gone with its folder; we are told of that later
                    log.debug("watch: %d was no watch any more: %s", number, error)

    def watched(self, root: Path) -> int:
        """How many folders of a root are watched."""
        with self._lock:
            return sum(of == root for _, of in self._watched.values())

    def read(self) -> bool:
        """Tell of everything that the kernel has in its queue; whether it was anything."""
        inotify = self._inotify
        if inotify is None:
            return False
        events = inotify.read(timeout=0)
        for event in events:
            self._tell(event)
        return bool(events)

    def _run(self) -> None:
        assert self._inotify is not None
        assert self._wake is not None
        poller = select.poll()
        poller.register(self._inotify.fileno(), select.POLLIN)
        poller.register(self._wake, select.POLLIN)
        while all(fd != self._wake for fd, _ in poller.poll()):
            self.read()

    def _tell(self, event: Event) -> None:
        if event.mask & flags.Q_OVERFLOW:
            self._on_overflow()
            return
        with self._lock:
            known = self._watched.get(event.wd)
            if event.mask & flags.IGNORED:
                self._watched.pop(event.wd, None)
                return
        if known is None:
            return
        folder, root = known
        if event.mask & _SELF:
            # A folder below says so too, to the one above it; only a root has none above.
            if folder == root or event.mask & flags.UNMOUNT:
                self._on_change(Change(root, folder, tree=True))
        elif event.name:
            left = bool(event.mask & flags.ISDIR and event.mask & _LEFT)
            if left:
                self._forget_below(folder / event.name)
            self._on_change(Change(root, folder / event.name, tree=left))

    def _forget_below(self, folder: Path) -> None:
        """A folder that left is watched no more: where it came to, it is watched anew."""
        top = below(folder)
        with self._lock:
            left = [
                (number, path)
                for number, (path, _) in self._watched.items()
                if path == folder or str(path).startswith(top)
            ]
            for number, _ in left:
                del self._watched[number]
                try:
                    if self._inotify is not None:
                        self._inotify.rm_watch(number)
                except OSError as error:
                    log.debug("watch: %d was no watch any more: %s", number, error)
