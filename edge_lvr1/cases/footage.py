"""Whether footage is what it was when it was taken in: every file hashed again.

Reads the database and the files, without a daemon. The database says which bytes a file had;
that it says the same as on the day it was taken in, the audit log says.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

from edge_lvr1.errors import NotFoundError
from edge_lvr1.store.audit import Filter, Rows, every, what_of
from edge_lvr1.store.audited import CONTENT_KINDS
from edge_lvr1.store.text import path_out

_BLOCK_BYTES = 1 << 20

OnBytes = Callable[[int], None]


class State(str, Enum):
    """What became of a file."""

    UNCHANGED = "unchanged"
    CHANGED = "changed"
    GONE = "gone"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Source:
    """A file, and the SHA-256 that it had when it was taken in."""

    path: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Found:
    """A file as it is now.

    `sha256` is what it has now ("" where it was not read); `logged` says whether the audit log
    agrees with the database on what it had: None where the log does not know the file, as of
    before there was one.
    """

    source: Source
    state: State
    sha256: str = ""
    reason: str = ""
    logged: bool | None = None

    @property
    def sound(self) -> bool:
        """Whether nothing speaks against it."""
        return self.state is not State.CHANGED and self.logged is not False


def sources(rows: Rows, recording: int | None = None) -> list[Source]:
    """The files of the archive, or of one recording. Raises NotFoundError."""
    if recording is None:
        found = rows.rows(
            "SELECT path, sha256, size_bytes FROM files UNION "
            "SELECT path, sha256, size_bytes FROM parts ORDER BY path"
        )
    else:
        found = rows.rows(
            "SELECT path, sha256, size_bytes FROM parts WHERE recording = ? ORDER BY ordinal",
            [recording],
        )
        if not found:
            raise NotFoundError(f"there is no recording {recording}; see: edge-lvr1 recordings")
    return [Source(path_out(row["path"]), row["sha256"], row["size_bytes"]) for row in found]


def check_footage(
    rows: Rows, files: Iterable[Source], on_bytes: OnBytes = lambda count: None
) -> Iterator[Found]:
    """Hash files again, in order. `on_bytes` is told how many bytes more were read."""
    logged = _logged(rows)
    for source in files:
        said = logged.get(source.path)
        agrees = None if said is None else said == source.sha256
        yield look(source, on_bytes, agrees)


def look(
    source: Source, on_bytes: OnBytes = lambda count: None, logged: bool | None = None
) -> Found:
    """A file as it is now."""
    try:
        now = _sha256(source.path, on_bytes)
    except (FileNotFoundError, NotADirectoryError):
        return Found(source, State.GONE, logged=logged)
    except OSError as error:
        reason = error.strerror or str(error)
        return Found(source, State.UNREADABLE, reason=reason, logged=logged)
    state = State.UNCHANGED if now == source.sha256 else State.CHANGED
    return Found(source, state, now, logged=logged)


def _sha256(path: str, on_bytes: OnBytes) -> str:
    digest = hashlib.sha256()
    # Not blocking: where a pipe stands in a file's place, opening it would wait for ever.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:  # noqa: PTH123 (a descriptor)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(0, "it is no regular file any more")
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
            on_bytes(len(block))
    return digest.hexdigest()


def _logged(rows: Rows) -> dict[str, str]:
    """What the audit log said last of the bytes at each path."""
    found: dict[str, str] = {}
    for entry in every(rows, Filter("file")):
        if entry.kind in CONTENT_KINDS:
            what = what_of(entry)
            if what.get("sha256"):
                found[what["path"]] = what["sha256"]
    return found
