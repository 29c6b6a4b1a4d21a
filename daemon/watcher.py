"""Which files of the watched folders are whole, and when.

`Settling` decides, and watches nothing: it is told of paths, looks at them again, and says
which stood still long enough (the manner of paperless-ngx). `Folders` finds the paths: a scan
at start, file system events after that, and a rescan now and then for what events miss (NFS
and SMB have none, and inotify's queue can overflow). Neither knows what becomes of a file.
"""

from __future__ import annotations

import logging
import os
import stat
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

from edge_lvr1.errors import SettingsError

log = logging.getLogger(__name__)

# Names that writers give to what they have not finished (browsers, rsync, scp clients, cameras).
UNFINISHED = frozenset(
    {".part", ".tmp", ".temp", ".filepart", ".crdownload", ".download", ".partial", ".swp"}
)
_EVENTS = frozenset({"created", "modified", "moved", "closed", "deleted"})


@dataclass(frozen=True, slots=True)
class WholeFile:
    """A file that stood still: its path, and the size and time it stood still with."""

    path: Path
    size_bytes: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class _Sighting:
    file: WholeFile
    since_s: float


class Settling:
    """Files seen lately, until they stood still for `settle_s`. Safe to share by threads."""

    def __init__(self, settle_s: float, clock: Callable[[], float]) -> None:
        self._settle_s = settle_s
        self._clock = clock
        self._pending: dict[Path, _Sighting] = {}
        self._taken: dict[Path, WholeFile] = {}
        self._lock = threading.Lock()

    def saw(self, path: Path) -> None:
        """Begin to follow a file, unless it is followed or was taken as it stands."""
        try:
            file = look(path)
        except OSError as error:
            log.warning("watch: cannot look at %s: %s", path, error.strerror)
            return
        with self._lock:
            known = self._pending.get(path)
            if file is None:
                self._forget(path)
            elif self._taken.get(path) != file and (known is None or known.file != file):
                self._pending[path] = _Sighting(file, self._clock())

    def take_whole(self) -> list[WholeFile]:
        """Look at every followed file again; hand out, once, those that stood still."""
        now_s = self._clock()
        whole = []
        with self._lock:
            for path, known in list(self._pending.items()):
                try:
                    file = look(path)
                except OSError:  # a mount that stutters: neither deleted nor still
                    self._pending[path] = _Sighting(known.file, now_s)
                    continue
                if file is None:
                    self._forget(path)
                elif file != known.file:
                    self._pending[path] = _Sighting(file, now_s)
                elif now_s - known.since_s >= self._settle_s:
                    del self._pending[path]
                    self._taken[path] = file
                    whole.append(file)
        return whole

    def put_back(self, file: WholeFile) -> None:
        """Undo a hand-out that came to nothing, so that the file is seen again."""
        with self._lock:
            self._taken.pop(file.path, None)

    def pending(self) -> int:
        """How many files are still being waited for."""
        with self._lock:
            return len(self._pending)

    def _forget(self, path: Path) -> None:
        self._pending.pop(path, None)
        self._taken.pop(path, None)


class Folders:
    """The watched folders, walked and listened to; every candidate goes to `saw`."""

    def __init__(
        self, roots: Sequence[Path], skip: Sequence[Path], saw: Callable[[Path], None]
    ) -> None:
        self.roots = tuple(roots)
        self._skip = tuple(skip)
        self._saw = saw
        self._observer = Observer()
        self._complained: set[Path] = set()
        self._stopping = False

    def start(self) -> None:
        """Listen to file system events. Raises SettingsError for a root that is not there."""
        for root in self.roots:
            check_root(root)
        for root in self.roots:
            try:
                self._observer.schedule(_Handler(self), str(root), recursive=True)
            except OSError as error:  # the limit of inotify watches, for one
                log.warning("watch: no events from %s (%s); it is rescanned instead", root, error)
        try:
            self._observer.start()
        except OSError as error:
            log.warning("watch: no file system events (%s); folders are rescanned instead", error)

    def stop(self) -> None:
        """Stop listening and walking, started or not."""
        self._stopping = True
        if self._observer.is_alive():
            self._observer.stop()
            self._observer.join(timeout=5.0)

    def scan(self) -> None:
        """Walk all roots. A root that is gone is an outage, not a deletion: said once."""
        for root in self.roots:
            for path in self._walk(root, root):
                self._saw(path)

    def offer(self, path: Path) -> None:
        """Take notice of one path, or of everything under it where it is a folder."""
        root = self.root_of(path)
        if root is None or not self._wanted(path, root) or self._skipped(path):
            return
        if path.is_dir():
            for found in self._walk(path, root):
                self._saw(found)
        else:
            self._saw(path)

    def root_of(self, path: Path) -> Path | None:
        """The watched folder that a path lies in, the innermost of several; None outside."""
        holders = [root for root in self.roots if root in path.parents]
        return max(holders, key=lambda root: len(root.parts), default=None)

    def _walk(self, top: Path, root: Path) -> Iterator[Path]:
        def complain(error: OSError) -> None:
            place = Path(error.filename or root)
            if place not in self._complained:
                self._complained.add(place)
                log.warning("watch: cannot read %s: %s", place, error.strerror)

        for folder, folders, names in os.walk(top, onerror=complain):
            if self._stopping:
                return
            here = Path(folder)
            self._complained.discard(here)
            folders[:] = sorted(n for n in folders if not hidden(n) and not self._skipped(here / n))
            for name in folders:
                if (here / name).is_symlink():
                    self._say_not_followed(here / name, "a link to a folder")
            for name in sorted(names):
                path = here / name
                # Folders behind links are not walked into, so that a file which is no link
                # itself lies where it seems to: 20,000 of them are resolved for nothing.
                if self._wanted(path, root) if path.is_symlink() else not _passed_over(path, root):
                    yield path

    def _wanted(self, path: Path, root: Path) -> bool:
        if wanted(path, root):
            return True
        if not _passed_over(path, root) and path.is_symlink():
            self._say_not_followed(path, "a link that leads out of the watched folder, or nowhere")
        return False

    def _say_not_followed(self, link: Path, what: str) -> None:
        if link not in self._complained:
            self._complained.add(link)
            log.warning("watch: %s is %s: it is not followed; watch where it leads", link, what)

    def _skipped(self, path: Path) -> bool:
        return any(path == place or place in path.parents for place in self._skip)


class _Handler(FileSystemEventHandler):
    def __init__(self, folders: Folders) -> None:
        self._folders = folders

    def on_any_event(self, event: FileSystemEvent) -> None:
        # Our own reading raises "opened" and "closed_no_write" events: not news.
        if event.event_type not in _EVENTS:
            return
        if event.is_directory and event.event_type not in ("created", "moved"):
            return
        for path in (event.src_path, event.dest_path):
            if path:
                self._folders.offer(Path(os.fsdecode(path)))


def look(path: Path) -> WholeFile | None:
    """A regular file as it stands now; None where there is none (any more).

    Raises OSError for anything else than "gone", such as a mount that does not answer.
    """
    try:
        now = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return WholeFile(path, now.st_size, now.st_mtime_ns) if stat.S_ISREG(now.st_mode) else None


def wanted(path: Path, root: Path) -> bool:
    """Whether a path under a root may be footage, by its name and by where a link leads."""
    if _passed_over(path, root):
        return False
    top = root.resolve()
    try:
        return path.resolve(strict=True).is_relative_to(top)
    except FileNotFoundError:
        # Gone meanwhile: whoever looks will see. A link that leads nowhere stays out.
        return not path.is_symlink() and path.parent.resolve().is_relative_to(top)
    except (OSError, RuntimeError):  # a loop of links: RuntimeError before Python 3.13
        return False


def _passed_over(path: Path, root: Path) -> bool:
    inside = path.relative_to(root).parts
    return any(hidden(name) for name in inside) or path.suffix.lower() in UNFINISHED


def hidden(name: str) -> bool:
    """Whether a name is one that programs keep for themselves."""
    return name.startswith((".", "~")) or name.endswith("~")


def check_root(root: Path) -> None:
    """Raise SettingsError where a folder to watch is not there or not ours to read."""
    if not root.exists():
        raise SettingsError(f"there is no folder {root} to watch; make it or correct --watch")
    if not root.is_dir():
        raise SettingsError(f"{root} is not a folder; --watch takes folders, `ingest` takes files")
    if not os.access(root, os.R_OK | os.X_OK):
        raise SettingsError(f"the watched folder {root} cannot be read; check its permissions")
