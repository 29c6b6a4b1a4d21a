from __future__ import annotations

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlite_utils import Database

from edge_lvr1.errors import StoreError
from edge_lvr1.store.db import Archive
from edge_lvr1.store.schema import migrations


def test_constructor_creates_no_file(tmp_path: Path) -> None:
    Archive(tmp_path / "data" / "archive.db")

    assert list(tmp_path.iterdir()) == []


def test_file_is_created_with_its_folder_and_durable_settings(tmp_path: Path) -> None:
    with Archive(tmp_path / "new" / "folder" / "archive.db").open() as archive:
        assert archive.row("PRAGMA journal_mode") == {"journal_mode": "wal"}
        assert archive.row("PRAGMA synchronous") == {"synchronous": 1}
        assert archive.row("PRAGMA foreign_keys") == {"foreign_keys": 1}
        assert archive.row("PRAGMA busy_timeout") == {"timeout": 30000}


def test_only_durable_transactions_wait_for_the_disk(tmp_path: Path) -> None:
    with Archive(tmp_path / "archive.db").open() as archive:
        with archive.transaction(durable=True):
            durable = archive.row("PRAGMA synchronous")
        with archive.transaction():
            other = archive.row("PRAGMA synchronous")

    assert (durable, other) == ({"synchronous": 2}, {"synchronous": 1})


def test_opening_again_applies_nothing_twice(tmp_path: Path) -> None:
    path = tmp_path / "archive.db"
    with Archive(path).open() as archive:
        first = archive.rows("SELECT name, applied_at FROM _sqlite_migrations")

    with Archive(path).open() as archive:
        assert archive.rows("SELECT name, applied_at FROM _sqlite_migrations") == first
    assert [row["name"] for row in first][:2] == ["m001_recordings_and_trees", "m002_queues"]


def test_database_of_the_first_migration_is_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "archive.db"
    old = Database(path)
    migrations.apply(old, stop_before="m002_queues")
    old.close()

    with Archive(path).open() as archive:
        assert archive.rows("SELECT * FROM questions") == []


def test_newer_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "archive.db"
    with Archive(path).open() as archive, archive.transaction() as db:
        db.execute(
            "INSERT INTO _sqlite_migrations(migration_set, name, applied_at) "
            "VALUES ('edge_lvr1', 'm999_later', '2030')"
        )

    with pytest.raises(StoreError, match=r"newer edge-lvr1 .*m999_later"):
        Archive(path).connect()


def test_database_of_another_program_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "archive.db"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE bookmarks(url TEXT)")
    other.commit()
    other.close()

    with pytest.raises(StoreError, match="another program"):
        Archive(path).connect()

    other = sqlite3.connect(path)
    assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("bookmarks",)]
    other.close()


def test_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "archive.db"
    path.write_bytes(b"this is a holiday video, or so its name says" * 100)

    with pytest.raises(StoreError, match="not a database"):
        Archive(path).connect()


def test_folder_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is a folder"):
        Archive(tmp_path).connect()


def test_unusable_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(StoreError, match="choose another with --data"):
        Archive(tmp_path / "file" / "archive.db").connect()


def test_damaged_table_is_said_plainly(tmp_path: Path) -> None:
    path = tmp_path / "archive.db"
    with Archive(path).open():
        pass
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    path.write_bytes(content)

    with pytest.raises(StoreError, match="damaged"), Archive(path).open() as archive:
        archive.rows("SELECT * FROM recordings")


def test_write_that_is_locked_out_is_said_plainly(tmp_path: Path) -> None:
    with Archive(tmp_path / "archive.db", busy_timeout_s=0.01).open() as archive:
        other = sqlite3.connect(archive.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")

        with pytest.raises(StoreError, match="held by another program"), archive.transaction():
            pass
        other.close()


def test_transaction_is_rolled_back_whatever_is_raised(archive: Archive) -> None:
    class Stop(BaseException):
        pass

    def write() -> None:
        with archive.transaction() as db:
            db.execute(
                "INSERT INTO jobs(path, size_bytes, mtime_ns, offered_s) VALUES ('a', 1, 2, 3)"
            )
            raise Stop

    with pytest.raises(Stop):
        write()

    assert archive.rows("SELECT * FROM jobs") == []
    assert not archive.connect().conn.in_transaction


def test_each_thread_has_its_own_connection(archive: Archive) -> None:
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(archive.connect).result()

        assert other is not archive.connect()
        assert pool.submit(archive.connect).result() is other


def test_connection_of_an_ended_thread_is_closed(archive: Archive) -> None:
    found: list[Database] = []
    thread = threading.Thread(target=lambda: found.append(archive.connect()))
    thread.start()
    thread.join()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(archive.connect).result()

    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        found[0].execute("SELECT 1")


def test_two_that_open_a_new_file_at_once_both_get_it(tmp_path: Path) -> None:
    archives = [Archive(tmp_path / "archive.db") for _ in range(4)]

    with ThreadPoolExecutor(4) as pool:
        for opened in [pool.submit(archive.connect) for archive in archives]:
            opened.result()

    applied = [row["name"] for row in archives[0].rows("SELECT name FROM _sqlite_migrations")]
    assert applied
    assert len(applied) == len(set(applied))
    for archive in archives:
        archive.close()


def test_number_past_64_bits_is_in_no_row(archive: Archive) -> None:
    assert archive.row("SELECT * FROM recordings WHERE id = ?", [10**30]) is None
