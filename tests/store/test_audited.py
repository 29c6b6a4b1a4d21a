"""What the store itself writes into the audit log, together with what it tells of."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from edge_lvr1.access import Who
from edge_lvr1.domain import (
    Answer,
    Confidence,
    Evidence,
    NodeId,
    Question,
    Span,
    StartSource,
    TakenFile,
    Verdict,
)
from edge_lvr1.errors import BusyError, QuestionError
from edge_lvr1.store.audit import every, what_of, who_told
from edge_lvr1.store.audit_check import check
from edge_lvr1.store.db import Archive
from edge_lvr1.store.questions import Asked, Room
from edge_lvr1.store.queues import IngestQueue, Job, QuestionQueue
from edge_lvr1.store.shelf import Shelf
from edge_lvr1.store.trees import Trees
from tests.store.footage import NOON, Clock, add, caption, question

ANNA = Who("socket", 1000, 1000, 77, "anna")
MODELS = {"agent": {"backend": "onnx", "sha256": "ee"}}


def told(archive: Archive, kind: str = "") -> list[tuple[str, dict[str, Any]]]:
    assert check(archive).broken is None
    found = [(entry.kind, what_of(entry)) for entry in every(archive)]
    return [one for one in found if one[0].startswith(kind)]


@pytest.fixture
def jobs(archive: Archive, clock: Clock) -> IngestQueue:
    return IngestQueue(archive, clock, max_attempts=2)


@pytest.fixture
def questions(archive: Archive, clock: Clock) -> QuestionQueue:
    return QuestionQueue(archive, clock, MODELS)


def leased(jobs: IngestQueue, path: str, mtime_ns: int = 5) -> Job:
    jobs.offer(path, 10, mtime_ns)
    job = jobs.lease("test", 60.0)
    assert job is not None
    return job


def taken(path: str, sha256: str) -> TakenFile:
    source, sure = StartSource.FILE_NAME, Confidence.SURE
    return TakenFile(0, path, "gate", NOON, source, sure, 20.0, 10, 5, sha256)


def test_file_that_is_taken_is_told_with_its_hash(archive: Archive, jobs: IngestQueue) -> None:
    path = "/drop/a\udc80.mp4"
    Shelf(archive, Clock()).put(leased(jobs, path), taken(path, "aa"), 1)

    assert told(archive) == [
        (
            "file.taken",
            {
                "path": path,
                "sha256": "aa",
                "size_bytes": 10,
                "mtime_ns": 5,
                "camera": "gate",
                "starts_at": "2026-03-01T12:00:00+02:00",
                "start_source": "file name",
                "confidence": "sure",
                "duration_s": 20.0,
            },
        )
    ]


def test_file_with_other_bytes_has_changed(archive: Archive, jobs: IngestQueue) -> None:
    shelf = Shelf(archive, Clock())
    for mtime_ns, sha256 in enumerate(("aa", "aa", "bb")):
        shelf.put(leased(jobs, "/a.mp4", mtime_ns), taken("/a.mp4", sha256), 1)

    assert [kind for kind, _ in told(archive)] == ["file.taken", "file.taken", "file.changed"]
    assert told(archive)[-1][1]["sha256_before"] == "aa"


def test_file_whose_lease_was_lost_is_not_told(archive: Archive, jobs: IngestQueue) -> None:
    job = leased(jobs, "/a.mp4")
    jobs.release_all()

    assert not Shelf(archive, Clock()).put(job, taken("/a.mp4", "aa"), 1)
    assert told(archive) == []


def test_file_that_moved_is_told_with_both_places(archive: Archive, jobs: IngestQueue) -> None:
    shelf = Shelf(archive, Clock())
    shelf.put(leased(jobs, "/a.mp4"), taken("/a.mp4", "aa"), 1)

    shelf.moved(leased(jobs, "/b.mp4"), "/a.mp4", "/b.mp4", 6)

    what = {"path": "/b.mp4", "path_before": "/a.mp4", "sha256": "aa"}
    assert told(archive)[1:] == [("file.moved", what)]


def test_same_footage_elsewhere_is_told(archive: Archive, jobs: IngestQueue) -> None:
    jobs.done(leased(jobs, "/b.mp4"), [3], "the same footage as /a.mp4", "aa")

    reason = "the same footage as /a.mp4"
    what = {"path": "/b.mp4", "sha256": "aa", "reason": reason, "recordings": [3]}
    assert told(archive) == [("file.same", what)]


def test_file_that_failed_for_good_is_told_once_with_its_reason(
    archive: Archive, jobs: IngestQueue, clock: Clock
) -> None:
    for _ in range(2):
        clock.now_s += 100.0
        jobs.fail(leased(jobs, "/a.mp4"), "the disk coughed", retry=True)

    what = {"path": "/a.mp4", "size_bytes": 10, "reason": "the disk coughed"}
    assert told(archive) == [("file.failed", what)]


def test_question_is_told_with_who_asked(archive: Archive, questions: QuestionQueue) -> None:
    questions.put(question(1, "Is there a \x1b[31mcar?"), Asked(client="uid:1000", who=ANNA))

    ((kind, what),) = told(archive)
    assert kind == "question.asked"
    assert (what["question"], what["text"]) == ("q1", "Is there a \x1b[31mcar?")
    assert who_told(next(every(archive)))["name"] == "anna"


def test_question_that_is_not_queued_is_not_told(
    archive: Archive, questions: QuestionQueue
) -> None:
    how = Asked("uid:1", "anna", "key", "request", ANNA)
    questions.put(question(1), how)
    questions.put(question(2), how)
    with pytest.raises(QuestionError):
        questions.put(question(1))
    with pytest.raises(BusyError):
        questions.put(question(3), room=Room(in_all=1))

    assert [kind for kind, _ in told(archive)] == ["question.asked"]


def answered_in(trees: Trees, span: Span) -> tuple[Question, Answer]:
    recording = add(trees)
    node = next(n for n in trees.plan(recording.id).nodes if n.id == NodeId((1, 1, 1)))
    trees.put_caption(recording.id, caption(node))
    end = NOON + timedelta(seconds=span.end_s)
    evidence = Evidence(recording.id, "gate", node.id, span, NOON, end, "A person.")
    return question(1), Answer(Verdict.ANSWERED, "Yes.", (evidence,), agent="a", captioner="c")


def test_answer_is_told_with_its_evidence_and_the_hashes_it_lies_in(
    archive: Archive, trees: Trees, questions: QuestionQueue
) -> None:
    asked, answer = answered_in(trees, Span(0.0, 2.5))
    questions.put(asked)
    questions.lease("test", 60.0)

    questions.finish("q1", answer)

    ((_, what),) = told(archive, "question.answered")
    (evidence,) = what.pop("evidence")
    assert what == {
        "question": "q1",
        "verdict": "answered",
        "text": "Yes.",
        "option": None,
        "confirmation": None,
        "searched": [],
        "rounds": 0,
        "agent": "a",
        "captioner": "c",
        "models": MODELS,
    }
    assert evidence == {
        "recording": 1,
        "camera": "gate",
        "node": "(1,1,1)",
        "start_s": 0.0,
        "end_s": 2.5,
        "starts_at": "2026-03-01T12:00:00+02:00",
        "ends_at": "2026-03-01T12:00:02.500000+02:00",
        "caption": "A person.",
        "written_by": "scripted 1",
        "parts": [{"path": "/drop/aa.mp4", "sha256": "aa"}],
    }


def test_answer_is_told_exactly_once_however_often_its_daemon_is_killed(
    archive: Archive, trees: Trees, clock: Clock
) -> None:
    asked, answer = answered_in(trees, Span(0.0, 2.5))
    QuestionQueue(archive, clock).put(asked)
    for _ in range(2):  # killed between rounds: what was leased is found by the next daemon
        again = QuestionQueue(archive, clock)
        again.release_all()
        assert again.lease("test", 60.0) is not None

    first, second = again.finish("q1", answer), again.finish("q1", answer)

    assert (first, second) == (True, False)
    assert len(told(archive, "question.answered")) == 1


def test_question_that_ends_the_program_too_often_is_told_as_failed(
    archive: Archive, questions: QuestionQueue
) -> None:
    questions.put(question(1))
    while questions.lease("test", 60.0):
        questions.release_all()

    ((_, what),) = told(archive, "question.answered")
    assert (what["verdict"], what["evidence"]) == ("failed", [])


def test_cancelling_is_told_once_with_who_did_it(
    archive: Archive, questions: QuestionQueue
) -> None:
    questions.put(question(1))
    questions.lease("test", 60.0)
    questions.cancel("q1", ANNA)
    questions.cancel("q1")
    questions.finish("q1", None)
    questions.cancel("q1")

    assert [kind for kind, _ in told(archive)] == ["question.asked", "question.cancelled"]
    assert who_told(list(every(archive))[-1])["name"] == "anna"
