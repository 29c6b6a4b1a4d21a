"""Which files are whole: those that stood still for a while, in size and in mtime.

`Settling` decides, and watches nothing: it is told of paths, looks at them again, and says
which stood still long enough (the manner of paperless-ngx). A file that is allocated at its
full size first and filled afterwards stands still in size alone: its mtime tells. What neither
tells is a writer who pauses for longer than the time asked; such a file is taken as it stands,
and taken anew when it has changed.

Nothing is looked at under the lock: a mount that does not answer holds up only whoever asks
for the files of that one folder.
"""

from __future__ import annotations

import logging
import stat
import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_lvr1.daemon.watching.candidates import root_of

log = logging.getLogger(__name__)


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
    """Files seen lately, until they stood still for `settle_s`. Safe to share by threads.

    They are followed apart for each of `roots`, the innermost where these nest, and for
    everything outside them (None).
    """

    def __init__(
        self, settle_s: float, clock: Callable[[], float], roots: Sequence[Path] = ()
    ) -> None:
        self._settle_s = settle_s
        self._clock = clock
        self._roots = tuple(roots)
        self._pending: dict[Path | None, dict[Path, _Sighting]] = {}
        # Of all files there are, for months: text and numbers take a third of what paths do.
        self._taken: dict[Path | None, dict[str, tuple[int, int]]] = {}
        self._lock = threading.Lock()

    def root_of(self, path: Path) -> Path | None:
        """Where a path is followed."""
        return root_of(path, self._roots)

    def saw(self, path: Path) -> bool:
        """Follow a file, unless it was taken as it stands; whether it is waited for now."""
        try:
            file = look(path)
        except OSError as error:
            log.warning("watch: cannot look at %s: %s", path, error.strerror)
            return False
        root = self.root_of(path)
        with self._lock:
            if file is None:
                self._forget(root, path)
                return False
            if self._taken.get(root, {}).get(str(path)) == (file.size_bytes, file.mtime_ns):
                return False
            pending = self._pending.setdefault(root, {})
            known = pending.get(path)
            if known is None or known.file != file:
                pending[path] = _Sighting(file, self._clock())
            return True

    def take_whole(self, root: Path | None = None) -> list[WholeFile]:
        """Look at a root's followed files again; hand out, once, those that stood still."""
        now_s = self._clock()
        with self._lock:
            followed = list(self._pending.get(root, {}).items())
        whole = []
        for path, known in followed:
            try:
                file = look(path)
            except OSError:  # a mount that stutters: neither deleted nor still
                file, known_now = known.file, _Sighting(known.file, now_s)
            else:
                known_now = known if file == known.file else _Sighting(file or known.file, now_s)
            if self._settled(root, path, known, known_now, gone=file is None, now_s=now_s):
                whole.append(known.file)
        return whole

    def put_back(self, file: WholeFile) -> None:
        """Undo a hand-out that came to nothing, so that the file is seen again."""
        with self._lock:
            self._taken.get(self.root_of(file.path), {}).pop(str(file.path), None)

    def forget_others(self, root: Path, present: Collection[str]) -> None:
        """Forget the files of a root that were taken once and are not there any more."""
        with self._lock:
            taken = self._taken.get(root, {})
            for path in [path for path in taken if path not in present]:
                del taken[path]

    def pending(self, root: Path | None = None) -> int:
        """How many files of a root are still waited for."""
        with self._lock:
            return len(self._pending.get(root, {}))

    def all_pending(self) -> int:
        """How many files are still waited for, everywhere."""
        with self._lock:
            return sum(map(len, self._pending.values()))

    def _settled(
        self,
        root: Path | None,
        path: Path,
        known: _Sighting,
        known_now: _Sighting,
        *,
        gone: bool,
        now_s: float,
    ) -> bool:
        with self._lock:
            pending = self._pending.get(root, {})
            if pending.get(path) != known:  # somebody saw it anew meanwhile
                return False
            if gone:
                self._forget(root, path)
                return False
            pending[path] = known_now
            if known_now is not known or now_s - known.since_s < self._settle_s:
                return False
            del pending[path]
            stood = (known.file.size_bytes, known.file.mtime_ns)
            self._taken.setdefault(root, {})[str(path)] = stood
            return True

    def _forget(self, root: Path | None, path: Path) -> None:
        self._pending.get(root, {}).pop(path, None)
        self._taken.get(root, {}).pop(str(path), None)


def look(path: Path) -> WholeFile | None:
    """A regular file as it stands now; None where there is none (any more).

    Raises OSError for anything else than "gone", such as a mount that does not answer.
    """
    try:
        now = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return WholeFile(path, now.st_size, now.st_mtime_ns) if stat.S_ISREG(now.st_mode) else None
