"""The question worker: whose turn it is, deadlines, and the end that a client wants."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import cast

import pytest

from edge_lvr1.daemon.context import Context
from edge_lvr1.daemon.questions.answering import Answering
from edge_lvr1.daemon.questions.model_servers import Away
from edge_lvr1.daemon.questions.question_work import Cancellation, QuestionWork
from edge_lvr1.domain import Answer, Question, Step, Verdict
from edge_lvr1.store.queues import Asked, QuestionQueue, QuestionState

NOON = datetime(2026, 3, 14, 12, 0, tzinfo=timezone.utc)
LATE = Answer(Verdict.GAVE_UP, "No answer in time.")


class Clock:
    """Seconds that go on when told."""

    def __init__(self, now_s: float = 1000.0) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s


@dataclass
class Scripted:
    """Stands for answering: notes what it was asked, and what `during` does."""

    during: Callable[[Callable[[], bool]], None] = lambda cancelled: None
    asked: list[Question] = field(default_factory=list)

    def answer(
        self, question: Question, on_step: Callable[[Step], None], cancelled: Callable[[], bool]
    ) -> Answer:
        self.asked.append(question)
        self.during(cancelled)
        return LATE if cancelled() else Answer(Verdict.ANSWERED, "Yes.")


def ask(context: Context, number: int, client: str = "a", deadline_s: float | None = None) -> str:
    deadline = None if deadline_s is None else datetime.fromtimestamp(deadline_s, timezone.utc)
    question = Question(f"q{number}", "Who?", NOON, deadline=deadline)
    return context.questions.put(question, Asked(client))


def work(context: Context, answering: Scripted) -> QuestionWork:
    return QuestionWork(context, cast(Answering, answering), Away("agent", context.faults))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def asked_of(context: Context, clock: Clock) -> Context:
    """A daemon's parts with a clock that a test can set."""
    return replace(context, questions=QuestionQueue(context.archive, clock), clock=clock)


def test_clients_take_turns(asked_of: Context) -> None:
    for number, client in enumerate("aaabb"):
        ask(asked_of, number, client)
    answering = Scripted()
    once = work(asked_of, answering)

    while once():
        pass

    assert [question.id for question in answering.asked] == ["q0", "q3", "q1", "q4", "q2"]


def test_question_gets_no_more_seconds_than_its_deadline_leaves(asked_of: Context) -> None:
    ask(asked_of, 1, deadline_s=1012.34)
    ask(asked_of, 2, deadline_s=99_999.0)
    answering = Scripted()
    once = work(asked_of, answering)

    assert once()
    assert once()

    assert [question.max_seconds for question in answering.asked] == [12.3, 120.0]
    assert asked_of.questions.get("q1").question.max_seconds == 120.0  # as it was asked


def test_question_that_waits_behind_another_ends_at_its_deadline(
    asked_of: Context, clock: Clock
) -> None:
    ask(asked_of, 1)
    ask(asked_of, 2, deadline_s=1005.0)
    seen: list[QuestionState] = []

    def during(cancelled: Callable[[], bool]) -> None:
        clock.now_s = 1006.0
        cancelled()
        seen.append(asked_of.questions.get("q2").state)

    answering = Scripted(during)
    once = work(asked_of, answering)
    assert once()

    assert seen == [QuestionState.DONE]
    answer = asked_of.questions.get("q2").answer
    assert answer is not None
    assert answer.text == "Not begun by its deadline (1970-01-01 00:16:45+00:00)."
    assert not once()
    assert len(answering.asked) == 1


def test_question_in_hand_learns_that_its_client_took_it_back(asked_of: Context) -> None:
    ask(asked_of, 1)
    asked_of.questions.lease("worker", 60.0)
    ticks = Clock(0.0)
    cancelled = Cancellation(asked_of, "q1", ticks)
    assert not cancelled()
    asked_of.questions.cancel("q1")

    assert not cancelled()  # looked a moment ago
    ticks.now_s += 0.25
    assert cancelled()


def test_question_in_hand_learns_at_once_that_the_daemon_stops(asked_of: Context) -> None:
    ask(asked_of, 1)
    ticks = Clock(0.0)
    cancelled = Cancellation(asked_of, "q1", ticks)
    assert not cancelled()

    asked_of.turnstile.stop()

    assert cancelled()


def test_cancelled_question_ends_cancelled_with_what_there_is(asked_of: Context) -> None:
    ask(asked_of, 1)
    once = work(asked_of, Scripted(lambda cancelled: asked_of.questions.cancel("q1") and None))

    assert once()

    record = asked_of.questions.get("q1")
    assert record.state is QuestionState.CANCELLED
    assert record.answer is not None
