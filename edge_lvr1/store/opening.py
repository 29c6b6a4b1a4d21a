"""What is looked at before a database is opened, and what is kept before it is changed.

Knows files and SQLite, and no table. Nothing here ever removes or moves what somebody may
still need: a file that cannot be used stays where it is, and the error says what to do.
"""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from edge_lvr1.errors import StoreDamaged, StoreError, StoreFull

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_PAGES_AT_ONCE = 4096
_SPARE_BYTES = 16 << 20  # for the change itself, beside the copy
_LOOK_UP_STEPS = 100_000  # of SQLite's machine, between two questions whether to go on
RESTORE = "bring back a copy with: edge-lvr1 restore"


def check_place(path: Path) -> None:
    """Raise StoreError where something other than a database of ours stands at the path."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        _check_nothing_left(path)
        return
    except OSError:
        return  # what is wrong with the folder is told when it is opened
    if stat.S_ISLNK(mode):
        raise StoreError(
            f"the database {path} is a link: two daemons could reach one file by two names; "
            f"give the folder that it leads to as --data"
        )
    if stat.S_ISDIR(mode):
        raise StoreError(f"the database {path} is a folder; choose another --data folder")
    if not stat.S_ISREG(mode):
        raise StoreError(f"the database {path} is not a file; choose another --data folder")
    if path.stat().st_size == 0:
        _check_nothing_left(path)


def _check_nothing_left(path: Path) -> None:
    """SQLite would delete, as left over, the log of a database that is not there."""
    log = Path(f"{path}-wal")
    with suppress(OSError):
        if log.stat().st_size:
            raise StoreError(
                f"{log} is there and its database {path.name} is not: put that back beside it, "
                f"move the log away, or {RESTORE}"
            )


def keep_copy(path: Path, name: str, connect: Callable[[], sqlite3.Connection]) -> Path:
    """Copy a database to a file beside it, whole or not at all; where the copy is.

    `name` is that of the change which is about to be made. Raises StoreFull, StoreError.
    """
    copy = path.with_name(f"{path.name}.before-{name}")
    part = copy.with_name(f"{copy.name}.part")
    needed, free = _size(path) + _SPARE_BYTES, shutil.disk_usage(path.parent).free
    if free < needed:
        raise StoreFull(
            f"{path} has to be changed for this version, and a copy of it is kept before that: "
            f"free {(needed - free) / 1e6:.0f} MB more on its disk"
        )
    try:
        # A connection of its own: SQLite copies nothing through one that holds a transaction.
        with closing(connect()) as source, closing(sqlite3.connect(part)) as target:
            source.backup(target, pages=_PAGES_AT_ONCE)
        _sync(part)
        part.replace(copy)
        _sync(copy.parent)
    except (sqlite3.Error, OSError) as error:
        with suppress(OSError):
            part.unlink()
        raise StoreError(
            f"no copy of {path} could be made before changing it for this version: {error}"
        ) from error
    return copy


class InUse:
    """The mark beside a database that is in use: one found at a start tells of a bad end.

    Its text is the damage that was found, where some was.
    """

    def __init__(self, path: Path) -> None:
        self._mark = path.with_name(f"{path.name}.in-use")

    def found(self) -> bool:
        """Whether the last use did not end well."""
        return self._mark.exists()

    def damage(self) -> str:
        """What was found to be damaged; "" where nothing was."""
        with suppress(OSError):
            return self._mark.read_text("utf-8", "replace").strip()
        return ""

    def begin(self) -> None:
        """Leave the mark. Raises StoreError where the folder takes none."""
        try:
            self._mark.touch()
        except OSError as error:
            kind = StoreFull if error.errno in FULL else StoreError
            raise kind(f"{self._mark} cannot be written: {error.strerror}") from error

    def note(self, damage: str) -> None:
        """Have the next start look through the file, since this is wrong with it."""
        with suppress(OSError):  # a disk that takes no note is looked through all the same
            self._mark.write_text(damage, "utf-8")

    def end(self) -> None:
        """Take the mark away, unless damage is noted."""
        if not self.damage():
            with suppress(OSError):
                self._mark.unlink()


def damage_of(path: Path, stopped: Callable[[], bool] = lambda: False) -> str:
    """What SQLite finds wrong with the pages of a file; "" where all is well, or when stopped.

    Reads all of it: about two seconds for each GB of a warm file.
    """
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
        database.set_progress_handler(stopped, _LOOK_UP_STEPS)
        try:
            found = database.execute("PRAGMA quick_check(1)").fetchone()[0]
        except sqlite3.OperationalError as error:
            if stopped():
                return ""
            return str(error)
        except sqlite3.DatabaseError as error:
            return str(error)
    return "" if found == "ok" else " ".join(str(found).split())


def damaged(path: Path, damage: str) -> StoreDamaged:
    """The error that tells of damage, and what to do about it."""
    return StoreDamaged(
        f"the database {path} is damaged ({damage}); it is left as it is: {RESTORE}"
    )


def read_only(folder: Path) -> bool:
    """Whether a folder's disk takes no writes, by a file without a name that leaves nothing.

    What a mount says of itself is not enough: one that ext4 has locked after an error goes on
    saying rw.
    """
    try:
        os.close(os.open(folder, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    except OSError as error:
        return error.errno == errno.EROFS
    return False


def _size(path: Path) -> int:
    total = 0
    for file in (path, Path(f"{path}-wal")):
        with suppress(OSError):
            total += file.stat().st_size
    return total


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
