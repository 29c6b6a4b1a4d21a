"""A real daemon whose data lies on a small disk that is filled to the brim, and freed again."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from edge_lvr1.client import Client
from edge_lvr1.errors import DaemonError
from tests.daemon.processes import Daemon, ended_jobs, until
from tests.media_files import steady, video
from tests.small_disk import fill, free_bytes, remount, small_disk

RESERVE_MB = 4


@pytest.fixture
def other_footage(tmp_path: Path) -> Path:
    return video(tmp_path / "gate.mp4", steady(60, fps=5.0), gop=10)


def keys(client: Client) -> list[str]:
    return [fault["key"] for fault in client.status()["faults"]]


def ended(client: Client, question: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        found = client.question(question)
        return found if found["state"] == "done" else None

    return until(look, "an answer")


def ask(client: Client, length: int = 0) -> str:
    return client.ask({"question": "Is there a lorry?" + " Or two?" * length})


def test_full_disk_pauses_ingest_refuses_what_cannot_be_kept_and_loses_nothing(
    tmp_path: Path, footage: Path, other_footage: Path
) -> None:
    with small_disk(tmp_path / "disk", 24_000) as disk:
        daemon = Daemon(tmp_path, given={"data": str(disk / "data"), "fake": True})
        with daemon.running(ingest={"reserve_mb": RESERVE_MB}, reply_s=0.4) as client:
            shutil.copy(footage, daemon.watched / "yard.mp4")
            ended_jobs(client, 1)

            ballast = fill(disk, leave_bytes=2_000_000)
            until(lambda: "disk" in keys(client), "the fault")
            shutil.copy(other_footage, daemon.watched / "gate.mp4")
            until(lambda: len(client.jobs()) == 2, "the second file's job")
            below = ended(client, ask(client))
            waiting = {Path(job["path"]).name: job["state"] for job in client.jobs()}

            accepted = [ask(client) for _ in range(3)]
            until(lambda: client.question(accepted[0])["state"] == "running", "the first round")
            fill(disk)
            more, refused = asked_until_refused(client)
            until(lambda: "worker.questions" in keys(client), "a question that cannot go on")
            brim = keys(client)

            ballast.unlink()
            answers = [ended(client, question) for question in (*accepted, *more)]
            jobs = ended_jobs(client, 2)
            until(lambda: not keys(client), "the end of all faults")

        assert below["verdict"] == "answered"
        assert waiting == {"yard.mp4": "done", "gate.mp4": "queued"}
        assert "the disk is full" in refused
        assert "disk" in brim
        assert all(one["verdict"] in ("answered", "not_found") for one in answers)
        assert {job["state"] for job in jobs.values()} == {"done"}
        assert daemon.log.count("fault: ingest pauses") == 1
        assert "Traceback" not in daemon.log
        with sqlite3.connect(disk / "data" / "archive.db") as database:
            assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        database.close()
        assert free_bytes(disk) > RESERVE_MB * 1_000_000


def asked_until_refused(client: Client) -> tuple[list[str], str]:
    """Questions, long ones, until one cannot be stored: those that were, and what was said."""
    accepted: list[str] = []
    while len(accepted) < 100:
        try:
            accepted.append(ask(client, 400))
        except DaemonError as error:
            return accepted, str(error)
    raise AssertionError("no question was refused")


def test_disk_that_turns_read_only_stops_writes_and_not_the_daemon(
    tmp_path: Path, footage: Path
) -> None:
    with small_disk(tmp_path / "disk", 24_000) as disk:
        daemon = Daemon(tmp_path, given={"data": str(disk / "data"), "fake": True})
        (disk / "data").mkdir()
        remount(disk, "ro")
        process = daemon.launch()
        assert process.wait(60.0) == 1
        remount(disk, "rw")
        with daemon.running(ingest={"reserve_mb": 1}) as client:
            shutil.copy(footage, daemon.watched / "yard.mp4")
            jobs = ended_jobs(client, 1)

    assert "Read-only file system" in daemon.log
    assert jobs["yard.mp4"]["state"] == "done"
