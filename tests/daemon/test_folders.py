"""Which paths of watched folders are candidates."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_lvr1.daemon.watcher import Folders
from edge_lvr1.errors import SettingsError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "watched"
    folder.mkdir()
    return folder.resolve()


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    return path


def scanned(root: Path, skip: tuple[Path, ...] = ()) -> list[str]:
    seen: list[Path] = []
    Folders([root], skip, seen.append).scan()
    return [str(path.relative_to(root)) for path in seen]


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
    folders = Folders([root], (), lambda path: None)

    folders.scan()
    folders.scan()
    folders.offer(root / "outside.mp4")

    assert [record.getMessage() for record in caplog.records] == [
        f"watch: {root / 'folder'} is a link to a folder: it is not followed; watch where it leads",
        f"watch: {root / 'outside.mp4'} is a link that leads out of the watched folder, or "
        "nowhere: it is not followed; watch where it leads",
    ]


def test_name_that_is_not_utf8_is_found(root: Path) -> None:
    touch(Path(os.fsdecode(os.fsencode(root) + b"/caf\xe9.mp4")))

    assert len(scanned(root)) == 1


def test_root_that_is_gone_is_said_once_and_does_not_stop_the_scan(
    root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    touch(root / "a.mp4")
    seen: list[Path] = []
    folders = Folders([tmp_path / "gone", root], (), seen.append)

    folders.scan()
    folders.scan()

    assert [path.name for path in seen] == ["a.mp4", "a.mp4"]
    assert [record.getMessage() for record in caplog.records if "gone" in record.getMessage()] == [
        f"watch: cannot read {tmp_path / 'gone'}: No such file or directory"
    ]


def test_file_belongs_to_the_innermost_of_nested_roots(root: Path) -> None:
    folders = Folders([root, root / "front"], (), lambda path: None)

    assert folders.root_of(root / "front" / "a.mp4") == root / "front"
    assert folders.root_of(root / "a.mp4") == root
    assert folders.root_of(root.parent / "a.mp4") is None


def test_root_that_is_a_file_is_refused_at_start(root: Path) -> None:
    folders = Folders([touch(root / "a.mp4")], (), lambda path: None)

    with pytest.raises(SettingsError, match=r"a\.mp4 is not a folder"):
        folders.start()


def until(true: Callable[[], bool], within_s: float = 10.0) -> None:
    end = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def test_events_tell_of_new_files_renames_and_folders_moved_in(root: Path, tmp_path: Path) -> None:
    seen: set[Path] = set()
    folders = Folders([root], (), seen.add)
    folders.start()
    try:
        touch(root / "new.mp4")
        touch(root / "b.mp4.part").rename(root / "b.mp4")
        touch(tmp_path / "trip" / "day" / "c.mp4")
        (tmp_path / "trip").rename(root / "trip")

        until(lambda: {root / "new.mp4", root / "b.mp4", root / "trip/day/c.mp4"} <= seen)
    finally:
        folders.stop()

    assert root / "b.mp4.part" not in seen


def test_stop_before_start_does_nothing(root: Path) -> None:
    Folders([root], (), lambda path: None).stop()
