"""Each invariant finds what it is there for: an archive is broken on purpose, once for each."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.reliability import invariants
from tests.reliability.invariants import Ledger, broken
from tests.reliability.kills import Killer

FIRST_CAPTION = "(SELECT min(node) FROM captions)"
UNCHECKED = "PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON;"


def stray(data: Path, *names: str) -> None:
    """Vectors that nothing names."""
    for name in names:
        (data / "vectors" / name).touch()


# What is broken, and the invariant that must say so.
BY_SQL = [
    ("UPDATE jobs SET state = 'lost'", "database_is_whole"),
    ("DELETE FROM recordings WHERE id = 1", "database_is_whole"),
    ("DELETE FROM jobs WHERE id = 1", "files_have_one_job_each"),
    (
        "INSERT INTO jobs(path, size_bytes, mtime_ns, offered_s) VALUES ('/x', 1, 1, 1)",
        "files_have_one_job_each",
    ),
    ("UPDATE jobs SET state = 'failed', reason = 'x'", "files_have_one_job_each"),
    ("UPDATE jobs SET size_bytes = 1", "files_have_one_job_each"),
    (
        "UPDATE jobs SET recordings = '[]', reason = '' WHERE state = 'done'",
        "jobs_end_with_a_recording_or_a_reason",
    ),
    ("UPDATE jobs SET reason = ''", "jobs_end_with_a_recording_or_a_reason"),
    ("UPDATE jobs SET recordings = '[99]'", "jobs_end_with_a_recording_or_a_reason"),
    ("UPDATE jobs SET state = 'placed'", "jobs_end_with_a_recording_or_a_reason"),
    ("DELETE FROM parts WHERE recording = 1", "files_are_in_one_recording"),
    (
        "INSERT INTO parts SELECT 2, ordinal + 7, path, offset_s, duration_s, size_bytes, "
        "mtime_ns, sha256 FROM parts WHERE recording = 1",
        "files_are_in_one_recording",
    ),
    ("UPDATE files SET sha256 = 'other'", "files_are_in_one_recording"),
    ("INSERT INTO stirred VALUES ('gate', 1)", "files_are_in_one_recording"),
    (f"DELETE FROM captions WHERE node = {FIRST_CAPTION}", "recordings_are_complete"),
    ("UPDATE recordings SET captioned = captioned + 1", "recordings_are_complete"),
    ("UPDATE recordings SET state = 'queued'", "recordings_are_complete"),
    (
        "INSERT INTO nodes(recording, h, m, l, start_s, end_s) VALUES (1, 9, 0, 0, 0, 20)",
        "nodes_are_there_once",
    ),
    ("UPDATE nodes SET end_s = end_s + 1 WHERE id = 1", "nodes_are_there_once"),
    ("DELETE FROM word_blocks", "captions_are_found_by_their_words"),
    (
        "INSERT INTO captions_fts(rowid, text) "
        f"SELECT node, text FROM captions WHERE node = {FIRST_CAPTION}",
        "captions_are_found_by_their_words",
    ),
    ("DELETE FROM vector_blocks", "captions_have_their_vectors"),
    ("DELETE FROM questions WHERE number = 1", "questions_are_answered_once"),
    ("UPDATE questions SET answer = NULL", "questions_are_answered_once"),
    ("UPDATE questions SET state = 'running'", "questions_are_answered_once"),
    (
        "INSERT INTO steps SELECT question, 99, step FROM steps LIMIT 1",
        "questions_are_answered_once",
    ),
    ("UPDATE questions SET key = 'another' WHERE number = 1", "questions_are_answered_once"),
    (
        "DROP TRIGGER audit_is_not_changed; UPDATE audit SET what = '{}' WHERE number = 2",
        "audit_log_is_whole",
    ),
    (
        "DROP TRIGGER audit_is_not_shortened; DELETE FROM audit WHERE number = 2",
        "audit_log_is_whole",
    ),
    ("UPDATE questions SET answer = NULL", "audit_log_is_whole"),
    ("UPDATE questions SET id = 'x' || id", "audit_log_is_whole"),
    ("UPDATE jobs SET owner = 'daemon'", "nothing_is_left_over"),
]
BY_FILE: list[tuple[Callable[[Path], object], str]] = [
    (lambda data: (data / ".archive.db.part").touch(), "nothing_is_left_over"),
    (lambda data: stray(data, "x.vectors.npy", "y.vectors.npy"), "nothing_is_left_over"),
    (lambda data: stray(data, "x.vectors.npy.part"), "nothing_is_left_over"),
    (lambda data: shutil.rmtree(data / "vectors"), "captions_have_their_vectors"),
]


@pytest.fixture
def whole(killer: Killer, tmp_path: Path) -> tuple[Path, Ledger]:
    """A copy of a data folder that is as it must be, and what was dropped and asked."""
    assert killer.whole is not None
    data = tmp_path / "data"
    shutil.copytree(killer.whole.data, data)
    return data, killer.whole.ledger


def found(data: Path, ledger: Ledger) -> set[str]:
    return {sentence.split(":")[0] for sentence in broken(data, ledger)}


def test_nothing_is_found_where_nothing_is_broken(whole: tuple[Path, Ledger]) -> None:
    assert broken(*whole) == []


@pytest.mark.parametrize(("sql", "name"), BY_SQL)
def test_broken_table_is_found(whole: tuple[Path, Ledger], sql: str, name: str) -> None:
    data, ledger = whole
    with closing(sqlite3.connect(data / "archive.db")) as db:
        db.executescript(f"{UNCHECKED} {sql}")

    assert name in found(data, ledger)


@pytest.mark.parametrize(("breaks", "name"), BY_FILE)
def test_broken_folder_is_found(
    whole: tuple[Path, Ledger], breaks: Callable[[Path], object], name: str
) -> None:
    data, ledger = whole
    breaks(data)

    assert name in found(data, ledger)


def test_lost_question_and_lost_file_are_found(whole: tuple[Path, Ledger], tmp_path: Path) -> None:
    data, ledger = whole
    more = Ledger({**ledger.dropped, tmp_path / "lost.mp4": ""}, {*ledger.questions, "lost"})

    assert found(data, more) >= {"files_have_one_job_each", "questions_are_answered_once"}


def test_every_invariant_is_shown_to_fail() -> None:
    names = {invariant.__name__ for invariant in invariants.INVARIANTS}

    assert names == {name for _, name in [*BY_SQL, *BY_FILE]}
