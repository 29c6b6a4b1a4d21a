"""Questions, steps and answers are the same after JSON and back."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import pytest

from edge_lvr1.domain import (
    Action,
    Answer,
    Confirmation,
    CountObjects,
    FinalAnswer,
    GetCaption,
    Invalid,
    ListRecordings,
    NodeId,
    Question,
    Scope,
    SearchCaptions,
    Step,
    TimeSpan,
    Verdict,
    VideoQa,
)
from edge_lvr1.store.records import (
    answer_in,
    answer_out,
    question_in,
    question_out,
    step_in,
    step_out,
)

AT = datetime(2026, 3, 14, 9, 30, tzinfo=timezone(timedelta(hours=1)))
NODE = NodeId((1, 2, 3))


@pytest.mark.parametrize(
    "action",
    [
        GetCaption(NODE),
        VideoQa(NODE, 'a "hat"?'),
        SearchCaptions("red car"),
        ListRecordings(""),
        CountObjects(NODE, "person"),
        FinalAnswer("yes"),
        Invalid("no tags"),
    ],
)
def test_every_action_comes_back_in_its_step(action: Action) -> None:
    step = Step(1, 2, "reply", "thought", action, "came back\nHint: x", 0.5, True, "Hint: x")

    assert step_in(json.loads(json.dumps(step_out(step)))) == step


def test_a_question_comes_back_with_its_scope() -> None:
    times = (
        TimeSpan(AT, AT + timedelta(hours=1)),
        TimeSpan(AT + timedelta(days=1), AT + timedelta(days=2)),
    )
    scope = Scope(None, ("gate",), AT, AT + timedelta(days=2), times)
    question = Question(
        "q", "Who came last night?", AT, ("a", "b"), scope, 5, 9.0, True, "Who came?", "gate"
    )

    assert question_in(json.loads(json.dumps(question_out(question)))) == question


def test_what_was_stored_before_these_fields_were_is_still_read() -> None:
    question = question_out(Question("q", "Who?", AT))
    for name in ("confirm", "about", "read_as"):
        del question[name]
    del question["scope"]["times"]
    step = step_out(Step(1, 2, "r", "t", Invalid("x"), "o", 0.5))
    del step["hint"]
    answer = answer_out(Answer(Verdict.ANSWERED, "yes"))
    del answer["confirmation"]

    assert question_in(question) == Question("q", "Who?", AT)
    assert step_in(step).hint == ""
    assert answer_in(answer).confirmation is None


@pytest.mark.parametrize("confirmation", [None, *Confirmation])
def test_a_confirmation_comes_back(confirmation: Confirmation | None) -> None:
    answer = Answer(Verdict.ANSWERED, "yes", confirmation=confirmation)

    assert answer_in(json.loads(json.dumps(answer_out(answer)))) == answer
