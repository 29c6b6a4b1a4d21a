"""The audit log: whatever is done to it from outside is found, and where."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_lvr1.access import DAEMON, Who
from edge_lvr1.errors import NotFoundError, QuestionError, StoreError
from edge_lvr1.store.audit import (
    FIRST,
    AuditLog,
    Entry,
    Filter,
    Head,
    about,
    before,
    entries,
    every,
    hash_of,
    what_of,
    who_told,
)
from edge_lvr1.store.audit_check import check, check_chain, expected_head
from edge_lvr1.store.db import Archive
from edge_lvr1.store.read_only import read_only
from tests.store.footage import Clock

_AS_NOBODY = """
import os, sys
from pathlib import Path
from edge_lvr1.store.audit_check import check
from edge_lvr1.store.read_only import read_only
os.setuid(65534)
with read_only(Path(sys.argv[1])) as source:
    print(check(source).entries, end="")
"""
ANNA = Who("socket", 1000, 1000, 77, "anna")


def chain_of(whats: Sequence[str]) -> list[Entry]:
    """A sound log that says those things."""
    made: list[Entry] = []
    last = FIRST
    for number, what in enumerate(whats, 1):
        entry = Entry(number, "2026-03-14T08:30:00.000000+00:00", "thing.done", "{}", what, "")
        made.append(replace(entry, hash=hash_of(entry, last)))
        last = made[-1].hash
    return made


@pytest.fixture
def log(archive: Archive, clock: Clock) -> AuditLog:
    return AuditLog(archive, clock)


def tampered(archive: Archive, *statements: str) -> None:
    """Done by somebody who may write the file, past the guards within it."""
    archive.close()
    with sqlite3.connect(archive.path) as connection:
        for name in ("changed", "shortened", "overwritten"):
            connection.execute(f"DROP TRIGGER audit_is_not_{name}")
        for statement in statements:
            connection.execute(statement)
    connection.close()


texts = st.lists(st.text(max_size=8).map(repr), min_size=2, max_size=12)


@given(texts)
def test_sound_chain_holds(whats: list[str]) -> None:
    chain = chain_of(whats)

    found = check_chain(iter(chain), Head(1, chain[0].hash))

    assert found.broken is None
    assert (found.entries, found.head) == (len(chain), Head(len(chain), chain[-1].hash))


@given(texts, st.data())
def test_any_changed_field_is_found_where_it_is(whats: list[str], data: st.DataObject) -> None:
    chain = chain_of(whats)
    place = data.draw(st.integers(0, len(chain) - 1))
    name = data.draw(st.sampled_from(["at", "kind", "who", "what", "hash"]))
    old = getattr(chain[place], name)
    chain[place] = replace(chain[place], **{name: data.draw(st.text().filter(lambda t: t != old))})

    broken = check_chain(chain).broken

    assert broken is not None
    assert broken.number == place + 1


@given(texts, st.data())
def test_any_entry_that_was_written_anew_breaks_the_next(
    whats: list[str], data: st.DataObject
) -> None:
    chain = chain_of(whats)
    place = data.draw(st.integers(0, len(chain) - 2))
    forged = replace(chain[place], what=chain[place].what + "!")
    last = chain[place - 1].hash if place else FIRST
    chain[place] = replace(forged, hash=hash_of(forged, last))

    broken = check_chain(chain).broken

    assert broken is not None
    assert broken.number == place + 2


@given(texts, st.data())
def test_any_removal_but_of_the_end_is_found_where_it_was(
    whats: list[str], data: st.DataObject
) -> None:
    chain = chain_of(whats)
    place = data.draw(st.integers(0, len(chain) - 2))
    most = len(chain) - 1 - place
    gone = data.draw(st.integers(1, most))
    renumbered = data.draw(st.booleans())
    left = chain[:place] + chain[place + gone :]
    if renumbered:
        left = [replace(entry, number=number) for number, entry in enumerate(left, 1)]

    broken = check_chain(left).broken

    assert broken is not None
    assert broken.number == place + 1


@given(texts, st.data())
def test_any_insertion_is_found_where_it_is(whats: list[str], data: st.DataObject) -> None:
    chain = chain_of(whats)
    place = data.draw(st.integers(0, len(chain) - 1))
    last = chain[place - 1].hash if place else FIRST
    forged = replace(chain[place], what='"put in"')
    forged = replace(forged, hash=hash_of(forged, last))
    moved = [replace(entry, number=entry.number + 1) for entry in chain[place:]]

    broken = check_chain([*chain[:place], forged, *moved]).broken

    assert broken is not None
    assert broken.number == place + 2


@given(texts, st.data())
def test_any_swap_is_found_at_the_first_of_both(whats: list[str], data: st.DataObject) -> None:
    chain = chain_of(whats)
    first, second = sorted(
        data.draw(st.lists(st.integers(0, len(chain) - 1), min_size=2, max_size=2, unique=True))
    )
    one, other = chain[first], chain[second]
    chain[first] = replace(other, number=one.number)
    chain[second] = replace(one, number=other.number)

    broken = check_chain(chain).broken

    assert broken is not None
    assert broken.number == first + 1


@given(texts, st.data())
def test_end_that_was_cut_off_is_found_by_an_expected_head(
    whats: list[str], data: st.DataObject
) -> None:
    chain = chain_of(whats)
    kept = data.draw(st.integers(0, len(chain) - 1))
    expected = Head(len(chain), chain[-1].hash)

    alone = check_chain(chain[:kept])
    broken = check_chain(chain[:kept], expected).broken

    assert alone.broken is None
    assert broken is not None
    assert broken.number == kept + 1


def test_log_that_was_written_anew_as_a_whole_is_found_by_an_expected_head() -> None:
    written, anew = chain_of(['"a"', '"b"', '"c"']), chain_of(['"a"', '"B"', '"c"', '"d"'])

    broken = check_chain(anew, Head(3, written[-1].hash)).broken

    assert broken is not None
    assert broken.number == 3
    assert "anew" in broken.reason


def test_entry_tells_when_what_and_who(log: AuditLog) -> None:
    log.add("question.asked", ANNA, question="q1", text="Wer?\udc80\x1b[31m")

    (entry,) = log.entries()

    assert entry.at == "1970-01-01T00:16:40.000000+00:00"
    assert who_told(entry) == {"via": "socket", "uid": 1000, "gid": 1000, "pid": 77, "name": "anna"}
    assert what_of(entry) == {"question": "q1", "text": "Wer?\udc80\x1b[31m"}
    assert log.head() == Head(1, entry.hash)


def test_entry_within_a_transaction_that_fails_is_not_there(
    archive: Archive, log: AuditLog
) -> None:
    def half_done() -> None:
        with archive.transaction() as db:
            log.add_in(db, "thing.done", DAEMON)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half_done()
    log.add("thing.done", DAEMON)

    assert [entry.number for entry in log.entries()] == [1]
    assert check(archive).broken is None


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET what = '{}' WHERE number = 1",
        "DELETE FROM audit WHERE number = 2",
        "DELETE FROM audit",
        "INSERT OR REPLACE INTO audit SELECT 2, at, kind, who, '{}', hash FROM audit",
        "REPLACE INTO audit SELECT * FROM audit WHERE number = 1",
    ],
)
def test_log_is_append_only_within_the_database(
    archive: Archive, log: AuditLog, statement: str
) -> None:
    log.add("thing.done", DAEMON)
    log.add("thing.done", DAEMON)
    was = log.entries()

    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        archive.connect().execute(statement)

    assert log.entries() == was


def test_entries_from_many_threads_make_one_chain(archive: Archive, log: AuditLog) -> None:
    def append(name: str) -> None:
        for number in range(20):
            log.add("thing.done", Who("command", name=name), number=number)

    threads = [threading.Thread(target=append, args=(f"thread {one}",)) for one in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    found = check(archive)
    assert (found.entries, found.broken) == (120, None)
    for one in range(6):
        own = [what_of(e)["number"] for e in every(archive) if f"thread {one}" in e.who]
        assert own == list(range(20))


@pytest.mark.parametrize(
    ("statement", "number", "reason"),
    [
        ('UPDATE audit SET what = \'{"text":"no"}\' WHERE number = 3', 3, "not what was written"),
        ("DELETE FROM audit WHERE number = 2", 2, "entry 2 is missing"),
        ("DELETE FROM audit WHERE number IN (2, 3)", 2, "entries 2 to 3 are missing"),
        ("DELETE FROM audit WHERE number > 3", 4, "5 were written"),
        ("DELETE FROM audit", 1, "5 were written"),
        ("UPDATE audit SET at = '2026' WHERE number = 5", 5, "not what was written"),
    ],
)
def test_tampered_database_is_found_out(
    archive: Archive, log: AuditLog, statement: str, number: int, reason: str
) -> None:
    for text in "abcde":
        log.add("thing.done", DAEMON, text=text)
    tampered(archive, statement)

    with read_only(archive.path) as source:
        broken = check(source).broken

    assert broken is not None
    assert broken.number == number
    assert reason in broken.reason


def test_end_that_was_cut_off_leaves_a_gap_when_the_log_goes_on(
    archive: Archive, log: AuditLog
) -> None:
    for _ in range(4):
        log.add("thing.done", DAEMON)
    tampered(archive, "DELETE FROM audit WHERE number > 2")

    log.add("thing.done", DAEMON)

    broken = check(archive).broken
    assert broken is not None
    assert (broken.number, broken.reason) == (3, "entries 3 to 4 are missing")


def test_end_cut_off_without_a_trace_is_found_by_what_the_journal_says(
    archive: Archive, log: AuditLog
) -> None:
    for _ in range(4):
        log.add("thing.done", DAEMON)
    said = log.head()
    tampered(
        archive,
        "DELETE FROM audit WHERE number > 2",
        "UPDATE sqlite_sequence SET seq = 2 WHERE name = 'audit'",
    )

    assert check(archive).broken is None
    broken = check(archive, said).broken
    assert broken is not None
    assert broken.number == 3


@pytest.mark.parametrize("cut", ["delete from audit where number > 1", "delete from audit"])
def test_count_that_was_tampered_with_keeps_nobody_from_writing(
    archive: Archive, log: AuditLog, cut: str
) -> None:
    log.add("thing.done", DAEMON)
    log.add("thing.done", DAEMON)
    tampered(archive, cut, "UPDATE sqlite_sequence SET seq = 'x'")

    log.add("thing.done", DAEMON)

    assert check(archive).broken is None or "entry" in str(check(archive).broken)


def test_filter_takes_a_kind_or_a_family_from_a_time_on(
    archive: Archive, log: AuditLog, clock: Clock
) -> None:
    for now_s, kind in enumerate(("file.taken", "files.x", "file.gone", "question.asked"), 1):
        clock.now_s = float(now_s)
        log.add(kind, DAEMON)

    def kinds(kind: str = "", since_s: float | None = None) -> list[str]:
        since = None if since_s is None else datetime.fromtimestamp(since_s, timezone.utc)
        return [entry.kind for entry in every(archive, Filter(kind, since))]

    assert kinds("file") == ["file.taken", "file.gone"]
    assert kinds("file.gone") == ["file.gone"]
    assert kinds("", 3.0) == ["file.gone", "question.asked"]
    assert kinds("file", 2.0) == ["file.gone"]
    assert entries(archive, after=3)[0].kind == "question.asked"


def test_entries_about_a_question_and_its_files_are_found(archive: Archive, log: AuditLog) -> None:
    log.add("file.taken", DAEMON, sha256="aa")
    log.add("file.taken", DAEMON, sha256="bb")
    log.add("question.asked", ANNA, question="q1")
    log.add("question.asked", ANNA, question="q2")

    found = about(archive, "q1", ["bb", "cc"])

    assert [entry.number for entry in found] == [2, 3]
    for entry in found:
        assert hash_of(entry, before(archive, entry)) == entry.hash


def test_log_is_read_beside_one_who_writes(archive: Archive, log: AuditLog) -> None:
    log.add("thing.done", DAEMON)
    with read_only(archive.path) as source:
        assert check(source).entries == 1
        log.add("thing.done", DAEMON)
        assert check(source).entries == 2


def test_reading_creates_and_changes_nothing(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no archive"), read_only(tmp_path / "x.db"):
        pass
    (tmp_path / "other.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(StoreError, match="cannot be read"), read_only(tmp_path / "other.db"):
        pass
    assert [file.name for file in tmp_path.iterdir()] == ["other.db"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_log_is_read_by_a_user_who_may_write_nothing_there(
    archive: Archive, log: AuditLog, tmp_path: Path
) -> None:
    log.add("thing.done", DAEMON)
    archive.close()
    place = Path(tempfile.mkdtemp())  # pytest's own folders are closed to others
    try:
        shutil.copy(archive.path, place)
        place.chmod(0o555)
        (place / archive.path.name).chmod(0o444)
        done = subprocess.run(
            [sys.executable, "-c", _AS_NOBODY, place / archive.path.name],
            cwd=Path(__file__).resolve().parents[2],
            capture_output=True,
            check=False,
        )
        assert done.stdout == b"1", done.stderr
        assert [file.name for file in place.iterdir()] == [archive.path.name]
    finally:
        place.chmod(0o755)
        shutil.rmtree(place)


def test_reading_writes_nothing_into_the_database(archive: Archive, log: AuditLog) -> None:
    log.add("thing.done", DAEMON)

    with read_only(archive.path) as source, pytest.raises(StoreError, match="cannot be read"):
        source.rows("DELETE FROM audit")


@settings(max_examples=30)
@given(st.integers(0, 10**17), st.binary(min_size=32, max_size=32))
def test_head_is_read_as_it_is_said(number: int, digest: bytes) -> None:
    said = Head(number, digest.hex())

    assert expected_head(f" {said}\n") == said


@pytest.mark.parametrize("text", ["", "3", "3:abc", "x:" + "0" * 64, "-1:" + "0" * 64])
def test_what_is_no_head_is_refused(text: str) -> None:
    with pytest.raises(QuestionError, match="NUMBER:HASH"):
        expected_head(text)
