"""Damaged media, dropped on a real daemon: it lives, and says of each what became of it."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon.processes import Daemon, until
from tests.mutated_files import mutated


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    daemon = Daemon(tmp_path / "place")
    yield daemon
    daemon.kill()


def drop_and_tell(daemon: Daemon, made: Path, count: int, seed: int, within_s: float) -> None:
    """Drop so many files; each ends with a recording or a reason, and the table is printed."""
    files = [path for path, _ in mutated(made, count, seed)]
    with daemon.running() as client:
        pid = client.status()["pid"]
        for path in files:
            path.rename(daemon.watched / path.name)

        def ended() -> bool:
            jobs = client.status()["jobs"]
            return bool(jobs["done"] + jobs["failed"] >= count)

        until(ended, f"the end of {count} files", within_s)
        jobs = {Path(job["path"]).name: job for job in client.jobs()}
        recordings = {one["id"]: one for one in client.recordings()}
        assert client.status()["pid"] == pid

    assert set(jobs) == {path.name for path in files}
    for job in jobs.values():
        if job["state"] == "done":
            assert job["recordings"] or job["reason"]
            assert all(recordings[number]["complete"] for number in job["recordings"])
        else:
            assert job["reason"]
            assert "\n" not in job["reason"]
    with sqlite3.connect(daemon.data / "archive.db") as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    outcomes = Counter(_outcome(job) for job in jobs.values())
    for outcome, number in outcomes.most_common():
        print(f"{number:4d}  {outcome}")


def _outcome(job: dict[str, object]) -> str:
    reason = str(job["reason"]).replace(str(job["path"]), "FILE")
    name = Path(str(job["path"])).name
    return f"{job['state']}: {reason.replace(name, 'FILE')}"[:150]


def test_damaged_files_each_end_with_a_recording_or_a_reason(
    daemon: Daemon, tmp_path: Path
) -> None:
    drop_and_tell(daemon, tmp_path / "made", 24, seed=11, within_s=120.0)


@pytest.mark.reliability
@pytest.mark.timeout(3600)
def test_500_damaged_files_each_end_with_a_recording_or_a_reason(
    daemon: Daemon, tmp_path: Path
) -> None:
    drop_and_tell(daemon, tmp_path / "made", 500, seed=12, within_s=3000.0)
