"""Files on their way into the ingest queue: those that settled, and those a client names."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_lvr1.daemon.watching.candidates import UNFINISHED, hidden, wanted
from edge_lvr1.daemon.watching.settling import Settling, look
from edge_lvr1.errors import EdgeLvr1Error, NotFoundError, QuestionError
from edge_lvr1.store.ingest import NAMED
from edge_lvr1.store.queues import IngestQueue, Job

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Refused:
    """A path that is not taken in, and why."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Offered:
    """What became of a path that a client named."""

    taken: tuple[Job, ...]
    refused: tuple[Refused, ...]


class Offers:
    """The way into the ingest queue. `news` is called for each file that is queued."""

    def __init__(self, settling: Settling, jobs: IngestQueue, news: Callable[[], None]) -> None:
        self._settling = settling
        self._jobs = jobs
        self._news = news
        self._waiting: Callable[[Path | None], None] = lambda root: None

    def on_waiting(self, wake: Callable[[Path | None], None]) -> None:
        """Have `wake` called with a root, None outside all, when files of it are waited for."""
        self._waiting = wake

    def saw(self, paths: Sequence[str]) -> None:
        """Files were seen in a watched folder, or changed while they were being taken in.

        Raises StoreError.
        """
        for root in self._settling.saw(paths):
            self._waiting(root)

    def settling(self, root: Path) -> int:
        """How many files of a root are waited for until they stand still."""
        return self._settling.pending(root)

    def settle(self, root: Path | None = None) -> bool:
        """Queue the files of a root that stood still; whether others are still waited for.

        None: those outside all roots. Raises StoreError.
        """
        whole = self._settling.take_whole(root)
        for place, file in enumerate(whole):
            try:
                job = self._jobs.offer(file.path, file.size_bytes, file.mtime_ns)
            except EdgeLvr1Error:
                for left in whole[place:]:
                    self._settling.follow(left)
                raise
            if job is not None:
                log.info("watch: %s is whole (%d bytes)", file.path, file.size_bytes)
                self._news()
        return self._settling.pending(root) > 0

    def pending(self) -> int:
        """How many files are waited for until they stand still."""
        return self._settling.all_pending()

    def explicit(self, path: str, priority: int = NAMED) -> Offered:
        """Queue a file, or what a folder holds, at once; failed ones are tried again.

        What waits already gets the priority, where that is higher than its own.

        Raises NotFoundError where there is nothing at that path, QuestionError for a path
        that is not absolute.
        """
        if "\0" in path or not os.path.isabs(path):  # noqa: PTH117 (pathlib takes no NUL)
            raise QuestionError(f"{path!r} is not an absolute path; give one from / on")
        top = Path(path)
        try:
            mode = top.stat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            raise NotFoundError(f"there is no file or folder at {path}; check the path") from None
        except OSError as error:
            return Offered((), (Refused(path, _unreadable(error)),))
        found = _files(top) if stat.S_ISDIR(mode) else iter([top])
        outcomes = [self._take(file, priority) for file in found]
        if not outcomes:
            outcomes = [Refused(path, "the folder holds no files that could be footage")]
        self._news()
        return Offered(
            tuple(entry for entry in outcomes if isinstance(entry, Job)),
            tuple(entry for entry in outcomes if isinstance(entry, Refused)),
        )

    def _take(self, path: Path, priority: int) -> Job | Refused:
        name = str(path)
        if path.suffix.lower() in UNFINISHED or hidden(path.name):
            return Refused(name, "its name says that it is unfinished or hidden; rename it first")
        try:
            file = look(name)
        except OSError as error:
            return Refused(name, _unreadable(error))
        if file is None:
            return Refused(name, "it is not a regular file")
        if not os.access(path, os.R_OK):
            return Refused(name, "it cannot be read by the daemon's user; check its permissions")
        job = self._jobs.offer(name, file.size_bytes, file.mtime_ns, again=True, priority=priority)
        # Not offered anew: it is here already, or is just being taken in.
        return job or self._jobs.of_path(name) or Refused(name, "its job was removed; try again")


def _files(top: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(top):
        folders[:] = sorted(name for name in folders if not hidden(name))
        for name in sorted(names):
            if wanted(Path(folder) / name, top):
                yield Path(folder) / name


def _unreadable(error: OSError) -> str:
    return f"it cannot be read: {error.strerror}"
