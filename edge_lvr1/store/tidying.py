"""Tidying the database: the index of words merged, room given back, the log emptied.

All in steps that hold the write lock for some milliseconds. A file grows by what is taken in
and shrinks here, page by page from its end (SQLite's incremental vacuum); a quarter of it may
stay free for what comes next. Archives of versions before that cannot shrink so: what they
have free is used again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from edge_lvr1.store.db import Archive

LOG_BYTES = 64_000_000
"""The log is emptied out of turn beyond this; SQLite does so by itself at 4 MB when it can."""
_PAGES_AT_ONCE = 500  # some 5 to 20 ms
_FREE_SHARE = 0.25
_MERGED_AT_ONCE = 200
_ROWS_LOOKED_AT = 400  # of each index, for the planner's statistics
_BUSY_MS = 1000  # who waits for readers to end blocks writers meanwhile


def merge_words(archive: Archive) -> Iterator[None]:
    """Merge the segments of the index of words, a little with each step."""
    while True:
        with archive.transaction() as db:
            before = db.conn.total_changes
            db.execute(
                "INSERT INTO captions_fts(captions_fts, rank) VALUES ('merge', ?)",
                [_MERGED_AT_ONCE],
            )
            done = db.conn.total_changes - before < 2  # as FTS5 tells that nothing was left
        if done:
            return
        yield


def give_back(archive: Archive) -> Iterator[int]:
    """Give free pages back to the disk until a quarter is left; how many, with each step."""
    while (free := _number(archive, "freelist_count")) > _FREE_SHARE * _number(
        archive, "page_count"
    ):
        try:
            # As a script: a statement without columns is else left after its first page.
            archive.connect().conn.executescript(f"PRAGMA incremental_vacuum({_PAGES_AT_ONCE})")
        except sqlite3.OperationalError:  # somebody writes: it can wait
            return
        given = free - _number(archive, "freelist_count")
        if given <= 0:  # of a version before incremental vacuum
            return
        yield given


def learn(archive: Archive) -> None:
    """Have the planner's statistics brought up to date where they are stale."""
    archive.rows(f"PRAGMA analysis_limit = {_ROWS_LOOKED_AT}")
    # It reads before it writes: without a write transaction from the start it would fail where
    # somebody writes in between, instead of waiting.
    with archive.transaction() as db:
        db.execute("PRAGMA optimize").fetchall()


def empty_log(archive: Archive) -> bool:
    """Write the log into the file and cut it; False where somebody reads or writes."""
    before = _number(archive, "busy_timeout", column="timeout")
    archive.rows(f"PRAGMA busy_timeout = {_BUSY_MS}")
    try:
        return archive.checkpoint()
    finally:
        archive.rows(f"PRAGMA busy_timeout = {before}")


def log_bytes(archive: Archive) -> int:
    """How long the log is."""
    try:
        return Path(f"{archive.path}-wal").stat().st_size
    except FileNotFoundError:
        return 0


def _number(archive: Archive, pragma: str, column: str = "") -> int:
    row = archive.row(f"PRAGMA {pragma}")
    return int(row[column or pragma]) if row else 0
