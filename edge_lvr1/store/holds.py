"""Holds: recordings that are evidence, which no rule removes.

A hold is of footage, and a recording is what its footage happens to be joined to: where parts
that come late merge, split or renumber recordings, the hold goes with its parts, in the same
transaction. Footage that is in no recording for a while (its file was replaced, and may come
back) keeps its hold by its content.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from sqlite_utils import Database

from edge_lvr1.access import DAEMON, Who
from edge_lvr1.errors import NotFoundError
from edge_lvr1.store.audit import add_entry
from edge_lvr1.store.db import Archive
from edge_lvr1.store.text import clean, to_json

HELD, RELEASED, FOLLOWED = "recording.held", "recording.released", "recording.hold_followed"


@dataclass(frozen=True, slots=True)
class Hold:
    """Why a recording is held, by whom (a name), and since when (epoch seconds)."""

    recording: int
    reason: str
    who: str
    since_s: float


class Holds:
    """The holds of an archive; `clock` gives epoch seconds."""

    def __init__(self, archive: Archive, clock: Callable[[], float]) -> None:
        self._archive = archive
        self._clock = clock

    def hold(self, recording: int, reason: str, who: Who) -> Hold:
        """Hold a recording; one that is held already has its reason changed.

        On the disk when this returns. Raises NotFoundError.
        """
        now_s = self._clock()
        with self._archive.transaction(durable=True) as db:
            _check_is_there(db, recording)
            db.execute(
                "INSERT INTO holds VALUES (?, ?, ?, ?) "
                "ON CONFLICT(recording) DO UPDATE SET reason = excluded.reason",
                [recording, clean(reason), clean(who.name or who.client), now_s],
            )
            what = {"recording": recording, "reason": reason, "parts": contents(db, [recording])}
            add_entry(db, now_s, HELD, who, what)
            return _all(db, [recording])[0]

    def release(self, recording: int, who: Who) -> None:
        """End a hold. Raises NotFoundError where there is no such recording, or no hold."""
        with self._archive.transaction(durable=True) as db:
            _check_is_there(db, recording)
            if not db.execute("DELETE FROM holds WHERE recording = ?", [recording]).rowcount:
                raise NotFoundError(f"recording {recording} is not held")
            what = {"recording": recording, "parts": contents(db, [recording])}
            add_entry(db, self._clock(), RELEASED, who, what)

    def of(self, recordings: Iterable[int]) -> dict[int, Hold]:
        """The holds of those recordings that are held, by number."""
        with self._archive.reading() as db:
            return {hold.recording: hold for hold in _all(db, recordings)}


class Carried:
    """The holds of recordings that are about to be put together anew, within a transaction."""

    def __init__(self, db: Database, recordings: Iterable[int]) -> None:
        """Lift the holds, so that nothing hinders a recording from being removed."""
        self._db = db
        self._lifted = [(hold, _parts(db, hold.recording)) for hold in _all(db, recordings)]
        for hold, _ in self._lifted:
            db.execute("DELETE FROM holds WHERE recording = ?", [hold.recording])

    def put_down(self, camera: str, cell: int, now_s: float) -> None:
        """Hold whatever has the footage now; what waits for its footage in this cell, as well."""
        for hold, parts in self._lifted:
            found = {number for part in parts for number in self._where(part, hold)}
            for number in found:
                _put(self._db, number, hold.reason, hold.who, hold.since_s)
            if found != {hold.recording}:
                what = {"from": hold.recording, "to": sorted(found), "reason": hold.reason}
                add_entry(self._db, now_s, FOLLOWED, DAEMON, what)
        self._end_waiting(camera, cell, now_s)

    def _where(self, part: _Part, hold: Hold) -> set[int]:
        """The recordings that a part is in now; where there is none, its content waits."""
        rows = self._db.execute(
            "SELECT recording, offset_s FROM parts WHERE path = ?", [part.path]
        ).fetchall()
        rows = rows or self._db.execute(_BY_CONTENT, [part.sha256]).fetchall()
        if not rows:
            self._db.execute(_WAIT, [part.sha256, hold.reason, hold.who, hold.since_s])
        # A long file makes several recordings, in each at another offset.
        same = {row[0] for row in rows if min(0.0, row[1]) == part.offset_s}
        return same or {row[0] for row in rows}

    def _end_waiting(self, camera: str, cell: int, now_s: float) -> None:
        rows = self._db.execute(_WAITED_FOR, [camera, cell]).fetchall()
        for number, _, reason, who, since_s in rows:
            _put(self._db, number, reason, who, since_s)
            add_entry(
                self._db, now_s, FOLLOWED, DAEMON, {"from": None, "to": [number], "reason": reason}
            )
        for sha256 in {row[1] for row in rows}:
            self._db.execute("DELETE FROM holds_waiting WHERE sha256 = ?", [sha256])


@dataclass(frozen=True, slots=True)
class _Part:
    path: str | bytes
    offset_s: float  # 0 for a part that begins in its recording
    sha256: str


def contents(db: Database, recordings: Sequence[int]) -> list[str]:
    """The SHA-256 of the parts of recordings, each once, in their order."""
    rows = db.execute(
        "SELECT sha256 FROM parts WHERE recording IN (SELECT value FROM json_each(?)) "
        "ORDER BY recording, ordinal",
        [to_json(list(recordings))],
    )
    return list(dict.fromkeys(row[0] for row in rows))


def _check_is_there(db: Database, recording: int) -> None:
    there = "SELECT 1 FROM recordings WHERE id = ?"
    # SQLite's numbers have 64 bits; a client's may have more.
    if recording >= 1 << 63 or not db.execute(there, [recording]).fetchone():
        raise NotFoundError(f"there is no recording {recording}; `edge-lvr1 recordings` lists them")


def _all(db: Database, recordings: Iterable[int]) -> list[Hold]:
    rows = db.execute(
        "SELECT recording, reason, who, since_s FROM holds "
        "WHERE recording IN (SELECT value FROM json_each(?)) ORDER BY recording",
        [to_json(list(recordings))],
    )
    return [Hold(*row) for row in rows.fetchall()]


def _parts(db: Database, recording: int) -> list[_Part]:
    rows = db.execute("SELECT path, offset_s, sha256 FROM parts WHERE recording = ?", [recording])
    return [_Part(path, min(0.0, offset_s), sha256) for path, offset_s, sha256 in rows.fetchall()]


def _put(db: Database, recording: int, reason: str, who: str, since_s: float) -> None:
    """Hold a recording; where two that were held have become one, it has both reasons."""
    db.execute(
        "INSERT INTO holds VALUES (?, ?, ?, ?) ON CONFLICT(recording) DO UPDATE SET "
        "reason = CASE WHEN instr(reason, excluded.reason) THEN reason "
        "ELSE reason || '; ' || excluded.reason END, since_s = min(since_s, excluded.since_s)",
        [recording, reason, who, since_s],
    )


_BY_CONTENT = (
    "SELECT p.recording, p.offset_s FROM files f CROSS JOIN parts p ON p.path = f.path "
    "WHERE f.sha256 = ?"
)
_WAIT = "INSERT INTO holds_waiting VALUES (?, ?, ?, ?) ON CONFLICT(sha256) DO NOTHING"
_WAITED_FOR = (
    "SELECT DISTINCT p.recording, w.sha256, w.reason, w.who, w.since_s "
    "FROM holds_waiting w CROSS JOIN files f ON f.sha256 = w.sha256 "
    "CROSS JOIN parts p ON p.path = f.path WHERE f.camera = ? AND f.cell = ?"
)
