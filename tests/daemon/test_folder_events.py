"""inotify as the daemon uses it: what is told, and what is lost."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_lvr1.daemon.folder_events import Change, FolderEvents, WatchLimit

QUEUE = Path("/proc/sys/fs/inotify/max_queued_events")


class Told:
    """What the events said."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.overflows = 0

    def overflowed(self) -> None:
        self.overflows += 1


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def events(told: Told) -> Iterator[FolderEvents]:
    made = FolderEvents(told.changes.append, told.overflowed)
    made.open()
    yield made
    made.stop()


def test_new_closed_moved_and_deleted_files_are_told(
    events: FolderEvents, told: Told, tmp_path: Path
) -> None:
    events.watch(tmp_path, tmp_path)

    (tmp_path / "a.mp4").write_bytes(b"x")
    (tmp_path / "a.mp4").rename(tmp_path / "b.mp4")
    (tmp_path / "b.mp4").unlink()
    events.read()

    names = [change.path.name for change in told.changes]
    assert names == ["a.mp4", "a.mp4", "a.mp4", "b.mp4", "b.mp4"]
    assert not any(change.tree for change in told.changes)


def test_a_file_that_is_written_in_small_blocks_does_not_fill_the_queue(
    events: FolderEvents, told: Told, tmp_path: Path
) -> None:
    with (tmp_path / "a.mp4").open("wb", buffering=0) as file:
        events.watch(tmp_path, tmp_path)
        for _ in range(100):
            file.write(b"x")
    events.read()

    assert len(told.changes) == 1


def test_folder_that_leaves_is_a_tree_and_is_not_watched_any_more(
    events: FolderEvents, told: Told, tmp_path: Path
) -> None:
    root, day = tmp_path / "root", tmp_path / "root" / "day"
    day.mkdir(parents=True)
    for folder in (root, day):
        events.watch(folder, root)
    day.rename(tmp_path / "elsewhere")
    events.read()
    (tmp_path / "elsewhere" / "a.mp4").write_bytes(b"x")
    events.read()

    assert told.changes == [Change(root, day, tree=True)]
    assert events.watched(root) == 1


def test_overflow_of_the_kernels_queue_is_told(
    events: FolderEvents, told: Told, tmp_path: Path
) -> None:
    most = int(QUEUE.read_text())
    if most > 100_000:
        pytest.skip(f"the kernel's queue holds {most} events: too many to overflow here")
    events.watch(tmp_path, tmp_path)

    for number in range(most // 2 + 100):  # created and closed: two events each
        (tmp_path / f"{number}.mp4").touch()
    events.read()

    assert told.overflows == 1
    assert len(told.changes) >= most


class Full:
    """An inotify instance that may watch no more."""

    def add_watch(self, path: Path, mask: int) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_limit_of_watches_says_what_to_do(
    events: FolderEvents, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events._inotify, "add_watch", Full().add_watch)

    with pytest.raises(WatchLimit, match=r"raise fs\.inotify\.max_user_watches"):
        events.watch(tmp_path, tmp_path)


def test_folder_that_is_gone_is_passed_over(events: FolderEvents, tmp_path: Path) -> None:
    events.watch(tmp_path / "gone", tmp_path)

    assert events.watched(tmp_path) == 0


def test_stop_before_open_does_nothing(told: Told) -> None:
    FolderEvents(told.changes.append, told.overflowed).stop()
