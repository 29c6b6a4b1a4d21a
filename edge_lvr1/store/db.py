"""The one SQLite file: opening it, migrating it, a connection for each thread.

What every other module of the store goes through. It knows no table's meaning; the tables
themselves are in `schema`.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlite_utils import Database

from edge_lvr1.errors import StoreDamaged, StoreError, StoreFull
from edge_lvr1.store.opening import RESTORE, check_place, keep_copy, read_only
from edge_lvr1.store.schema import migrations

logger = logging.getLogger(__name__)

_CACHE_KIB = 512
"""Pages that each of some two dozen connections keeps. The kernel keeps them too: with SQLite's
own 2 MiB nothing was faster, and a daemon grew by 2 MiB a thread as its archive did."""
_LOG_BYTES = 32 << 20  # what is left of the write-ahead log once it was written back


class Archive:
    """A database file and its connections, one for each thread that asks."""

    def __init__(self, path: Path, busy_timeout_s: float = 30.0) -> None:
        self.path = path
        self._busy_timeout_s = busy_timeout_s
        self._lock = threading.Lock()
        self._connections: dict[threading.Thread, Database] = {}
        self._migrated = False

    @contextmanager
    def open(self) -> Iterator[Archive]:
        """Create or migrate the file, and close every connection at the end.

        Raises StoreError where it cannot be opened, is no database of this program, or was
        written by a newer one.
        """
        try:
            self.connect()
            yield self
        finally:
            self.close()

    def connect(self) -> Database:
        """This thread's connection, opened (and the file migrated) when first asked for."""
        thread = threading.current_thread()
        with self._lock:
            database = self._connections.get(thread)
            if database is not None:
                return database
            self._close_where_thread_ended()
        # Not under the lock: a file that another program holds would keep all threads waiting.
        database = self._connect()
        with self._lock:
            self._connections[thread] = database
        return database

    def close(self) -> None:
        """Close the connections of all threads; no thread may be using one."""
        with self._lock:
            for database in self._connections.values():
                database.close()
            self._connections.clear()
            self._migrated = False

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """All rows of a query, as dicts."""
        database = self.connect()
        try:
            return list(database.query(sql, tuple(parameters)))
        except OverflowError:
            return []  # a number past 64 bits, as a client may send, is in no row
        except sqlite3.DatabaseError as error:
            raise self._explained(error) from error

    def row(self, sql: str, parameters: Sequence[Any] = ()) -> dict[str, Any] | None:
        """The first row of a query; None where there is none."""
        return next(iter(self.rows(sql, parameters)), None)

    @contextmanager
    def reading(self) -> Iterator[Database]:
        """Several queries that see the same state of the file; inside a transaction, its own."""
        database = self.connect()
        if database.conn.in_transaction:
            yield database
            return
        try:
            database.conn.execute("BEGIN")
            try:
                yield database
            finally:
                database.rollback()
        except sqlite3.DatabaseError as error:
            raise self._explained(error) from error

    @contextmanager
    def transaction(self, *, durable: bool = False) -> Iterator[Database]:
        """A write transaction, begun immediately so that what is read in it stays true.

        Commits at the end, rolls back on any exception. Not to be nested. With `durable` it is
        on the disk when this returns, with all commits before it: for what somebody is told
        has been accepted. Any other outlives a kill, and may be undone by a power cut.
        """
        try:
            database = self._begun(durable)
            try:
                yield database
                database.conn.execute("COMMIT")
            except BaseException:
                database.rollback()
                raise
        except sqlite3.IntegrityError:
            raise
        except sqlite3.DatabaseError as error:
            raise self._explained(error) from error

    def _begun(self, durable: bool) -> Database:
        database = self.connect()
        try:
            _begin(database, durable)
        except sqlite3.OperationalError as error:
            if "readonly" not in str(error):
                raise
            # Opened while the disk could only be read, it stays so when the disk does not.
            self.begin_anew()
            database = self.connect()
            _begin(database, durable)
        return database

    def begin_anew(self) -> None:
        """This thread's next use opens a connection anew; not within a transaction."""
        with self._lock:
            database = self._connections.pop(threading.current_thread(), None)
            if database is not None:
                database.close()

    def checkpoint(self) -> bool:
        """Write the log back into the file and give its space to the disk; False where somebody
        is reading or writing. Raises StoreError."""
        row = self.row("PRAGMA wal_checkpoint(TRUNCATE)")
        return bool(row and not row["busy"])

    def _explained(self, error: sqlite3.DatabaseError) -> StoreError:
        """The error in words; this thread begins with a new connection where that may help."""
        text = str(error)
        if any(words in text for words in _REOPENED):
            with self._lock:
                held = self._connections.get(threading.current_thread())
                if held is not None and not held.conn.in_transaction:
                    self._connections.pop(threading.current_thread()).close()
        return _explained(error, self.path)

    def _connect(self) -> Database:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if not self._migrated:
                check_place(self.path)
            new = not (self.path.exists() and self.path.stat().st_size)
            # isolation_level=None: transactions begin only where this module says BEGIN.
            # check_same_thread=False: `close` runs in one thread for all.
            connection = sqlite3.connect(
                # A file that vanished meanwhile is not begun anew, empty.
                f"{self.path.absolute().as_uri()}?mode=rw" if self._migrated else self.path,
                uri=self._migrated,
                timeout=self._busy_timeout_s,
                isolation_level=None,
                check_same_thread=False,
            )
        except OSError as error:
            raise StoreError(
                f"the folder of the database {self.path} cannot be used: {error.strerror}; "
                "choose another with --data"
            ) from error
        except sqlite3.DatabaseError as error:
            raise _explained(error, self.path) from error
        try:
            if new:
                # Counts before anything is in the file. Costs 0.1 % of the room; asked of a
                # file that is there, it wants to write.
                connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
            database = Database(connection, execute_plugins=False)
            self._migrate(database)
        except BaseException as error:
            connection.close()
            if isinstance(error, sqlite3.DatabaseError):
                raise _explained(error, self.path) from error
            raise
        return database

    def _migrate(self, database: Database) -> None:
        if self._migrated:
            return
        # One transaction over all of it, so that of two programs that open a new file at the
        # same moment one waits for the other.
        database.conn.execute("BEGIN IMMEDIATE")
        try:
            self._check_is_ours(database)
            pending = [migration.name for migration in migrations.pending(database)]
            if pending and migrations.applied(database):
                copy = keep_copy(self.path, pending[0], self._read_only)
                logger.info("database %s: kept as it was as %s", self.path, copy.name)
            migrations.apply(database)
            database.conn.execute("COMMIT")
        except BaseException:
            database.rollback()
            raise
        self._migrated = True
        if pending:
            logger.info("database %s: changes applied: %s", self.path, ", ".join(pending))

    def _read_only(self) -> sqlite3.Connection:
        return sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=ro", uri=True)

    def _check_is_ours(self, database: Database) -> None:
        applied = [migration.name for migration in migrations.applied(database)]
        if not applied and database.table_names():
            raise StoreError(
                f"{self.path} is the database of another program; choose another --data folder"
            )
        newer = [name for name in applied if name not in _known_migrations()]
        if newer:
            raise StoreError(
                f"{self.path} was written by a newer edge-lvr1 (it has the change "
                f"{newer[-1]!r}); install that version or choose another --data folder"
            )

    def _close_where_thread_ended(self) -> None:
        for thread in [t for t in self._connections if not t.is_alive()]:
            with suppress(sqlite3.Error):
                self._connections.pop(thread).close()


def _begin(database: Database, durable: bool) -> None:
    # In WAL mode NORMAL syncs at checkpoints alone, FULL at each commit.
    database.conn.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
    database.conn.execute("BEGIN IMMEDIATE")


def _known_migrations() -> set[str]:
    memory = Database(memory=True, execute_plugins=False)
    try:
        return {migration.name for migration in migrations.pending(memory)}
    finally:
        memory.close()


# After these the file may be another, or the file system writable again, for whoever opens anew.
_REOPENED = ("readonly", "disk I/O error", "unable to open")


def _explained(error: sqlite3.DatabaseError, path: Path) -> StoreError:
    text = str(error)
    if "not a database" in text or "malformed" in text:
        return StoreDamaged(
            f"the database {path} is not a database or is damaged ({text}); it is left as it is: "
            f"{RESTORE}, or choose another --data folder"
        )
    if "disk is full" in text:
        return StoreFull(
            f"the database {path} cannot grow: the disk is full; free some space on it"
        )
    if "unable to open" in text or "readonly" in text:
        said = "cannot be opened for writing; check the rights of the file and its folder, and "
        said += "whether its disk is mounted for reading only"
    elif "disk I/O error" in text and read_only(path.parent):
        said = "cannot be written: its disk can only be read now; see the kernel's log, and mount "
        said += "it for writing"
    elif "locked" in text:
        said = "is held by another program; stop it and try again"
    elif "disk I/O error" in text:
        said = "cannot be read or written: its disk fails, is full or is gone; see the kernel's log"
    else:
        said = f"could not be used: {text}"
    return StoreError(f"the database {path} {said}")
