"""A watched folder by steps: walks and looks without its threads, but where these matter."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from edge_lvr1.daemon.health.faults import Faults
from edge_lvr1.daemon.watching.filesystems import Mount
from edge_lvr1.daemon.watching.folder_events import Change, FolderEvents, NotWatched
from edge_lvr1.daemon.watching.reach import Reach
from edge_lvr1.daemon.watching.watched_root import Pace, WatchedRoot
from edge_lvr1.errors import StoreError
from edge_lvr1.store.db import Archive
from edge_lvr1.store.presence import Presence

DISK = Mount("/", "ext4", "/dev/sda1")
LONG_S = 30.0


class Receiver:
    """Takes down what a root tells."""

    def __init__(self) -> None:
        self.files: list[str] = []
        self.told: list[str] = []
        self.settles: list[int] = []
        self.before: Callable[[], None] = lambda: None

    def saw(self, paths: Sequence[str]) -> None:
        self.before()
        self.files += [Path(path).name for path in paths]

    def settle(self, root: Path) -> bool:
        return False

    def settling(self, root: Path) -> int:
        return self.settles.pop(0) if self.settles else 0

    def away(self, root: Path) -> None:
        self.told.append("away")

    def back(self, root: Path) -> None:
        self.told.append("back")


class Limited(FolderEvents):
    """Events of a machine that watches only so many roots."""

    def __init__(self, most: int) -> None:
        super().__init__(lambda change: None, lambda root: None)
        self.most = most
        self.now: list[Path] = []

    def watch(self, root: Path, sign: Callable[[], None]) -> None:
        if self.most == 0:
            raise NotWatched("the limit is reached; raise it")
        if root not in self.now:
            self.now.append(root)

    def forget(self, root: Path) -> None:
        self.now.clear()


class Scene:
    """A watched folder and all that it has to do with."""

    def __init__(self, root: Path, archive: Archive) -> None:
        root.mkdir()
        self.path = root
        self.known = Presence(archive, lambda: 1000.0)
        self.receiver = Receiver()
        self.faults = Faults()
        self.now_s = 0.0
        self.mounts: tuple[Mount, ...] = (DISK,)

    def root(self, events: FolderEvents | None = None) -> WatchedRoot:
        return WatchedRoot(
            Reach(self.path, self.known, (), lambda: self.mounts),
            (),
            self.receiver,
            self.faults,
            Pace(poll_s=0.01, rescan_s=30.0, look_s=0.01, settle_s=5.0),
            events,
            clock=lambda: self.now_s,
        )

    def sentences(self) -> list[str]:
        return [fault.sentence for fault in self.faults.now()]


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with Archive(tmp_path / "archive.db").open() as archive:
        yield Scene(tmp_path / "watched", archive)


def test_walk_tells_of_every_file(scene: Scene) -> None:
    for name in ("a.mp4", "b.mp4"):
        (scene.path / name).touch()
    root = scene.root()

    assert root.walk()

    assert scene.receiver.files == ["a.mp4", "b.mp4"]
    state = root.state()
    assert (state.there, state.files, state.problem) == (True, 2, "")


def test_root_that_is_away_is_a_fault_until_it_is_back(scene: Scene) -> None:
    scene.path.rmdir()
    root = scene.root()

    went = root.walk()
    told = scene.sentences()
    scene.path.mkdir()
    came = root.walk()

    assert (went, came, scene.receiver.told) == (False, True, ["away", "back"])
    assert told == [
        f"the watched folder {scene.path} is away: it is not there; its files wait, none is lost"
    ]
    assert scene.sentences() == []


def test_tries_to_reach_a_root_come_ever_later_up_to_a_bound(scene: Scene) -> None:
    scene.path.rmdir()
    root = scene.root()
    root.walk()

    assert [root._pause_s() for _ in range(8)] == [1, 2, 4, 8, 16, 30, 30, 30]


def test_limit_of_watches_has_the_root_polled_and_says_what_to_do(scene: Scene) -> None:
    (scene.path / "below").mkdir()
    (scene.path / "below" / "a.mp4").touch()
    events = Limited(0)
    root = scene.root(events)

    root.walk()

    assert root.state().found_by == "polling"
    assert root._pause_s() == 0.01
    assert scene.receiver.files == ["a.mp4"]
    assert events.now == []
    assert scene.sentences() == [
        f"{scene.path} is polled, no events tell of it: the limit is reached; raise it"
    ]


def test_events_are_tried_again_some_time_after_the_limit_was_reached(scene: Scene) -> None:
    events = Limited(0)
    root = scene.root(events)
    root.walk()
    events.most = 10
    scene.now_s += 60
    root.walk()
    soon = root.state().found_by
    scene.now_s += 600
    root.walk()

    assert (soon, root.state().found_by, scene.sentences()) == ("polling", "events", [])


def test_watches_are_made_anew_when_a_root_is_back(scene: Scene) -> None:
    events = Limited(10)
    root = scene.root(events)
    root.walk()
    scene.path.rmdir()
    root.walk()
    while_away = list(events.now)
    scene.path.mkdir()
    root.walk()

    assert (while_away, events.now) == ([], [scene.path])


def test_folder_that_moved_in_is_walked_and_a_hidden_one_is_not(scene: Scene) -> None:
    for folder in ("day", ".day"):
        (scene.path / folder).mkdir()
        (scene.path / folder / "a.mp4").touch()
    root = scene.root()
    for folder in ("day", ".day"):
        root.notice(Change(scene.path, scene.path / folder, tree=False))

    root.follow()

    assert scene.receiver.files == ["a.mp4"]


def test_what_happens_in_a_folder_that_is_not_walked_is_passed_over(scene: Scene) -> None:
    root = scene.root()
    for folder in (".day", "day"):
        root.notice(Change(scene.path, scene.path / folder / f"{folder}.mp4", tree=False))

    root.follow()

    assert scene.receiver.files == ["day.mp4"]


def test_file_system_that_does_not_answer_is_away_and_holds_up_nobody(scene: Scene) -> None:
    (scene.path / "a.mp4").touch()
    hung, goes_on = threading.Event(), threading.Event()

    def hang() -> None:
        hung.set()
        assert goes_on.wait(LONG_S)

    root = scene.root()
    root.walk()
    scene.receiver.before = hang
    root.start()
    try:
        assert hung.wait(LONG_S)
        scene.now_s += 61
        root.check_signs()
        told, ended = scene.sentences(), root.join(0.0)
        root.stop()
    finally:
        goes_on.set()

    assert "its file system does not answer" in told[0]
    assert ended is False
    assert root.join(time.monotonic() + LONG_S)


def test_folder_whose_walk_takes_long_rests_before_it_is_walked_again(scene: Scene) -> None:
    (scene.path / "a.mp4").touch()
    events = Limited(10)
    root = scene.root(events)

    def takes_10_s() -> None:
        scene.now_s += 10.0

    scene.receiver.before = takes_10_s
    root.walk()
    root._wake.clear()
    scene.now_s += 189.0
    root.rescan()
    early = root._wake.is_set()
    scene.now_s += 1.0
    root.rescan()

    assert (early, root._wake.is_set()) == (False, True)


def test_folder_that_is_being_walked_is_not_walked_again_at_once(scene: Scene) -> None:
    (scene.path / "a.mp4").touch()
    root = scene.root(Limited(10))
    root._wake.clear()
    scene.receiver.before = root.rescan

    root.walk()

    assert not root._wake.is_set()


def test_walk_that_the_store_broke_off_is_begun_again_without_rest(scene: Scene) -> None:
    (scene.path / "a.mp4").touch()
    root = scene.root(Limited(10))

    def takes_10_s() -> None:
        scene.now_s += 10.0

    def breaks() -> None:
        raise StoreError("the database is held by another program")

    scene.receiver.before = takes_10_s
    root.walk()
    scene.receiver.before = breaks
    with pytest.raises(StoreError):
        root.walk()
    root._wake.clear()

    root.rescan()

    assert root._wake.is_set()


def test_what_was_noticed_is_looked_at_again_where_the_store_failed(scene: Scene) -> None:
    for name in ("a.mp4", "b.mp4"):
        (scene.path / name).touch()
    root = scene.root(Limited(10))
    for name in ("a.mp4", "b.mp4"):
        root.notice(Change(scene.path, scene.path / name, tree=False))

    def breaks() -> None:
        scene.receiver.before = lambda: None
        raise StoreError("the database is held by another program")

    scene.receiver.before = breaks
    with pytest.raises(StoreError):
        root.follow()
    root.follow()

    assert scene.receiver.files == ["a.mp4", "b.mp4"]


def test_folder_that_is_polled_rests_thrice_as_long_as_its_walk_took(scene: Scene) -> None:
    (scene.path / "a.mp4").touch()
    root = scene.root()

    def takes_10_s() -> None:
        scene.now_s += 10.0

    root.walk()
    quick = root._pause_s()
    scene.receiver.before = takes_10_s
    root.walk()

    assert (quick, root._pause_s()) == (0.01, 30.0)


def test_walk_waits_for_files_that_settle_but_not_for_those_that_never_do(scene: Scene) -> None:
    for name in ("a.mp4", "b.mp4"):
        (scene.path / name).touch()
    root = scene.root()
    scene.receiver.settles = [20_000, 20_000, 19_999, 7]
    root.walk()
    waited_for = list(scene.receiver.settles)

    def later() -> float:
        scene.now_s += 1.0
        return scene.now_s

    root._clock = later
    scene.receiver.settles = [20_000] * 1000

    assert root.walk()
    assert waited_for == [7]
    assert 980 < len(scene.receiver.settles) < 1000
