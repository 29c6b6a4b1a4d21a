"""One file, from the ingest queue to its place among the files of its camera.

Its bytes are hashed, it is probed, and its camera and start are worked out; which recording
it becomes a part of is decided from all files of that camera, afterwards. Knows no thread.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from edge_lvr1.config import Settings
from edge_lvr1.daemon.ingest.zone import zone_for
from edge_lvr1.daemon.watching.candidates import root_of
from edge_lvr1.domain import TakenFile
from edge_lvr1.errors import MediaError, NotFoundError
from edge_lvr1.media.decoder import Decoder
from edge_lvr1.media.joining import Joined, cell, join
from edge_lvr1.media.names import place
from edge_lvr1.media.opening import Opens, opened
from edge_lvr1.media.patterns import NamePattern
from edge_lvr1.media.probe import Probe
from edge_lvr1.store.queues import IngestQueue, Job
from edge_lvr1.store.shelf import Shelf
from edge_lvr1.store.trees import Trees

log = logging.getLogger(__name__)

READ = "read"
_BLOCK_BYTES = 1024 * 1024
_BLOCKS_A_TURN = 16  # between two looks at whether a question waits
_LEAST_BYTES_A_S = 16  # one small picture in a quarter of an hour
_ANY_LENGTH_S = 3600.0  # up to here a length is believed whatever the size


def lost(path: str) -> bool:
    """Whether there is nothing at a path."""
    return not os.path.exists(path)  # noqa: PTH110 (a path as it is stored)


OnProgress = Callable[[str, int, int], None]


class StillChanging(Exception):  # noqa: N818 (a finding, not an error of ours)
    """The file is not the one that settled: it is to settle again."""


@dataclass(frozen=True, slots=True)
class Intake:
    """What taking files in needs."""

    trees: Trees
    shelf: Shelf
    jobs: IngestQueue
    decoder: Decoder
    settings: Settings
    patterns: Sequence[NamePattern]
    captioner: str
    is_gone: Callable[[str], bool] = lost
    opens: Opens = opened

    def take_in(self, job: Job, between: Callable[[], None], on_progress: OnProgress) -> str:
        """Put a job's file among the others; returns what is to be said of it.

        `between` is called often, and may wait or raise. Raises StillChanging, MediaError,
        NotFoundError, OSError, and what `between` raises.
        """
        path = Path(job.path)
        with self._settled(job) as settled:
            if job.size_bytes == 0:
                raise MediaError(f"{path.name} is empty (0 bytes); copy it again")
            sha256 = digest(settled, job.size_bytes, between, on_progress)
            found = self.decoder.probe(path)
            self._check_still(settled, job)
        file = self._placed(job, sha256, found)
        known = self.shelf.same_footage(file)
        if known is None:
            self.shelf.put(job, file, cell(file.starts_at, self.settings.ingest.max_recording_s))
            return f"{file.camera}, {file.starts_at:%Y-%m-%d %H:%M:%S}, {file.duration_s:.1f} s"
        # A file that was renamed: known footage whose own file is gone.
        if self.is_gone(known.path):
            self.shelf.moved(job, known.path, job.path, job.mtime_ns)
            return f"it is what {known.path} was"
        remark = f"the same footage as {known.path}"
        self.put_together()  # so that the recordings to be named are there
        self.jobs.done(job, self.trees.of_file(known.path), remark, sha256)
        return remark

    def put_together(self) -> int:
        """Bring the recordings to what the files are now; how many changed."""
        changed = 0
        for one in self.shelf.stirred():
            changed += len(self.shelf.put_together(one, self._rule, self.captioner))
        return changed

    def root_of(self, path: Path) -> Path | None:
        """The watched folder that a path lies in, the innermost of several; None outside."""
        return root_of(path, self.settings.watch)

    def _rule(self, files: Sequence[TakenFile]) -> list[Joined]:
        ingest = self.settings.ingest
        return join(files, ingest.gap_s, ingest.max_recording_s)

    def _settled(self, job: Job) -> FileIO:
        """The file that settled, open."""
        try:
            file = self.opens(Path(job.path))
        except IsADirectoryError:
            raise StillChanging(job.path) from None
        except (FileNotFoundError, NotADirectoryError):
            raise NotFoundError(f"{job.path} is gone; copy it back to have it taken in") from None
        if not _is_of(os.fstat(file.fileno()), job):
            file.close()
            raise StillChanging(job.path)
        return file

    def _check_still(self, file: FileIO, job: Job) -> None:
        """Raise StillChanging where the path leads to another file now, or to other bytes.

        What was probed was opened by the same path in between.
        """
        was = os.fstat(file.fileno())
        with self._settled(job) as again:
            if not os.path.sameopenfile(file.fileno(), again.fileno()) or not _is_of(was, job):
                raise StillChanging(job.path)

    def _placed(self, job: Job, sha256: str, found: Probe) -> TakenFile:
        path = Path(job.path)
        root = self.root_of(path)
        _check_length(path, found.duration_s, job.size_bytes)
        zone = zone_for(root or path.parent, self.settings)
        placed = place(path, root, found, job.mtime_ns / 1e9, zone, self.patterns)
        return TakenFile(
            id=0,
            path=job.path,
            camera=placed.camera,
            starts_at=placed.starts_at,
            start_source=placed.source,
            confidence=placed.confidence,
            duration_s=found.duration_s,
            size_bytes=job.size_bytes,
            mtime_ns=job.mtime_ns,
            sha256=sha256,
        )


def digest(
    file: FileIO, size_bytes: int, between: Callable[[], None], on_progress: OnProgress
) -> str:
    """The SHA-256 of a file, read in blocks, in hex."""
    found = hashlib.sha256()
    done = 0
    for count, block in enumerate(iter(lambda: file.read(_BLOCK_BYTES), b"")):
        found.update(block)
        done += len(block)
        if count % _BLOCKS_A_TURN == 0:
            on_progress(READ, done, size_bytes)
            between()
    return found.hexdigest()


def _check_length(path: Path, duration_s: float, size_bytes: int) -> None:
    """Raise MediaError where damaged times make days of a few kilobytes."""
    if duration_s > _ANY_LENGTH_S and size_bytes < duration_s * _LEAST_BYTES_A_S:
        raise MediaError(
            f"{path.name} claims to last {duration_s / 3600:.1f} hours and has {size_bytes} "
            "bytes: its times are damaged; copy it again"
        )


def _is_of(now: os.stat_result, job: Job) -> bool:
    return (now.st_size, now.st_mtime_ns) == (job.size_bytes, job.mtime_ns)
