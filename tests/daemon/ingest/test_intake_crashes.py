"""A daemon that is killed at any commit of the intake: the next one comes to the same state."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlite_utils import Database

from edge_lvr1.config import Settings
from edge_lvr1.daemon.ingest.intake import Intake
from edge_lvr1.media.decoder import HERE
from edge_lvr1.media.patterns import PATTERNS
from edge_lvr1.store.db import Archive
from edge_lvr1.store.queues import IngestQueue
from edge_lvr1.store.shelf import Shelf
from edge_lvr1.store.trees import Trees

NAMES = (
    "gate/2026-03-14_09-30-00.mp4",
    "gate/2026-03-14_09-30-16.mp4",  # follows the first
    "yard.mp4",  # the same bytes again, and no time in the name: no footage of its own
)


class Killed(BaseException):
    """The end of the process."""


class Mortal(Archive):
    """An archive whose process is killed at its nth transaction, before or after the commit."""

    left = -1
    committed = False

    @contextmanager
    def transaction(self, *args: Any, **kwargs: Any) -> Iterator[Database]:
        self.left -= 1
        with super().transaction(*args, **kwargs) as db:
            yield db
            if self.left == 0 and not self.committed:
                raise Killed
        if self.left == 0:
            raise Killed


def take_in(archive: Archive, root: Path) -> None:
    """What a daemon does with the files of a folder, from its start on."""
    jobs = IngestQueue(archive, lambda: 1000.0)
    settings = Settings(data=root / "data", watch=(root,), time_zone="UTC")
    shelf = Shelf(archive, lambda: 1000.0)
    intake = Intake(Trees(archive), shelf, jobs, HERE, settings, PATTERNS, "fake")
    jobs.release_all()
    for name in NAMES:
        now = (root / name).stat()
        jobs.offer(str(root / name), now.st_size, now.st_mtime_ns)
    while job := jobs.lease("worker", 60.0):
        intake.take_in(job, lambda: None, lambda *told: None)
        intake.put_together()
    intake.put_together()


def state(archive: Archive) -> dict[str, list[Any]]:
    """All that the intake wrote, without what counts tries and moments."""
    queries = {
        "files": "SELECT path, camera, starts_at, sha256, gone_s FROM files ORDER BY path",
        "jobs": "SELECT path, state, reason, attempts, recordings FROM jobs ORDER BY path",
        "recordings": "SELECT id, camera, starts_at, duration_s, state FROM recordings ORDER BY id",
        "parts": "SELECT recording, ordinal, path, offset_s FROM parts ORDER BY recording, ordinal",
        "stirred": "SELECT * FROM stirred",
        "told": "SELECT kind, json_extract(what, '$.path') AS path FROM audit ORDER BY number",
    }
    return {name: archive.rows(sql) for name, sql in queries.items()}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, footage: Path) -> Path:
    folder = tmp_path_factory.mktemp("watched")
    for name in NAMES:
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(footage, folder / name)
    return folder


@pytest.mark.parametrize("committed", [False, True], ids=["before", "after"])
def test_kill_at_any_commit_changes_nothing_of_what_comes_of_it(
    root: Path, tmp_path: Path, committed: bool
) -> None:
    with Archive(tmp_path / "whole.db").open() as archive:
        take_in(archive, root)
        expected = state(archive)
    kills = 0
    for nth in range(1, 100):
        with Mortal(tmp_path / f"{nth}.db").open() as archive:
            assert isinstance(archive, Mortal)
            archive.left, archive.committed = nth, committed
            try:
                take_in(archive, root)
                break
            except Killed:
                kills += 1
            take_in(archive, root)
            assert state(archive) == expected, f"killed at transaction {nth}"

    assert kills > 10
    assert [len(expected[name]) for name in ("files", "recordings", "parts")] == [2, 1, 2]
