"""Recordings that wait for their captions: a queue like that of files.

A recording is open while parts may still follow, queued once it is closed, leased while it is
captioned, then done or failed. Its files' jobs end with it. It knows nothing of captioners.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from sqlite_utils import Database

from edge_lvr1.store.db import Archive
from edge_lvr1.store.leases import Leases
from edge_lvr1.store.text import below, clean


class BuildState(str, Enum):
    """Where a recording is on its way to its captions."""

    OPEN = "open"
    QUEUED = "queued"
    LEASED = "leased"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Build:
    """A recording to caption; `revision` counts how often its parts changed."""

    recording: int
    revision: int
    lease: int


_BUILDS = Leases("recordings", "id", BuildState.LEASED.value, ranked=True)
_MOST_LOST = 5
"""Times that the program may end, with nothing more stored, while it captions a recording."""


class BuildQueue:
    """Recordings to caption; `clock` gives epoch seconds.

    One that fails for a passing reason waits `retry_after_s`, twice that after the next
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

    def close(self, quiet_s: float, *, idle: bool) -> int:
        """Close the open recordings to which nothing can be expected to be added; how many.

        That is where a later file of the camera is there, where the start is a guess (such
        files are never joined), and where nothing came for `quiet_s`; footage of long ago
        does not wait, once no file waits to be taken in (`idle`). Nor does what seems to have
        come in the future: the clock was set back since, and a part that comes re-opens it.
        """
        now_s = self._clock()
        with self._archive.transaction() as db:
            quiet = [now_s - quiet_s, now_s + quiet_s]
            done = db.execute(_CLOSE, [idle, now_s - 2 * quiet_s, *quiet])
            return int(done.rowcount)

    def lease(self, owner: str, lease_s: float) -> Build | None:
        """The next recording, for one worker until `lease_s` from now; None where none waits.

        One that takes the program down with it, time and again and without progress, is set
        aside as failed on the way.
        """
        if not self.waiting():  # told by reading alone, without a write lock
            return None
        with self._archive.transaction() as db:
            while row := _BUILDS.take(db, owner, self._clock(), lease_s, self._longest_wait_s()):
                lost = _lost_without_progress(db, row)
                if lost < _MOST_LOST:
                    return Build(row["id"], row["revision"], row["lease"])
                self._fail(db, row, f"the program ended {lost} times while captioning it")
        return None

    def waiting(self) -> bool:
        """Whether a recording is queued, and not held, or leased."""
        return bool(
            self._archive.row(
                "SELECT 1 FROM recordings WHERE state = 'leased' OR (state = 'queued' AND held = 0)"
            )
        )

    def _longest_wait_s(self) -> float:
        return self._retry_after_s * 2.0**self._max_attempts

    def renew(self, build: Build, lease_s: float) -> bool:
        """Hold a recording for `lease_s` from now; False where the lease was lost."""
        with self._archive.transaction() as db:
            row = _held(db, build)
            if row is not None:
                _BUILDS.extend(db, row, self._clock() + lease_s)
            return row is not None

    def release(self, build: Build) -> bool:
        """Give a recording back as it is; False where the lease was lost."""
        with self._archive.transaction() as db:
            row = _held(db, build)
            if row is not None:
                _BUILDS.settle(db, row, BuildState.QUEUED.value)
            return row is not None

    def release_all(self) -> int:
        """Queue all leased recordings again: for a daemon that starts."""
        with self._archive.transaction() as db:
            return _BUILDS.lose_all(db)

    def hold(self, folder: str) -> int:
        """The files in a folder cannot be reached: recordings that need one wait; how many."""
        return self._set_held(folder, held=True)

    def unhold(self, folder: str) -> int:
        """The files in a folder can be reached again: recordings go on; how many."""
        # Asked after every scan: told by reading alone where nothing is held.
        held = self._archive.row(
            "SELECT 1 FROM recordings WHERE state IN ('open', 'queued') AND held = 1 LIMIT 1"
        )
        return self._set_held(folder, held=False) if held else 0

    def unhold_all(self) -> int:
        """No recording waits for a folder: for a daemon that starts, maybe with others."""
        with self._archive.transaction() as db:
            return int(db.execute("UPDATE recordings SET held = 0 WHERE held = 1").rowcount)

    def wait(self, build: Build) -> bool:
        """Give a recording back until its folder is there; False where the lease was lost."""
        with self._archive.transaction() as db:
            row = _held(db, build)
            if row is not None:
                _BUILDS.settle(db, row, BuildState.QUEUED.value, held=1)
            return row is not None

    def retry(self, recording: int) -> bool | None:
        """Try a failed recording again, with new attempts; False where it did not fail.

        None where there is no such recording.
        """
        if self._archive.row("SELECT 1 FROM recordings WHERE id = ?", [recording]) is None:
            return None
        with self._archive.transaction() as db:
            row = _BUILDS.find(db, "id", recording)
            failed = row is not None and row["state"] == BuildState.FAILED.value
            if row is not None and failed:
                _again(db, row)
        return failed

    def retry_all(self) -> int:
        """Try all failed recordings again; how many."""
        with self._archive.transaction() as db:
            rows = list(db.query("SELECT * FROM recordings WHERE state = 'failed' ORDER BY id"))
            for row in rows:
                _again(db, row)
        return len(rows)

    def done(self, build: Build) -> bool:
        """A recording's captions are complete; False where the lease was lost."""
        with self._archive.transaction() as db:
            row = _held(db, build)
            if row is None:
                return False
            _BUILDS.settle(db, row, BuildState.DONE.value, reason="")
            db.execute(_JOBS_DONE, [self._clock(), build.recording])
            return True

    def fail(self, build: Build, reason: str, retry: bool) -> bool:
        """An attempt failed; with `retry`, and attempts left, it waits for the next.

        False where the lease was lost.
        """
        with self._archive.transaction() as db:
            row = _held(db, build)
            if row is None:
                return False
            if retry and row["attempts"] + 1 < self._max_attempts:
                _BUILDS.settle(
                    db,
                    row,
                    BuildState.QUEUED.value,
                    attempts=row["attempts"] + 1,
                    reason=clean(reason),
                    not_before_s=self._clock() + self._retry_after_s * 2.0 ** row["attempts"],
                )
            else:
                self._fail(db, row, reason)
            return True

    def counts(self) -> dict[BuildState, int]:
        """How many recordings are in each state."""
        rows = self._archive.rows("SELECT state, count(*) AS n FROM recordings GROUP BY state")
        found = {row["state"]: row["n"] for row in rows}
        return {state: found.get(state.value, 0) for state in BuildState}

    def _set_held(self, folder: str, *, held: bool) -> int:
        changed = 0
        with self._archive.transaction() as db:
            for first, last in below(folder):
                done = db.execute(
                    "UPDATE recordings SET held = ? "
                    "WHERE state IN ('open', 'queued') AND held != ? "
                    "AND id IN (SELECT recording FROM parts WHERE path > ? AND path < ?)",
                    [held, held, first, last],
                )
                changed += int(done.rowcount)
        return changed

    def _fail(self, db: Database, row: Mapping[str, Any], reason: str) -> None:
        _BUILDS.settle(
            db,
            row,
            BuildState.FAILED.value,
            attempts=row["attempts"] + 1,
            reason=clean(reason),
        )
        db.execute(_JOBS_FAILED, [clean(reason), self._clock(), row["id"]])


def _again(db: Database, row: Mapping[str, Any]) -> None:
    _BUILDS.settle(
        db, row, BuildState.QUEUED.value, attempts=0, lost=0, not_before_s=0.0, reason=""
    )
    db.execute(_JOBS_AGAIN, [row["id"]])


def _held(db: Database, build: Build) -> Mapping[str, Any] | None:
    row = _BUILDS.held(db, "id", build.recording, build.lease)
    return row if row and row["revision"] == build.revision else None


def _lost_without_progress(db: Database, row: Mapping[str, Any]) -> int:
    """How often the program ended at a recording since more of its tree was stored."""
    stored = int(row["captioned"] + row["noted"])
    lost = 0 if stored > row["stored"] else int(row["lost"])
    db.execute("UPDATE recordings SET stored = ?, lost = ? WHERE id = ?", [stored, lost, row["id"]])
    return lost


_CLOSE = """
UPDATE recordings SET state = 'queued' WHERE state = 'open' AND (
    confidence = 'guessed'
    OR EXISTS (
        SELECT 1 FROM files f WHERE f.camera = recordings.camera
        AND f.starts_epoch_s >= recordings.ends_epoch_s AND f.confidence != 'guessed'
        AND f.path NOT IN (SELECT path FROM parts WHERE recording = recordings.id)
    )
    OR (? AND ends_epoch_s < ?)
    OR (
        SELECT coalesce(max(taken_s), 0) <= ? OR max(taken_s) > ?
        FROM files f WHERE f.camera = recordings.camera
    )
) AND NOT EXISTS (
    SELECT 1 FROM stirred s WHERE s.camera = recordings.camera AND s.cell = recordings.cell
)"""
# A job is done when all recordings that its file is in are.
_JOBS_DONE = """
UPDATE jobs SET state = 'done', reason = '', finished_s = ? WHERE state = 'placed' AND path IN (
    SELECT path FROM parts WHERE recording = ?
) AND NOT EXISTS (
    SELECT 1 FROM parts p JOIN recordings r ON r.id = p.recording
    WHERE p.path = jobs.path AND r.state != 'done'
)"""
_JOBS_AGAIN = """
UPDATE jobs SET state = 'placed', reason = '', attempts = 0, finished_s = NULL
WHERE state = 'failed' AND path IN (SELECT path FROM parts WHERE recording = ?)"""
_JOBS_FAILED = """
UPDATE jobs SET state = 'failed', reason = ?, finished_s = ?, attempts = attempts + 1
WHERE state = 'placed' AND path IN (SELECT path FROM parts WHERE recording = ?)"""
