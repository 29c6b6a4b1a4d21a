"""Which paths of watched folders are candidates, and how all folders work together."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from edge_lvr1.config import Ingest
from edge_lvr1.daemon.health.faults import Faults
from edge_lvr1.daemon.ingest.offers import Offers
from edge_lvr1.daemon.watching.filesystems import Mount, mounts
from edge_lvr1.daemon.watching.folders import Folders, Holding, check_root, real
from edge_lvr1.daemon.watching.settling import Settling
from edge_lvr1.daemon.watching.walking import Walk
from edge_lvr1.errors import SettingsError
from edge_lvr1.store.db import Archive
from edge_lvr1.store.presence import Presence
from edge_lvr1.store.queues import BuildQueue, IngestQueue
from tests.small_disk import small_disk


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "watched"
    folder.mkdir()
    return folder.resolve()


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    return path


def walk_of(root: Path, skip: tuple[Path, ...] = ()) -> Walk:
    return Walk(root, skip, lambda: False)


def walked(walk: Walk, top: Path) -> list[Path]:
    return [Path(path) for path in walk.files(top)]


def scanned(root: Path, skip: tuple[Path, ...] = ()) -> list[str]:
    return [str(path.relative_to(root)) for path in walked(walk_of(root, skip), root)]


def test_scan_finds_files_in_folders_below(root: Path) -> None:
    touch(root / "b.mp4")
    touch(root / "front" / "2026-03-14" / "a.mkv")

    assert scanned(root) == ["b.mp4", "front/2026-03-14/a.mkv"]


@pytest.mark.parametrize(
    "name",
    [".a.mp4", "a.mp4.part", "a.MP4.TMP", "a.filepart", "a.mp4.crdownload", "~a.mp4", "a.mp4~"],
)
def test_unfinished_and_hidden_names_are_left_alone(root: Path, name: str) -> None:
    touch(root / name)

    assert scanned(root) == []


def test_hidden_folders_and_the_data_folder_are_left_alone(root: Path) -> None:
    touch(root / ".trash" / "a.mp4")
    touch(root / "data" / "archive.db")

    assert scanned(root, skip=(root / "data",)) == []


def test_links_count_only_where_they_stay_inside(root: Path, tmp_path: Path) -> None:
    touch(root / "real.mp4")
    (root / "inside.mp4").symlink_to(root / "real.mp4")
    (root / "outside.mp4").symlink_to(touch(tmp_path / "secret.mp4"))
    (root / "folder").symlink_to(tmp_path)
    (root / "loop.mp4").symlink_to(root / "loop.mp4")

    assert scanned(root) == ["inside.mp4", "real.mp4"]


def test_links_that_are_not_followed_are_said_once(
    root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    outside = touch(tmp_path / "away" / "secret.mp4")
    touch(root / "real.mp4")
    (root / "inside.mp4").symlink_to(root / "real.mp4")
    (root / "outside.mp4").symlink_to(outside)
    (root / ".hidden.mp4").symlink_to(outside)
    (root / "folder").symlink_to(outside.parent)
    walk = walk_of(root)

    walked(walk, root)
    walked(walk, root)
    walk.wants(root / "outside.mp4")

    assert [record.getMessage() for record in caplog.records] == [
        f"watch: {root / 'folder'} is a link to a folder: it is not followed; watch where it leads",
        f"watch: {root / 'outside.mp4'} is a link that leads out of the watched folder, or "
        "nowhere: it is not followed; watch where it leads",
    ]


def test_name_that_is_not_utf8_is_found(root: Path) -> None:
    touch(Path(os.fsdecode(os.fsencode(root) + b"/caf\xe9.mp4")))

    assert len(scanned(root)) == 1


def test_fifos_sockets_and_devices_are_passed_over_and_never_opened(root: Path) -> None:
    touch(root / "a.mp4")
    os.mkfifo(root / "fifo.mp4")
    listener = socket.socket(socket.AF_UNIX)
    (root / "null.mp4").symlink_to("/dev/null")
    try:
        listener.bind(str(root / "s.mp4"))

        assert scanned(root) == ["a.mp4"]
    finally:
        listener.close()


@pytest.mark.parametrize("name", ["two\nlines.mp4", " .mp4", "a'b\"c;d.mp4", "\x1b[31mred.mp4"])
def test_any_name_that_a_file_can_have_is_found(root: Path, name: str) -> None:
    touch(root / name)

    assert scanned(root) == [name]


def test_hard_links_are_two_files(root: Path) -> None:
    os.link(touch(root / "a.mp4"), root / "b.mp4")

    assert scanned(root) == ["a.mp4", "b.mp4"]


def test_folder_that_cannot_be_read_is_said_once_and_the_others_are_walked(
    root: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    touch(root / "a" / "a.mp4")
    touch(root / "b" / "b.mp4")
    really = os.scandir
    walk = walk_of(root)

    def scandir(folder: Path) -> Iterator[os.DirEntry[str]]:
        if folder == root / "a":
            raise PermissionError(13, "Permission denied")
        return really(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    found = walked(walk, root), walked(walk, root)

    assert found == ([root / "b" / "b.mp4"],) * 2
    assert walk.unreadable == [f"{root / 'a'}: Permission denied"]
    assert [record.getMessage() for record in caplog.records] == [
        f"watch: cannot read {root / 'a'}: Permission denied"
    ]


def test_root_that_is_a_file_is_a_mistake_and_one_that_is_missing_is_waited_for(
    root: Path,
) -> None:
    check_root(root / "missing")

    with pytest.raises(SettingsError, match=r"a\.mp4 is not a folder"):
        check_root(touch(root / "a.mp4"))


def until(true: Callable[[], bool], within_s: float = 10.0) -> None:
    end = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


class Watching:
    """Folders over an archive, with offers that hand out at once."""

    def __init__(self, archive: Archive) -> None:
        self.archive = archive
        self.faults = Faults()
        self.jobs = IngestQueue(archive, time.time)

    def folders(
        self,
        roots: Sequence[Path],
        ingest: Ingest | None = None,
        mounted: Callable[[], tuple[Mount, ...]] = mounts,
    ) -> Folders:
        ingest = ingest or Ingest(settle_s=0, rescan_s=3600)
        settling = Settling(ingest.settle_s, time.monotonic, roots)
        offers = Offers(settling, self.jobs, lambda: None)
        builds = BuildQueue(self.archive, time.time)
        holding = Holding(offers, self.jobs, builds, lambda: None)
        known = Presence(self.archive, time.time)
        made = Folders(roots, [], holding, known, ingest, self.faults, mounted)
        offers.on_waiting(lambda root: made.follow_soon(root) if root else None)
        return made

    def queued(self) -> set[str]:
        return {job.path for job in self.jobs.jobs()}


@pytest.fixture
def watching(tmp_path: Path) -> Iterator[Watching]:
    with Archive(tmp_path / "archive.db").open() as archive:
        yield Watching(archive)


def test_file_belongs_to_the_innermost_of_nested_roots(root: Path, watching: Watching) -> None:
    folders = watching.folders([root, root / "front"])

    assert folders.root_of(root / "front" / "a.mp4") == root / "front"
    assert folders.root_of(root / "a.mp4") == root
    assert folders.root_of(root.parent / "watched too" / "a.mp4") is None


def test_events_tell_of_new_files_renames_and_folders_moved_in(
    root: Path, tmp_path: Path, watching: Watching
) -> None:
    folders = watching.folders([root])
    folders.start()
    try:
        until(lambda: folders.states()[0].there)
        touch(root / "new.mp4")
        touch(root / "b.mp4.part").rename(root / "b.mp4")
        touch(tmp_path / "trip" / "day" / "c.mp4")
        (tmp_path / "trip").rename(root / "trip")
        awaited = {str(root / name) for name in ("new.mp4", "b.mp4", "trip/day/c.mp4")}

        until(lambda: awaited <= watching.queued())
        (state,) = folders.states()
    finally:
        assert folders.stop()

    assert watching.queued() == awaited
    assert state.found_by == "events"


def test_renamed_folder_is_followed_under_its_new_name(root: Path, watching: Watching) -> None:
    (root / "old").mkdir()
    folders = watching.folders([root])
    folders.start()
    try:
        until(lambda: folders.states()[0].scanned_s is not None)
        (root / "old").rename(root / "new")
        until(
            lambda: (touch(root / "new" / "a.mp4"), time.sleep(0.02), watching.queued())[2] != set()
        )
    finally:
        assert folders.stop()

    assert watching.queued() == {str(root / "new" / "a.mp4")}


def test_events_tell_of_what_is_mounted_in_a_folder_later(root: Path, watching: Watching) -> None:
    folders = watching.folders([root])
    folders.start()
    try:
        until(lambda: folders.states()[0].scanned_s is not None)
        with small_disk(root / "disk", 64):
            first, later = touch(root / "disk" / "a.mp4"), root / "disk" / "b.mp4"
            until(lambda: str(first) in watching.queued())
            touch(later)
            until(lambda: str(later) in watching.queued())
    finally:
        assert folders.stop()


def test_polled_folder_is_walked_often_and_events_are_not_used(
    root: Path, watching: Watching
) -> None:
    ingest = Ingest(settle_s=0, rescan_s=3600, poll_s=0.05, found_by={str(root): "polling"})
    folders = watching.folders([root], ingest)
    folders.start()
    try:
        until(lambda: folders.states()[0].scanned_s is not None)
        touch(root / "a.mp4")
        until(lambda: watching.queued() == {str(root / "a.mp4")})
        (state,) = folders.states()
    finally:
        assert folders.stop()

    assert (state.found_by, state.why) == ("polling", "by the setting ingest.found_by")


def test_file_system_decides_how_files_are_noticed(root: Path, watching: Watching) -> None:
    share = (Mount("/", "ext4", "/dev/sda1"), Mount(str(root.parent), "nfs4", "nas:/cam"))
    folders = watching.folders([root], mounted=lambda: share)
    folders.start()
    try:
        until(lambda: folders.states()[0].scanned_s is not None)
        (state,) = folders.states()
    finally:
        assert folders.stop()

    assert (state.found_by, state.why) == ("polling", "nfs4 does not tell of every change")


def test_root_that_comes_late_is_taken_up_and_the_others_do_not_wait_for_it(
    root: Path, tmp_path: Path, watching: Watching
) -> None:
    late = tmp_path / "late"
    touch(root / "a.mp4")
    folders = watching.folders([late, root])
    folders.start()
    try:
        until(lambda: watching.queued() == {str(root / "a.mp4")})
        told = [fault.sentence for fault in watching.faults.now()]
        touch(late / "b.mp4")
        until(lambda: str(late / "b.mp4") in watching.queued())
        until(lambda: watching.faults.now() == ())
    finally:
        assert folders.stop()

    assert told == [
        f"the watched folder {late} is away: it is not there; its files wait, none is lost"
    ]


def test_stop_before_start_does_nothing(root: Path, watching: Watching) -> None:
    assert watching.folders([root]).stop()


def test_file_system_that_does_not_answer_does_not_hold_up_the_start(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_on = threading.Event()

    def hang(self: Path, *args: object, **kwargs: object) -> Path:
        goes_on.wait(30)
        return self

    monkeypatch.setattr("edge_lvr1.daemon.watching.folders._ANSWER_WITHIN_S", 0.05)
    monkeypatch.setattr(Path, "resolve", hang)
    monkeypatch.setattr(Path, "exists", hang)
    try:
        check_root(root)

        assert real(root) == root
    finally:
        goes_on.set()
