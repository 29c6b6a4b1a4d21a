"""The database file opened for reading alone: nothing is created, changed or migrated.

For looks at an archive that must leave it as it is, whether or not a daemon has it open.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from edge_lvr1.errors import NotFoundError, StoreError

_BUSY_S = 30.0


class ReadOnly:
    """A database that is open for reading. Not to be shared by threads."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """All rows of a query, as dicts. Raises StoreError."""
        try:
            cursor = self._connection.execute(sql, tuple(parameters))
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor]
        except sqlite3.DatabaseError as error:
            raise StoreError(_explained(self.path, error)) from error


@contextmanager
def read_only(path: Path) -> Iterator[ReadOnly]:
    """Open a database for reading. Raises NotFoundError, or StoreError where it is none."""
    if not path.is_file():
        raise NotFoundError(f"there is no archive at {path}; name its folder with --data")
    connection = _connected(path)
    try:
        yield ReadOnly(path, connection)
    finally:
        connection.close()


def _connected(path: Path) -> sqlite3.Connection:
    """A connection; to a file that nobody writes, also where no file can be made beside it.

    SQLite wants to make the file that readers and writers of a write-ahead log share. Where
    there is no such log and the folder may not be written to (another user's, a disk that is
    write-protected), nothing can change while it is read.
    """
    address = f"file:{quote(str(path.absolute()))}?mode=ro"
    alone = not path.with_name(f"{path.name}-wal").exists()
    for more in ("", "&immutable=1") if alone else ("",):
        connection = None
        try:
            connection = sqlite3.connect(
                address + more, timeout=_BUSY_S, uri=True, isolation_level=None
            )
            connection.execute("SELECT 1 FROM sqlite_master").fetchall()
            return connection
        except sqlite3.DatabaseError as error:
            if connection is not None:
                connection.close()
            failure = error
    raise StoreError(_explained(path, failure)) from failure


def _explained(path: Path, error: sqlite3.DatabaseError) -> str:
    if "no such table" in str(error):
        return (
            f"the database {path} was not written by this version of edge-lvr1; "
            "start its daemon once, which brings it up to date"
        )
    if "unable to open" in str(error) or "readonly" in str(error):
        return f"the database {path} cannot be read; check the rights of the file and its folder"
    return f"the database {path} cannot be read: {error}"
