"""One file from job to tree, without queue and threads."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from datetime import timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_lvr1.config import Ingest, Settings
from edge_lvr1.daemon.context import Context
from edge_lvr1.daemon.ingesting import (
    Ingesting,
    PatientFootage,
    StillChanging,
    digest,
    pieces,
)
from edge_lvr1.domain import Part, Span
from edge_lvr1.errors import MediaError, NotFoundError
from edge_lvr1.media.frames import Footage
from edge_lvr1.store.queues import Job, JobState
from tests.daemon.fakes import FakeCaptioner

Progress = list[tuple[str, int, int]]


def job_of(path: Path) -> Job:
    now = path.stat()
    return Job(1, str(path), now.st_size, now.st_mtime_ns, JobState.LEASED)


def ingesting(context: Context, root: Path, longest_s: float = 7200.0) -> Ingesting:
    settings = Settings(data=context.settings.data, ingest=Ingest(max_recording_s=longest_s))
    return Ingesting(context.trees, FakeCaptioner(), settings, timezone.utc, [root], time.monotonic)


def take(context: Context, path: Path, longest_s: float = 7200.0) -> tuple[int, ...]:
    work = ingesting(context, path.parent, longest_s)
    return work.take_in(job_of(path), lambda: None, lambda *told: None).recordings


def test_file_becomes_a_recording_with_its_tree(
    context: Context, footage: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "gate"
    folder.mkdir()
    path = shutil.copy(footage, folder / "2026-03-14_09-30-00.mp4")
    told: Progress = []

    taken = ingesting(context, tmp_path).take_in(
        job_of(path), lambda: None, lambda *step: told.append(step)
    )

    (recording,) = context.trees.recordings()
    assert taken.recordings == (recording.id,)
    assert (recording.camera, recording.starts_at.isoformat()) == (
        "gate",
        "2026-03-14T09:30:00+00:00",
    )
    assert recording.parts[0].sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert context.trees.progress(recording.id).complete
    assert list(dict.fromkeys(stage for stage, _, _ in told)) == ["read", "caption"]
    assert told[-1] == ("caption", 14, 14)


def test_file_that_was_taken_in_is_the_same_recording_under_another_name(
    context: Context, footage: Path, tmp_path: Path
) -> None:
    first = take(context, Path(shutil.copy(footage, tmp_path / "a.mp4")))

    copy = Path(shutil.copy(footage, tmp_path / "b.mp4"))
    again = ingesting(context, tmp_path).take_in(job_of(copy), lambda: None, lambda *told: None)

    assert again.recordings == first
    assert again.remark == f"the same footage as {tmp_path / 'a.mp4'}"


def test_file_that_changed_since_it_was_queued_is_not_taken(
    context: Context, footage: Path, tmp_path: Path
) -> None:
    path = Path(shutil.copy(footage, tmp_path / "a.mp4"))
    job = job_of(path)
    os.utime(path, ns=(1, 1))

    with pytest.raises(StillChanging):
        ingesting(context, tmp_path).take_in(job, lambda: None, lambda *told: None)


def test_file_that_changes_while_it_is_read_is_not_taken(
    context: Context, footage: Path, tmp_path: Path
) -> None:
    path = Path(shutil.copy(footage, tmp_path / "a.mp4"))

    def grow() -> None:
        with path.open("ab") as file:
            file.write(b"more")

    with pytest.raises(StillChanging):
        ingesting(context, tmp_path).take_in(job_of(path), grow, lambda *told: None)

    assert context.trees.recordings() == []


def test_file_that_is_gone_or_empty_is_told(context: Context, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.touch()
    job = job_of(path)
    work = ingesting(context, tmp_path)

    with pytest.raises(MediaError, match=r"a\.mp4 is empty"):
        work.take_in(job, lambda: None, lambda *told: None)
    path.unlink()
    with pytest.raises(NotFoundError, match=r"a\.mp4 is gone"):
        work.take_in(job, lambda: None, lambda *told: None)


def test_recordings_of_a_long_file_follow_each_other_and_show_their_own_time(
    context: Context, footage: Path, tmp_path: Path
) -> None:
    take(context, Path(shutil.copy(footage, tmp_path / "a.mp4")), longest_s=6.0)

    first, second, third = context.trees.recordings()
    assert first.wall_clock(first.duration_s) == second.starts_at
    assert second.wall_clock(second.duration_s) == third.starts_at
    for one, begins_s in ((first, 0.0), (second, first.duration_s)):
        assert Footage(one.parts).duration_s == pytest.approx(one.duration_s)
        (own,) = Footage(one.parts).at([1.0])
        (whole,) = Footage([Part(str(tmp_path / "a.mp4"), 0.0, 16.0, 0, 0, "")]).at(
            [begins_s + 1.0]
        )
        assert (own.image == whole.image).all()


@given(duration_s=st.floats(0.1, 1e4), longest_s=st.floats(10.0, 1e5))
def test_pieces_tile_the_file_and_none_is_too_long(duration_s: float, longest_s: float) -> None:
    job = Job(1, "/a.mp4", 1, 1, JobState.LEASED)

    parts = list(pieces(job, "", duration_s, longest_s))

    lengths = [part.offset_s + part.duration_s for part in parts]
    assert parts[0].offset_s == 0.0
    assert parts[-1].duration_s == duration_s
    assert all(before.duration_s == -after.offset_s for before, after in zip(parts, parts[1:]))  # noqa: B905, RUF007
    assert all(0 < length <= longest_s + 0.001 for length in lengths)


def test_digest_reads_in_blocks_and_gives_way(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(os.urandom(40 * 1024 * 1024))
    given_way: list[None] = []
    told: Progress = []

    found = digest(
        path, path.stat().st_size, lambda: given_way.append(None), lambda *step: told.append(step)
    )

    assert found == hashlib.sha256(path.read_bytes()).hexdigest()
    assert len(given_way) == len(told) == 3


def test_frames_may_wait_or_stop_one_by_one(footage: Path) -> None:
    class Enough(Exception):  # noqa: N818
        pass

    seen: list[float] = []

    def on_frame(time_s: float) -> None:
        seen.append(time_s)
        if len(seen) == 3:
            raise Enough

    patient = PatientFootage([Part(str(footage), 0.0, 16.0, 0, 0, "")], on_frame)

    with pytest.raises(Enough):
        list(patient.every(1.0, Span(0.0, 16.0)))
    list(patient.at([5.0]))
    assert seen == [0.0, 1.0, 2.0, 5.0]
