"""Which files are whole: those that stood still for a while, in size and in mtime.

`Settling` decides, and watches nothing: it is told of paths, looks at them again, and says
which stood still long enough (the manner of paperless-ngx). A file that is allocated at its
full size first and filled afterwards stands still in size alone: its mtime tells. What neither
tells is a writer who pauses for longer than the time asked; such a file is taken as it stands,
and taken anew when it has changed.

Nothing is looked at under the lock: a mount that does not answer holds up only whoever asks
for the files of that one folder. And of files that were taken nothing is kept here: whoever
has them says how they stood, so that months of footage take no memory.
"""

from __future__ import annotations

import logging
import os
import stat
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from edge_lvr1.daemon.watching.candidates import root_of

log = logging.getLogger(__name__)


Known: TypeAlias = Callable[[Sequence[str]], Mapping[str, tuple[int, int]]]
"""Size and mtime (ns) with which files were taken, of those of some paths that were."""


@dataclass(frozen=True, slots=True)
class WholeFile:
    """A file that stood still: its path, and the size and time it stood still with."""

    path: str
    size_bytes: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class _Sighting:
    file: WholeFile
    since_s: float


class Settling:
    """Files seen lately, until they stood still for `settle_s`. Safe to share by threads.

    They are followed apart for each of `roots`, the innermost where these nest, and for
    everything outside them (None). Files that are `known` as they stand are not followed.
    """

    def __init__(
        self,
        settle_s: float,
        clock: Callable[[], float],
        roots: Sequence[Path] = (),
        known: Known = lambda paths: {},
    ) -> None:
        self._settle_s = settle_s
        self._clock = clock
        self._roots = tuple(roots)
        self._known = known
        self._pending: dict[Path | None, dict[str, _Sighting]] = {}
        self._lock = threading.Lock()

    def root_of(self, path: str) -> Path | None:
        """Where a path is followed."""
        return root_of(path, self._roots)

    def saw(self, paths: Sequence[str]) -> set[Path | None]:
        """Follow files, unless they were taken as they stand; where some are waited for now.

        Raises what `known` raises.
        """
        there = []
        for path in paths:
            try:
                file = look(path)
            except OSError as error:
                log.warning("watch: cannot look at %s: %s", path, error.strerror)
                continue
            if file is not None:
                there.append(file)
            else:
                self._forget(path)
        known = self._known([file.path for file in there])
        new = [one for one in there if known.get(one.path) != (one.size_bytes, one.mtime_ns)]
        return {self.follow(file) for file in new}

    def follow(self, file: WholeFile) -> Path | None:
        """Wait for a file as it was seen, or was handed out and could not be taken; where."""
        root = self.root_of(file.path)
        with self._lock:
            pending = self._pending.setdefault(root, {})
            followed = pending.get(file.path)
            if followed is None or followed.file != file:
                pending[file.path] = _Sighting(file, self._clock())
        return root

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
        path: str,
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
                del pending[path]
                return False
            pending[path] = known_now
            if known_now is not known or now_s - known.since_s < self._settle_s:
                return False
            del pending[path]
            return True

    def _forget(self, path: str) -> None:
        with self._lock:
            self._pending.get(self.root_of(path), {}).pop(path, None)


def look(path: str) -> WholeFile | None:
    """A regular file as it stands now; None where there is none (any more).

    Raises OSError for anything else than "gone", such as a mount that does not answer.
    """
    try:
        now = os.stat(path)  # noqa: PTH116 (a path as it is stored)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return WholeFile(path, now.st_size, now.st_mtime_ns) if stat.S_ISREG(now.st_mode) else None
