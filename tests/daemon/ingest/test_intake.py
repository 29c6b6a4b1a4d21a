"""Files from the queue to recordings, without threads."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from edge_lvr1.config import Ingest, Settings
from edge_lvr1.daemon.context import Context
from edge_lvr1.daemon.ingest.intake import Intake, StillChanging, digest
from edge_lvr1.domain import Confidence
from edge_lvr1.errors import MediaError, NotFoundError
from edge_lvr1.media.decoder import HERE
from edge_lvr1.media.frames import Footage
from edge_lvr1.media.opening import opened
from edge_lvr1.media.patterns import PATTERNS
from edge_lvr1.store.queues import Job, JobState
from edge_lvr1.store.shelf import Shelf
from tests.media_files import video

Progress = list[tuple[str, int, int]]


def intake(context: Context, root: Path, longest_s: float = 7200.0) -> Intake:
    settings = Settings(
        data=context.settings.data,
        watch=(root,),
        time_zone="UTC",
        ingest=Ingest(max_recording_s=longest_s),
    )
    shelf = Shelf(context.archive, context.clock)
    return Intake(context.trees, shelf, context.jobs, HERE, settings, PATTERNS, "fake")


def job_of(context: Context, path: Path) -> Job:
    now = path.stat()
    assert context.jobs.offer(str(path), now.st_size, now.st_mtime_ns, again=True)
    job = context.jobs.lease("worker", 60.0)
    assert job is not None
    assert job.path == str(path)
    return job


def take(context: Context, path: Path, longest_s: float = 7200.0) -> str:
    work = intake(context, path.parent, longest_s)
    told = work.take_in(job_of(context, path), lambda: None, lambda *told: None)
    work.put_together()
    return told


def copied(footage: Path, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy(footage, path))


def state(context: Context, path: Path) -> JobState:
    job = context.jobs.of_path(str(path))
    assert job is not None
    return job.state


def test_file_becomes_a_recording_of_its_camera_and_time(
    context: Context, footage: Path, tmp_path: Path
) -> None:
    path = copied(footage, tmp_path / "gate" / "2026-03-14_09-30-00.mp4")
    told: Progress = []
    work = intake(context, tmp_path)

    work.take_in(job_of(context, path), lambda: None, lambda *step: told.append(step))
    assert work.put_together() == 1

    (recording,) = context.trees.recordings()
    assert (recording.camera, recording.starts_at.isoformat(), recording.confidence) == (
        "gate",
        "2026-03-14T09:30:00+00:00",
        Confidence.SURE,
    )
    assert recording.parts[0].sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert state(context, path) is JobState.PLACED
    assert [stage for stage, _, _ in told] == ["read"]


def test_files_that_follow_each_other_are_one_recording(
    context: Context, footage: Path, tmp_path: Path
) -> None:
    names = ("2026-03-14_09-30-16", "2026-03-14_09-30-00", "2026-03-14_09-40-00")
    for name in names:
        take(context, copied(footage, tmp_path / "gate" / f"{name}.mp4"))

    lengths = [(len(one.parts), one.duration_s) for one in context.trees.recordings()]
    assert lengths == [(2, 32.0), (1, 16.0)]


def test_same_bytes_under_another_name_are_the_same_footage(
    context: Context, footage: Path, tmp_path: Path
) -> None:
    first, copy = tmp_path / "a.mp4", tmp_path / "b.mp4"
    take(context, copied(footage, first))

    told = take(context, copied(footage, copy))

    assert told == f"the same footage as {first}"
    (recording,) = context.trees.recordings()
    job = context.jobs.of_path(str(copy))
    assert job is not None
    assert (job.state, job.recordings, job.reason) == (JobState.DONE, (recording.id,), told)


def test_same_bytes_at_two_stated_times_are_two_recordings(
    context: Context, footage: Path, tmp_path: Path
) -> None:
    for hour in ("08", "09"):
        take(context, copied(footage, tmp_path / "gate" / f"2026-03-14_{hour}-30-00.mp4"))

    assert len(context.trees.recordings()) == 2


def test_renamed_file_is_found_at_its_new_place(
    context: Context, footage: Path, tmp_path: Path
) -> None:
    path = copied(footage, tmp_path / "a.mp4")
    take(context, path)
    (before,) = context.trees.recordings()
    renamed = path.rename(tmp_path / "renamed.mp4")

    take(context, renamed)

    (after,) = context.trees.recordings()
    assert (after.id, after.parts[0].path) == (before.id, str(renamed))


def test_replaced_file_is_a_recording_of_its_new_content(
    context: Context, footage: Path, tmp_path: Path
) -> None:
    path = copied(footage, tmp_path / "gate" / "2026-03-14_09-30-00.mp4")
    take(context, path)
    with path.open("ab") as file:
        file.write(bytes(100))

    take(context, path)

    (recording,) = context.trees.recordings()
    assert recording.parts[0].sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_file_that_changed_since_it_was_queued_is_not_taken(
    context: Context, footage: Path, tmp_path: Path
) -> None:
    path = copied(footage, tmp_path / "a.mp4")
    job = job_of(context, path)
    os.utime(path, ns=(1, 1))

    with pytest.raises(StillChanging):
        intake(context, tmp_path).take_in(job, lambda: None, lambda *told: None)


def test_file_that_changes_while_it_is_read_is_not_taken(
    context: Context, footage: Path, tmp_path: Path
) -> None:
    path = copied(footage, tmp_path / "a.mp4")

    def grow() -> None:
        with path.open("ab") as file:
            file.write(b"more")

    with pytest.raises(StillChanging):
        intake(context, tmp_path).take_in(job_of(context, path), grow, lambda *told: None)

    assert context.trees.recordings() == []


def test_file_that_is_gone_or_empty_is_told(context: Context, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.touch()
    job = job_of(context, path)
    work = intake(context, tmp_path)

    with pytest.raises(MediaError, match=r"a\.mp4 is empty"):
        work.take_in(job, lambda: None, lambda *told: None)
    path.unlink()
    with pytest.raises(NotFoundError, match=r"a\.mp4 is gone"):
        work.take_in(job, lambda: None, lambda *told: None)


def test_file_that_makes_days_of_a_few_kilobytes_is_refused(
    context: Context, tmp_path: Path
) -> None:
    path = video(tmp_path / "a.mkv", [0.0, 1.0, 2.0, 400_000.0, 400_001.0])

    with pytest.raises(MediaError, match=r"claims to last 111\.1 hours and has \d+ bytes"):
        take(context, path)

    assert context.trees.recordings() == []


def test_recordings_of_a_long_file_follow_each_other_and_show_their_own_time(
    context: Context, footage: Path, tmp_path: Path
) -> None:
    path = copied(footage, tmp_path / "gate" / "2026-03-14_09-30-00.mp4")
    take(context, path, longest_s=6.0)

    first, second, third = context.trees.recordings()
    assert first.wall_clock(first.duration_s) == second.starts_at
    assert second.wall_clock(second.duration_s) == third.starts_at
    for one, begins_s in ((first, 0.0), (second, first.duration_s)):
        assert Footage(one.parts).duration_s == pytest.approx(one.duration_s)
        (own,) = Footage(one.parts).at([1.0])
        (whole,) = Footage(first.parts).at([begins_s + 1.0])
        assert (own.image == whole.image).all()
    job = context.jobs.of_path(str(path))
    assert job is not None
    assert job.recordings == (first.id, second.id, third.id)


def test_digest_reads_in_blocks_and_gives_way(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(os.urandom(40 * 1024 * 1024))
    given_way: list[None] = []
    told: Progress = []

    with opened(path) as file:
        found = digest(
            file,
            path.stat().st_size,
            lambda: given_way.append(None),
            lambda *step: told.append(step),
        )

    assert found == hashlib.sha256(path.read_bytes()).hexdigest()
    assert len(given_way) == len(told) == 3
