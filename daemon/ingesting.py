"""One file, from the ingest queue to complete caption trees. Knows no queue and no thread.

Running it again after it was interrupted anywhere goes on from what is stored: a recording
is known by the bytes of its file, and its tree by the captions that it has.
"""

from __future__ import annotations

import hashlib
import itertools
import logging
import math
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta, tzinfo
from pathlib import Path

from edge_lvr1.config import Settings
from edge_lvr1.domain import Level, Part, Recording, Span
from edge_lvr1.errors import MediaError, NotFoundError
from edge_lvr1.media.frames import Footage, Frame
from edge_lvr1.media.names import place
from edge_lvr1.media.probe import Probe, probe
from edge_lvr1.models.base import Captioner
from edge_lvr1.store.queues import Job
from edge_lvr1.store.trees import Trees
from edge_lvr1.tree.build import WATCH, build_tree
from edge_lvr1.tree.plan import plan_tree

log = logging.getLogger(__name__)

READ = "read"
_BLOCK_BYTES = 1024 * 1024
_BLOCKS_A_TURN = 16  # between two looks at whether a question waits

OnProgress = Callable[[str, int, int], None]


class StillChanging(Exception):  # noqa: N818 (a finding, not an error of ours)
    """The file is not the one that settled: it is to settle again."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What a file became; `remark` is what is to be known of it."""

    recordings: tuple[int, ...]
    remark: str
    duration_s: float
    leaves: int


@dataclass(frozen=True, slots=True)
class Ingesting:
    """What taking files in needs. `monotonic` runs like time.monotonic."""

    trees: Trees
    captioner: Captioner
    settings: Settings
    zone: tzinfo
    roots: Sequence[Path]
    monotonic: Callable[[], float]

    def take_in(self, job: Job, between: Callable[[], None], on_progress: OnProgress) -> Taken:
        """Store a file's recordings and caption them.

        `between` is called often, and may wait or raise. Raises StillChanging, MediaError,
        NotFoundError, OSError, and what the captioner and `between` raise.
        """
        path = Path(job.path)
        _check_unchanged(job)
        if job.size_bytes == 0:
            raise MediaError(f"{path.name} is empty (0 bytes); copy it again")
        sha256 = digest(path, job.size_bytes, between, on_progress)
        _check_unchanged(job)
        found = probe(path)
        recordings = self._store(job, sha256, found)
        for recording in recordings:
            self._caption(recording, between, on_progress)
        elsewhere = next(
            (part.path for one in recordings for part in one.parts if part.path != job.path), None
        )
        return Taken(
            recordings=tuple(one.id for one in recordings),
            remark=f"the same footage as {elsewhere}" if elsewhere else "",
            duration_s=sum(one.duration_s for one in recordings),
            leaves=sum(one.width ** len(Level) for one in recordings),
        )

    def _store(self, job: Job, sha256: str, found: Probe) -> list[Recording]:
        path = Path(job.path)
        placed = place(path, self._root(path), found, job.mtime_ns / 1e9, self.zone)
        stored = []
        for part in pieces(job, sha256, found.duration_s, self.settings.ingest.max_recording_s):
            recording = self.trees.add_recording(
                placed.camera,
                placed.starts_at + timedelta(seconds=-part.offset_s),
                placed.source,
                [part],
                plan_tree(part.offset_s + part.duration_s),
                self.captioner.name,
                job.id,
            )
            # A file that was renamed: known footage whose own file is gone.
            if not all(os.path.exists(kept.path) for kept in recording.parts):  # noqa: PTH110
                recording = self.trees.moved(recording.id, part)
            stored.append(recording)
        return stored

    def _caption(
        self, recording: Recording, between: Callable[[], None], on_progress: OnProgress
    ) -> None:
        told_captions = False

        def on_frame(time_s: float) -> None:
            between()
            if not told_captions:
                on_progress(WATCH, round(time_s), round(recording.duration_s))

        def on_build(stage: str, done: int, total: int) -> None:
            nonlocal told_captions
            if stage != WATCH:  # how far it watched, the frames tell better
                told_captions = True
                on_progress(stage, done, total)

        build_tree(
            recording,
            self.trees,
            self.captioner,
            PatientFootage(recording.parts, on_frame),
            self.settings.tree,
            between,
            on_build,
            self.monotonic,
        )

    def _root(self, path: Path) -> Path | None:
        holders = [root for root in self.roots if root in path.parents]
        return max(holders, key=lambda root: len(root.parts), default=None)


class PatientFootage(Footage):
    """Footage that calls `on_frame` with each frame's time, where it may wait or raise.

    A captioner looks at many frames between two commits; this lets questions go first, and a
    stop come through, without the captioner knowing of either.
    """

    def __init__(self, parts: Sequence[Part], on_frame: Callable[[float], None]) -> None:
        super().__init__(parts)
        self._on_frame = on_frame

    def at(
        self, times_s: Sequence[float], max_side_px: int | None = None, tolerance_s: float = 0.0
    ) -> Generator[Frame, None, None]:
        """As `Footage.at`."""
        for frame in super().at(times_s, max_side_px, tolerance_s):
            self._on_frame(frame.time_s)
            yield frame

    def every(
        self, step_s: float, span: Span, max_side_px: int | None = None
    ) -> Generator[Frame, None, None]:
        """As `Footage.every`."""
        for frame in super().every(step_s, span, max_side_px):
            self._on_frame(frame.time_s)
            yield frame


def pieces(job: Job, sha256: str, duration_s: float, longest_s: float) -> Iterator[Part]:
    """A file as one part for each recording that it makes.

    A file longer than `longest_s` becomes several recordings of the same length. In a later
    one the file begins before the recording does: its offset is negative. A piece ends where
    its recording ends.
    """
    count = max(1, math.ceil(duration_s / longest_s))
    edges_s = [round(duration_s * index / count, 3) for index in range(count)] + [duration_s]
    for start_s, end_s in itertools.pairwise(edges_s):
        yield Part(
            path=job.path,
            offset_s=-start_s if start_s else 0.0,
            duration_s=end_s,
            size_bytes=job.size_bytes,
            mtime_ns=job.mtime_ns,
            sha256=sha256,
        )


def digest(
    path: Path, size_bytes: int, between: Callable[[], None], on_progress: OnProgress
) -> str:
    """The SHA-256 of a file, read in blocks, in hex."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        done = 0
        for count, block in enumerate(iter(lambda: file.read(_BLOCK_BYTES), b"")):
            found.update(block)
            done += len(block)
            if count % _BLOCKS_A_TURN == 0:
                on_progress(READ, done, size_bytes)
                between()
    return found.hexdigest()


def _check_unchanged(job: Job) -> None:
    try:
        now = os.stat(job.path)  # noqa: PTH116 (a path as it is stored)
    except (FileNotFoundError, NotADirectoryError):
        raise NotFoundError(f"{job.path} is gone; copy it back to have it taken in") from None
    if (now.st_size, now.st_mtime_ns) != (job.size_bytes, job.mtime_ns):
        raise StillChanging(job.path)
