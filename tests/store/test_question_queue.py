from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from edge_lvr1.domain import Answer, GetCaption, NodeId, Step, Verdict
from edge_lvr1.errors import NotFoundError, QuestionError
from edge_lvr1.store.db import Archive
from edge_lvr1.store.queues import QuestionQueue, QuestionRecord, QuestionState
from tests.store.footage import Clock, question


@pytest.fixture
def queue(archive: Archive, clock: Clock) -> QuestionQueue:
    return QuestionQueue(archive, clock)


def step(number: int) -> Step:
    return Step(number, 1, "reply", "thought", GetCaption(NodeId((1, 2))), "seen", 0.25)


def taken(queue: QuestionQueue, owner: str = "worker") -> QuestionRecord:
    record = queue.lease(owner, 60.0)
    assert record is not None
    return record


YES = Answer(Verdict.ANSWERED, "Yes.")


def test_questions_are_answered_in_the_order_asked(queue: QuestionQueue) -> None:
    for number in (3, 1, 2):
        queue.put(question(number))

    assert queue.queued() == 3
    assert [taken(queue).question.id for _ in range(3)] == ["q3", "q1", "q2"]
    assert queue.lease("worker", 60.0) is None


def test_question_comes_back_with_steps_and_answer(queue: QuestionQueue, clock: Clock) -> None:
    queue.put(question())
    assert queue.get("q1").state is QuestionState.QUEUED
    taken(queue)
    assert queue.get("q1").state is QuestionState.RUNNING

    queue.add_step("q1", step(1))
    queue.add_step("q1", step(2))
    assert queue.steps("q1") == (step(1), step(2))
    clock.now_s = 1030.0
    assert queue.finish("q1", YES)

    found = queue.get("q1")
    assert found.question == question()
    assert (found.state, found.answer, found.finished_s) == (QuestionState.DONE, YES, 1030.0)
    assert found.steps == (step(1), step(2))
    assert found.finished


def test_full_queue_takes_no_more(queue: QuestionQueue) -> None:
    assert queue.put(question(1), max_queued=1) is True
    assert queue.put(question(2), max_queued=1) is False
    taken(queue)
    assert queue.put(question(2), max_queued=1) is True


def test_id_is_taken_once(queue: QuestionQueue) -> None:
    queue.put(question(1))

    with pytest.raises(QuestionError, match="q1 already"):
        queue.put(question(1, "Another?"))

    assert queue.get("q1").question == question(1)


def test_question_that_waits_is_cancelled_at_once(queue: QuestionQueue) -> None:
    queue.put(question())

    assert queue.cancel("q1") is True

    assert queue.get("q1").state is QuestionState.CANCELLED
    assert queue.lease("worker", 60.0) is None
    assert queue.cancel("q1") is False


def test_question_that_runs_is_flagged_and_ends_cancelled(queue: QuestionQueue) -> None:
    queue.put(question())
    taken(queue)
    assert queue.cancelled("q1") is False

    assert queue.cancel("q1") is True

    assert queue.cancelled("q1") is True
    assert queue.get("q1").state is QuestionState.RUNNING
    queue.finish("q1", Answer(Verdict.GAVE_UP, "stopped"))
    found = queue.get("q1")
    assert found.state is QuestionState.CANCELLED
    assert found.answer == Answer(Verdict.GAVE_UP, "stopped")


def test_answered_question_stays_answered(queue: QuestionQueue) -> None:
    queue.put(question())
    taken(queue)
    queue.finish("q1", YES)

    assert queue.cancel("q1") is False
    assert queue.finish("q1", Answer(Verdict.FAILED, "late")) is False
    assert queue.add_step("q1", step(1)) is False

    assert queue.get("q1").answer == YES
    assert queue.get("q1").steps == ()


@pytest.mark.parametrize("how", ["release", "release_all", "expiry"])
def test_question_whose_attempt_died_is_answered_from_its_start(
    queue: QuestionQueue, clock: Clock, how: str
) -> None:
    queue.put(question())
    record = taken(queue)
    queue.add_step("q1", step(1))

    if how == "release":
        assert queue.release(record)
    elif how == "release_all":
        assert queue.release_all() == 1
    else:
        clock.now_s += 60.0
    again = taken(queue)

    assert again.question == record.question
    assert queue.steps("q1") == ()
    queue.add_step("q1", step(1))
    queue.finish("q1", YES)
    assert queue.get("q1").steps == (step(1),)
    assert queue.release(record) is False
    assert queue.renew(record, 60.0) is False


@pytest.mark.parametrize("how", ["release", "release_all", "expiry"])
def test_question_cancelled_while_its_worker_died_is_not_asked_again(
    queue: QuestionQueue, clock: Clock, how: str
) -> None:
    queue.put(question())
    record = taken(queue)
    queue.cancel("q1")

    if how == "release":
        queue.release(record)
    elif how == "release_all":
        queue.release_all()
    else:
        clock.now_s += 60.0

    assert queue.lease("worker", 60.0) is None
    assert queue.get("q1").state is QuestionState.CANCELLED


def test_renewed_question_is_not_leased_to_another(queue: QuestionQueue, clock: Clock) -> None:
    queue.put(question())
    record = taken(queue)
    clock.now_s += 50.0

    assert queue.renew(record, 60.0)

    clock.now_s += 50.0
    assert queue.lease("other", 60.0) is None


def test_question_that_takes_the_program_down_fails(queue: QuestionQueue) -> None:
    queue.put(question())
    for _ in range(3):
        taken(queue)
        queue.release_all()

    assert queue.lease("worker", 60.0) is None

    answer = queue.get("q1").answer
    assert answer is not None
    assert answer.verdict is Verdict.FAILED
    assert answer.text == "the program ended 3 times while answering it"


def test_latest_questions_are_listed_newest_first(queue: QuestionQueue) -> None:
    for number in range(1, 5):
        queue.put(question(number))
    taken(queue)
    queue.finish("q1", YES)

    assert [record.question.id for record in queue.list(limit=2)] == ["q4", "q3"]
    assert [record.question.id for record in queue.list(QuestionState.DONE)] == ["q1"]
    assert len(queue.list(limit=10**30)) == 4
    assert queue.list(limit=-1) == ()


def test_question_that_is_not_there_is_said(queue: QuestionQueue) -> None:
    with pytest.raises(NotFoundError, match="no question 'nope"):
        queue.get("nope\udc00")
    with pytest.raises(NotFoundError):
        queue.cancel("nope")

    assert queue.steps("nope") == ()
    assert queue.cancelled("nope") is False
    assert queue.finish("nope", YES) is False


def test_workers_never_get_the_same_question(queue: QuestionQueue) -> None:
    for number in range(40):
        queue.put(question(number))

    def work(owner: str) -> list[str]:
        mine = []
        while record := queue.lease(owner, 60.0):
            queue.add_step(record.question.id, step(1))
            assert queue.finish(record.question.id, YES)
            mine.append(record.question.id)
        return mine

    with ThreadPoolExecutor(3) as pool:
        worked = [future.result() for future in [pool.submit(work, f"w{n}") for n in range(3)]]

    assert sorted(i for mine in worked for i in mine) == sorted(f"q{n}" for n in range(40))
    assert all(len(queue.get(f"q{n}").steps) == 1 for n in range(40))
