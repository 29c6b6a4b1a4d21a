from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import threading
import warnings
from collections import namedtuple
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from edge_lvr1.access import DAEMON, Who
from edge_lvr1.errors import NotFoundError, StoreError, StoreFull
from edge_lvr1.store import backup as backup_module
from edge_lvr1.store import files
from edge_lvr1.store.audit import AuditLog
from edge_lvr1.store.audit_check import check
from edge_lvr1.store.backup import Backups, BackupStopped, listed, rotate
from edge_lvr1.store.db import Archive
from edge_lvr1.store.restore import restore
from edge_lvr1.store.trees import Trees
from edge_lvr1.store.vectors import Vectors
from tests.store.footage import Clock, add, caption

Disk = namedtuple("Disk", "total used free")
ANNA = Who("command", 0, name="anna")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def archive(data: Path) -> Iterator[Archive]:
    with Archive(data / "archive.db").open() as opened:
        yield opened


@pytest.fixture
def backups(data: Path, clock: Clock) -> Backups:
    return Backups(data, "1.0", clock)


def fill(archive: Archive, data: Path, sha256: str = "aa") -> Vectors:
    """A recording with captions and sealed vectors, and an audit entry."""
    trees = Trees(archive)
    recording = add(trees, sha256)
    for node in trees.plan(recording.id).nodes:
        trees.put_caption(recording.id, caption(node))
    vectors = Vectors(archive, data / "vectors")
    vectors.serve("tiny", 64)
    waiting = vectors.wanted(100)
    vectors.put(waiting, np.ones((len(waiting), 64), np.float32))
    vectors.seal(0)
    vectors.sweep()
    AuditLog(archive, Clock()).add("file.taken", DAEMON, path=sha256)
    return vectors


def recordings(data: Path) -> list[str]:
    with Archive(data / "archive.db").open() as opened:
        assert opened.rows("PRAGMA integrity_check") == [{"integrity_check": "ok"}]
        return [one.parts[0].sha256 for one in Trees(opened).recordings()]


def test_a_backup_restores_to_what_was_there(
    archive: Archive, data: Path, backups: Backups, tmp_path: Path
) -> None:
    fill(archive, data)
    made = backups.make(tmp_path / "backups")
    other = tmp_path / "other"

    restored = restore(made.path, other, ANNA, Clock())

    assert recordings(other) == ["aa"]
    assert (restored.entries, restored.aside, restored.newer) == (1, None, {})
    with Archive(other / "archive.db").open() as opened:
        vectors = Vectors(opened, other / "vectors")
        vectors.serve("tiny", 64)
        assert (vectors.coverage().made, vectors.coverage().wanted) == (14, 0)
        assert check(opened).broken is None
        kinds = [row["kind"] for row in opened.rows("SELECT kind FROM audit ORDER BY number")]
        assert kinds == ["file.taken", "backup.restored"]


def test_writers_go_on_while_a_backup_is_made_of_one_moment(
    archive: Archive, data: Path, backups: Backups, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(archive, data)
    monkeypatch.setattr(backup_module, "_PAGES_AT_ONCE", 5)
    steps: list[int] = []

    def stopped() -> bool:
        steps.append(1)
        # At each step somebody writes, from another connection.
        with archive.transaction() as db:
            db.execute("UPDATE recordings SET remark = ?", [f"later {len(steps)}"])
        return False

    made = backups.make(tmp_path / "backups", stopped)

    assert len(steps) > 10
    with sqlite3.connect(made.path / "archive.db") as copied:
        assert copied.execute("SELECT remark FROM recordings").fetchone() == ("",)
    copied.close()


def test_a_block_that_is_sealed_anew_while_a_backup_begins_is_in_it_whole(
    archive: Archive, data: Path, backups: Backups, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = fill(archive, data)
    taken: list[None] = []
    moment = backup_module._moment

    def sealed_meanwhile(source: sqlite3.Connection) -> object:
        found = moment(source)
        if not taken:
            taken.append(None)
            vectors.seal(0)
            vectors.sweep()
        return found

    monkeypatch.setattr(backup_module, "_moment", sealed_meanwhile)

    made = backups.make(tmp_path / "backups")

    (named,) = archive.rows("SELECT file FROM vector_blocks")
    found = {file.name for file in (made.path / "vectors").iterdir()}
    assert found == {f"{named['file']}.vectors.npy", f"{named['file']}.signs.npy"}


def test_a_backup_is_made_though_vectors_are_lost(
    archive: Archive, data: Path, backups: Backups, tmp_path: Path
) -> None:
    fill(archive, data)
    shutil.rmtree(data / "vectors")

    assert list((backups.make(tmp_path / "backups").path / "vectors").iterdir()) == []


def test_the_newest_backups_stay(
    archive: Archive, backups: Backups, clock: Clock, tmp_path: Path
) -> None:
    folder = tmp_path / "backups"
    (folder / "not ours").mkdir(parents=True)
    (folder / "backup-20010101T000000Z").mkdir()  # of another program
    for _ in range(4):
        backups.make(folder)
        clock.now_s += 3600

    removed = rotate(folder, 2)

    assert removed == ["backup-19700101T001640Z", "backup-19700101T011640Z"]
    assert [one.path.name for one in listed(folder)] == [
        "backup-19700101T021640Z",
        "backup-19700101T031640Z",
    ]
    assert (folder / "not ours").exists()
    assert (folder / "backup-20010101T000000Z").exists()


def test_two_backups_of_one_second_are_two(
    archive: Archive, backups: Backups, tmp_path: Path
) -> None:
    names = {backups.make(tmp_path / "backups").path.name for _ in range(3)}

    assert len(names) == len(listed(tmp_path / "backups")) == 3


def test_only_the_daemons_user_reads_a_backup(
    archive: Archive, backups: Backups, tmp_path: Path
) -> None:
    made = backups.make(tmp_path / "backups")

    assert made.path.stat().st_mode & 0o077 == 0


def test_what_a_killed_backup_left_is_cleared_and_never_listed(
    archive: Archive, backups: Backups, tmp_path: Path
) -> None:
    folder = tmp_path / "backups"
    made = backups.make(folder)
    made.path.rename(folder / f".{made.path.name}.part")
    left = listed(folder)

    backups.make(folder)

    assert left == []
    assert [path.name for path in folder.iterdir()] == [made.path.name]


def test_a_disk_that_is_too_full_is_told_and_old_backups_stay(
    archive: Archive, backups: Backups, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "backups"
    made = backups.make(folder)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Disk(10**9, 10**9, 10**6))

    with pytest.raises(StoreFull, match="1 MB are free"):
        backups.make(folder)

    assert [one.path for one in listed(folder)] == [made.path]


def test_a_copy_that_is_not_sound_is_no_backup(
    archive: Archive, data: Path, backups: Backups, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(archive, data)
    sync = files.sync

    def rotten(path: Path) -> None:
        sync(path)
        if path.name == "archive.db":
            with path.open("r+b") as file:
                for page in range(2, 30):
                    file.seek(page * 4096)
                    file.write(b"\xff" * 1000)

    monkeypatch.setattr(backup_module, "sync", rotten)

    with pytest.raises(StoreError):
        backups.make(tmp_path / "backups")
    assert list((tmp_path / "backups").iterdir()) == []


def test_a_daemon_that_stops_gives_a_backup_up(
    archive: Archive, data: Path, backups: Backups, tmp_path: Path
) -> None:
    fill(archive, data)

    with pytest.raises(BackupStopped):
        backups.make(tmp_path / "backups", lambda: True)
    assert list((tmp_path / "backups").iterdir()) == []


def test_a_folder_that_cannot_be_written_is_told(
    archive: Archive, backups: Backups, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(StoreError, match="no backup can be written into"):
        backups.make(tmp_path / "file" / "backups")


def test_a_restore_keeps_what_was_there_and_tells_what_was_newer(
    archive: Archive, data: Path, backups: Backups, tmp_path: Path
) -> None:
    fill(archive, data)
    made = backups.make(tmp_path / "backups")
    fill(archive, data, "bb")
    archive.close()

    restored = restore(made.path, data, ANNA, Clock())

    assert restored.newer == {"file.taken": 1}
    assert recordings(data) == ["aa"]
    assert restored.aside is not None
    back = restore(restored.aside, data, ANNA, Clock())
    assert sorted(recordings(data)) == ["aa", "bb"]
    assert back.newer is None  # backup.restored stands where the other has its entry
    assert "gone on" in back.why


def test_what_is_damaged_can_be_replaced_and_is_kept(
    archive: Archive, data: Path, backups: Backups, tmp_path: Path
) -> None:
    fill(archive, data)
    made = backups.make(tmp_path / "backups")
    archive.close()
    (data / "archive.db").write_bytes(b"no database" * 1000)
    (data / "archive.db-wal").write_bytes(b"and its log")
    (data / "archive.db.in-use").write_text("page 3 is lost")

    restored = restore(made.path, data, ANNA, Clock())

    assert restored.newer is None
    assert "cannot be read" in restored.why
    assert restored.aside is not None
    assert (restored.aside / "archive.db").read_bytes().startswith(b"no database")
    assert (restored.aside / "archive.db-wal").read_bytes() == b"and its log"
    assert not (data / "archive.db.in-use").exists()
    assert recordings(data) == ["aa"]


def _spoil(change: Callable[[sqlite3.Connection], object]) -> Callable[[Path], None]:
    def spoil(made: Path) -> None:
        opened = sqlite3.connect(made / "archive.db", isolation_level=None)
        change(opened)
        opened.close()
        (made / "backup.json").unlink()

    return spoil


def _cut(made: Path) -> None:
    os.truncate(made / "archive.db", 50_000)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (_cut, "damaged"),
        (_spoil(lambda db: db.execute("UPDATE recordings SET remark = 'x'")), ""),
        (lambda made: (made / "backup.json").write_text("{"), "backup.json is damaged"),
        (lambda made: (made / "backup.json").write_text('{"sha256": "0"}'), "not what the backup"),
        (
            _spoil(lambda db: db.execute("DELETE FROM recordings")),
            "rows lack what they are of",
        ),
        (
            _spoil(
                lambda db: (
                    db.execute("DROP TRIGGER audit_is_not_changed"),
                    db.execute("UPDATE audit SET what = '{}'"),
                )
            ),
            "audit log in .* does not hold",
        ),
        (
            _spoil(
                lambda db: db.execute(
                    "INSERT INTO _sqlite_migrations(migration_set, name, applied_at) "
                    "VALUES ('edge_lvr1', 'm999_later', '2030')"
                )
            ),
            "newer edge-lvr1",
        ),
        (
            lambda made: (made / "archive.db-wal").write_bytes(b"log"),
            "never merged",
        ),
    ],
)
def test_a_backup_that_is_not_right_is_refused_and_nothing_changes(
    archive: Archive,
    data: Path,
    backups: Backups,
    tmp_path: Path,
    spoil: Callable[[Path], object],
    told: str,
) -> None:
    fill(archive, data)
    made = backups.make(tmp_path / "backups")
    archive.close()
    before = sorted(path.name for path in data.iterdir())
    spoil(made.path)

    if not told:  # a change that is sound is only found by the manifest, which is gone
        restore(made.path, data, ANNA, Clock())
        return
    with pytest.raises(StoreError, match=told):
        restore(made.path, data, ANNA, Clock())
    assert sorted(path.name for path in data.iterdir()) == before
    assert recordings(data) == ["aa"]


def test_what_is_no_backup_is_told(tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    sqlite3.connect(other, isolation_level=None).execute("CREATE TABLE t(a)").connection.close()

    with pytest.raises(NotFoundError, match="there is no backup at"):
        restore(tmp_path / "nothing", tmp_path / "data", ANNA, Clock())
    with pytest.raises(StoreError, match="another program"):
        restore(other, tmp_path / "data", ANNA, Clock())


def test_an_archive_that_is_open_is_not_replaced(
    archive: Archive, data: Path, backups: Backups, tmp_path: Path
) -> None:
    fill(archive, data)
    made = backups.make(tmp_path / "backups")
    reading = sqlite3.connect(data / "archive.db", isolation_level=None, timeout=0)
    reading.execute("BEGIN")
    reading.execute("SELECT * FROM recordings").fetchall()
    AuditLog(archive, Clock()).add("file.taken", DAEMON)

    try:
        with pytest.raises(StoreError, match="open"):
            restore(made.path, data, ANNA, Clock())
    finally:
        reading.close()


def test_a_restore_killed_at_any_moment_leaves_the_old_or_the_new(
    archive: Archive, data: Path, backups: Backups, tmp_path: Path
) -> None:
    fill(archive, data, "new")
    made = backups.make(tmp_path / "backups")
    fill(archive, data, "old")
    archive.close()
    seen = []
    for point in range(1, 200):
        place = tmp_path / f"at {point}"
        shutil.copytree(data, place)
        killed = _killed_at(point, lambda place=place: restore(made.path, place, ANNA, Clock()))
        found = sorted(recordings(place))
        assert found in (["new"], ["new", "old"])
        seen.append(found)
        # Another restore goes well, whatever the first has left.
        restore(made.path, place, ANNA, Clock())
        assert recordings(place) == ["new"]
        kept = [path for path in place.iterdir() if path.name.startswith((".", "replaced"))]
        assert all(path.name.startswith("replaced") for path in kept)
        shutil.rmtree(place)
        if not killed:
            break

    assert seen[0] == ["new", "old"]
    assert seen[-1] == ["new"]
    assert len(seen) > 15
    assert seen == sorted(seen, reverse=True)  # once new, it stays new


_CALLS = {"fsync", "link", "rename", "unlink", "mkdir", "chmod", "chown"}


def _killed_at(point: int, work: Callable[[], object]) -> bool:
    """Do work in a child that dies before its call number `point` that changes files."""
    with warnings.catch_warnings():
        # Python 3.12 warns where the test runner has threads; the child uses none of them.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if not child:
        calls = iter(range(1, 10_000))

        def dying(name: str) -> Callable[..., object]:
            called = getattr(os, name)

            def instead(*args: object, **kwargs: object) -> object:
                if next(calls) == point:
                    os.kill(os.getpid(), signal.SIGKILL)
                return called(*args, **kwargs)

            return instead

        for name in _CALLS:
            setattr(os, name, dying(name))
        work()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0


def test_backups_do_not_block_each_other_or_readers(
    archive: Archive, data: Path, backups: Backups, tmp_path: Path
) -> None:
    fill(archive, data)
    made: list[Path] = []
    threads = [
        threading.Thread(target=lambda n=n: made.append(backups.make(tmp_path / f"{n}").path))
        for n in range(2)
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert all(json.loads((path / "backup.json").read_text())["sha256"] for path in made)
    assert len(made) == 2
