"""Points at which a process kills itself, with SIGKILL, as a test chooses them.

Nothing of the program knows of this. What happens is counted from outside of it:

- `commit`: a transaction of SQLite, counted where the statement COMMIT is executed;
- `write`: a write of SQLite to one of its files, through the system calls that its VFS lets
  tests put others in place of (sqlite3_vfs.xSetSystemCall);
- `name`: a file or folder that is renamed, removed or made, told by Python's audit events;
- `sync`: a file or folder that is brought to the disk by os.fsync.

A point is one of these by number, and whether it has happened: `commit:7:before`,
`write:31:half` (of a write, the first half is in the file).
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import signal
import sqlite3
import sys
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

KINDS = ("commit", "write", "name", "sync")
SIDES = {
    "commit": ("before", "after"),
    "write": ("before", "half", "after"),
    "name": ("before", "after"),
    "sync": ("before", "after"),
}
_NAMED = frozenset({"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link"})


@dataclass(frozen=True)
class Point:
    """The nth thing of a kind, counted from 1, and the side of it."""

    kind: str
    number: int
    side: str

    @classmethod
    def parse(cls, text: str) -> Point:
        kind, number, side = text.split(":")
        assert side in SIDES[kind], text
        return cls(kind, int(number), side)

    def __str__(self) -> str:
        return f"{self.kind}:{self.number}:{self.side}"


FRAMES_AT, SALT_AT = 16, 32  # in the index of SQLite's log, which is the file -shm


@dataclass(frozen=True)
class Synced:
    """How many frames of a log a durable transaction has waited for; the salt names the log."""

    frames: int
    salt: bytes

    @classmethod
    def read(cls, path: Path) -> Synced | None:
        """What was written down last; None where nothing was."""
        told = path.read_bytes() if path.is_file() else b""
        return cls(int.from_bytes(told[:4], sys.byteorder), told[4:]) if told else None


class Points:
    """Counts what happens in this process, and ends it at a point."""

    def __init__(self, dies_at: Point | None, synced: Path | None = None) -> None:
        self.counts: Counter[str] = Counter()
        self._dies_at = dies_at
        self._lock = threading.Lock()
        self._kept: list[Any] = []
        self._armed: int | None = None
        self._synced = synced

    def install(self) -> None:
        """Begin to count; for the rest of the process."""
        self._count_commits()
        self._count_syncs()
        sys.addaudithook(self._audit)
        if not self.count_writes():
            self.counts["write"] = 0

    def tell(self, path: Path) -> None:
        """Write down what was counted."""
        path.write_text(json.dumps({kind: self.counts[kind] for kind in KINDS}))

    def reached(self, kind: str) -> str | None:
        """Count one; the side on which to die of it, if this is the one."""
        with self._lock:
            self.counts[kind] += 1
            point = self._dies_at
            if point and point.kind == kind and point.number == self.counts[kind]:
                return point.side
        return None

    def around(self, kind: str, happen: Callable[[], Any]) -> Any:
        side = self.reached(kind)
        if side == "before":
            die()
        result = happen()
        if side is not None:
            die()
        return result

    def _count_commits(self) -> None:
        points = self

        class Counting(sqlite3.Connection):
            durable = False

            def execute(self, sql: str, *given: Any) -> sqlite3.Cursor:
                run = super().execute
                if sql.startswith("PRAGMA synchronous"):
                    self.durable = "FULL" in sql
                if sql != "COMMIT":
                    return run(sql, *given)

                def commit() -> sqlite3.Cursor:
                    done = run(sql, *given)
                    if self.durable:
                        points.write_synced(self)
                    return done

                found: sqlite3.Cursor = points.around("commit", commit)
                return found

        connect = sqlite3.connect

        def counted(*given: Any, **named: Any) -> sqlite3.Connection:
            return connect(*given, **{"factory": Counting, **named})

        sqlite3.connect = counted

    def write_synced(self, connection: sqlite3.Connection) -> None:
        """Write down how much of the log is on the disk by now."""
        if self._synced is not None:
            database = connection.execute("PRAGMA database_list").fetchone()[2]
            index = Path(f"{database}-shm").read_bytes()
            told = index[FRAMES_AT : FRAMES_AT + 4] + index[SALT_AT : SALT_AT + 8]
            with self._synced.open("r+b" if self._synced.exists() else "wb") as file:
                file.write(told)

    def _count_syncs(self) -> None:
        sync = os.fsync
        os.fsync = lambda descriptor: self.around("sync", lambda: sync(descriptor))

    def _audit(self, event: str, given: tuple[Any, ...]) -> None:
        # The event comes before the deed. What follows it in this thread comes after.
        if self._armed == threading.get_ident():
            self._armed = None  # os.kill is an event too
            die()
        if event in _NAMED:
            side = self.reached("name")
            if side == "before":
                die()
            if side == "after":
                self._armed = threading.get_ident()

    def count_writes(self) -> bool:
        """Put a counted write into SQLite's VFS; False where its library does not allow it."""
        return put_write(self, self._kept)


def put_write(points: Points, kept: list[Any]) -> bool:
    """Replace the VFS's writes by counted ones; `kept` holds what must not be let go."""
    libc = ctypes.CDLL(None, use_errno=True)
    real = libc.pwrite64
    real.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int64)
    real.restype = ctypes.c_ssize_t
    write_type = ctypes.CFUNCTYPE(
        ctypes.c_ssize_t,
        ctypes.c_int,
        ctypes.c_void_p,
        ctypes.c_size_t,
        ctypes.c_int64,
        use_errno=True,
    )

    def write(descriptor: int, data: int, size: int, at: int) -> int:
        side = points.reached("write")
        if side == "before":
            die()
        if side == "half":
            real(descriptor, data, size // 2, at)
            die()
        written: int = real(descriptor, data, size, at)
        if written < 0:
            ctypes.set_errno(ctypes.get_errno() or errno.EIO)
        if side == "after":
            die()
        return written

    ours = write_type(write)
    kept.append(ours)
    return set_system_call(b"pwrite64", ours) and set_system_call(b"pwrite", ours)


class _Vfs(ctypes.Structure):
    """The fields of sqlite3_vfs up to xSetSystemCall (sqlite3.h, version 3)."""

    _fields_ = [
        ("iVersion", ctypes.c_int),
        ("szOsFile", ctypes.c_int),
        ("mxPathname", ctypes.c_int),
        ("pNext", ctypes.c_void_p),
        ("zName", ctypes.c_char_p),
        ("pAppData", ctypes.c_void_p),
        *((name, ctypes.c_void_p) for name in (
            "xOpen", "xDelete", "xAccess", "xFullPathname", "xDlOpen", "xDlError", "xDlSym",
            "xDlClose", "xRandomness", "xSleep", "xCurrentTime", "xGetLastError",
            "xCurrentTimeInt64",
        )),
        (
            "xSetSystemCall",
            ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p),
        ),
    ]  # fmt: skip


def set_system_call(name: bytes, function: Any) -> bool:
    """Have SQLite's VFS call `function` for a system call; False where that cannot be done."""
    vfs = default_vfs()
    if vfs is None or vfs.contents.iVersion < 3 or not vfs.contents.xSetSystemCall:
        return False
    done: int = vfs.contents.xSetSystemCall(vfs, name, ctypes.cast(function, ctypes.c_void_p))
    return done == 0


def default_vfs() -> Any:
    """The default VFS of the SQLite that Python uses; None where its library hides it."""
    import _sqlite3

    try:
        find = ctypes.CDLL(_sqlite3.__file__).sqlite3_vfs_find
    except (AttributeError, OSError):
        return None
    find.argtypes = (ctypes.c_char_p,)
    find.restype = ctypes.POINTER(_Vfs)
    return find(None)


def die() -> None:
    """End this process, now."""
    os.kill(os.getpid(), signal.SIGKILL)
    signal.pause()  # the signal may take its time in a process of many threads
