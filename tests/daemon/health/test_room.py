"""Room on the disk: ingest pauses below the reserve, and goes on by itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_lvr1.daemon.health.faults import Faults
from edge_lvr1.daemon.health.room import DAMAGED, LOCKED, Pausing, Room, free_bytes
from edge_lvr1.store.opening import read_only
from tests.small_disk import remount, small_disk

MB = 1_000_000


class Disk:
    """A disk with so much free, and a clock, under the test's hand."""

    def __init__(self) -> None:
        self.free = 1000 * MB
        self.looks = 0
        self.shrunk = 0
        self.locked = False
        self.now_s = 0.0
        self.faults = Faults()
        self.room = Room(Path("/data"), 500, self.faults, self.shrink, self.look, self.clock)

    def look(self, folder: Path) -> int:
        self.looks += 1
        if self.free < 0:
            raise FileNotFoundError(folder)
        return self.free

    def shrink(self) -> None:
        self.shrunk += 1

    def clock(self) -> float:
        return self.now_s

    def short_with(self, free_mb: int) -> bool:
        self.now_s += 2.0
        self.free = free_mb * MB
        return self.room.short()


def test_disk_that_can_only_be_read_pauses_ingest_whatever_is_free() -> None:
    disk = Disk()
    disk.locked = True
    disk.room = Room(
        Path("/data"),
        500,
        disk.faults,
        disk.shrink,
        disk.look,
        disk.clock,
        lambda folder: disk.locked,
    )

    short = disk.short_with(1000)
    (fault,) = disk.faults.now()
    disk.locked = False
    after = disk.short_with(1000)

    assert (short, after) == (True, False)
    assert (fault.key, disk.shrunk) == (LOCKED, 0)
    assert "can only be read" in fault.sentence
    assert disk.faults.now() == ()


def test_disk_that_takes_writes_is_not_read_only(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 1000) as disk:
        before = read_only(disk)
        remount(disk, "ro")
        after = read_only(disk)

        assert (before, after) == (False, True)
        assert list(disk.iterdir()) == []
    assert not read_only(tmp_path / "none")


def test_ingest_pauses_below_the_reserve_and_resumes_above_it_with_a_margin(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    disk = Disk()

    told = [disk.short_with(free) for free in (600, 501, 499, 100, 501, 549, 551, 501)]

    assert told == [False, False, True, True, True, True, False, False]
    assert disk.shrunk == 1
    assert disk.faults.now() == ()
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2
    assert said[0].startswith("fault: ingest pauses: the disk of /data has less than 500 MB free")
    assert said[1].startswith("no fault any more: ingest pauses")


def test_disk_is_looked_at_once_a_second_however_often_it_is_asked() -> None:
    disk = Disk()
    for _ in range(1000):
        disk.room.short()
    disk.now_s += 1.0
    disk.room.short()

    assert disk.looks == 2


def test_folder_that_is_gone_is_neither_full_nor_empty() -> None:
    disk = Disk()
    before = disk.short_with(100)

    assert before
    assert disk.short_with(-1)


def test_damaged_database_pauses_ingest_too() -> None:
    disk = Disk()
    assert not disk.room.paused()

    disk.faults.put(DAMAGED, "page 7 is lost")

    assert disk.room.paused()
    assert not disk.room.short()


def test_paused_work_finds_nothing_to_do() -> None:
    paused = [True]
    work = Pausing(lambda: paused[0], lambda: True)
    first = work()
    paused[0] = False

    assert (first, work()) == (False, True)


def test_free_space_is_that_of_the_folders_disk(tmp_path: Path) -> None:
    assert free_bytes(tmp_path) > 0
