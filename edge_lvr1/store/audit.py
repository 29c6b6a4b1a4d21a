"""The audit log: what came, what was asked and answered, by whom. Append-only, hash-chained.

Each entry's hash is the SHA-256 of the hash before it and of the entry's own fields as
canonical JSON, so that an entry that is changed, taken out or put in between breaks every
hash that follows. What the chain alone cannot tell is that its end was cut off: the daemon
says the last hash in its own log when it starts and stops, and `verify` takes one to look for.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from typing import Any

from sqlite_utils import Database

from edge_lvr1.access import Who
from edge_lvr1.store.db import Archive
from edge_lvr1.store.text import to_json

FIRST = "0" * 64
"""What the hash of the first entry stands on."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened: `at` is ISO 8601 in UTC, `who` and `what` JSON as stored."""

    number: int
    at: str
    kind: str
    who: str
    what: str
    hash: str


class AuditLog:
    """The audit log of an archive; `clock` gives epoch seconds."""

    def __init__(self, archive: Archive, clock: Callable[[], float]) -> None:
        self._archive = archive
        self._clock = clock

    def add(self, kind: str, who: Who, **what: object) -> None:
        """Append an entry in a transaction of its own. `what` is JSON-able."""
        with self._archive.transaction() as db:
            self.add_in(db, kind, who, **what)

    def add_in(self, db: Database, kind: str, who: Who, **what: object) -> None:
        """Append an entry within the caller's transaction, with what it tells of."""
        add_entry(db, self._clock(), kind, who, what)

    def entries(self, after: int = 0, limit: int = 1000) -> list[Entry]:
        """The entries after a number, in order."""
        rows = self._archive.rows(
            "SELECT * FROM audit WHERE number > ? ORDER BY number LIMIT ?", [after, limit]
        )
        return [Entry(**row) for row in rows]

    def head(self) -> tuple[int, str]:
        """The last entry's number and hash; 0 and FIRST where there is none."""
        row = self._archive.row("SELECT number, hash FROM audit ORDER BY number DESC LIMIT 1")
        return (row["number"], row["hash"]) if row else (0, FIRST)


def add_entry(db: Database, now_s: float, kind: str, who: Who, what: Mapping[str, object]) -> None:
    """Append an entry within a write transaction; `now_s` is epoch seconds."""
    last = db.execute("SELECT hash FROM audit ORDER BY number DESC LIMIT 1").fetchone()
    at = datetime.fromtimestamp(now_s, timezone.utc).isoformat(timespec="microseconds")
    told_who = to_json({key: value for key, value in asdict(who).items() if value is not None})
    told = to_json(dict(what))
    db.execute(
        "INSERT INTO audit(at, kind, who, what, hash) VALUES (?, ?, ?, ?, ?)",
        [at, kind, told_who, told, chained(last[0] if last else FIRST, at, kind, told_who, told)],
    )


def chained(before: str, at: str, kind: str, who: str, what: str) -> str:
    """The hash of an entry that follows the one with the hash `before`."""
    fields = json.dumps([before, at, kind, who, what], separators=(",", ":"))
    return hashlib.sha256(fields.encode("ascii")).hexdigest()


def broken_at(entries: Iterator[Entry], before: str = FIRST) -> Entry | None:
    """The first entry whose hash does not follow from the one before; None where all do."""
    for entry in entries:
        if chained(before, entry.at, entry.kind, entry.who, entry.what) != entry.hash:
            return entry
        before = entry.hash
    return None


def what_of(entry: Entry) -> dict[str, Any]:
    """An entry's content as an object."""
    found: dict[str, Any] = json.loads(entry.what)
    return found
