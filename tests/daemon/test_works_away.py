"""Work on files whose watched folder is away: it waits, and is never failed."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from edge_lvr1.config import Ingest
from edge_lvr1.daemon.context import Context
from edge_lvr1.daemon.watching.folders import Folders, Holding
from edge_lvr1.store.builds import BuildState
from edge_lvr1.store.presence import Presence
from edge_lvr1.store.queues import JobState
from tests.daemon.conftest import store
from tests.daemon.test_works import build_work, intake_work


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "watched"
    folder.mkdir()
    return folder


@pytest.fixture
def watching(context: Context, root: Path) -> Context:
    """A daemon's parts with a watched folder that was found there once."""
    holding = Holding(context.offers, context.jobs, context.builds, lambda: None)
    known = Presence(context.archive, context.clock)
    ingest = Ingest(rescan_s=3600)
    folders = Folders([root], [], holding, known, ingest, context.faults)
    folders.start()
    end = time.monotonic() + 30
    while not folders.states()[0].there:
        assert time.monotonic() < end, "the folder was not looked at"
        time.sleep(0.005)
    folders.stop()  # from here on, it is as it was found
    return replace(context, folders=folders)


def test_file_of_a_folder_that_went_away_waits_without_losing_an_attempt(
    watching: Context, root: Path
) -> None:
    watching.jobs.offer(str(root / "a.mp4"), 1, 2)
    root.rmdir()

    assert intake_work(watching, root)()

    (job,) = watching.jobs.jobs()
    assert (job.state, job.attempts, job.reason, job.held) == (JobState.QUEUED, 0, "", True)


def test_file_that_is_gone_from_a_folder_that_is_there_is_failed(
    watching: Context, root: Path
) -> None:
    watching.jobs.offer(str(root / "a.mp4"), 1, 2)

    assert intake_work(watching, root)()

    (job,) = watching.jobs.jobs()
    assert (job.state, job.held) == (JobState.FAILED, False)
    assert "a.mp4 is gone" in job.reason


def test_recording_of_a_folder_that_went_away_waits(
    watching: Context, root: Path, footage: Path
) -> None:
    os.link(footage, root / "yard.mp4")
    recording = store(watching, root / "yard.mp4", captioned=False)
    (root / "yard.mp4").unlink()
    root.rmdir()
    work = build_work(watching, lambda node: None)

    for _ in range(5):
        work()

    assert watching.builds.counts()[BuildState.QUEUED] == 1
    row = watching.archive.row("SELECT attempts, held FROM recordings WHERE id = ?", [recording.id])
    assert row == {"attempts": 0, "held": 1}


def test_footage_of_a_folder_that_is_away_was_not_moved_elsewhere(
    watching: Context, root: Path
) -> None:
    folders = watching.folders
    assert folders is not None
    path = str(root / "a.mp4")
    while_there = folders.is_gone(path)
    root.rmdir()

    assert (while_there, folders.is_gone(path)) == (True, False)
