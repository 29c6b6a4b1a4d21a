"""Footage hashed again: what was changed is found, by its bytes and by the audit log."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_lvr1.cases.footage import Found, Source, State, check_footage, look, sources
from edge_lvr1.daemon.ingest.intake import digest
from edge_lvr1.domain import Confidence, StartSource, TakenFile
from edge_lvr1.errors import NotFoundError
from edge_lvr1.media.joining import join
from edge_lvr1.media.opening import opened
from edge_lvr1.store.db import Archive
from edge_lvr1.store.queues import IngestQueue
from edge_lvr1.store.read_only import read_only
from edge_lvr1.store.shelf import Cell, Shelf
from tests.store.footage import NOON, Clock


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    with Archive(tmp_path / "archive.db").open() as opened:
        yield opened


def taken(archive: Archive, path: Path, content: bytes) -> None:
    """A file that was taken in as the daemon does it."""
    path.write_bytes(content)
    jobs, shelf = IngestQueue(archive, Clock()), Shelf(archive, Clock())
    jobs.offer(str(path), len(content), path.stat().st_mtime_ns)
    job = jobs.lease("test", 60.0)
    assert job is not None
    with opened(path) as file:
        sha256 = digest(file, len(content), lambda: None, lambda stage, done, total: None)
    source, sure = StartSource.FILE_NAME, Confidence.SURE
    file = TakenFile(
        *(0, str(path), path.stem, NOON, source, sure, 20.0),
        *(len(content), job.mtime_ns, sha256),
    )
    assert shelf.put(job, file, 1)
    shelf.put_together(Cell(path.stem, 1), lambda files: join(files, 2.0, 7200.0), "fake")


def checked(archive: Archive, recording: int | None = None) -> dict[str, Found]:
    with read_only(archive.path) as rows:
        found = list(check_footage(rows, sources(rows, recording)))
    return {Path(one.source.path).name: one for one in found}


def test_each_file_is_told_as_it_is(archive: Archive, tmp_path: Path) -> None:
    for name in ("kept", "changed", "gone", "pipe", "folder"):
        taken(archive, tmp_path / f"{name}.mp4", name.encode())
    (tmp_path / "changed.mp4").write_bytes(b"chanGed")
    for name in ("gone", "pipe", "folder"):
        (tmp_path / f"{name}.mp4").unlink()
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "folder.mp4").mkdir()

    found = checked(archive)

    assert {name: one.state.value for name, one in found.items()} == {
        "kept.mp4": "unchanged",
        "changed.mp4": "changed",
        "gone.mp4": "gone",
        "pipe.mp4": "unreadable",
        "folder.mp4": "unreadable",
    }
    assert {name for name, one in found.items() if not one.sound} == {"changed.mp4"}
    assert all(one.logged for one in found.values())


def test_any_single_changed_bit_is_found(archive: Archive, tmp_path: Path) -> None:
    path = tmp_path / "yard.mp4"
    taken(archive, path, bytes(3000))

    for place in (0, 1500, 2999):
        blob = bytearray(3000)
        blob[place] = 1
        path.write_bytes(blob)
        assert checked(archive)["yard.mp4"].state is State.CHANGED


def test_hash_that_was_changed_in_the_database_is_found_by_the_log(
    archive: Archive, tmp_path: Path
) -> None:
    path = tmp_path / "yard.mp4"
    taken(archive, path, b"as it was")
    path.write_bytes(b"exchanged")
    now = look(Source(str(path), "", 0)).sha256
    archive.close()
    with sqlite3.connect(archive.path) as connection:
        connection.execute("UPDATE files SET sha256 = ?", [now])
        connection.execute("UPDATE parts SET sha256 = ?", [now])
    connection.close()

    found = checked(archive)["yard.mp4"]

    assert (found.state, found.logged, found.sound) == (State.UNCHANGED, False, False)


def test_file_from_before_the_log_is_told_as_such(archive: Archive, tmp_path: Path) -> None:
    path = tmp_path / "yard.mp4"
    taken(archive, path, b"as it was")
    archive.close()
    with sqlite3.connect(archive.path) as connection:
        connection.execute("DROP TRIGGER audit_is_not_shortened")
        connection.execute("DELETE FROM audit")
    connection.close()

    found = checked(archive)["yard.mp4"]

    assert (found.logged, found.sound) == (None, True)


def test_file_that_was_moved_is_known_by_its_new_place(archive: Archive, tmp_path: Path) -> None:
    old, new = tmp_path / "yard.mp4", tmp_path / "elsewhere.mp4"
    taken(archive, old, b"as it was")
    old.rename(new)
    jobs = IngestQueue(archive, Clock())
    jobs.offer(str(new), 9, 1)
    job = jobs.lease("test", 60.0)
    assert job is not None
    Shelf(archive, Clock()).moved(job, str(old), str(new), 1)

    found = checked(archive)

    assert list(found) == ["elsewhere.mp4"]
    assert (found["elsewhere.mp4"].state, found["elsewhere.mp4"].logged) == (State.UNCHANGED, True)


def test_one_recording_is_checked_by_itself(archive: Archive, tmp_path: Path) -> None:
    for name in ("one", "two"):
        taken(archive, tmp_path / f"{name}.mp4", name.encode())

    assert list(checked(archive, 1)) == ["one.mp4"]
    with read_only(archive.path) as rows, pytest.raises(NotFoundError, match="no recording 9"):
        sources(rows, 9)


def test_bytes_are_told_as_they_are_read(tmp_path: Path) -> None:
    path = tmp_path / "yard.mp4"
    path.write_bytes(bytes(3_000_000))
    read: list[int] = []

    look(Source(str(path), "", 0), read.append)

    assert len(read) == 3
    assert sum(read) == 3_000_000


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_file_without_the_right_to_read_it_is_told(tmp_path: Path) -> None:
    path = tmp_path / "yard.mp4"
    path.write_bytes(b"x")
    path.chmod(0)

    found = look(Source(str(path), "", 0))

    assert (found.state, found.reason) == (State.UNREADABLE, "Permission denied")
