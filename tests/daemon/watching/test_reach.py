"""A watched folder that is away, and files that are gone: never taken for each other."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest

from edge_lvr1.daemon.watching.filesystems import Mount
from edge_lvr1.daemon.watching.reach import Reach
from edge_lvr1.domain import Confidence, StartSource, TakenFile
from edge_lvr1.store.db import Archive
from edge_lvr1.store.presence import BATCH, Presence
from edge_lvr1.store.queues import IngestQueue
from edge_lvr1.store.shelf import Shelf

DISK = Mount("/", "ext4", "/dev/sda1")
NOW_S = 1000.0


class Place:
    """A watched folder in an archive; `mounts` is what the kernel says."""

    def __init__(self, archive: Archive, root: Path) -> None:
        root.mkdir()
        self.archive = archive
        self.root = root
        self.share = Mount(str(root), "nfs4", "nas:/cam")
        self.mounts: tuple[Mount, ...] = (DISK, self.share)
        self.known = Presence(archive, lambda: NOW_S)

    def reach(self, *inner: Path) -> Reach:
        return Reach(self.root, self.known, inner, lambda: self.mounts)

    def take(self, *names: str) -> list[Path]:
        """Files that are there and known to the archive."""
        jobs, shelf = IngestQueue(self.archive, lambda: NOW_S), Shelf(self.archive, lambda: NOW_S)
        paths = []
        for name in names:
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x")
            now = path.stat()
            assert jobs.offer(str(path), 1, now.st_mtime_ns)
            job = jobs.lease("test", 60.0)
            assert job is not None
            file = TakenFile(
                id=0,
                path=str(path),
                camera="gate",
                starts_at=datetime(2026, 3, 14, tzinfo=timezone.utc),
                start_source=StartSource.FILE_NAME,
                confidence=Confidence.SURE,
                duration_s=1.0,
                size_bytes=1,
                mtime_ns=now.st_mtime_ns,
                sha256=os.fsencode(name).hex(),
            )
            assert shelf.put(job, file, 0)
            paths.append(path)
        return paths

    def seen(self) -> set[str]:
        return {str(path) for path in self.root.rglob("*") if path.is_file()}

    def review(self) -> tuple[int, int]:
        sight = self.reach().look()
        assert not sight.problem
        return self.reach().review(self.seen(), sight)

    def gone(self) -> list[str]:
        found = [one for batch in self.known.files_below(str(self.root)) for one in batch]
        return [Path(file.path).name for file in found if file.gone]

    def entries(self) -> list[tuple[str, int]]:
        rows = self.archive.rows(
            "SELECT kind, what FROM audit WHERE kind IN ('file.gone', 'file.returned')"
        )
        return [(row["kind"], len(json.loads(row["what"])["paths"])) for row in rows]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with Archive(tmp_path / "archive.db").open() as archive:
        yield Place(archive, tmp_path / "watched")


def test_file_that_is_deleted_is_gone_until_it_returns(place: Place) -> None:
    first, second = place.take("a.mp4", "b.mp4")
    place.review()
    kept = first.stat()
    first.unlink()

    went = place.review()
    while_gone = place.gone()
    first.write_bytes(b"x")
    os.utime(first, ns=(kept.st_mtime_ns, kept.st_mtime_ns))
    came = place.review()

    assert (went, while_gone, came, place.gone()) == ((1, 0), ["a.mp4"], (0, 1), [])
    assert place.entries() == [("file.gone", 1), ("file.returned", 1)]
    assert place.reach().is_gone(str(second)) is False


def test_other_content_at_the_place_of_a_gone_file_is_not_its_return(place: Place) -> None:
    (path,) = place.take("a.mp4")
    path.unlink()
    place.review()

    path.write_bytes(b"other")

    assert place.review() == (0, 0)
    assert place.gone() == ["a.mp4"]


def test_thousands_that_go_are_told_in_batches(place: Place) -> None:
    paths = place.take(*(f"{number:04}.mp4" for number in range(2 * BATCH + 1)))
    (place.root / "kept.mp4").write_bytes(b"x")
    for path in paths:
        path.unlink()

    assert place.review() == (2 * BATCH + 1, 0)
    assert place.entries() == [("file.gone", BATCH), ("file.gone", BATCH), ("file.gone", 1)]


def test_share_that_is_not_mounted_any_more_is_away_and_nothing_is_gone(place: Place) -> None:
    (path,) = place.take("a.mp4")
    place.review()
    path.unlink()  # what an empty mount point looks like
    place.mounts = (DISK,)

    assert place.reach().look().problem == f"nfs4 nas:/cam at {place.root} is not mounted"
    assert place.reach().is_gone(str(path)) is False
    assert place.reach().check([str(path)]) == (0, 0)
    assert place.gone() == []


def test_files_written_below_a_missing_mount_do_not_make_the_others_gone(place: Place) -> None:
    (path,) = place.take("a.mp4")
    place.review()
    path.unlink()
    place.mounts = (DISK,)
    (place.root / "new.mp4").write_bytes(b"x")

    assert place.review() == (0, 0)
    place.mounts = (DISK, place.share)  # it comes back without the file: that one is gone
    assert place.review() == (1, 0)


def test_footage_moved_to_another_disk_is_believed_once_a_known_file_is_there(
    place: Place,
) -> None:
    kept, lost = place.take("a.mp4", "b.mp4")
    place.review()
    lost.unlink()
    place.mounts = (DISK,)

    first, second = place.review(), place.review()

    assert (first, second, place.gone()) == ((0, 0), (1, 0), ["b.mp4"])
    assert kept.exists()


def test_share_inside_a_watched_folder_that_is_away_keeps_its_files(place: Place) -> None:
    inside = Mount(str(place.root / "cam2"), "cifs", "//nas/cam2")
    place.mounts = (DISK, inside)
    here, there = place.take("cam1/a.mp4", "cam2/b.mp4")
    place.review()
    here.unlink()
    there.unlink()
    place.mounts = (DISK,)

    place.review()

    assert place.gone() == ["a.mp4"]


def test_empty_folder_of_which_nothing_is_known_is_there(place: Place) -> None:
    place.review()
    place.mounts = (DISK,)

    assert place.reach().look().problem == ""


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.EIO, "it cannot be read: Input/output error"),
        (errno.ESTALE, "it cannot be read: Stale file handle"),
        (errno.ENOTCONN, "it cannot be read: Transport endpoint is not connected"),
        (errno.ENOENT, "it is not there"),
        (errno.ENOTDIR, "it is not a folder"),
        (errno.EACCES, "it cannot be read: Permission denied"),
    ],
)
def test_folder_that_cannot_be_listed_is_away(
    place: Place, monkeypatch: pytest.MonkeyPatch, number: int, said: str
) -> None:
    def scandir(folder: Path) -> Iterator[os.DirEntry[str]]:
        raise OSError(number, os.strerror(number), str(folder))

    monkeypatch.setattr(os, "scandir", scandir)

    assert place.reach().look().problem == said


def test_file_that_does_not_answer_is_not_gone(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.take("a.mp4")
    sight = place.reach().look()

    def stat(path: str) -> os.stat_result:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "stat", stat)

    assert place.reach().review(set(), sight) == (0, 0)
    assert place.gone() == []


def test_folder_that_goes_away_during_the_review_ends_it(place: Place) -> None:
    paths = place.take("a.mp4")
    place.review()
    sight = place.reach().look()
    paths[0].unlink()
    place.root.rmdir()

    assert place.reach().review(set(), sight) == (0, 0)
    assert place.gone() == []


def test_files_of_an_inner_watched_folder_are_its_own_business(place: Place) -> None:
    (path,) = place.take("inner/a.mp4")
    reach = place.reach(place.root / "inner")
    sight = reach.look()
    path.unlink()

    assert reach.review(set(), sight) == (0, 0)


def test_name_that_is_not_utf8_can_go_and_return(place: Place) -> None:
    name = os.fsdecode(b"caf\xe9.mp4")
    (path,) = place.take(name)
    kept = path.stat()
    path.unlink()
    went = place.review()
    path.write_bytes(b"x")
    os.utime(path, ns=(kept.st_mtime_ns, kept.st_mtime_ns))

    assert (went, place.review()) == ((1, 0), (0, 1))
