"""Backups: the database and its files of vectors, as they were at one moment, in a folder.

A backup is taken while the daemon works. One read transaction holds the moment; SQLite's
backup API copies its pages in small steps (without the transaction each write of somebody else
would make it begin again), and writers go on in the log. The files of vectors that the
database names never change, so they get a second name where the disk allows. All is written
beside, synced, checked and renamed: a folder that is called backup-… is whole.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from edge_lvr1.errors import StoreError, StoreFull
from edge_lvr1.store.audit import FIRST, Head
from edge_lvr1.store.files import digest_of, link_or_copy, remove_tree, sync

logger = logging.getLogger(__name__)

DATABASE, VECTORS, MANIFEST = "archive.db", "vectors", "backup.json"
_NAME = re.compile(r"backup-\d{8}T\d{6}Z(-\d+)?")
_PART, _OLD = ".part", ".old"
_PAGES_AT_ONCE = 1000  # 4 MB
_PAUSE_S = 0.005  # between steps, for whoever else wants the disk
_SPARE_BYTES = 16 << 20
_TRIES = 5
_CHECK_STEPS = 100_000  # of SQLite's machine, between two looks whether to stop


class BackupStopped(Exception):  # noqa: N818 (not an error: the daemon stops)
    """A backup was given up because the daemon stops; nothing is left of it."""


@dataclass(frozen=True, slots=True)
class Backup:
    """A whole backup. `audit` is the last entry of the audit log in it; `made_s` epoch seconds."""

    path: Path
    made_s: float
    size_bytes: int
    audit: Head


@dataclass(frozen=True, slots=True)
class _Moment:
    """What belongs to one state of the database."""

    vectors: tuple[str, ...]
    audit: Head


class Backups:
    """Makes backups of the archive in a data folder; `clock` gives epoch seconds."""

    def __init__(
        self, data: Path, version: str, clock: Callable[[], float], reserve_mb: int = 0
    ) -> None:
        self._data = data
        self._version = version
        self._clock = clock
        self._reserve_bytes = reserve_mb * 1_000_000

    def make(self, into: Path, stopped: Callable[[], bool] = lambda: False) -> Backup:
        """Make a backup in a folder, whole or not at all; others in it are left alone.

        Raises StoreFull where there is no room, StoreError where it cannot be written or is
        not sound, BackupStopped.
        """
        try:
            into.mkdir(mode=0o700, parents=True, exist_ok=True)
            _clear(into)
            self._check_room(into)
            made_s = self._clock()
            name = _free_name(into, made_s)
            part = into / f".{name}{_PART}"
            part.mkdir(mode=0o700)
            try:
                return self._write(part, into / name, made_s, stopped)
            except BaseException:
                remove_tree(part)
                raise
        except OSError as error:
            raise StoreError(f"no backup can be written into {into}: {error.strerror}") from error
        except sqlite3.Error as error:
            kind = StoreFull if "full" in str(error) else StoreError
            raise kind(f"no backup could be made in {into}: {error}") from error

    def _write(self, part: Path, path: Path, made_s: float, stopped: Callable[[], bool]) -> Backup:
        moment = self._copy(part, stopped)
        database = part / DATABASE
        sync(database)
        _check(database, stopped)
        told = {
            "made_at": datetime.fromtimestamp(made_s, timezone.utc).isoformat(),
            "made_s": made_s,
            "version": self._version,
            "audit": {"number": moment.audit.number, "hash": moment.audit.hash},
            "sha256": digest_of(database),
        }
        manifest = part / MANIFEST
        manifest.write_text(json.dumps(told, indent=2) + "\n", "utf-8")
        for one in (manifest, part / VECTORS, part):
            sync(one)
        part.rename(path)
        sync(path.parent)
        return Backup(path, made_s, _size(path), moment.audit)

    def _copy(self, part: Path, stopped: Callable[[], bool]) -> _Moment:
        for tries_left in reversed(range(_TRIES)):
            with (
                closing(sqlite3.connect(self._data / DATABASE, isolation_level=None)) as source,
                closing(sqlite3.connect(part / DATABASE)) as target,
            ):
                source.execute("BEGIN")
                moment = _moment(source)
                missing = _link(self._data / VECTORS, moment.vectors, part / VECTORS)
                if missing and tries_left:  # sealed anew since, and swept: take a later moment
                    remove_tree(part / VECTORS)
                    continue
                if missing:
                    logger.warning("%d files of vectors are lost; they are made again", missing)
                source.backup(target, pages=_PAGES_AT_ONCE, progress=_pausing(stopped))
                break
        return moment

    def _check_room(self, into: Path) -> None:
        """Linked files take no room, but whether they can be linked is not known before."""
        needed = sum(_bytes(Path(f"{self._data / DATABASE}{end}")) for end in ("", "-wal"))
        if (self._data).stat().st_dev != into.stat().st_dev:
            needed += sum(_bytes(file) for file in (self._data / VECTORS).glob("*.npy"))
        needed += _SPARE_BYTES + self._reserve_bytes
        free = shutil.disk_usage(into).free
        if free < needed:
            raise StoreFull(
                f"there is no room for a backup in {into}: it needs {needed / 1e6:.0f} MB and "
                f"{free / 1e6:.0f} MB are free; free some, or name another disk (keep.backup_dir)"
            )


def listed(folder: Path) -> list[Backup]:
    """The whole backups in a folder, the oldest first; none where there is no such folder."""
    found = []
    for path in folder.iterdir() if folder.is_dir() else ():
        if _NAME.fullmatch(path.name) and (backup := _read(path)) is not None:
            found.append(backup)
    return sorted(found, key=lambda one: (one.made_s, one.path.name))


def rotate(folder: Path, keep: int) -> list[str]:
    """Remove the oldest backups of a folder beyond `keep`; their names."""
    removed = []
    for backup in listed(folder)[:-keep]:
        old = folder / f".{backup.path.name}{_OLD}"
        # Renamed first, so that one which is half removed is not taken for whole.
        backup.path.rename(old)
        remove_tree(old)
        removed.append(backup.path.name)
    return removed


def _read(path: Path) -> Backup | None:
    try:
        told = json.loads((path / MANIFEST).read_text("utf-8"))
        audit = Head(int(told["audit"]["number"]), str(told["audit"]["hash"]))
        return Backup(path, float(told["made_s"]), _size(path), audit)
    except (OSError, ValueError, KeyError, TypeError) as error:
        logger.warning("%s is not a backup that can be read: %s", path, error)
        return None


def _clear(folder: Path) -> None:
    """Remove what earlier backups left behind that were cut off, and old ones half removed."""
    for path in folder.glob(".backup-*"):
        name = path.name.removeprefix(".").removesuffix(_PART).removesuffix(_OLD)
        if path.name.endswith((_PART, _OLD)) and _NAME.fullmatch(name):
            remove_tree(path)


def _free_name(folder: Path, made_s: float) -> str:
    stem = datetime.fromtimestamp(made_s, timezone.utc).strftime("backup-%Y%m%dT%H%M%SZ")
    name, number = stem, 1
    while (folder / name).exists():
        number += 1
        name = f"{stem}-{number}"
    return name


def _moment(source: sqlite3.Connection) -> _Moment:
    names = source.execute("SELECT file FROM vector_blocks ORDER BY file").fetchall()
    last = source.execute("SELECT number, hash FROM audit ORDER BY number DESC LIMIT 1").fetchone()
    return _Moment(tuple(row[0] for row in names), Head(*last) if last else Head(0, FIRST))


def _link(source: Path, names: tuple[str, ...], target: Path) -> int:
    """Put the files of vectors of these names into a new folder; how many are not there."""
    target.mkdir(mode=0o700)
    missing = 0
    for name in names:
        for kind in (".vectors.npy", ".signs.npy"):
            try:
                link_or_copy(source / f"{name}{kind}", target / f"{name}{kind}")
            except FileNotFoundError:
                missing += 1
    return missing


def _pausing(stopped: Callable[[], bool]) -> Callable[[int, int, int], None]:
    def progress(status: int, left: int, total: int) -> None:
        if stopped():
            raise BackupStopped
        if left:
            time.sleep(_PAUSE_S)

    return progress


def _check(database: Path, stopped: Callable[[], bool]) -> None:
    """Raise StoreError where a copy is not sound; it is not changed by that."""
    address = f"{database.absolute().as_uri()}?mode=ro&immutable=1"
    with closing(sqlite3.connect(address, uri=True)) as copied:
        copied.set_progress_handler(stopped, _CHECK_STEPS)
        try:
            found = copied.execute("PRAGMA quick_check(1)").fetchone()[0]
        except sqlite3.OperationalError:
            if stopped():
                raise BackupStopped from None
            raise
    if found != "ok":
        raise StoreError(f"the backup is not sound ({found}): the database may be damaged")


def _size(folder: Path) -> int:
    return sum(_bytes(Path(top) / name) for top, _, names in os.walk(folder) for name in names)


def _bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
