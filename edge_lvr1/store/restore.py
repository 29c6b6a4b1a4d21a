"""Bringing a backup back: checked first, put in place in one step, what was there kept aside.

To be called while no daemon has the data folder. A kill at any moment leaves the database
that was there or the one of the backup: the copy is complete and synced before it takes the
other's name, and the other has no log any more by then. What was there is a second name of
its file, in a folder that can be restored from like a backup.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from sqlite_utils import Database

from edge_lvr1.access import Who
from edge_lvr1.errors import NotFoundError, StoreError
from edge_lvr1.store.audit import Entry, Head, add_entry, entries, head
from edge_lvr1.store.audit_check import check
from edge_lvr1.store.backup import DATABASE, MANIFEST, VECTORS
from edge_lvr1.store.files import copy, digest_of, give_to, link_or_copy, remove_tree, sync
from edge_lvr1.store.read_only import ReadOnly
from edge_lvr1.store.schema import migrations

RESTORED = "backup.restored"
_PART = f".{DATABASE}.restoring"
_LOG = f".{DATABASE}-wal.kept"
_ASIDE = ".replaced"  # while the swap is under way; then replaced-<time>
_PAGE = 1000
_BUSY_S = 1.0


@dataclass(frozen=True, slots=True)
class Restored:
    """What became of a restore. `aside` holds what was there before; None where nothing was.

    `entries` counts those of the audit log in the backup; `newer` the entries that the
    replaced archive has beyond it, by kind, None where that cannot be told: `why`.
    """

    entries: int
    aside: Path | None
    newer: dict[str, int] | None
    why: str = ""


@dataclass(frozen=True, slots=True)
class _Source:
    """What is restored from: a database, and vectors where there are some."""

    database: Path
    vectors: Path | None
    sha256: str | None


def restore(backup: Path, data: Path, who: Who, clock: Callable[[], float]) -> Restored:
    """Put a backup (its folder, or a database file) in place of a data folder's archive.

    Raises NotFoundError where there is none, StoreError where it is damaged, newer than this
    program, or its audit log does not hold; then all is as it was.
    """
    source = _source(backup)
    at = _examined(source.database)
    try:
        data.mkdir(parents=True, exist_ok=True)
        _tidy(data)
        part = data / _PART
        try:
            _copied(source, part)
            _sign(part, backup, who, clock())
            _keep_log(data)
            newer, why = _newer(data / DATABASE, at)
            _bring_vectors(source, data)
            return _swap(data, part, at, newer, why, clock())
        finally:
            part.unlink(missing_ok=True)
            (data / _LOG).unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(
            f"the backup could not be put into {data}: {error.strerror}; the archive is as it was"
        ) from error
    except sqlite3.Error as error:
        raise StoreError(f"the backup {backup} cannot be restored: {error}") from error


def _source(backup: Path) -> _Source:
    if backup.is_file():
        return _Source(backup, None, None)
    database = backup / DATABASE
    if not database.is_file():
        raise NotFoundError(f"there is no backup at {backup}: it would hold {DATABASE}")
    sha256 = None
    with suppress(FileNotFoundError):
        try:
            sha256 = str(json.loads((backup / MANIFEST).read_text("utf-8"))["sha256"])
        except (ValueError, KeyError, TypeError):
            raise StoreError(f"{backup / MANIFEST} is damaged; take another backup") from None
    vectors = backup / VECTORS
    return _Source(database, vectors if vectors.is_dir() else None, sha256)


def _examined(database: Path) -> Head:
    """The last audit entry of a database in which all is well. Raises StoreError."""
    log = Path(f"{database}-wal")
    if log.exists() and log.stat().st_size:
        raise StoreError(f"{database} has a log beside it that was never merged: it is no backup")
    address = f"{database.absolute().as_uri()}?mode=ro&immutable=1"
    try:
        with closing(sqlite3.connect(address, uri=True, isolation_level=None)) as opened:
            _check_sound(database, opened)
            if not opened.execute("SELECT 1 FROM sqlite_master WHERE name = 'audit'").fetchone():
                return Head(0, "")  # of a version that had none
            checked = check(ReadOnly(database, opened))
    except sqlite3.DatabaseError as error:
        raise StoreError(f"{database} is damaged: {error}; take another backup") from error
    if checked.broken is not None:
        raise StoreError(
            f"the audit log in {database} does not hold: {checked.broken.reason}; "
            "take another backup"
        )
    return checked.head


def _check_sound(database: Path, opened: sqlite3.Connection) -> None:
    found = opened.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if found != "ok":
        raise StoreError(f"{database} is damaged: {found}; take another backup")
    if opened.execute("PRAGMA foreign_key_check").fetchone():
        raise StoreError(f"{database} is damaged: rows lack what they are of; take another backup")
    applied = [one.name for one in migrations.applied(Database(opened, execute_plugins=False))]
    with closing(sqlite3.connect(":memory:")) as memory:
        known = {one.name for one in migrations.pending(Database(memory, execute_plugins=False))}
    if not applied:
        raise StoreError(f"{database} is the database of another program")
    if newer := [name for name in applied if name not in known]:
        raise StoreError(
            f"{database} was written by a newer edge-lvr1 (it has the change {newer[-1]!r}); "
            "install that version"
        )


def _copied(source: _Source, part: Path) -> None:
    digest = copy(source.database, part)
    if source.sha256 is not None and digest != source.sha256:
        raise StoreError(f"{source.database} is not what the backup wrote; take another backup")
    part.chmod(0o600)


def _sign(part: Path, backup: Path, who: Who, now_s: float) -> None:
    """Note in the copy's audit log that it was brought back."""
    with closing(sqlite3.connect(part, isolation_level=None)) as opened:
        if opened.execute("SELECT 1 FROM sqlite_master WHERE name = 'audit'").fetchone():
            opened.execute("BEGIN IMMEDIATE")
            add_entry(
                Database(opened, execute_plugins=False), now_s, RESTORED, who, {"from": str(backup)}
            )
            opened.execute("COMMIT")
        _merge_log(opened, part)
    sync(part)


def _merge_log(opened: sqlite3.Connection, path: Path) -> None:
    busy = opened.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    if busy:
        raise StoreError(f"another program has {path} open; stop it and try again")


def _keep_log(data: Path) -> None:
    """Copy the log of the archive in place: SQLite drops that of a file which it cannot read."""
    log = data / f"{DATABASE}-wal"
    if log.exists() and log.stat().st_size:
        copy(log, data / _LOG)


def _newer(present: Path, at: Head) -> tuple[dict[str, int] | None, str]:
    """What the archive in place has in its audit log after an entry; its log is merged.

    None, and why, where that cannot be told.
    """
    if not present.exists():
        return {}, ""
    try:
        with closing(sqlite3.connect(present, isolation_level=None, timeout=_BUSY_S)) as opened:
            _merge_log(opened, present)
            (present.parent / _LOG).unlink(missing_ok=True)
            log = ReadOnly(present, opened)
            same = at.number == 0 or [
                entry.hash for entry in entries(log, at.number - 1, 1) if entry.number == at.number
            ] == [at.hash]
            if not same:
                last = head(log).number
                return None, f"its audit log ({last} entries) is not that of the backup gone on"
            return dict(Counter(entry.kind for entry in _after(log, at.number))), ""
    except (sqlite3.DatabaseError, StoreError) as error:
        if "open; stop it" in str(error):
            raise
        return None, f"it cannot be read: {error}"


def _after(log: ReadOnly, number: int) -> list[Entry]:
    found: list[Entry] = []
    while page := entries(log, found[-1].number if found else number, _PAGE):
        found += page
    return found


def _bring_vectors(source: _Source, data: Path) -> None:
    """Files of vectors have names that are used once: those that are there are the same."""
    if source.vectors is None:
        return
    target = data / VECTORS
    like = data.stat()
    target.mkdir(exist_ok=True)
    give_to(target, like)
    for file in source.vectors.glob("*.npy"):
        if not (target / file.name).exists():
            part = target / f"{file.name}.part"
            part.unlink(missing_ok=True)
            link_or_copy(file, part)
            give_to(part, like)
            part.rename(target / file.name)
    sync(target)


def _swap(
    data: Path,
    part: Path,
    at: Head,
    newer: dict[str, int] | None,
    why: str,
    now_s: float,
) -> Restored:
    present = data / DATABASE
    there = present.exists()
    like = present.stat() if there else data.stat()
    give_to(part, like)
    if there:
        part.chmod(like.st_mode & 0o777)
        _put_aside(data)
    # A log of the old database would be played into the new one. It is empty but where the old
    # one is damaged, and then it is kept aside with it.
    for end in ("-wal", "-shm"):
        Path(f"{present}{end}").unlink(missing_ok=True)
    sync(data)
    part.rename(present)
    sync(data)
    Path(f"{present}.in-use").unlink(missing_ok=True)  # what it notes is of the old one
    aside = _name_aside(data, now_s) if there else None
    return Restored(at.number, aside, newer, why)


def _put_aside(data: Path) -> None:
    """Give the archive in place, and its vectors, second names."""
    aside = data / _ASIDE
    aside.mkdir(mode=0o700)
    link_or_copy(data / DATABASE, aside / DATABASE)
    if (data / _LOG).exists():  # it was not merged
        link_or_copy(data / _LOG, aside / f"{DATABASE}-wal")
    (aside / VECTORS).mkdir(mode=0o700)
    for folder in (aside, aside / VECTORS):
        give_to(folder, data.stat())
    for file in (data / VECTORS).glob("*.npy"):
        link_or_copy(file, aside / VECTORS / file.name)
    for folder in (aside / VECTORS, aside, data):
        sync(folder)


def _name_aside(data: Path, now_s: float) -> Path:
    stem = datetime.fromtimestamp(now_s, timezone.utc).strftime("replaced-%Y%m%dT%H%M%SZ")
    name, number = data / stem, 1
    while name.exists():
        number += 1
        name = data / f"{stem}-{number}"
    (data / _ASIDE).rename(name)
    sync(data)
    return name


def _tidy(data: Path) -> None:
    """What a restore left that was killed: its copy, and what it had put aside."""
    for left in (_LOG, *(f"{_PART}{end}" for end in ("", "-wal", "-shm", "-journal"))):
        (data / left).unlink(missing_ok=True)
    aside, present = data / _ASIDE, data / DATABASE
    if not aside.exists():
        return
    kept = aside / DATABASE
    if not kept.exists() or (present.exists() and _same(kept, present)):
        remove_tree(aside)  # before the swap: the archive itself is in place
    else:
        _name_aside(data, kept.stat().st_mtime)


def _same(one: Path, other: Path) -> bool:
    """Whether two names are of one file, or of a file and its copy."""
    if one.samefile(other):
        return True
    alike = one.stat().st_nlink == 1 and one.stat().st_size == other.stat().st_size
    return alike and digest_of(one) == digest_of(other)
