"""Leases: how a row of a queue belongs to one worker for a while.

A row is queued, then leased by an owner until a moment, then in a final state. Where its
owner dies, the lease is lost: it runs out, or the next daemon frees all. Then the row is for
the next who asks. The lease number fences: a worker whose lease was lost can no longer
change the row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlite_utils import Database

_EVER_S = 1e15  # later than any moment; SQL has no word for infinity


@dataclass(frozen=True, slots=True)
class Leases:
    """A queue's table. Every method runs within a write transaction of the caller.

    `order` is the column whose lowest value goes first; `state` is what the table calls a
    row that is leased. A table that is `ranked` has a column `priority`, whose highest value
    goes before that, and a column `held`: rows where it is not 0 are passed over.
    """

    table: str
    order: str
    state: str
    ranked: bool = False

    def take(
        self,
        db: Database,
        owner: str,
        now_s: float,
        lease_s: float,
        longest_wait_s: float = _EVER_S,
    ) -> Mapping[str, Any] | None:
        """Lease the first row that is queued, or whose lease has run out; None where none is.

        `lost` of the row that comes back counts the leases that were lost before. A row that
        is to wait longer than any row ever waits was put off by a clock that was set back
        since: it is due.
        """
        # Two look-ups that each stop at their first row; an OR would sort all that wait.
        due = [
            *self._due(db, "queued", "not_before_s", now_s, now_s + longest_wait_s),
            *self._due(db, self.state, "leased_until_s", now_s),
        ]
        if not due:
            return None
        _, place = min(due)
        return self.give(db, place, owner, now_s + lease_s)

    def give(
        self, db: Database, place: int, owner: str, until_s: float
    ) -> Mapping[str, Any] | None:
        """Lease one row, whatever its turn; None where it is not there."""
        db.execute(
            f"UPDATE {self.table} SET lost = lost + (state = ?), state = ?, owner = ?, "
            f"lease = lease + 1, leased_until_s = ? WHERE {self.order} = ?",
            [self.state, self.state, owner, until_s, place],
        )
        return self.find(db, self.order, place)

    def _due(
        self, db: Database, state: str, column: str, now_s: float, latest_s: float = _EVER_S
    ) -> list[tuple[int, int]]:
        rank, free = ("priority", "AND held = 0 ") if self.ranked else ("0", "")
        first = f"priority DESC, {self.order}" if self.ranked else self.order
        rows = db.execute(
            f"SELECT {rank}, {self.order} FROM {self.table} WHERE state = ? {free}"
            f"AND ({column} <= ? OR {column} > ?) ORDER BY {first} LIMIT 1",
            [state, now_s, latest_s],
        )
        return [(-row[0], row[1]) for row in rows.fetchall()]

    def find(self, db: Database, key: str, value: object) -> Mapping[str, Any] | None:
        """The row whose column `key` has that value."""
        rows = list(db.query(f"SELECT * FROM {self.table} WHERE {key} = ?", [value]))
        return rows[0] if rows else None

    def held(self, db: Database, key: str, value: object, lease: int) -> Mapping[str, Any] | None:
        """The row with that value if that lease still holds it, else None."""
        row = self.find(db, key, value)
        return row if row and row["state"] == self.state and row["lease"] == lease else None

    def extend(self, db: Database, row: Mapping[str, Any], until_s: float) -> None:
        """Hold a row until another moment."""
        db.execute(
            f"UPDATE {self.table} SET leased_until_s = ? WHERE {self.order} = ?",
            [until_s, row[self.order]],
        )

    def settle(
        self,
        db: Database,
        row: Mapping[str, Any],
        state: str,
        **changes: Any,  # noqa: ANN401 (column values)
    ) -> None:
        """Put a row in another state, free of any owner, and set columns."""
        told = "".join(f", {name} = ?" for name in changes)
        db.execute(
            f"UPDATE {self.table} SET state = ?, owner = NULL, leased_until_s = NULL{told} "
            f"WHERE {self.order} = ?",
            [state, *changes.values(), row[self.order]],
        )

    def lose_all(self, db: Database) -> int:
        """Queue all leased rows again, their leases lost; how many."""
        freed = db.execute(
            f"UPDATE {self.table} SET state = 'queued', owner = NULL, leased_until_s = NULL, "
            "lost = lost + 1 WHERE state = ?",
            [self.state],
        )
        return int(freed.rowcount)
