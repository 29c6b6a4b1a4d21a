"""The queries that run all the time never read a whole table (100,000 captions and more)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sqlite_utils import Database

from edge_lvr1.domain import Answer, Level, NodeId, Scope, Verdict
from edge_lvr1.store.db import Archive
from edge_lvr1.store.queues import (
    Asked,
    IngestQueue,
    JobState,
    QuestionQueue,
    QuestionState,
    Room,
)
from edge_lvr1.store.search import search
from edge_lvr1.store.trees import Trees
from tests.store.footage import NOON, Clock, add, caption, question


def hot(archive: Archive) -> dict[str, Callable[[], object]]:
    trees, clock = Trees(archive), Clock()
    jobs, questions = IngestQueue(archive, clock), QuestionQueue(archive, clock)
    node = trees.plan(1).nodes[0]
    return {
        "recording": lambda: trees.recording(1),
        "recordings of a camera": lambda: trees.recordings(Scope(cameras=("gate",))),
        "recordings of a time": lambda: trees.recordings(Scope(until=NOON)),
        "plan": lambda: trees.plan(1),
        "caption": lambda: trees.caption(1, NodeId((1, 1))),
        "captions": lambda: trees.captions(1, Level.HIGH),
        "put caption": lambda: trees.put_caption(1, caption(node)),
        "progress": lambda: trees.progress(1),
        "search": lambda: search(archive, "person", Scope(recording=1)),
        "known files": lambda: jobs.known(["/a.mp4", "/b.mp4"]),
        "offer": lambda: jobs.offer("/a.mp4", 1, 2),
        "lease a job": lambda: jobs.lease("worker", 60.0),
        "failed jobs": lambda: jobs.jobs(JobState.FAILED),
        "lease a question": lambda: questions.lease("worker", 60.0),
        "cancelled": lambda: questions.cancelled("q1"),
        "steps": lambda: questions.steps("q1"),
        "queued": questions.queued,
        "ask": lambda: questions.put(question(2), Asked("uid:1", key="k"), Room(100, 25)),
        "a key that came before": lambda: questions.again(Asked("uid:1", key="k")),
        "deadlines": questions.expire,
        "old questions": lambda: questions.prune(0.0, 1.0),
        "answered questions": lambda: questions.list(QuestionState.DONE),
    }


def statements(archive: Archive, database: Database, run: Callable[[], object]) -> list[str]:
    told: list[str] = []
    database.conn.set_trace_callback(told.append)
    try:
        run()
    finally:
        database.conn.set_trace_callback(None)
    return [sql for sql in told if sql.split()[0] in ("SELECT", "UPDATE", "INSERT", "DELETE")]


def test_hot_queries_read_no_whole_table(tmp_path: Path) -> None:
    with Archive(tmp_path / "archive.db").open() as archive:
        add(Trees(archive))
        database = archive.connect()
        scans = {}
        for name, run in hot(archive).items():
            found = statements(archive, database, run)
            assert found, name
            plans = [row[3] for s in found for row in database.execute(f"EXPLAIN QUERY PLAN {s}")]
            scans[name] = [step for step in plans if step.startswith("SCAN") and _whole(step)]

        assert {name: steps for name, steps in scans.items() if steps} == {}


def _whole(step: str) -> bool:
    # A full-text look-up is a SCAN of its virtual table, and JSON lists are short. A row of
    # word_blocks (b) stands for 16,384 captions, and few captions wait to be sealed.
    # Of questions, few wait at a time, and only these are in `questions_waiting`.
    short = ("VIRTUAL TABLE", "CONSTANT ROW", "SCAN b", "word_blocks", "words_gone", "_docsize")
    short += ("questions_waiting", "SCAN waiting", "captions_fts_config")
    short += ("sqlite_sequence",)  # a row for each table
    return not any(name in step for name in short)


def test_query_plan_check_sees_a_whole_scan(archive: Archive) -> None:
    database = archive.connect()

    plan = [row[3] for row in database.execute("EXPLAIN QUERY PLAN SELECT * FROM nodes")]

    assert [step for step in plan if step.startswith("SCAN") and _whole(step)] == plan


def test_lease_costs_the_same_however_many_wait(archive: Archive) -> None:
    queue = IngestQueue(archive, Clock())
    database = archive.connect()

    def cost(waiting: int) -> int:
        with archive.transaction() as db:
            db.conn.executemany(
                "INSERT INTO jobs(path, size_bytes, mtime_ns, offered_s) VALUES (?, 1, 2, 3)",
                [(f"/{waiting}/{number}.mp4",) for number in range(waiting)],
            )
        ticks: list[None] = []
        database.conn.set_progress_handler(lambda: ticks.append(None), 10)
        assert queue.lease("worker", 60.0) is not None
        database.conn.set_progress_handler(None, 0)
        return len(ticks)

    few, many = cost(5), cost(5000)

    assert many < 2 * few


def test_asking_costs_the_same_however_many_were_answered(archive: Archive) -> None:
    questions = QuestionQueue(archive, Clock())
    database = archive.connect()
    number = iter(range(10))

    def cost() -> int:
        ticks: list[None] = []
        database.conn.set_progress_handler(lambda: ticks.append(None), 10)
        for client in ("uid:1", "uid:2"):
            one = question(next(number))
            questions.put(one, Asked(client, key=one.id), Room(100, 25))
        for _ in range(2):
            record = questions.lease("worker", 60.0)
            assert record is not None
            questions.finish(record.question.id, Answer(Verdict.ANSWERED, "Yes."))
        questions.expire()
        assert questions.prune(0.0, 1.0) == 0
        database.conn.set_progress_handler(None, 0)
        return len(ticks)

    few = cost()
    with archive.transaction() as db:
        db.execute(
            "INSERT INTO questions(id, question, answer, state, client, key, turn, finished_s) "
            "WITH RECURSIVE old(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM old WHERE n < 100000) "
            "SELECT 'old' || n, '{}', '{\"seconds\": 1}', 'done', 'uid:' || (n % 3), n, n + 10, n "
            "FROM old"
        )
    many = cost()

    assert many < 2 * few
