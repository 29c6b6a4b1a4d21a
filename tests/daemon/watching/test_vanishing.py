"""A watched folder that comes late, vanishes and returns, under a daemon that runs on."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge_lvr1.client import Client
from edge_lvr1.daemon.watching.mount_watch import MountWatch
from edge_lvr1.errors import DaemonError
from edge_lvr1.store.db import Archive
from tests.daemon.processes import Daemon, ended_jobs, until


class Mounted:
    """A folder that is mounted and unmounted at its place: the bind mount of another."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.disk = place.with_name("disk")
        self.disk.mkdir()

    def come(self) -> None:
        subprocess.run(["mount", "--bind", self.disk, self.place], check=True, capture_output=True)

    def go(self) -> None:
        subprocess.run(["umount", self.place], check=True, capture_output=True)


class Renamed:
    """A folder that is renamed away from its place and back."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.disk = place.with_name("disk")
        place.rmdir()
        self.disk.mkdir()

    def come(self) -> None:
        self.disk.rename(self.place)
        self.disk = self.place

    def go(self) -> None:
        self.disk = self.place.with_name("disk")
        self.place.rename(self.disk)


@pytest.fixture(params=[Mounted, Renamed], ids=["mounted", "renamed"])
def folder(request: pytest.FixtureRequest, daemon: Daemon) -> Iterator[Mounted | Renamed]:
    made: Mounted | Renamed = request.param(daemon.watched)
    if isinstance(made, Mounted):
        try:
            made.come()
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"this user may not mount: {error}")
        made.go()
    yield made
    if isinstance(made, Mounted):
        subprocess.run(["umount", made.place], check=False, capture_output=True)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    made = Daemon(tmp_path)
    yield made
    made.kill()


def is_there(client: Client, there: bool) -> Callable[[], bool]:
    return lambda: client.status()["roots"][0]["there"] is there


def kinds(daemon: Daemon) -> set[str]:
    """What the audit log tells of."""
    with Archive(daemon.data / "archive.db").open() as archive:
        return {row["kind"] for row in archive.rows("SELECT DISTINCT kind FROM audit")}


def test_folder_that_comes_late_vanishes_and_returns_loses_nothing(
    daemon: Daemon, folder: Mounted | Renamed, footage: Path
) -> None:
    shutil.copy(footage, folder.disk / "first.mp4")
    with daemon.running(fake=True) as client:
        if isinstance(folder, Renamed):
            until(is_there(client, False), "the daemon's start without its folder")
        folder.come()
        before = ended_jobs(client, 1)
        (recording,) = before["first.mp4"]["recordings"]

        folder.go()
        until(is_there(client, False), "the outage")
        faults = [fault["sentence"] for fault in client.status()["faults"]]
        with pytest.raises(DaemonError, match=r"first\.mp4 cannot be reached now"):
            client.clip(recording, 0.0, 1.0, daemon.folder / "clip.mp4")
        shutil.copy(footage, folder.disk / "gate 2026-03-14 09.30.00.mp4")
        with (folder.disk / "gate 2026-03-14 09.30.00.mp4").open("ab") as file:
            file.write(bytes(8))

        folder.come()
        after = ended_jobs(client, 2)
        until(is_there(client, True), "the return")
        client.clip(recording, 0.0, 1.0, daemon.folder / "clip.mp4")
        (root,) = client.status()["roots"]

    assert {job["state"] for job in after.values()} == {"done"}
    assert after["first.mp4"] == before["first.mp4"]
    assert any(f"{daemon.watched} is away" in sentence for sentence in faults)
    assert root["found_by"] in ("events", "polling")
    assert "file.gone" not in kinds(daemon)


def test_changes_of_the_table_of_mounts_are_told(tmp_path: Path) -> None:
    told = threading.Semaphore(0)
    place = tmp_path / "place"
    place.mkdir()
    watch = MountWatch(lambda: told.release())
    watch.start()
    try:
        while told.acquire(timeout=0.1):  # what was news before we asked
            pass
        mounted = subprocess.run(["mount", "-t", "tmpfs", "none", place], check=False)
        if mounted.returncode:
            pytest.skip("this user may not mount")
        subprocess.run(["umount", place], check=True)

        assert told.acquire(timeout=30)
    finally:
        watch.stop()


def test_file_that_is_deleted_is_gone_and_the_clip_says_so(daemon: Daemon, footage: Path) -> None:
    path = Path(shutil.copy(footage, daemon.watched / "first.mp4"))
    with daemon.running(fake=True, ingest={"rescan_s": 0.5}) as client:
        (recording,) = ended_jobs(client, 1)["first.mp4"]["recordings"]
        path.unlink()

        until(lambda: "file.gone" in kinds(daemon), "the entry that the file is gone")
        with pytest.raises(DaemonError, match=r"first\.mp4 is gone since 20"):
            client.clip(recording, 0.0, 1.0, daemon.folder / "clip.mp4")
        tree = client.tree(recording)

    assert tree["nodes"]
