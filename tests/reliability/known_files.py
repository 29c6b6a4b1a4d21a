"""An archive that knows many files already, as if it had run for months; and these files.

Rows are written as the daemon would have left them: each file is done, and in a recording of
its camera that is done too. Of the recordings only every thousandth has a tree and captions.
"""

from __future__ import annotations

import os
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

from edge_lvr1.domain import Caption, Confidence, Part, Recording, StartSource, TakenFile
from edge_lvr1.store.db import Archive
from edge_lvr1.store.queues import JobState
from edge_lvr1.store.rows import file_values
from edge_lvr1.store.trees import Trees
from edge_lvr1.tree.plan import plan_tree

FILE_S = 10.0
FILES_A_RECORDING = 50
FIRST = datetime(2026, 1, 1, tzinfo=timezone.utc)
CAMERAS = ("gate", "yard")
_FILES_A_FOLDER = 100
_CAPTIONED_EVERY = 1000
_COLUMNS = (
    "path, camera, starts_at, starts_epoch_s, start_source, confidence, duration_s, size_bytes, "
    "mtime_ns, sha256, cell, taken_s"
)


def fill(watched: Path, database: Path, count: int) -> None:
    """Make so many files below a folder, and the archive that knows them."""
    with Archive(database).open() as archive:
        for start in range(0, count, FILES_A_RECORDING):
            number = start // FILES_A_RECORDING
            camera = CAMERAS[number % len(CAMERAS)]
            parts = [
                _part(watched, camera, start + place, place * FILE_S)
                for place in range(min(FILES_A_RECORDING, count - start))
            ]
            _know(archive, camera, FIRST + timedelta(seconds=number * 1000), parts, number)


def _part(watched: Path, camera: str, number: int, offset_s: float) -> Part:
    path = watched / camera / f"{number // _FILES_A_FOLDER:05d}" / f"{camera}-{number:07d}.mp4"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return Part(str(path), offset_s, FILE_S, 0, os.stat(path).st_mtime_ns, f"{number:064x}")  # noqa: PTH116


def _know(
    archive: Archive, camera: str, starts_at: datetime, parts: list[Part], number: int
) -> None:
    trees = Trees(archive)
    plan = plan_tree(len(parts) * FILE_S) if number % _CAPTIONED_EVERY == 0 else None
    source = StartSource.FILE_NAME
    recording = trees.add_recording(camera, starts_at, source, parts, plan, "embedded")
    if plan is not None:
        _caption(trees, recording)
    now_s = time.time()
    files = [_file(camera, starts_at, part) for part in parts]
    with archive.transaction() as db:
        db.execute(
            "UPDATE recordings SET state = 'done', watched_by = 'embedded 1' WHERE id = ?",
            [recording.id],
        )
        db.conn.executemany(
            f"INSERT INTO files({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [[*file_values(file), number, now_s] for file in files],
        )
        db.conn.executemany(
            "INSERT INTO jobs(path, size_bytes, mtime_ns, offered_s, state, recordings) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            [
                [one.path, 0, one.mtime_ns, now_s, JobState.DONE.value, f"[{recording.id}]"]
                for one in parts
            ],
        )


def _file(camera: str, starts_at: datetime, part: Part) -> TakenFile:
    return TakenFile(
        id=0,
        path=part.path,
        camera=camera,
        starts_at=starts_at + timedelta(seconds=part.offset_s),
        start_source=StartSource.FILE_NAME,
        confidence=Confidence.SURE,
        duration_s=part.duration_s,
        size_bytes=part.size_bytes,
        mtime_ns=part.mtime_ns,
        sha256=part.sha256,
    )


def _caption(trees: Trees, recording: Recording) -> None:
    for node in trees.plan(recording.id).nodes:
        told = Caption(node.id, node.span, "A moving shape (white) crosses.", "embedded", "1")
        trees.put_caption(recording.id, told)
