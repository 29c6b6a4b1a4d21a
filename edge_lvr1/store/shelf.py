"""Files that were taken in, and how they are put together to recordings.

A file is put here once its content is known. Which files make which recordings is a function
of all files of a camera in one stretch of time (a *cell*), and is worked out again whenever
something changed in it: so it does not matter in which order files came. What did not change
keeps its captions; a recording that gains, loses or replaces a part begins anew under its own
number. It knows nothing of media; the rule is handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from sqlite_utils import Database

from edge_lvr1.domain import Confidence, Part, StartSource, TakenFile
from edge_lvr1.store.audited import add_moved, add_taken
from edge_lvr1.store.db import Archive
from edge_lvr1.store.holds import Carried
from edge_lvr1.store.ingest import Job, place_job
from edge_lvr1.store.rows import content_key, file_of, file_values, part_values
from edge_lvr1.store.text import clean, path_in, to_json


class Joined(Protocol):
    """Parts that make one recording, as the rule gives them."""

    @property
    def camera(self) -> str:
        """The camera."""
        ...

    @property
    def starts_at(self) -> datetime:
        """The start of the first part."""
        ...

    @property
    def start_source(self) -> StartSource:
        """Where that start was read from."""
        ...

    @property
    def confidence(self) -> Confidence:
        """How far it can be trusted."""
        ...

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts, with their offsets."""
        ...

    @property
    def remark(self) -> str:
        """What is to be known of it; empty where nothing is."""
        ...


Rule = Callable[[Sequence[TakenFile]], Iterable[Joined]]


@dataclass(frozen=True, slots=True)
class Cell:
    """A stretch of a camera's time within which parts are joined."""

    camera: str
    number: int


class Shelf:
    """The files of an archive; `clock` gives epoch seconds."""

    def __init__(self, archive: Archive, clock: Callable[[], float]) -> None:
        self._archive = archive
        self._clock = clock

    def put(self, job: Job, file: TakenFile, cell: int) -> bool:
        """Store a job's file in place of what its path held before; the job is placed.

        False, and nothing is stored, where the job's lease was lost.
        """
        with self._archive.transaction() as db:
            if not place_job(db, job):
                return False
            add_taken(db, self._clock(), file)
            self._stir(db, path_in(file.path))
            db.execute("DELETE FROM files WHERE path = ?", [path_in(file.path)])
            db.execute(_INSERT_FILE, [*file_values(file), cell, self._clock()])
            self._stir(db, path_in(file.path))
        return True

    def same_footage(self, file: TakenFile) -> TakenFile | None:
        """The file elsewhere that has these bytes already.

        Names that state two different times are two files even so: a still scene can come out
        the same to the last bit.
        """
        named = file.start_source is StartSource.FILE_NAME
        row = self._archive.row(
            "SELECT * FROM files WHERE sha256 = ? AND camera = ? AND starts_epoch_s = ? "
            "AND path != ? ORDER BY id LIMIT 1",
            [file.sha256, clean(file.camera), file.starts_at.timestamp(), path_in(file.path)],
        ) or self._archive.row(
            "SELECT * FROM files WHERE sha256 = ? AND (start_source != ? OR ?) AND path != ? "
            "ORDER BY id LIMIT 1",
            [file.sha256, StartSource.FILE_NAME.value, not named, path_in(file.path)],
        )
        return file_of(row) if row else None

    def moved(self, job: Job, old: str, new: str, mtime_ns: int) -> bool:
        """A known file lies elsewhere now; False where the job's lease was lost."""
        with self._archive.transaction() as db:
            if not place_job(db, job):
                return False
            add_moved(db, self._clock(), old, new)
            self._stir(db, path_in(new))  # where it lies over another
            db.execute("DELETE FROM files WHERE path = ?", [path_in(new)])
            db.execute("UPDATE files SET gone_s = NULL WHERE path = ?", [path_in(old)])
            for table in ("files", "parts"):
                db.execute(
                    f"UPDATE {table} SET path = ?, mtime_ns = ? WHERE path = ?",
                    [path_in(new), mtime_ns, path_in(old)],
                )
            # The recordings go on under the new name: nothing would end a job of the old one,
            # nor tell it where they become others.
            db.execute(_MOVED_JOB, [f"it lies at {clean(new)} now", self._clock(), path_in(old)])
            self._stir(db, path_in(new))
        return True

    def stirred(self) -> list[Cell]:
        """The cells in which something changed since they were put together."""
        rows = self._archive.rows("SELECT camera, cell FROM stirred ORDER BY cell, camera")
        return [Cell(row["camera"], row["cell"]) for row in rows]

    def put_together(self, cell: Cell, rule: Rule, captioner: str) -> list[int]:
        """Make the recordings of a cell what the rule says; the numbers of those that changed."""
        with self._archive.transaction() as db:
            files = [file_of(row) for row in db.query(_FILES_OF_CELL, [cell.camera, cell.number])]
            rearrangement = _Rearrangement(db, cell, captioner)
            holds = Carried(db, rearrangement.old)
            changed = rearrangement.make(list(rule(files)))
            holds.put_down(cell.camera, cell.number, self._clock())
            db.execute(
                "DELETE FROM stirred WHERE camera = ? AND cell = ?", [cell.camera, cell.number]
            )
        return changed

    def _stir(self, db: Database, path: str | bytes) -> None:
        db.execute(
            "INSERT INTO stirred(camera, cell) SELECT camera, cell FROM files WHERE path = ? "
            "ON CONFLICT DO NOTHING",
            [path],
        )


class _Rearrangement:
    """Brings the stored recordings of one cell to what the rule says."""

    def __init__(self, db: Database, cell: Cell, captioner: str) -> None:
        self.db = db
        self.cell = cell
        self.captioner = captioner
        self.old = {
            row["id"]: row
            for row in db.query(
                "SELECT id, content FROM recordings WHERE camera = ? AND cell = ?",
                [cell.camera, cell.number],
            )
        }

    def make(self, wanted: Sequence[Joined]) -> list[int]:
        by_content = {row["content"]: number for number, row in self.old.items()}
        contents = [content_key(one.camera, one.starts_at, one.parts) for one in wanted]
        kept = {by_content[content] for content in contents if content in by_content}
        free = {number for number in self.old if number not in kept}
        owners = self._owners(free)
        # Contents are unique: what goes must be gone before what comes takes its place.
        new = [
            (one, content)
            for one, content in zip(wanted, contents, strict=True)
            if content not in by_content
        ]
        reused: list[tuple[Joined, str, int | None]] = []
        for one, content in new:
            number = next((o for p in one.parts if (o := owners.get(_key(p))) in free), None)
            if number is not None:
                free.discard(number)
            reused.append((one, content, number))
        for number in free:
            self.db.execute("DELETE FROM recordings WHERE id = ?", [number])
        for _, _, number in reused:
            if number is not None:
                self._empty(number)
        changed = [self._write(one, content, number) for one, content, number in reused]
        self._tell_jobs(sorted(kept))
        return changed

    def _owners(self, numbers: Iterable[int]) -> dict[object, int]:
        rows = self.db.query(
            "SELECT recording, path, offset_s FROM parts "
            "WHERE recording IN (SELECT value FROM json_each(?)) ORDER BY recording DESC",
            [to_json(sorted(numbers))],
        )
        owners: dict[object, int] = {}
        for row in rows:
            # A file that makes several recordings is in each at another, negative, offset.
            owners[(row["path"], min(0.0, row["offset_s"]))] = row["recording"]
        return owners

    def _empty(self, number: int) -> None:
        for table in ("parts", "nodes", "notes", "activities", "pictures", "cues"):
            self.db.execute(f"DELETE FROM {table} WHERE recording = ?", [number])
        self.db.execute(
            "UPDATE recordings SET content = 'emptied ' || id, revision = revision + 1, width = 0, "
            "nodes = 0, captioned = 0, high_captioned = 0, watched_by = NULL, noted = 0, "
            "calls_made = 0, calls_saved = 0, state = 'open', reason = '', attempts = 0, "
            "lost = 0, stored = 0, not_before_s = 0, held = 0, owner = NULL, leased_until_s = NULL "
            "WHERE id = ?",
            [number],
        )

    def _write(self, one: Joined, content: str, number: int | None) -> int:
        epoch_s = one.starts_at.timestamp()
        duration_s = max(part.offset_s + part.duration_s for part in one.parts)
        values = [
            content,
            clean(one.camera),
            one.starts_at.isoformat(),
            epoch_s,
            epoch_s + duration_s,
            one.start_source.value,
            one.confidence.value,
            duration_s,
            clean(self.captioner),
            clean(one.remark),
            self.cell.number,
        ]
        if number is None:
            number = self.db.execute(_INSERT_RECORDING, values).lastrowid or 0
        else:
            self.db.execute(_UPDATE_RECORDING, [*values, number])
        self.db.conn.executemany(
            "INSERT INTO parts VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [part_values(number, ordinal, part) for ordinal, part in enumerate(one.parts)],
        )
        self.db.execute(_RANK, [number, number])
        return number

    def _tell_jobs(self, kept: Sequence[int]) -> None:
        """A file's job names the recordings that the file is in, and ends where they are done.

        One that failed is tried again where its file was offered anew.
        """
        self.db.execute(_TELL_JOBS, [self.cell.camera, self.cell.number])
        self.db.execute(_TRY_AGAIN, [to_json(list(kept))])
        self.db.execute(_END_JOBS, [to_json(list(kept))])


def _key(part: Part) -> tuple[Mapping[str, Any] | str | bytes, float]:
    return path_in(part.path), min(0.0, part.offset_s)


_INSERT_FILE = (
    "INSERT INTO files(path, camera, starts_at, starts_epoch_s, start_source, confidence, "
    "duration_s, size_bytes, mtime_ns, sha256, cell, taken_s) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_FILES_OF_CELL = "SELECT * FROM files WHERE camera = ? AND cell = ? ORDER BY starts_epoch_s, id"
_RECORDING_COLUMNS = (
    "content, camera, starts_at, starts_epoch_s, ends_epoch_s, start_source, confidence, "
    "duration_s, captioner, remark, cell"
)
_INSERT_RECORDING = (
    f"INSERT INTO recordings({_RECORDING_COLUMNS}, width, split, nodes, state) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, '', 0, 'open')"
)
_UPDATE_RECORDING = (
    f"UPDATE recordings SET ({_RECORDING_COLUMNS}) = (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) WHERE id = ?"
)
# A recording goes before others where one of its files does.
_RANK = """
UPDATE recordings SET priority = (
    SELECT coalesce(max(j.priority), 0) FROM parts p JOIN jobs j ON j.path = p.path
    WHERE p.recording = ?
) WHERE id = ?"""
_TELL_JOBS = """
UPDATE jobs SET recordings = told.numbers FROM (
    SELECT p.path AS path, json_group_array(p.recording) AS numbers
    FROM parts p JOIN recordings r ON r.id = p.recording
    WHERE r.camera = ? AND r.cell = ? GROUP BY p.path
) AS told WHERE jobs.path = told.path AND jobs.recordings != told.numbers"""
_MOVED_JOB = (
    "UPDATE jobs SET state = 'done', reason = ?, finished_s = ?, recordings = '[]' "
    "WHERE path = ? AND state IN ('placed', 'done')"
)
_TRY_AGAIN = """
UPDATE recordings SET state = 'queued', attempts = 0, lost = 0, not_before_s = 0
WHERE id IN (SELECT value FROM json_each(?)) AND state = 'failed' AND EXISTS (
    SELECT 1 FROM parts p JOIN jobs j ON j.path = p.path
    WHERE p.recording = recordings.id AND j.state = 'placed'
)"""
_END_JOBS = """
UPDATE jobs SET state = 'done' WHERE state = 'placed' AND path IN (
    SELECT path FROM parts WHERE recording IN (SELECT value FROM json_each(?))
) AND NOT EXISTS (
    SELECT 1 FROM parts p JOIN recordings r ON r.id = p.recording
    WHERE p.path = jobs.path AND r.state != 'done'
)"""
