"""A data folder that can only be read for as long as a file is there, seen from one process.

The kernel locks a mounted disk itself only after an error, and then for good. So a process is
given what such a disk answers, from outside of the program: SQLite's writes, through the
system calls that its VFS lets tests replace, fail with EROFS, and so does whatever Python
opens for writing, makes, renames or removes there, through its audit events.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from pathlib import Path
from typing import Any

from tests.reliability.points import set_system_call

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_CHANGES = frozenset({"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link"})
_SIZED = (ctypes.c_size_t, ctypes.c_int64)
_kept: list[Any] = []


def install(folder: Path, switch: Path) -> None:
    """Lock a folder whenever there is a file `switch`; for the rest of the process."""

    def audit(event: str, given: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = given
            writes = isinstance(flags, int) and flags & WRITES
        else:
            path, writes = given[0] if event in _CHANGES else None, event in _CHANGES
        if writes and isinstance(path, (str, Path)) and _inside(folder, path) and switch.exists():
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    sys.addaudithook(audit)
    assert _lock_sqlite(switch), "the library of SQLite hides its VFS"


def _inside(folder: Path, path: str | Path) -> bool:
    return Path(path) == folder or folder in Path(path).parents


def _lock_sqlite(switch: Path) -> bool:
    libc = ctypes.CDLL(None, use_errno=True)
    number, text, data = ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p
    # Each with its result, the values it takes, and which of them may say that it only reads.
    calls: list[tuple[bytes, str, Any, tuple[Any, ...]]] = [
        (b"pwrite", "pwrite64", ctypes.c_ssize_t, (number, data, *_SIZED)),
        (b"pwrite64", "pwrite64", ctypes.c_ssize_t, (number, data, *_SIZED)),
        (b"write", "write", ctypes.c_ssize_t, (number, data, ctypes.c_size_t)),
        (b"ftruncate", "ftruncate64", number, (number, ctypes.c_int64)),
        (b"unlink", "unlink", number, (text,)),
        (b"open", "open64", number, (text, number, number)),
    ]
    done = [_replaced(libc, switch, *one) for one in calls]
    return all(done)


def _replaced(
    libc: ctypes.CDLL, switch: Path, call: bytes, name: str, result: Any, takes: tuple[Any, ...]
) -> bool:
    real = getattr(libc, name)
    real.restype, real.argtypes = result, takes

    def instead(*given: Any) -> int:
        if (call != b"open" or given[1] & WRITES) and os.access(switch, os.F_OK):
            ctypes.set_errno(errno.EROFS)
            return -1
        done: int = real(*given)
        return done

    function = ctypes.CFUNCTYPE(result, *takes, use_errno=True)(instead)
    _kept.append(function)
    return set_system_call(call, function)
