"""The audit log: what came, what was asked and answered, by whom. Append-only, hash-chained.

Each entry's hash is the SHA-256 of the hash before it and of the entry's own fields as
canonical JSON, its number among them, so that an entry that is changed, taken out, put in
between or put elsewhere breaks the chain there. Whether a chain holds is `audit_check`'s.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from typing import Any, NamedTuple, Protocol

from sqlite_utils import Database

from edge_lvr1.access import Who
from edge_lvr1.store.db import Archive
from edge_lvr1.store.text import to_json

FIRST = "0" * 64
"""What the hash of the first entry stands on."""
_PAGE = 1000


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened: `at` is ISO 8601 in UTC, `who` and `what` JSON as stored."""

    number: int
    at: str
    kind: str
    who: str
    what: str
    hash: str


class Head(NamedTuple):
    """The last entry's number and hash; 0 and FIRST where there is none."""

    number: int
    hash: str

    def __str__(self) -> str:
        return f"{self.number}:{self.hash}"


class Rows(Protocol):
    """What the log is read from: an `Archive`, or one that is opened for reading alone."""

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """All rows of a query, as dicts."""
        ...


@dataclass(frozen=True, slots=True)
class Filter:
    """Which entries: of a kind ("question.asked") or a family ("question"), from a time on."""

    kind: str = ""
    since: datetime | None = None  # aware

    def sql(self) -> tuple[str, list[Any]]:
        """The condition on rows of the log, with its values."""
        where, values = ["1"], list[Any]()
        if self.kind:
            # A dot sorts right before the slash: all kinds that begin with the family's name.
            where.append("(kind = ? OR (kind > ? AND kind < ?))")
            values += [self.kind, f"{self.kind}.", f"{self.kind}/"]
        if self.since is not None:
            where.append("at >= ?")
            values.append(_told_at(self.since))
        return " AND ".join(where), values


class AuditLog:
    """The audit log of an archive; `clock` gives epoch seconds."""

    def __init__(self, archive: Archive, clock: Callable[[], float]) -> None:
        self._archive = archive
        self._clock = clock

    def add(self, kind: str, who: Who, **what: object) -> None:
        """Append an entry in a transaction of its own. `what` is JSON-able."""
        with self._archive.transaction() as db:
            self.add_in(db, kind, who, **what)

    def add_for_good(self, kind: str, who: Who, **what: object) -> Head:
        """As `add`, and wait for the disk: for an entry that is told elsewhere as the log's end.

        Not even a power cut takes it, or what came before, back.
        """
        with self._archive.transaction(durable=True) as db:
            self.add_in(db, kind, who, **what)
            return Head(*db.execute(_LAST).fetchone())

    def add_in(self, db: Database, kind: str, who: Who, **what: object) -> None:
        """Append an entry within the caller's transaction, with what it tells of."""
        add_entry(db, self._clock(), kind, who, what)

    def entries(self, after: int = 0, limit: int = _PAGE) -> list[Entry]:
        """The entries after a number, in order."""
        return entries(self._archive, after, limit)

    def head(self) -> Head:
        """The last entry's number and hash."""
        return head(self._archive)


def add_entry(db: Database, now_s: float, kind: str, who: Who, what: Mapping[str, object]) -> None:
    """Append an entry within a write transaction; `now_s` is epoch seconds."""
    last = db.execute(_LAST).fetchone()
    number, before = last or Head(0, FIRST)
    # Never a number that was given before: where the log's end was cut off, a gap tells so.
    number = 1 + max(number, given(db.execute(_GIVEN).fetchone()))
    at = _told_at(datetime.fromtimestamp(now_s, timezone.utc))
    told_who = to_json({key: value for key, value in asdict(who).items() if value is not None})
    told = to_json(dict(what))
    db.execute(
        "INSERT INTO audit(number, at, kind, who, what, hash) VALUES (?, ?, ?, ?, ?, ?)",
        [number, at, kind, told_who, told, chained(before, number, at, kind, told_who, told)],
    )


def chained(before: str, number: int, at: str, kind: str, who: str, what: str) -> str:
    """The hash of an entry that follows the one with the hash `before`."""
    fields = json.dumps([before, number, at, kind, who, what], separators=(",", ":"))
    return hashlib.sha256(fields.encode("ascii")).hexdigest()


def hash_of(entry: Entry, before: str) -> str:
    """The hash that an entry must have where it follows the one with the hash `before`."""
    return chained(before, entry.number, entry.at, entry.kind, entry.who, entry.what)


def entries(
    source: Rows,
    after: int = 0,
    limit: int = _PAGE,
    wanted: Filter = Filter(),
) -> list[Entry]:
    """The entries after a number, in order: all, or those of a filter."""
    where, values = wanted.sql()
    rows = source.rows(
        f"SELECT {_COLUMNS} FROM audit WHERE number > ? AND {where} ORDER BY number LIMIT ?",
        [after, *values, limit],
    )
    return [Entry(**row) for row in rows]


def every(source: Rows, wanted: Filter = Filter()) -> Iterator[Entry]:
    """All entries, or those of a filter, in order, read a page at a time."""
    after = 0
    while page := entries(source, after, _PAGE, wanted):
        yield from page
        after = page[-1].number


def about(
    source: Rows, question: str, contents: Sequence[str] = (), recordings: Sequence[int] = ()
) -> list[Entry]:
    """The entries that name a question, a file with one of these SHA-256, or what was done
    with a recording (holds, removal), in order; and the daemon's start before the answer.
    """
    rows = source.rows(
        f"SELECT {_COLUMNS} FROM audit WHERE json_extract(what, '$.question') = ? UNION "
        f"SELECT {_COLUMNS} FROM audit WHERE json_extract(what, '$.sha256') IN {_IN} UNION "
        f"SELECT {_COLUMNS} FROM audit WHERE kind > 'recording.' AND kind < 'recording/' "
        f"AND json_extract(what, '$.recording') IN {_IN} UNION "
        f"SELECT {_COLUMNS} FROM audit WHERE number = (SELECT max(number) FROM audit "
        "WHERE kind = 'daemon.started' AND number < (SELECT max(number) FROM audit "
        "WHERE json_extract(what, '$.question') = ? AND kind = 'question.answered')) "
        "ORDER BY number",
        [question, to_json(list(contents)), to_json(list(recordings)), question],
    )
    return [Entry(**row) for row in rows]


def before(source: Rows, entry: Entry) -> str:
    """The hash that an entry stands on."""
    rows = source.rows("SELECT hash FROM audit WHERE number = ?", [entry.number - 1])
    return str(rows[0]["hash"]) if rows else FIRST


def head(source: Rows) -> Head:
    """The last entry's number and hash."""
    rows = source.rows(_LAST)
    return Head(**rows[0]) if rows else Head(0, FIRST)


def given_out(source: Rows) -> int:
    """The highest number that an entry ever had, as SQLite counts."""
    rows = source.rows(_GIVEN)
    return given(tuple(rows[0].values()) if rows else None)


def given(counted: Sequence[Any] | None) -> int:
    """SQLite's own count of the entries, which may have been tampered with as well."""
    return counted[0] if counted and isinstance(counted[0], int) else 0


def what_of(entry: Entry) -> dict[str, Any]:
    """An entry's content as an object."""
    found: dict[str, Any] = json.loads(entry.what)
    return found


def who_told(entry: Entry) -> dict[str, Any]:
    """Who did what an entry tells of, as an object."""
    found: dict[str, Any] = json.loads(entry.who)
    return found


def _told_at(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).isoformat(timespec="microseconds")


_IN = "(SELECT value FROM json_each(?))"
_COLUMNS = "number, at, kind, who, what, hash"
_LAST = "SELECT number, hash FROM audit WHERE number = (SELECT max(number) FROM audit)"
_GIVEN = "SELECT seq FROM sqlite_sequence WHERE name = 'audit'"
