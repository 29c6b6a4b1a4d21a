from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import timezone
from pathlib import Path

import pytest

from edge_lvr1.daemon.context import Context
from edge_lvr1.daemon.ingesting import Ingesting, Taken
from tests.daemon.fakes import FakeCaptioner


@pytest.fixture
def take_in(context: Context, tmp_path: Path) -> Callable[[Path], Taken]:
    def take(path: Path) -> Taken:
        stat = path.stat()
        context.jobs.offer(str(path), stat.st_size, stat.st_mtime_ns)
        job = context.jobs.lease("test", 60.0)
        assert job is not None
        ingesting = Ingesting(
            context.trees, FakeCaptioner(), context.settings, timezone.utc, [tmp_path], lambda: 0.0
        )
        taken = ingesting.take_in(job, lambda: None, lambda stage, done, total: None)
        context.jobs.done(job, taken.recordings, taken.remark)
        return taken

    return take


def test_renamed_file_keeps_its_recording_and_is_found_again(
    context: Context, take_in: Callable[[Path], Taken], footage: Path, tmp_path: Path
) -> None:
    first = Path(shutil.copy(footage, tmp_path / "first.mp4"))
    taken = take_in(first)
    renamed = first.rename(tmp_path / "renamed.mp4")

    again = take_in(renamed)

    assert again.recordings == taken.recordings
    assert again.remark == ""
    (part,) = context.trees.recording(again.recordings[0]).parts
    assert part.path == str(renamed)


def test_copy_leaves_the_recording_with_its_first_file(
    context: Context, take_in: Callable[[Path], Taken], footage: Path, tmp_path: Path
) -> None:
    first = Path(shutil.copy(footage, tmp_path / "first.mp4"))
    taken = take_in(first)
    copy = Path(shutil.copy(footage, tmp_path / "copy.mp4"))

    again = take_in(copy)

    assert again.recordings == taken.recordings
    assert again.remark == f"the same footage as {first}"
    (part,) = context.trees.recording(again.recordings[0]).parts
    assert part.path == str(first)
