"""The ingest queue: files to take in, each once for each content it had.

A file is known by its path and told apart by size and mtime. It knows nothing of media.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from sqlite_utils import Database

from edge_lvr1.access import DAEMON
from edge_lvr1.store.audit import add_entry
from edge_lvr1.store.audited import FAILED, SAME
from edge_lvr1.store.db import Archive
from edge_lvr1.store.leases import Leases
from edge_lvr1.store.text import below, clean, path_in, path_out, to_json


class JobState(str, Enum):
    """Where an ingest job is."""

    QUEUED = "queued"
    LEASED = "leased"
    PLACED = "placed"  # its file is known; the recordings that it is in are not complete
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Job:
    """A file to take in. `reason` says why it failed, or what else is to be known of it.

    `attempts` counts the tries that failed; `lease` is the number that holds it for one
    worker. `held` says that it waits for its watched folder, which is away.
    """

    id: int
    path: str
    size_bytes: int
    mtime_ns: int
    state: JobState
    attempts: int = 0
    reason: str = ""
    recordings: tuple[int, ...] = ()
    offered_s: float = 0.0
    finished_s: float | None = None
    not_before_s: float = 0.0
    owner: str | None = None
    lease: int = 0
    priority: int = 0
    held: bool = False


BACKLOG, NAMED, FIRST = 0, 1, 9
"""Priorities: what a watched folder brings, what a client names, what is to go first of all."""

_JOBS = Leases("jobs", "id", JobState.LEASED.value, ranked=True)
_KNOWN = "SELECT path, size_bytes, mtime_ns FROM jobs WHERE path"
_MOST_LOST = 5
"""Times that the program may end while it takes a file in."""


class IngestQueue:
    """Ingest jobs in the database; `clock` gives epoch seconds.

    A job that failed for a passing reason waits `retry_after_s`, twice that after the next
    failure, and so on, up to `max_attempts`.
    """

    def __init__(
        self,
        archive: Archive,
        clock: Callable[[], float],
        max_attempts: int = 3,
        retry_after_s: float = 5.0,
    ) -> None:
        self._archive = archive
        self._clock = clock
        self._max_attempts = max_attempts
        self._retry_after_s = retry_after_s

    def offer(
        self, path: str, size: int, mtime_ns: int, again: bool = False, priority: int = BACKLOG
    ) -> Job | None:
        """Queue a file; None where it is known with that size and mtime, whatever its state.

        A file that changed is queued anew, with new attempts (one that is being taken in
        right now: when that ends). `again` also queues one that failed and did not change, or
        whose recordings a rule removed, and gives one that waits the higher of its priorities.
        """
        stored = path_in(path)
        # Most files that a scan finds are known: told by reading alone, without a write lock.
        if not again and self.known([path]).get(path) == (size, mtime_ns):
            return None
        with self._archive.transaction() as db:
            row = _JOBS.find(db, "path", stored)
            if row is not None:
                same = (row["size_bytes"], row["mtime_ns"]) == (size, mtime_ns)
                ended = row["state"] == JobState.FAILED.value or row["removed_s"] is not None
                if same and not (again and ended):
                    _bring_forward(db, row, priority)
                    return None
            db.execute(
                "INSERT INTO jobs(path, size_bytes, mtime_ns, offered_s, priority) "
                "VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT(path) DO UPDATE SET size_bytes = excluded.size_bytes, "
                "mtime_ns = excluded.mtime_ns, offered_s = excluded.offered_s, "
                "priority = excluded.priority, held = 0",
                [stored, size, mtime_ns, self._clock(), priority],
            )
            if row is not None and row["state"] != JobState.LEASED.value:
                _requeue(db, row)
            stands = _JOBS.find(db, "path", stored)
        return _job(stands) if stands else None

    def known(self, paths: Sequence[str]) -> dict[str, tuple[int, int]]:
        """Size and mtime with which files were last offered, of those of some paths that were."""
        stored = [path_in(path) for path in paths]
        texts = [path for path in stored if isinstance(path, str)]
        rows = self._archive.rows(f"{_KNOWN} IN (SELECT value FROM json_each(?))", [to_json(texts)])
        for raw in stored:
            if isinstance(raw, bytes):  # which JSON does not hold
                rows += self._archive.rows(f"{_KNOWN} = ?", [raw])
        return {path_out(row["path"]): (row["size_bytes"], row["mtime_ns"]) for row in rows}

    def lease(self, owner: str, lease_s: float) -> Job | None:
        """The next job, for one worker until `lease_s` from now; None where none waits.

        A job that takes the program down with it, time and again, is set aside as failed on
        the way.
        """
        with self._archive.transaction() as db:
            while row := _JOBS.take(db, owner, self._clock(), lease_s, self._longest_wait_s()):
                if row["lost"] < _MOST_LOST:
                    return _job(row)
                told = f"the program ended {row['lost']} times while taking it in"
                self._fail(db, row, told)
        return None

    def _longest_wait_s(self) -> float:
        return self._retry_after_s * 2.0**self._max_attempts

    def renew(self, job: Job, lease_s: float) -> bool:
        """Hold a job for `lease_s` from now; False where the lease was lost."""
        with self._archive.transaction() as db:
            row = _JOBS.held(db, "id", job.id, job.lease)
            if row is not None:
                _JOBS.extend(db, row, self._clock() + lease_s)
            return row is not None

    def release(self, job: Job) -> bool:
        """Give a job back as it is; False where the lease was lost."""
        return self._give_back(job)

    def release_all(self) -> int:
        """Queue all leased jobs again: for a daemon that starts, when no worker can live."""
        with self._archive.transaction() as db:
            return _JOBS.lose_all(db)

    def hold(self, folder: str) -> int:
        """The files in a folder cannot be reached: their jobs wait; how many more than before.

        That costs them no attempt. One that is being taken in is held when it is released.
        """
        return self._set_held(folder, held=True)

    def unhold(self, folder: str) -> int:
        """The files in a folder can be reached again: their jobs go on; how many."""
        # Asked after every scan: told by reading alone where nothing is held.
        held = self._archive.row("SELECT 1 FROM jobs WHERE state = 'queued' AND held = 1 LIMIT 1")
        return self._set_held(folder, held=False) if held else 0

    def unhold_all(self) -> int:
        """No job waits for its folder: for a daemon that starts, maybe with other folders."""
        with self._archive.transaction() as db:
            return int(db.execute("UPDATE jobs SET held = 0 WHERE held = 1").rowcount)

    def wait(self, job: Job) -> bool:
        """Give a job back until its folder is there again; False where the lease was lost."""
        return self._give_back(job, held=1)

    def retry(self, job: int) -> bool | None:
        """Try a failed job again, with new attempts; False where it did not fail.

        None where there is no such job.
        """
        if self.job(job) is None:
            return None
        with self._archive.transaction() as db:
            row = _JOBS.find(db, "id", job)
            failed = row is not None and row["state"] == JobState.FAILED.value
            if row is not None and failed:
                _requeue(db, row)
        return failed

    def retry_all(self) -> int:
        """Try all failed jobs again; how many."""
        with self._archive.transaction() as db:
            rows = list(db.query("SELECT id FROM jobs WHERE state = 'failed' ORDER BY id"))
            for row in rows:
                _requeue(db, row)
        return len(rows)

    def done(self, job: Job, recordings: Sequence[int], reason: str = "", sha256: str = "") -> bool:
        """A job came to an end without a file of its own; False where the lease was lost.

        `reason`: why, as "same footage as PATH"; `sha256` of the file. One that changed
        meanwhile is queued again.
        """
        with self._archive.transaction() as db:
            row = _JOBS.held(db, "id", job.id, job.lease)
            if row is None:
                return False
            if _changed(row, job):
                _requeue(db, row)
                return True
            _JOBS.settle(
                db,
                row,
                JobState.DONE.value,
                recordings=to_json(list(recordings)),
                reason=clean(reason),
                finished_s=self._clock(),
            )
            told = {"path": job.path, "sha256": sha256, "reason": reason}
            add_entry(db, self._clock(), SAME, DAEMON, {**told, "recordings": list(recordings)})
            return True

    def fail(self, job: Job, reason: str, retry: bool) -> bool:
        """An attempt failed; with `retry`, and attempts left, it waits for the next.

        False where the lease was lost. A file that changed meanwhile is queued again.
        """
        with self._archive.transaction() as db:
            row = _JOBS.held(db, "id", job.id, job.lease)
            if row is None:
                return False
            if _changed(row, job):
                _requeue(db, row)
            elif retry and row["attempts"] + 1 < self._max_attempts:
                _JOBS.settle(
                    db,
                    row,
                    JobState.QUEUED.value,
                    attempts=row["attempts"] + 1,
                    reason=clean(reason),
                    not_before_s=self._clock() + self._retry_after_s * 2.0 ** row["attempts"],
                )
            else:
                self._fail(db, row, reason)
            return True

    def jobs(self, state: JobState | None = None) -> list[Job]:
        """All jobs, or those in a state, in the order they were first offered."""
        where = "" if state is None else "WHERE state = ?"
        values = [] if state is None else [state.value]
        return [
            _job(row)
            for row in self._archive.rows(f"SELECT * FROM jobs {where} ORDER BY id", values)
        ]

    def page(
        self, state: JobState | None, jobs: Sequence[int] | None, limit: int, offset: int
    ) -> list[Job]:
        """Some of the jobs in a state, or of those named, in the order they were offered."""
        where, values = _which(state, jobs)
        return [
            _job(row)
            for row in self._archive.rows(
                f"SELECT * FROM jobs WHERE {where} ORDER BY id LIMIT ? OFFSET ?",
                [*values, limit, offset],
            )
        ]

    def total(self, state: JobState | None = None, jobs: Sequence[int] | None = None) -> int:
        """How many jobs there are in a state, or of those named."""
        where, values = _which(state, jobs)
        row = self._archive.row(f"SELECT count(*) AS n FROM jobs WHERE {where}", values)
        return int(row["n"]) if row else 0

    def job(self, job: int) -> Job | None:
        """The job with that number; None where there is none."""
        row = self._archive.row("SELECT * FROM jobs WHERE id = ?", [job])
        return _job(row) if row else None

    def of_path(self, path: str) -> Job | None:
        """The job of the file at a path; None where there is none."""
        row = self._archive.row("SELECT * FROM jobs WHERE path = ?", [path_in(path)])
        return _job(row) if row else None

    def counts(self) -> dict[JobState, int]:
        """How many jobs are in each state."""
        rows = self._archive.rows("SELECT state, count(*) AS jobs FROM jobs GROUP BY state")
        found = {row["state"]: row["jobs"] for row in rows}
        return {state: found.get(state.value, 0) for state in JobState}

    def busy(self) -> bool:
        """Whether a job is queued and due, or leased."""
        return bool(
            self._archive.row(
                "SELECT 1 FROM jobs WHERE state = 'leased' "
                "OR (state = 'queued' AND held = 0 "
                "AND (not_before_s <= ? OR not_before_s > ?))",
                [self._clock(), self._clock() + self._longest_wait_s()],
            )
        )

    def _give_back(self, job: Job, **changes: int) -> bool:
        with self._archive.transaction() as db:
            row = _JOBS.held(db, "id", job.id, job.lease)
            if row is None:
                return False
            if _changed(row, job):
                _requeue(db, row)
            else:
                _JOBS.settle(db, row, JobState.QUEUED.value, **changes)
            return True

    def _set_held(self, folder: str, *, held: bool) -> int:
        changed = 0
        with self._archive.transaction() as db:
            for first, last in below(folder):
                done = db.execute(
                    "UPDATE jobs SET held = ? "
                    "WHERE path > ? AND path < ? AND state = 'queued' AND held != ?",
                    [held, first, last, held],
                )
                changed += int(done.rowcount)
        return changed

    def _fail(self, db: Database, row: Mapping[str, Any], reason: str) -> None:
        _JOBS.settle(
            db,
            row,
            JobState.FAILED.value,
            attempts=row["attempts"] + 1,
            reason=clean(reason),
            finished_s=self._clock(),
        )
        what = {"path": path_out(row["path"]), "size_bytes": row["size_bytes"], "reason": reason}
        add_entry(db, self._clock(), FAILED, DAEMON, what)


def _which(state: JobState | None, jobs: Sequence[int] | None) -> tuple[str, list[Any]]:
    where, values = ["1"], list[Any]()
    if state is not None:
        where.append("state = ?")
        values.append(state.value)
    if jobs is not None:
        where.append("id IN (SELECT value FROM json_each(?))")
        values.append(to_json(list(jobs)))
    return " AND ".join(where), values


def place_job(db: Database, job: Job) -> bool:
    """Within a transaction: a job's file is known now; False where the job is not held any more.

    A file that changed meanwhile is queued again.
    """
    row = _JOBS.held(db, "id", job.id, job.lease)
    if row is None:
        return False
    if _changed(row, job):
        _requeue(db, row)
        return False
    _JOBS.settle(db, row, JobState.PLACED.value, attempts=0, lost=0, reason="")
    return True


def _requeue(db: Database, row: Mapping[str, Any]) -> None:
    _JOBS.settle(
        db,
        row,
        JobState.QUEUED.value,
        attempts=0,
        lost=0,
        reason="",
        recordings="[]",
        not_before_s=0.0,
        finished_s=None,
        removed_s=None,
    )


def _bring_forward(db: Database, row: Mapping[str, Any], priority: int) -> None:
    if row["priority"] < priority:
        db.execute("UPDATE jobs SET priority = ? WHERE id = ?", [priority, row["id"]])
        db.execute(
            "UPDATE recordings SET priority = ? WHERE priority < ? "
            "AND id IN (SELECT recording FROM parts WHERE path = ?)",
            [priority, priority, row["path"]],
        )


def _changed(row: Mapping[str, Any], job: Job) -> bool:
    return (row["size_bytes"], row["mtime_ns"]) != (job.size_bytes, job.mtime_ns)


def _job(row: Mapping[str, Any]) -> Job:
    return Job(
        id=row["id"],
        path=path_out(row["path"]),
        size_bytes=row["size_bytes"],
        mtime_ns=row["mtime_ns"],
        state=JobState(row["state"]),
        attempts=row["attempts"],
        reason=row["reason"],
        recordings=tuple(json.loads(row["recordings"])),
        offered_s=row["offered_s"],
        finished_s=row["finished_s"],
        not_before_s=row["not_before_s"],
        owner=row["owner"],
        lease=row["lease"],
        priority=row["priority"],
        held=bool(row["held"]),
    )
