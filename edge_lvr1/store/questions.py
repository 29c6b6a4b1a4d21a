"""The question queue: questions in fair turn, their steps, their answers.

Deadlines are moments of the wall clock, since a question outlives the process that took it:
one whose deadline passes while it waits ends there. How long one may run is for whoever
runs it, by a clock that nobody sets.
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from sqlite_utils import Database

from edge_lvr1.access import DAEMON, Who
from edge_lvr1.domain import Answer, Question, Step, Verdict
from edge_lvr1.errors import BusyError, KeyReusedError, NotFoundError, QuestionError
from edge_lvr1.store.audit import add_entry
from edge_lvr1.store.audited import CANCELLED, add_answered, add_asked
from edge_lvr1.store.db import Archive
from edge_lvr1.store.leases import Leases
from edge_lvr1.store.records import (
    answer_in,
    answer_out,
    question_in,
    question_out,
    step_in,
    step_out,
)
from edge_lvr1.store.text import clean, to_json
from edge_lvr1.store.turns import give_turn, next_in_turn, wait_s, waiting

_MOST_LISTED = 100_000
_DAY_S = 86_400.0
_PRUNED_AT_ONCE = 500  # a transaction that others wait for
_LATE = "WHERE state = 'queued' AND deadline_s <= ?"
_HELD = (
    "EXISTS (SELECT 1 FROM json_each(questions.answer, '$.evidence') found JOIN holds "
    "ON holds.recording = json_extract(found.value, '$.recording'))"
)
_MOST_LOST = 3
"""Times that the program may end while it answers a question."""


class QuestionState(str, Enum):
    """Where a question is."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class QuestionRecord:
    """A question with what has come of it.

    `cancelled`: a client asked to end it, though it may still be running. `lease` is the
    number that holds it for one worker.
    """

    question: Question
    state: QuestionState
    answer: Answer | None = None
    steps: tuple[Step, ...] = ()
    cancelled: bool = False
    finished_s: float | None = None
    lease: int = 0

    @property
    def finished(self) -> bool:
        """Whether nothing more will come of it."""
        return self.state in (QuestionState.DONE, QuestionState.CANCELLED)


@dataclass(frozen=True, slots=True)
class Asked:
    """How a question came.

    `client` is whom limits and keys are counted by, `by` how people are told who it was, `who`
    what the audit log says of them.
    A `key` that comes again from the same client with the same `request` (a hash of what was
    sent) is the same question.
    """

    client: str = ""
    by: str = ""
    key: str | None = None
    request: str = ""
    who: Who = DAEMON


@dataclass(frozen=True, slots=True)
class Room:
    """How many questions may wait, of all clients together and of one; None is no limit."""

    in_all: int | None = None
    of_client: int | None = None


_QUESTIONS = Leases("questions", "number", QuestionState.RUNNING.value)


class QuestionQueue:
    """Questions in the database; `clock` gives epoch seconds.

    `models` is what the audit log says of who answers: versions, digests of bundles.
    """

    def __init__(
        self,
        archive: Archive,
        clock: Callable[[], float],
        models: Mapping[str, object] | None = None,
    ) -> None:
        self._archive = archive
        self._clock = clock
        self.models = models or {}

    def put(
        self,
        question: Question,
        asked: Asked = Asked(),
        room: Room = Room(),
    ) -> str:
        """Queue a question; the id that it is known by.

        That is its own, or, where its client sent the same key before, the id that the
        question had then: nothing is queued twice. Raises BusyError where there is no room,
        KeyReusedError where the key came with another request, QuestionError where another
        question has its id.
        """
        with self._archive.transaction(durable=True) as db:
            if known := _known(db, asked):
                return known
            _check_room(db, asked.client, room)
            try:
                db.execute(
                    "INSERT INTO questions(id, question, client, asked_by, key, request, "
                    "deadline_s) VALUES (?, ?, ?, ?, ?, ?, ?)",
                    [
                        clean(question.id),
                        to_json(question_out(question)),
                        clean(asked.client),
                        clean(asked.by),
                        asked.key,
                        asked.request,
                        question.deadline.timestamp() if question.deadline else None,
                    ],
                )
            except sqlite3.IntegrityError:
                raise QuestionError(f"there is a question {question.id} already") from None
            add_asked(db, self._clock(), asked.who, question)
        return question.id

    def again(self, asked: Asked) -> str | None:
        """The id that the same key had before; None where it is new. Raises KeyReusedError."""
        with self._archive.reading() as db:
            return _known(db, asked)

    def lease(self, owner: str, lease_s: float) -> QuestionRecord | None:
        """The question whose turn it is, for one worker; None where none waits.

        Steps of an attempt that died are deleted: a question is answered once, from its
        start. One that keeps taking the program down is answered as failed on the way, and
        one whose deadline has passed as given up.
        """
        with self._archive.transaction() as db:
            self._expire(db)
            now_s = self._clock()
            while (number := next_in_turn(db, now_s)) is not None:
                row = _QUESTIONS.give(db, number, owner, now_s + lease_s)
                assert row is not None
                _delete_steps(db, row)
                if row["cancelled"]:
                    self._finish(db, row, None)
                elif row["lost"] >= _MOST_LOST:
                    ended = f"the program ended {row['lost']} times while answering it"
                    self._finish(db, row, Answer(Verdict.FAILED, ended))
                else:
                    give_turn(db, number)
                    return _record(row)
        return None

    def expire(self) -> tuple[str, ...]:
        """End the waiting questions whose deadline has passed; their ids."""
        late = "SELECT 1 FROM questions INDEXED BY questions_waiting " + _LATE
        if self._archive.row(f"{late} LIMIT 1", [self._clock()]) is None:
            return ()
        with self._archive.transaction() as db:
            return self._expire(db)

    def renew(self, question: QuestionRecord, lease_s: float) -> bool:
        """Hold a question for `lease_s` from now; False where the lease was lost."""
        with self._archive.transaction() as db:
            row = _QUESTIONS.held(db, "id", clean(question.question.id), question.lease)
            if row is not None:
                _QUESTIONS.extend(db, row, self._clock() + lease_s)
            return row is not None

    def release(self, question: QuestionRecord) -> bool:
        """Give a question back, its steps deleted; False where the lease was lost."""
        with self._archive.transaction() as db:
            row = _QUESTIONS.held(db, "id", clean(question.question.id), question.lease)
            if row is None:
                return False
            _delete_steps(db, row)
            if row["cancelled"]:
                self._finish(db, row, None)
            else:  # its turn was none
                _QUESTIONS.settle(db, row, QuestionState.QUEUED.value, turn=None)
            return True

    def release_all(self) -> int:
        """Queue all running questions again: for a daemon that starts."""
        with self._archive.transaction() as db:
            for row in list(db.query("SELECT * FROM questions WHERE state = 'running'")):
                _delete_steps(db, row)
                if row["cancelled"]:
                    self._finish(db, row, None)
            return _QUESTIONS.lose_all(db)

    def add_step(self, question: str, step: Step) -> bool:
        """Store the next step of a running question; False where it is not running."""
        with self._archive.transaction() as db:
            added = db.execute(
                "INSERT INTO steps(question, ordinal, step) SELECT q.number, "
                "(SELECT count(*) FROM steps s WHERE s.question = q.number), ? "
                "FROM questions q WHERE q.id = ? AND q.state = 'running'",
                [to_json(step_out(step)), clean(question)],
            )
            return bool(added.rowcount)

    def finish(self, question: str, answer: Answer | None) -> bool:
        """Store what a running question came to; False where it is not running.

        One that was cancelled meanwhile ends cancelled, with what answer there is.
        """
        with self._archive.transaction(durable=True) as db:
            row = _QUESTIONS.find(db, "id", clean(question))
            if row is None or row["state"] != QuestionState.RUNNING.value:
                return False
            self._finish(db, row, answer)
            return True

    def client_of(self, question_id: str) -> str:
        """By whom a question is counted; raises NotFoundError where there is none."""
        row = self._archive.row("SELECT client FROM questions WHERE id = ?", [clean(question_id)])
        if row is None:
            raise NotFoundError(f"there is no question {question_id[:80]!r}")
        return str(row["client"])

    def cancel(self, question: str, who: Who = DAEMON) -> bool:
        """End a question: at once if it waits, else its worker sees the flag.

        False where it was finished already. Raises NotFoundError.
        """
        with self._archive.transaction(durable=True) as db:
            row = _QUESTIONS.find(db, "id", clean(question))
            if row is None:
                raise _no_question(question)
            if row["state"] not in (QuestionState.QUEUED.value, QuestionState.RUNNING.value):
                return False
            if not row["cancelled"]:
                add_entry(db, self._clock(), CANCELLED, who, {"question": row["id"]})
            db.execute("UPDATE questions SET cancelled = 1 WHERE number = ?", [row["number"]])
            if row["state"] == QuestionState.QUEUED.value:
                self._finish(db, {**row, "cancelled": 1}, None)
            return True

    def cancelled(self, question: str) -> bool:
        """Whether a client asked to end it: what the loop asks between rounds."""
        row = self._archive.row("SELECT cancelled FROM questions WHERE id = ?", [clean(question)])
        return bool(row and row["cancelled"])

    def get(self, question: str) -> QuestionRecord:
        """A question with its state, answer and steps. Raises NotFoundError."""
        row = self._archive.row("SELECT * FROM questions WHERE id = ?", [clean(question)])
        if row is None:
            raise _no_question(question)
        return _record(row, self.steps(question))

    def steps(self, question: str) -> tuple[Step, ...]:
        """The steps of a question so far, in order; none for a question that is not there."""
        rows = self._archive.rows(
            "SELECT s.step FROM steps s JOIN questions q ON q.number = s.question "
            "WHERE q.id = ? ORDER BY s.ordinal",
            [clean(question)],
        )
        return tuple(step_in(json.loads(row["step"])) for row in rows)

    def list(
        self, state: QuestionState | None = None, limit: int = 100
    ) -> tuple[QuestionRecord, ...]:
        """The latest questions (in a state), newest first, without their steps."""
        where = "" if state is None else "WHERE state = ?"
        values = [] if state is None else [state.value]
        rows = self._archive.rows(
            f"SELECT * FROM questions {where} ORDER BY number DESC LIMIT ?",
            [*values, max(0, min(limit, _MOST_LISTED))],
        )
        return tuple(_record(row) for row in rows)

    def queued(self) -> int:
        """How many questions wait."""
        with self._archive.reading() as db:
            return waiting(db)

    def prune(self, now_s: float, keep_days: float) -> int:
        """Remove questions that ended more than `keep_days` ago, with their steps; how many.

        Those whose evidence lies in a recording that is held stay.
        """
        ended_before_s = now_s - keep_days * _DAY_S
        removed = 0
        while True:
            with self._archive.transaction() as db:
                gone = db.execute(
                    "DELETE FROM questions WHERE number IN (SELECT number FROM questions "
                    f"WHERE finished_s < ? AND NOT {_HELD} LIMIT {_PRUNED_AT_ONCE})",
                    [ended_before_s],
                ).rowcount
                removed += gone
                if gone:
                    add_entry(db, now_s, "question.removed", DAEMON, {"questions": gone})
            if gone < _PRUNED_AT_ONCE:
                return removed

    def verdicts(self) -> dict[Verdict, int]:
        """How many answers have each verdict."""
        rows = self._archive.rows(
            "SELECT json_extract(answer, '$.verdict') AS verdict, count(*) AS answers "
            "FROM questions WHERE answer IS NOT NULL GROUP BY verdict"
        )
        found = {row["verdict"]: row["answers"] for row in rows}
        return {verdict: found.get(verdict.value, 0) for verdict in Verdict}

    def _expire(self, db: Database) -> tuple[str, ...]:
        late = f"SELECT * FROM questions INDEXED BY questions_waiting {_LATE}"
        rows = list(db.query(late, [self._clock()]))
        for row in rows:
            self._finish(db, row, Answer(Verdict.GAVE_UP, _too_late(row)))
        return tuple(str(row["id"]) for row in rows)

    def _finish(self, db: Database, row: Mapping[str, Any], answer: Answer | None) -> None:
        state = QuestionState.CANCELLED if row["cancelled"] else QuestionState.DONE
        told = None if answer is None else to_json(answer_out(answer))
        _QUESTIONS.settle(db, row, state.value, answer=told, finished_s=self._clock())
        if answer is not None:
            add_answered(db, self._clock(), str(row["id"]), answer, self.models)


def _known(db: Database, asked: Asked) -> str | None:
    """The id of the question that came with this key; None where it is new."""
    if asked.key is None:
        return None
    found = db.execute(
        "SELECT id, request FROM questions WHERE client = ? AND key = ?",
        [clean(asked.client), asked.key],
    ).fetchone()
    if found is None:
        return None
    if found[1] != asked.request:
        raise KeyReusedError(
            f"this Idempotency-Key came before with another question ({found[0]}); "
            "use a new key for each question"
        )
    return str(found[0])


def _check_room(db: Database, client: str, room: Room) -> None:
    if room.in_all is not None and (number := waiting(db)) >= room.in_all:
        seconds = wait_s(db, number)
        raise BusyError(
            f"the queue is full ({number} waiting); ask again in about {_rounded(seconds)} s",
            seconds,
        )
    if room.of_client is not None and (number := waiting(db, clean(client))) >= room.of_client:
        seconds = wait_s(db, number)
        raise BusyError(
            f"{number} questions of yours wait already; ask again in about {_rounded(seconds)} s",
            seconds,
        )


def _rounded(seconds: float) -> int:
    return math.ceil(seconds)


def _too_late(row: Mapping[str, Any]) -> str:
    deadline = question_in(json.loads(row["question"])).deadline
    told = deadline.isoformat(" ", "seconds") if deadline else "it was set"
    return f"Not begun by its deadline ({told})."


def _delete_steps(db: Database, row: Mapping[str, Any]) -> None:
    db.execute("DELETE FROM steps WHERE question = ?", [row["number"]])


def _no_question(question: str) -> NotFoundError:
    return NotFoundError(f"there is no question {question[:80]!r}; see: edge-lvr1 questions")


def _record(row: Mapping[str, Any], steps: tuple[Step, ...] = ()) -> QuestionRecord:
    return QuestionRecord(
        question=question_in(json.loads(row["question"])),
        state=QuestionState(row["state"]),
        answer=None if row["answer"] is None else answer_in(json.loads(row["answer"])),
        steps=steps,
        cancelled=bool(row["cancelled"]),
        finished_s=row["finished_s"],
        lease=row["lease"],
    )
