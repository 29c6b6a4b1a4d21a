"""What must be true of a data folder, whatever happened to the daemon that wrote it.

`broken` looks at a folder and at what the test dropped and asked, and gives a sentence for
each thing that is not as it must be. It reads the tables by SQL of its own: that the program
finds its own writing in order would show little. It works on a copy in memory, so that
looking changes nothing.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_lvr1.store.audit_check import check
from edge_lvr1.store.postings import SHIFT

Db = sqlite3.Connection
EPSILON_S = 1e-6
ANY, FORGOTTEN = "", "forgotten"


@dataclass
class Ledger:
    """What a test gave to a daemon.

    `dropped` are the paths that it must have a job for, with what must become of each: "done",
    "failed", ANY where either will do, or FORGOTTEN where it may have no job at all.
    `questions` are the ids that were answered with 202; `keys` the idempotency keys that were
    sent, whether an answer came or not.
    """

    dropped: dict[Path, str] = field(default_factory=dict)
    questions: set[str] = field(default_factory=set)
    keys: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Seen:
    """A data folder: its database in memory, the folder itself, and the ledger.

    `settled`: everything that was dropped and asked has had its time.
    """

    db: Db
    data: Path
    ledger: Ledger
    settled: bool = True

    def rows(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        return self.db.execute(sql, values).fetchall()

    def each(self, sql: str, sentence: str) -> Iterator[str]:
        """The sentence, filled in with each row that a query finds."""
        for row in self.rows(sql):
            yield sentence.format(*row)


Invariant = Callable[[Seen], Iterator[str]]


def broken(data: Path, ledger: Ledger, settled: bool = True) -> list[str]:
    """A sentence for everything that is not as it must be, with the invariant's name."""
    with closing(copy_of(data / "archive.db")) as db:
        seen = Seen(db, data, ledger, settled)
        return [
            f"{invariant.__name__}: {sentence}"
            for invariant in INVARIANTS
            for sentence in invariant(seen)
        ]


def copy_of(database: Path) -> Db:
    """The database as it is now, in memory."""
    memory = sqlite3.connect(":memory:")
    with closing(sqlite3.connect(database)) as file:
        file.backup(memory)
    memory.row_factory = sqlite3.Row
    return memory


def database_is_whole(seen: Seen) -> Iterator[str]:
    """SQLite finds nothing wrong, in the file itself."""
    with closing(sqlite3.connect(seen.data / "archive.db")) as file:
        for (said,) in file.execute("PRAGMA integrity_check"):
            if said != "ok":
                yield said
    yield from seen.each("PRAGMA foreign_key_check", "{0} row {1} refers to no {2}")


def files_have_one_job_each(seen: Seen) -> Iterator[str]:
    """What landed has one job, which ended as it must; nothing else has one."""
    jobs = {path_of(row["path"]): row for row in seen.rows("SELECT * FROM jobs")}
    count = Counter(path_of(row["path"]) for row in seen.rows("SELECT path FROM jobs"))
    for path, times in count.items():
        if times > 1:
            yield f"{path} has {times} jobs"
        if path not in seen.ledger.dropped:
            yield f"{path} has a job and was never dropped"
    for path, state in seen.ledger.dropped.items():
        job = jobs.get(path)
        if state == FORGOTTEN:
            continue
        if job is None:
            if seen.settled:
                yield f"{path} has no job"
        elif seen.settled and state and job["state"] != state:
            yield f"{path} is {job['state']} ({job['reason']}), not {state}"
        elif seen.settled and path.exists() and not _is_that(path, job):
            yield f"{path} changed after its job was done"


def jobs_end_with_a_recording_or_a_reason(seen: Seen) -> Iterator[str]:
    """A job that ended names recordings that are there, or says why not."""
    states = {row["id"]: row["state"] for row in seen.rows("SELECT id, state FROM recordings")}
    for job in seen.rows("SELECT * FROM jobs"):
        named = json.loads(job["recordings"])
        if job["state"] == "done" and not named and not job["reason"]:
            yield f"job {job['id']} is done without a recording or a reason"
        if job["state"] == "failed" and not job["reason"]:
            yield f"job {job['id']} failed without a reason"
        if seen.settled and job["state"] not in ("done", "failed"):
            yield f"job {job['id']} is still {job['state']}"
        for number in named if job["state"] == "done" else ():
            if states.get(number) not in ("done", None) and not job["reason"]:
                yield f"job {job['id']} is done and its recording {number} {states[number]}"
            if number not in states:
                yield f"job {job['id']} names recording {number}, which is not there"


def files_are_in_one_recording(seen: Seen) -> Iterator[str]:
    """Each file that was taken in stands in recordings, once at each offset, with its bytes."""
    yield from seen.each(
        "SELECT path, offset_s, count(*) FROM parts GROUP BY path, min(offset_s, 0.0) "
        "HAVING count(*) > 1",
        "{0} is {2} times in recordings at {1} s",
    )
    yield from seen.each(
        "SELECT p.recording, p.path FROM parts p LEFT JOIN files f ON f.path = p.path "
        "AND f.sha256 = p.sha256 WHERE f.id IS NULL "
        "AND (SELECT cell FROM recordings WHERE id = p.recording) IS NOT NULL",
        "recording {0} has a part {1} that no file is",
    )
    if seen.settled:
        yield from seen.each(
            "SELECT path FROM files WHERE path NOT IN (SELECT path FROM parts)",
            "{0} is in no recording",
        )
        yield from seen.each("SELECT camera, cell FROM stirred", "{0} {1} is still stirred")
    yield from seen.each(
        "SELECT f.path FROM files f LEFT JOIN jobs j ON j.path = f.path WHERE j.id IS NULL",
        "{0} is a file without a job",
    )


def recordings_are_complete(seen: Seen) -> Iterator[str]:
    """A recording that is done has all its nodes captioned; its counters say what is there."""
    for row in seen.rows(
        "SELECT r.*, (SELECT count(*) FROM nodes n WHERE n.recording = r.id) AS has, "
        "(SELECT count(*) FROM nodes n JOIN captions c ON c.node = n.id WHERE n.recording = r.id) "
        "AS told, (SELECT count(*) FROM nodes n JOIN captions c ON c.node = n.id "
        "WHERE n.recording = r.id AND n.m = 0) AS high FROM recordings r"
    ):
        name = f"recording {row['id']}"
        width = row["width"]
        if (row["captioned"], row["high_captioned"]) != (row["told"], row["high"]):
            yield f"{name} counts {row['captioned']} captions and has {row['told']}"
        if row["calls_made"] + row["calls_saved"] != row["captioned"]:
            yield f"{name} made and saved other than {row['captioned']} calls"
        if not row["nodes"] == row["has"] == width + width**2 + width**3:
            yield f"{name} of width {width} has {row['has']} nodes"
        if row["state"] == "done" and not 0 < row["has"] == row["told"]:
            yield f"{name} is done with {row['told']} of {row['has']} captions"
        if row["state"] == "failed" and not row["reason"]:
            yield f"{name} failed without a reason"
        if seen.settled and row["state"] not in ("done", "failed"):
            yield f"{name} is still {row['state']}"


def nodes_are_there_once(seen: Seen) -> Iterator[str]:
    """No node stands twice, and those of a level lie end to end over the whole recording."""
    yield from seen.each(
        "SELECT recording, h, m, l, count(*) FROM nodes GROUP BY recording, h, m, l "
        "HAVING count(*) > 1",
        "recording {0} has node ({1},{2},{3}) {4} times",
    )
    durations = {
        row["id"]: row["duration_s"] for row in seen.rows("SELECT id, duration_s FROM recordings")
    }
    for level in ("m = 0", "m > 0 AND l = 0", "l > 0"):
        ends: dict[int, float] = {}
        for row in seen.rows(
            f"SELECT * FROM nodes WHERE {level} ORDER BY recording, start_s, end_s"
        ):
            number = row["recording"]
            if abs(row["start_s"] - ends.get(number, 0.0)) > EPSILON_S:
                yield f"recording {number} has a gap or an overlap at {row['start_s']} s"
            ends[number] = row["end_s"]
        for number, end_s in ends.items():
            if abs(end_s - durations.get(number, -1.0)) > EPSILON_S:
                yield f"the nodes of recording {number} end at {end_s} s"


def captions_are_found_by_their_words(seen: Seen) -> Iterator[str]:
    """Each caption is in the index once: in FTS5, or in a sealed block."""
    try:
        seen.db.execute("INSERT INTO captions_fts(captions_fts) VALUES ('integrity-check')")
    except sqlite3.DatabaseError as error:
        yield f"FTS5 finds its index wrong: {error}"
    opened = {row["id"] for row in seen.rows("SELECT id FROM captions_fts_docsize")}
    sealed = _sealed(seen)
    texts = {row["node"]: row["text"] for row in seen.rows("SELECT node, text FROM captions")}
    for node in sorted((opened | sealed) - set(texts)):
        yield f"the index has caption {node}, which is not there"
    for node in sorted(opened & sealed):
        yield f"caption {node} is in the index twice"
    for node in sorted(set(texts) - opened - sealed):
        if has_words(texts[node]):
            yield f"caption {node} is not in the index"
    found = {row["doc"] for row in seen.rows("SELECT DISTINCT doc FROM words_open")}
    for node in sorted(opened - found):
        if has_words(texts.get(node, "")):
            yield f"caption {node} is found by none of its words"


def _sealed(seen: Seen) -> set[int]:
    """The captions that count in sealed blocks, by the lengths that these hold."""
    gone = {row["node"] for row in seen.rows("SELECT node FROM words_gone")}
    found: set[int] = set()
    for row in seen.rows("SELECT block, lengths FROM word_blocks"):
        lengths = memoryview(row["lengths"]).cast("H").tolist()
        found |= {(row["block"] << SHIFT) + place for place, words in enumerate(lengths) if words}
    return found - gone


def has_words(text: str) -> bool:
    return any(letter.isalnum() for letter in text)


def captions_have_their_vectors(seen: Seen) -> Iterator[str]:
    """Where there are vectors: one for each caption, and only files that a block names."""
    if not seen.rows("SELECT 1 FROM vector_maker"):
        return
    captions = {row["node"] for row in seen.rows("SELECT node FROM captions")}
    opened = {row["node"] for row in seen.rows("SELECT node FROM vectors_open")}
    wanted = {row["node"] for row in seen.rows("SELECT node FROM vectors_wanted")}
    gone = {row["node"] for row in seen.rows("SELECT node FROM vectors_gone")}
    sealed: set[int] = set()
    for row in seen.rows("SELECT * FROM vector_blocks"):
        inside = memoryview(row["nodes"]).cast("H").tolist()
        sealed |= {(row["block"] << SHIFT) + place for place in inside}
        for kind in ("vectors", "signs"):
            if not (seen.data / "vectors" / f"{row['file']}.{kind}.npy").is_file():
                yield f"the {kind} of block {row['block']} are not there"
    for node in sorted(captions - opened - wanted - (sealed - gone)):
        yield f"caption {node} has no vector and waits for none"
    for node in sorted((opened | wanted | (sealed - gone)) - captions):
        yield f"there is a vector of caption {node}, which is not there"


def questions_are_answered_once(seen: Seen) -> Iterator[str]:
    """Each question that was accepted is there and ended, with one answer and its steps."""
    rows = {row["id"]: row for row in seen.rows("SELECT * FROM questions")}
    for number in sorted(seen.ledger.questions - set(rows)):
        yield f"question {number} was accepted and is not there"
    keys = Counter(row["key"] for row in rows.values() if row["key"] is not None)
    for key, times in keys.items():
        if times > 1 or (seen.ledger.keys and key not in seen.ledger.keys):
            yield f"the key {key} has {times} questions"
    for key in sorted(seen.ledger.keys - set(keys)) if seen.settled else ():
        yield f"the key {key} has no question"
    for row in rows.values():
        yield from _answered_once(seen, row)


def _answered_once(seen: Seen, row: sqlite3.Row) -> Iterator[str]:
    steps = [
        step["ordinal"]
        for step in seen.rows(
            "SELECT ordinal FROM steps WHERE question = ? ORDER BY ordinal", row["number"]
        )
    ]
    if steps != list(range(len(steps))):
        yield f"question {row['id']} has the steps {steps}"
    if seen.settled and row["state"] not in ("done", "cancelled"):
        yield f"question {row['id']} is still {row['state']}"
    if row["state"] == "done":
        answer = json.loads(row["answer"]) if row["answer"] else None
        if answer is None or row["finished_s"] is None:
            yield f"question {row['id']} is done without an answer"
        elif answer["rounds"] != len(steps):
            yield f"question {row['id']} has {len(steps)} steps of {answer['rounds']} rounds"
    elif row["answer"] is not None and row["state"] != "cancelled":
        yield f"question {row['id']} is {row['state']} and has an answer"


def audit_log_is_whole(seen: Seen) -> Iterator[str]:
    """No entry was changed or taken out; what ended is told of once."""
    if found := check(_Rows(seen.db)).broken:
        yield found.reason
    rows = seen.rows("SELECT * FROM audit ORDER BY number")
    told = Counter(
        json.loads(row["what"]).get("question")
        for row in rows
        if row["kind"] == "question.answered"
    )
    ended = {row["id"] for row in seen.rows("SELECT id FROM questions WHERE answer IS NOT NULL")}
    for number, times in told.items():
        if times > 1:
            yield f"question {number} is told to be answered {times} times"
        if number not in ended:
            yield f"question {number} is told to be answered and is not"
    for number in sorted(ended - set(told)):
        yield f"question {number} is answered and the log does not tell"


def nothing_is_left_over(seen: Seen) -> Iterator[str]:
    """No temporary file stays, and no lease is held, once the daemon has ended."""
    named = {
        f"{row['file']}.{kind}.npy"
        for row in seen.rows("SELECT file FROM vector_blocks")
        for kind in ("vectors", "signs")
    }
    # The files of a block that was sealed anew stay for those who read them, until the next.
    kept = {path.name.split(".")[0] for path in seen.data.glob("vectors/*.npy")} - {
        name.split(".")[0] for name in named
    }
    if len(kept) > 1:
        yield f"the vectors {', '.join(sorted(kept))} belong to no block"
    for path in sorted(seen.data.rglob("*")):
        parts = path.relative_to(seen.data).parts
        if parts[0] == "vectors" and path.is_file() and path.suffix != ".npy":
            yield f"{path} is left over"
        if path.name.startswith(".") or path.suffix in LEFT_OVER:
            yield f"{path} is left over"
    if seen.settled:
        for table in ("jobs", "recordings", "questions"):
            yield from seen.each(
                f"SELECT owner FROM {table} WHERE owner IS NOT NULL",
                f"{{0}} still holds one of the {table}",
            )


@dataclass(frozen=True)
class _Rows:
    """The database as the checker of the audit log reads it."""

    db: Db

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
        return [dict(row) for row in self.db.execute(sql, tuple(parameters))]


LEFT_OVER = frozenset({".part", ".partial", ".tmp", ".new", ".replaced"})

INVARIANTS: tuple[Invariant, ...] = (
    database_is_whole,
    files_have_one_job_each,
    jobs_end_with_a_recording_or_a_reason,
    files_are_in_one_recording,
    recordings_are_complete,
    nodes_are_there_once,
    captions_are_found_by_their_words,
    captions_have_their_vectors,
    questions_are_answered_once,
    audit_log_is_whole,
    nothing_is_left_over,
)


def told_by(data: Path) -> list[tuple[Any, ...]]:
    """Every recording with its nodes and captions, whatever their numbers: to be compared."""
    with closing(copy_of(data / "archive.db")) as db:
        rows = db.execute(
            "SELECT r.camera, r.starts_at, r.duration_s, r.width, r.state, n.h, n.m, n.l, "
            "n.start_s, n.end_s, c.text, c.written_by, c.version, c.details, c.inherits, "
            "(SELECT group_concat(sha256) FROM parts p WHERE p.recording = r.id) "
            "FROM recordings r JOIN nodes n ON n.recording = r.id "
            "LEFT JOIN captions c ON c.node = n.id "
            "ORDER BY r.camera, r.starts_epoch_s, r.id, n.h, n.m, n.l"
        ).fetchall()
    return [tuple(row) for row in rows]


def path_of(stored: str | bytes) -> Path:
    return Path(os.fsdecode(stored))


def _is_that(path: Path, job: sqlite3.Row) -> bool:
    now = path.stat()
    return (now.st_size, now.st_mtime_ns) == (job["size_bytes"], job["mtime_ns"])
