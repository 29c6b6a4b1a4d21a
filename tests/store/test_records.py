from __future__ import annotations

import json
from datetime import timezone
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from edge_lvr1.domain import (
    Answer,
    Evidence,
    FinalAnswer,
    GetCaption,
    Invalid,
    NodeId,
    Question,
    Scope,
    Span,
    Step,
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
from edge_lvr1.store.text import to_json

TEXT = st.text(st.characters())  # lone surrogates included
TIMES = st.datetimes(timezones=st.just(timezone.utc))
NODES = st.lists(st.integers(1, 999), min_size=1, max_size=3).map(lambda p: NodeId(tuple(p)))
SPANS = st.tuples(st.floats(0, 1e4), st.floats(0, 1e4)).map(lambda p: Span(min(p), max(p)))
SCOPES = st.builds(
    Scope,
    recording=st.none() | st.integers(),
    cameras=st.lists(TEXT).map(tuple),
    since=st.none() | TIMES,
    until=st.none() | TIMES,
)
QUESTIONS = st.builds(
    Question, id=TEXT, text=TEXT, asked_at=TIMES, options=st.lists(TEXT).map(tuple), scope=SCOPES,
    max_rounds=st.integers(1), max_seconds=st.floats(0, 1e6),
)  # fmt: skip
ACTIONS = st.one_of(
    st.builds(GetCaption, NODES),
    st.builds(VideoQa, NODES, TEXT),
    st.builds(FinalAnswer, TEXT),
    st.builds(Invalid, TEXT),
)
STEPS = st.builds(Step, action=ACTIONS, reply=TEXT, seconds=st.floats(0, 1e6))
EVIDENCE = st.builds(Evidence, node=NODES, span=SPANS, starts_at=TIMES, ends_at=TIMES)
ANSWERS = st.builds(
    Answer, evidence=st.lists(EVIDENCE, max_size=3).map(tuple), text=TEXT,
    option=st.none() | TEXT, seconds=st.floats(0, 1e6), searched=st.lists(TEXT).map(tuple),
)  # fmt: skip


def through_json(value: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(to_json(value))
    return found


@given(QUESTIONS)
def test_any_question_comes_back_from_json(question: Question) -> None:
    assert question_in(through_json(question_out(question))) == question


@given(STEPS)
def test_any_step_comes_back_from_json(step: Step) -> None:
    assert step_in(through_json(step_out(step))) == step


@given(ANSWERS)
def test_any_answer_comes_back_from_json(answer: Answer) -> None:
    assert answer_in(through_json(answer_out(answer))) == answer
