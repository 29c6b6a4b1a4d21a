"""What runs by the clock, on a real scheduler with short times."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from edge_lvr1.daemon.schedule import Schedule, look_interval_s

LONG_S = 30.0


class Files:
    """Files that settle after so many looks."""

    def __init__(self) -> None:
        self.left = 0
        self.looks = 0
        self.settled = threading.Event()

    def settle(self) -> bool:
        self.looks += 1
        self.left -= 1
        if self.left <= 0:
            self.settled.set()
        return self.left > 0


@pytest.fixture
def files() -> Files:
    return Files()


@pytest.fixture
def scanned() -> threading.Semaphore:
    return threading.Semaphore(0)


@pytest.fixture
def schedule(files: Files, scanned: threading.Semaphore) -> Iterator[Schedule]:
    made = Schedule(scanned.release, files.settle, rescan_s=0.05, settle_s=0.0)
    yield made
    made.stop()


def test_folders_are_scanned_at_the_start_and_again(
    schedule: Schedule, scanned: threading.Semaphore
) -> None:
    schedule.start()

    assert all(scanned.acquire(timeout=LONG_S) for _ in range(3))


def test_files_are_looked_at_until_none_is_left(schedule: Schedule, files: Files) -> None:
    files.left = 3
    schedule.start()
    schedule.wake()
    schedule.wake()

    assert files.settled.wait(LONG_S)
    schedule.stop()
    assert files.looks == 3


def test_a_later_file_wakes_it_again(schedule: Schedule, files: Files) -> None:
    files.left = 1
    schedule.start()
    schedule.wake()
    first = files.settled.wait(LONG_S)
    files.settled.clear()
    files.left = 1

    schedule.wake()

    assert first
    assert files.settled.wait(LONG_S)


def test_stop_before_start_does_nothing(files: Files) -> None:
    Schedule(lambda: None, files.settle, 1.0, 1.0).stop()


@pytest.mark.parametrize(("settle_s", "look_s"), [(0.0, 0.05), (2.0, 0.5), (60.0, 1.0)])
def test_looks_come_often_enough_and_not_more(settle_s: float, look_s: float) -> None:
    assert look_interval_s(settle_s) == look_s
