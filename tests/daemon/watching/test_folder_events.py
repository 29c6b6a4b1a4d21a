"""File system events as the daemon uses them: what is told, and what is lost."""

from __future__ import annotations

import ctypes
import errno
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from watchdog.observers import inotify_c

from edge_lvr1.daemon.watching import folder_events
from edge_lvr1.daemon.watching.folder_events import Change, FolderEvents, NotWatched

QUEUE = Path("/proc/sys/fs/inotify/max_queued_events")
LONG_S = 30.0

needs_queue = pytest.mark.skipif(
    folder_events.KernelQueue is None, reason="watchdog 6 does not tell: the rescan finds it"
)


class Told:
    """What the events said."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.overflows: list[Path] = []

    def names(self) -> set[str]:
        return {change.path.name for change in self.changes}

    def trees(self) -> set[Path]:
        return {change.path for change in self.changes if change.tree}


def nothing() -> None:
    """No sign of life is wanted."""


def until(true: Callable[[], bool], within_s: float = LONG_S) -> None:
    end = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def events(told: Told) -> Iterator[FolderEvents]:
    made = FolderEvents(told.changes.append, told.overflows.append)
    yield made
    assert made.stop(time.monotonic() + LONG_S)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = tmp_path / "root"
    made.mkdir()
    return made


def test_new_closed_moved_and_deleted_files_are_told(
    events: FolderEvents, told: Told, root: Path
) -> None:
    events.watch(root, nothing)

    (root / "a.mp4").write_bytes(b"x")
    (root / "a.mp4").rename(root / "b.mp4")
    (root / "b.mp4").unlink()
    until(lambda: len(told.changes) == 5)

    names = [change.path.name for change in told.changes]
    assert names == ["a.mp4", "a.mp4", "a.mp4", "b.mp4", "b.mp4"]
    assert not told.trees()


def test_a_file_that_is_written_in_small_blocks_or_read_does_not_fill_the_queue(
    events: FolderEvents, told: Told, root: Path
) -> None:
    with (root / "a.mp4").open("wb", buffering=0) as file:
        events.watch(root, nothing)
        for _ in range(100):
            file.write(b"x")
            (root / "a.mp4").read_bytes()
    (root / "last.mp4").touch()
    until(lambda: "last.mp4" in told.names())

    assert [change.path.name for change in told.changes].count("a.mp4") == 1


def test_new_folders_are_watched_with_all_below(
    events: FolderEvents, told: Told, root: Path
) -> None:
    events.watch(root, nothing)
    (root / "day" / "hour").mkdir(parents=True)
    until(lambda: "day" in told.names())

    def appeared() -> bool:  # until it is watched, a walk of the new folder is what finds files
        (root / "day" / "hour" / "a.mp4").touch()
        return "a.mp4" in told.names()

    until(appeared)


def test_folder_that_leaves_is_a_tree_and_is_not_watched_after_the_next_walk(
    events: FolderEvents, told: Told, root: Path, tmp_path: Path
) -> None:
    (root / "day").mkdir()
    events.watch(root, nothing)
    (root / "day").rename(tmp_path / "elsewhere")
    until(lambda: told.trees() == {root})
    events.watch(root, nothing)
    (tmp_path / "elsewhere" / "a.mp4").touch()
    (root / "last.mp4").touch()
    until(lambda: "last.mp4" in told.names())

    assert "a.mp4" not in told.names()


@pytest.mark.parametrize("way", ["deleted", pytest.param("moved", marks=needs_queue)])
def test_root_that_leaves_and_comes_back_is_watched_anew(
    events: FolderEvents, told: Told, root: Path, way: str
) -> None:
    events.watch(root, nothing)
    if way == "deleted":
        root.rmdir()
    else:
        root.rename(root.with_name("moved"))
    root.mkdir()
    until(lambda: told.trees() == {root})
    events.watch(root, nothing)
    (root / "a.mp4").touch()

    until(lambda: "a.mp4" in told.names())


@needs_queue
def test_root_is_watched_again_only_where_something_is_mounted_in_it(
    events: FolderEvents, root: Path
) -> None:
    signs: list[int] = []

    def sign() -> None:
        signs.append(1)

    events.watch(root, sign)
    events.watch(root, sign)
    before = len(signs)
    events.renew(root)
    events.watch(root, sign)

    assert (before, len(signs)) == (1, 2)


@needs_queue
def test_overflow_of_the_kernels_queue_is_told_and_all_is_watched_again(
    events: FolderEvents, told: Told, root: Path
) -> None:
    most = int(QUEUE.read_text())
    if most > 100_000:
        pytest.skip(f"the kernel's queue holds {most} events: too many to overflow here")
    reading, goes_on = threading.Event(), threading.Event()
    goes_on.set()

    def hang() -> None:
        reading.set()
        assert goes_on.wait(LONG_S)

    events.watch(root, hang)
    reading.clear()
    goes_on.clear()
    (root / "day").mkdir()
    assert reading.wait(LONG_S)  # who reads the queue watches the new folder, and gets no further
    for number in range(most // 2 + 100):  # created and closed: two events each
        (root / f"{number}.mp4").touch()
    (root / "lost").mkdir()
    goes_on.set()
    until(lambda: told.overflows == [root])
    (root / "lost" / "a.mp4").touch()

    until(lambda: "a.mp4" in told.names())
    assert "lost" not in told.names()


class Watches:
    """inotify_add_watch of a machine that has only so many watches."""

    def __init__(self, most: int) -> None:
        self.left = most

    def add(self, fd: int, path: bytes, mask: int) -> int:
        self.left -= 1
        if self.left < 0:
            ctypes.set_errno(errno.ENOSPC)
            return -1
        return int(self.real(fd, path, mask))

    def patch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.real = inotify_c.inotify_add_watch
        monkeypatch.setattr(inotify_c, "inotify_add_watch", self.add)


@pytest.mark.parametrize("most", [0, 1, 2])
def test_limit_of_watches_says_what_to_do(
    events: FolderEvents, root: Path, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "day" / "hour").mkdir(parents=True)
    Watches(most).patch(monkeypatch)

    with pytest.raises(NotWatched, match=r"raise fs\.inotify\.max_user_watches"):
        events.watch(root, nothing)


@needs_queue
def test_limit_that_a_new_folder_reaches_is_told_and_raised_by_the_next_walk(
    events: FolderEvents, told: Told, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Watches(1).patch(monkeypatch)
    events.watch(root, nothing)
    (root / "day").mkdir()
    until(lambda: told.trees() == {root})

    with pytest.raises(NotWatched, match=r"raise fs\.inotify\.max_user_watches"):
        events.watch(root, nothing)


def test_limit_of_instances_says_what_to_do(
    events: FolderEvents, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left() -> int:
        ctypes.set_errno(errno.EMFILE)
        return -1

    monkeypatch.setattr("watchdog.observers.inotify_c.inotify_init", none_left)

    with pytest.raises(NotWatched, match=r"raise fs\.inotify\.max_user_instances"):
        events.watch(root, nothing)


@needs_queue
def test_folders_that_may_not_be_read_leave_the_others_watched(
    events: FolderEvents, told: Told, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b", "c"):
        (root / name).mkdir()
    watches = Watches(99)
    watches.patch(monkeypatch)

    def add(fd: int, path: bytes, mask: int) -> int:
        if path.endswith((b"/a", b"/b")):
            ctypes.set_errno(errno.EACCES)
            return -1
        return watches.add(fd, path, mask)

    monkeypatch.setattr("watchdog.observers.inotify_c.inotify_add_watch", add)
    events.watch(root, nothing)
    (root / "c" / "c.mp4").touch()

    until(lambda: "c.mp4" in told.names())


@needs_queue
def test_root_whose_file_system_does_not_answer_holds_up_no_other(
    told: Told, root: Path, tmp_path: Path
) -> None:
    other, hung, goes_on = tmp_path / "other", threading.Event(), threading.Event()
    other.mkdir()
    events = FolderEvents(told.changes.append, told.overflows.append)

    def hang() -> None:
        hung.set()
        assert goes_on.wait(LONG_S)

    walker = threading.Thread(target=events.watch, args=(root, hang))
    walker.start()
    try:
        assert hung.wait(LONG_S)
        events.forget(root)
        events.watch(other, nothing)
        (other / "a.mp4").touch()
        until(lambda: "a.mp4" in told.names())
        ended = events.stop(time.monotonic())
    finally:
        goes_on.set()
        walker.join()

    assert ended is False
    assert events.stop(time.monotonic() + LONG_S)
    (root / "late.mp4").touch()
    assert "late.mp4" not in told.names()


def test_nothing_is_left_open_after_a_root_is_forgotten(events: FolderEvents, root: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        events.watch(root, nothing)
        events.forget(root)
    assert events.stop(time.monotonic() + LONG_S)

    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_root_that_is_gone_is_passed_over(events: FolderEvents, root: Path) -> None:
    events.watch(root / "gone", nothing)


def test_stop_before_anything_is_watched_does_nothing(told: Told) -> None:
    events = FolderEvents(told.changes.append, told.overflows.append)

    assert events.stop(time.monotonic())
