"""A database that is old, damaged, locked, full, turned read-only, or is none of ours."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from sqlite_utils import Database

from edge_lvr1.errors import StoreDamaged, StoreError, StoreFull
from edge_lvr1.store import opening
from edge_lvr1.store.db import Archive
from edge_lvr1.store.ingest import IngestQueue
from edge_lvr1.store.opening import InUse, damage_of
from edge_lvr1.store.schema import migrations
from tests.small_disk import fill, free_bytes, remount, small_disk

OFFER = "INSERT INTO jobs(path, size_bytes, mtime_ns, offered_s) VALUES (?, 1, 2, 3)"


def older(path: Path) -> None:
    """A database as the version before the audit log left it."""
    database = Database(path)
    migrations.apply(database, stop_before="m005_trust")
    database.execute(OFFER, ["/drop/a.mp4"])
    database.conn.commit()
    database.close()


def names(path: Path) -> list[str]:
    with sqlite3.connect(path) as connection:
        found = connection.execute("SELECT name FROM _sqlite_migrations ORDER BY name").fetchall()
    connection.close()
    return [name for (name,) in found]


def test_older_database_is_kept_beside_before_it_is_changed(tmp_path: Path) -> None:
    path = tmp_path / "archive.db"
    older(path)
    before = names(path)

    with Archive(path).open() as archive:
        assert archive.rows("SELECT * FROM audit") == []

    copy = tmp_path / "archive.db.before-m005_trust"
    assert names(copy) == before
    assert "m005_trust" in names(path)
    assert damage_of(copy) == ""
    with Archive(copy).open() as kept:  # it is a database that can be used
        assert [job.path for job in IngestQueue(kept, lambda: 1.0).jobs()] == ["/drop/a.mp4"]
    assert not list(tmp_path.glob("*.part"))


def test_new_database_and_one_of_this_version_leave_no_copy(tmp_path: Path) -> None:
    for _ in range(2):
        with Archive(tmp_path / "archive.db").open():
            pass

    assert [file.name for file in tmp_path.iterdir()] == ["archive.db"]


def test_older_database_that_cannot_be_copied_is_not_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "archive.db"
    older(path)
    before = names(path)
    monkeypatch.setattr(opening, "_SPARE_BYTES", 1 << 60)

    with pytest.raises(StoreFull, match=r"copy of it is kept before that: free \d+ MB more"):
        Archive(path).connect()

    assert names(path) == before


def test_copy_that_breaks_off_leaves_neither_a_copy_nor_a_change(tmp_path: Path) -> None:
    path = tmp_path / "archive.db"
    older(path)
    before = names(path)
    (tmp_path / "archive.db.before-m005_trust").mkdir()

    with pytest.raises(StoreError, match="no copy of"):
        Archive(path).connect()

    assert names(path) == before
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_database_of_another_user_is_refused_and_left_alone() -> None:
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)  # where others get to, unlike pytest's own folders
        path = Path(folder) / "archive.db"
        with Archive(path).open():
            pass
        before = path.read_bytes()
        os.seteuid(65534)
        try:
            with pytest.raises(StoreError, match="cannot be opened for writing; check the rights"):
                Archive(path).connect()
        finally:
            os.seteuid(0)

        assert path.read_bytes() == before


def test_log_without_its_database_is_not_deleted(tmp_path: Path) -> None:
    path = tmp_path / "archive.db"
    log = tmp_path / "archive.db-wal"
    log.write_bytes(b"what was committed last")

    with pytest.raises(StoreError, match=r"archive\.db is not: put that back"):
        Archive(path).connect()

    assert log.read_bytes() == b"what was committed last"


def test_database_behind_a_link_is_refused(tmp_path: Path) -> None:
    with Archive(tmp_path / "real.db").open():
        pass
    (tmp_path / "archive.db").symlink_to("real.db")

    with pytest.raises(StoreError, match=r"archive\.db is a link"):
        Archive(tmp_path / "archive.db").connect()


def test_database_that_vanishes_is_not_begun_anew_empty(tmp_path: Path) -> None:
    path = tmp_path / "archive.db"
    with Archive(path).open() as archive:
        archive.connect().close()
        archive._connections.clear()
        path.rename(tmp_path / "elsewhere.db")

        with pytest.raises(StoreError, match="cannot be opened"):
            archive.rows("SELECT * FROM jobs")

        assert not path.exists()
        (tmp_path / "elsewhere.db").rename(path)
        assert archive.rows("SELECT * FROM jobs") == []


def test_read_that_is_damaged_within_a_view_is_said_plainly(tmp_path: Path) -> None:
    path = tmp_path / "archive.db"
    with Archive(path).open():
        pass
    spoil(path)

    with (
        pytest.raises(StoreDamaged, match="left as it is: bring back a copy"),
        Archive(path).open() as archive,
        archive.reading() as db,
    ):
        db.execute("SELECT * FROM recordings").fetchall()


def spoil(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    path.write_bytes(content)


def test_damage_is_found_and_the_file_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "archive.db"
    with Archive(path).open():
        pass
    well = damage_of(path)
    spoil(path)
    spoilt = path.read_bytes()

    assert well == ""
    assert damage_of(path) != ""
    assert path.read_bytes() == spoilt


def test_search_for_damage_can_be_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "_LOOK_UP_STEPS", 1)
    path = tmp_path / "archive.db"
    with Archive(path).open():
        pass
    spoil(path)

    assert damage_of(path, lambda: True) == ""


def test_mark_tells_a_bad_end_from_a_good_one_and_keeps_what_was_found(tmp_path: Path) -> None:
    path = tmp_path / "archive.db"
    first, again, after = InUse(path), InUse(path), InUse(path)
    assert not first.found()
    first.begin()

    assert (again.found(), again.damage()) == (True, "")
    again.begin()
    again.note("page 7 is lost")
    again.end()
    assert (after.found(), after.damage()) == (True, "page 7 is lost")
    after.note("")
    after.end()
    assert not after.found()


def test_full_disk_is_said_plainly_and_space_brings_writes_back(tmp_path: Path) -> None:
    with (
        small_disk(tmp_path / "disk", 2048) as disk,
        Archive(disk / "archive.db").open() as archive,
    ):
        ballast = fill(disk)

        def write_on() -> None:
            for number in range(200):
                with archive.transaction() as db:
                    db.execute(OFFER, [f"/drop/{number}/{'x' * 4000}"])

        with pytest.raises(StoreFull, match="cannot grow: the disk is full"):
            write_on()
        stored = archive.rows("SELECT count(*) AS n FROM jobs")[0]["n"]
        ballast.unlink()
        with archive.transaction() as db:
            db.execute(OFFER, ["/drop/after"])

        assert archive.rows("SELECT count(*) AS n FROM jobs")[0]["n"] == stored + 1
        assert archive.rows("PRAGMA integrity_check") == [{"integrity_check": "ok"}]


def test_full_disk_refuses_no_reading_by_new_threads(tmp_path: Path) -> None:
    with (
        small_disk(tmp_path / "disk", 2048) as disk,
        Archive(disk / "archive.db").open() as archive,
    ):
        fill(disk)
        archive._connections.popitem()[1].close()  # as a thread of its own would open it anew

        assert archive.rows("SELECT * FROM jobs") == []


def test_log_gives_its_space_back(tmp_path: Path) -> None:
    with (
        small_disk(tmp_path / "disk", 16384) as disk,
        Archive(disk / "archive.db").open() as archive,
    ):
        with archive.transaction() as db:
            for number in range(500):
                db.execute(OFFER, [f"/drop/{number}/{'x' * 4000}"])
        with archive.transaction() as db:
            db.execute("DELETE FROM jobs")
        before = free_bytes(disk)

        done = archive.checkpoint()

        assert done
        assert (disk / "archive.db-wal").stat().st_size == 0
        assert free_bytes(disk) > before


def test_disk_that_turns_read_only_is_said_plainly_and_may_come_back(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 8192) as disk:
        with Archive(disk / "archive.db").open() as archive, archive.transaction() as db:
            db.execute(OFFER, ["/drop/a.mp4"])
        archive = Archive(disk / "archive.db")
        with archive.open():
            archive.close()
            remount(disk, "ro")
            with pytest.raises(StoreError, match="cannot be opened for writing"):
                archive.connect()
            remount(disk, "rw")
            with archive.transaction() as db:
                db.execute(OFFER, ["/drop/b.mp4"])
            assert len(archive.rows("SELECT * FROM jobs")) == 2


def test_writer_of_another_program_is_waited_for_no_longer_than_said(tmp_path: Path) -> None:
    with Archive(tmp_path / "archive.db", busy_timeout_s=0.05).open() as archive:
        other = sqlite3.connect(archive.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")

        with pytest.raises(StoreError, match="held by another program"), archive.transaction():
            pass
        read = archive.rows("SELECT * FROM jobs")
        other.execute("ROLLBACK")
        other.close()

        assert read == []
        with archive.transaction() as db:
            db.execute(OFFER, ["/drop/a.mp4"])
