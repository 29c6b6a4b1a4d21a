"""Whose question is next, and how long the others will wait: look-ups over the waiting ones.

The client that was served longest ago goes first, within a client the question that was
asked first. Turns are counted, not timed: a clock that is set back would put off everybody
who was served before. Every function runs within a transaction or on a connection of the
caller, and reads what waits and a few rows, however many old questions there are.
"""

from __future__ import annotations

import json
from statistics import median

from sqlite_utils import Database

UNMEASURED_S = 10.0
"""What a question is taken to last before any was answered."""
_MEASURED = 25
_LEAST_WAIT_S, _MOST_WAIT_S = 1.0, 3600.0


def waiting(db: Database, client: str | None = None) -> int:
    """How many questions wait, of all clients or of one."""
    sql = "SELECT count(*) FROM questions INDEXED BY questions_waiting WHERE state = 'queued'"
    if client is None:
        return int(db.execute(sql).fetchone()[0])
    return int(db.execute(f"{sql} AND client = ?", [client]).fetchone()[0])


def next_in_turn(db: Database, now_s: float) -> int | None:
    """The number of the question to be answered next; None where none waits."""
    lost = db.execute(
        "SELECT number FROM questions WHERE state = 'running' AND leased_until_s <= ? "
        "ORDER BY number LIMIT 1",
        [now_s],
    ).fetchone()
    if lost:
        return int(lost[0])
    # Of the waiting questions, the first of each client, by the last turn that each had.
    # NULL, for a client that never had one, sorts first.
    found = db.execute(
        "SELECT first FROM (SELECT client, min(number) AS first FROM questions "
        "INDEXED BY questions_waiting WHERE state = 'queued' AND not_before_s <= ? "
        "GROUP BY client) waiting ORDER BY "
        "(SELECT max(turn) FROM questions served WHERE served.client = waiting.client), first "
        "LIMIT 1",
        [now_s],
    ).fetchone()
    return int(found[0]) if found else None


def give_turn(db: Database, number: int) -> None:
    """Note that a question has its turn now."""
    db.execute(
        "UPDATE questions SET turn = (SELECT coalesce(max(turn), 0) + 1 FROM questions) "
        "WHERE number = ?",
        [number],
    )


def wait_s(db: Database, ahead: int) -> float:
    """Seconds until so many waiting questions are answered, by what recent ones took."""
    rows = db.execute(
        "SELECT answer FROM questions WHERE state = 'done' ORDER BY number DESC LIMIT ?",
        [_MEASURED],
    )
    took = [json.loads(row[0])["seconds"] for row in rows.fetchall() if row[0] is not None]
    each_s = median(took) if took else UNMEASURED_S
    return min(max(ahead * each_s, _LEAST_WAIT_S), _MOST_WAIT_S)
