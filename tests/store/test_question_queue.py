from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_lvr1.domain import Answer, Evidence, GetCaption, NodeId, Span, Step, Verdict
from edge_lvr1.errors import BusyError, KeyReusedError, NotFoundError, QuestionError
from edge_lvr1.store.db import Archive
from edge_lvr1.store.queues import Asked, QuestionQueue, QuestionRecord, QuestionState, Room
from edge_lvr1.store.trees import Trees
from tests.store.footage import Clock, add, question


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
    room = Room(in_all=1)
    assert queue.put(question(1), room=room) == "q1"
    with pytest.raises(
        BusyError, match=r"the queue is full \(1 waiting\); ask again in about 10 s"
    ):
        queue.put(question(2), room=room)
    taken(queue)
    assert queue.put(question(2), room=room) == "q2"


def test_one_client_cannot_fill_the_queue(queue: QuestionQueue) -> None:
    room = Room(in_all=10, of_client=2)
    for number in (1, 2):
        queue.put(question(number), Asked("uid:1"), room)

    with pytest.raises(BusyError, match="2 questions of yours wait already"):
        queue.put(question(3), Asked("uid:1"), room)

    assert queue.put(question(3), Asked("uid:2"), room) == "q3"


def test_busy_says_when_to_come_back_by_what_questions_took(queue: QuestionQueue) -> None:
    for number, seconds in enumerate((1.0, 4.0, 300.0)):
        queue.put(question(number))
        queue.lease("worker", 60.0)
        queue.finish(f"q{number}", replace(YES, seconds=seconds))
    for number in range(3, 6):
        queue.put(question(number))

    with pytest.raises(BusyError) as caught:
        queue.put(question(6), room=Room(in_all=3))

    assert caught.value.retry_after_s == 3 * 4.0


def test_the_same_key_is_the_same_question(queue: QuestionQueue) -> None:
    first = Asked("uid:1", key="k", request="hash")
    room = Room(in_all=1)

    assert queue.again(first) is None
    assert queue.put(question(1), first, room) == "q1"
    assert queue.put(question(2), first, room) == "q1"  # also where there is no room for more
    assert queue.again(first) == "q1"
    taken(queue)
    queue.finish("q1", YES)
    assert queue.put(question(3), first) == "q1"

    assert queue.queued() == 0
    with pytest.raises(KeyReusedError, match="q1"):
        queue.put(question(4), replace(first, request="another"))
    assert queue.put(question(5), replace(first, client="uid:2")) == "q5"


def test_key_sent_twice_at_once_queues_one_question(queue: QuestionQueue) -> None:
    asked = Asked("uid:1", key="k", request="hash")

    with ThreadPoolExecutor(4) as pool:
        ids = list(pool.map(lambda n: queue.put(question(n), asked), range(12)))

    assert len(set(ids)) == 1
    assert queue.queued() == 1


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(0, 4), max_size=4),
    st.lists(st.one_of(st.none(), st.integers(0, 4)), max_size=40),
)
def test_nobody_waits_for_another_client_twice(before: list[int], moves: list[int | None]) -> None:
    """Between two of a client's turns, while it waits, each other client has at most one."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Archive(Path(folder) / "archive.db").open() as archive,
    ):
        queue = QuestionQueue(archive, Clock())
        waits: dict[int, list[int]] = {}
        served: dict[int, list[int]] = {}  # for who waits: who was served since its last turn
        order = 0
        for client in [*before, *moves, *[None] * 44]:
            if client is not None:
                order += 1
                queue.put(question(order), Asked(str(client)))
                waits.setdefault(client, []).append(order)
                served.setdefault(client, [])
                continue
            record = queue.lease("worker", 60.0)
            if record is None:
                assert not waits
                continue
            number = int(record.question.id[1:])
            owner = next(client for client, numbers in waits.items() if number in numbers)
            assert waits[owner].pop(0) == number  # in order within a client
            for client, others in served.items():
                if client != owner and client in waits:
                    others.append(owner)
                    assert len(others) == len(set(others)) <= 4
            served[owner] = []
            if not waits[owner]:
                del waits[owner], served[owner]
            queue.finish(record.question.id, YES)
        assert not waits


def test_question_that_is_put_down_keeps_its_turn(queue: QuestionQueue) -> None:
    for number, client in ((1, "a"), (2, "b"), (3, "a")):
        queue.put(question(number), Asked(client))

    assert queue.release(taken(queue))

    assert [taken(queue).question.id for _ in range(3)] == ["q1", "q2", "q3"]


def test_question_not_begun_by_its_deadline_ends_and_says_so(
    queue: QuestionQueue, clock: Clock
) -> None:
    deadline = datetime.fromtimestamp(clock.now_s + 30.0, timezone.utc)
    queue.put(replace(question(1), deadline=deadline))
    queue.put(question(2))
    assert queue.expire() == ()

    clock.now_s += 30.0

    assert queue.expire() == ("q1",)
    found = queue.get("q1")
    assert found.state is QuestionState.DONE
    assert found.answer is not None
    assert found.answer.verdict is Verdict.GAVE_UP
    assert found.answer.text.startswith("Not begun by its deadline")
    assert found.question.deadline == deadline
    assert taken(queue).question.id == "q2"


def test_late_question_is_not_leased_though_nobody_looked(
    queue: QuestionQueue, clock: Clock
) -> None:
    deadline = datetime.fromtimestamp(clock.now_s + 30.0, timezone.utc)
    queue.put(replace(question(1), deadline=deadline))
    clock.now_s += 31.0

    assert queue.lease("worker", 60.0) is None
    assert queue.get("q1").finished


def test_old_questions_are_removed_but_for_those_that_held_footage_bears_out(
    queue: QuestionQueue, archive: Archive, clock: Clock
) -> None:
    recording = add(Trees(archive))
    node = NodeId((1,))
    moment = recording.starts_at
    seen = Evidence(recording.id, "gate", node, Span(0.0, 1.0), moment, moment, "A lorry.")
    for number, answer in enumerate((YES, replace(YES, evidence=(seen,)), YES)):
        queue.put(question(number))
        taken(queue)
        queue.add_step(f"q{number}", step(1))
        queue.finish(f"q{number}", answer)
        clock.now_s += 86_400.0
    queue.put(question(9))
    with archive.transaction() as db:
        db.execute("INSERT INTO holds VALUES (?, 'evidence', 'x', 0)", [recording.id])

    assert queue.prune(clock.now_s, 1.5) == 1

    assert [record.question.id for record in queue.list()] == ["q9", "q2", "q1"]
    assert queue.steps("q0") == ()
    assert [one["question"] for one in archive.rows("SELECT question FROM steps")] == [2, 3]
    with archive.transaction() as db:
        db.execute("DELETE FROM holds")
    assert queue.prune(clock.now_s, 1.5) == 1


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
