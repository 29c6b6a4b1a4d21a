"""What a result is worth, and what all of them together are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timezone

import pytest

from edge_lvr1.domain import (
    Answer,
    FinalAnswer,
    GetCaption,
    NodeId,
    Question,
    Span,
    Step,
    Verdict,
)
from edge_lvr1.evaluate.items import Item
from edge_lvr1.evaluate.results import Result, SeenNode
from edge_lvr1.evaluate.score import Interval, score, score_pointed, summarize
from tests.evaluate.made import item

MOMENT = datetime(2026, 1, 1, tzinfo=timezone.utc)


def seen(node: str, start_s: float, end_s: float) -> SeenNode:
    return SeenNode(1, NodeId.parse(node), Span(start_s, end_s))


def step(number: int, *, repeated: bool = False, ends: bool = False) -> Step:
    action = FinalAnswer("A") if ends else GetCaption(NodeId((1, 2)))
    return Step(number, 1, "reply", "", action, "", 0.1, repeated)


def result(
    asked: Item,
    option: str | None = "A",
    opened: Sequence[SeenNode] = (),
    evidence: Sequence[SeenNode] = (),
    steps: Sequence[Step] = (),
    verdict: Verdict = Verdict.ANSWERED,
) -> Result:
    answer = Answer(verdict, "text", option=option, rounds=3, captions_opened=2, seconds=0.5)
    question = Question(asked.id, asked.question, MOMENT, asked.options)
    return Result(asked, "f", question, answer, tuple(opened), tuple(evidence), tuple(steps))


def test_right_option_is_correct_and_any_other_is_not() -> None:
    assert score(item(), result(item(), "A")).correct is True
    assert score(item(), result(item(), "B")).correct is False


@pytest.mark.parametrize("verdict", [Verdict.NOT_FOUND, Verdict.GAVE_UP, Verdict.FAILED])
def test_without_a_prediction_a_question_is_wrong(verdict: Verdict) -> None:
    found = score(item(), result(item(), None, verdict=verdict))

    assert (found.correct, found.verdict) == (False, verdict.value)


def test_question_that_was_never_asked_is_wrong_and_finds_nothing() -> None:
    found = score(item(), None)

    assert (found.correct, found.hit, found.location_f1, found.reward) == (False, False, 0.0, 0.0)
    assert found.verdict == "not_asked"


def test_hidden_answer_counts_in_nothing_that_needs_it() -> None:
    asked = item(answer=None)
    found = score(asked, result(asked))
    summary = summarize([found, score(item(2), result(item(2)))])

    assert (found.correct, found.reward) == (None, None)
    accuracy = summary.figures["accuracy"]
    assert accuracy is not None
    assert (accuracy.mean, accuracy.questions) == (1.0, 1)


def test_question_without_clues_has_no_place() -> None:
    asked = item(clues=())
    found = score(asked, result(asked, opened=[seen("(1,1,1)", 0, 10)]))

    assert (found.hit, found.coverage, found.precision, found.location_f1) == (None,) * 4
    assert found.reward is None


def test_hit_is_of_the_first_leaf_of_the_evidence() -> None:
    right, wrong = seen("(1,2,1)", 20, 30), seen("(1,1,1)", 0, 10)
    medium = seen("(1,2)", 20, 40)

    assert score(item(), result(item(), evidence=[right, wrong])).hit is True
    assert score(item(), result(item(), evidence=[wrong, right])).hit is False
    assert score(item(), result(item(), evidence=[medium, right])).hit is True
    assert score(item(), result(item(), evidence=[medium])).hit is False


def test_location_is_of_opened_leaves_and_of_medium_nodes_where_no_leaf_was() -> None:
    medium, leaf = seen("(1,2)", 20, 40), seen("(1,2,1)", 20, 30)

    with_leaf = score(item(), result(item(), opened=[medium, leaf]))
    without = score(item(), result(item(), opened=[medium]))

    assert (with_leaf.coverage, with_leaf.precision) == (0.5, 1.0)
    assert without.location_f1 == 1.0


def test_reward_is_place_plus_answer_less_repeats() -> None:
    steps = [step(1), step(2, repeated=True), step(3), step(4), step(5, ends=True)]
    found = score(item(), result(item(), "A", [seen("(1,2)", 20, 40)], steps=steps))

    assert found.repeat_ratio == 0.25
    assert found.reward == pytest.approx(1.0 + 1.0 - 0.2 * 0.25)


def test_flat_reading_is_scored_by_the_leaf_it_points_at() -> None:
    right = score_pointed(item(), Span(20, 30), 0, 8)
    wrong = score_pointed(item(), Span(0, 10), 1, 8)

    assert (right.correct, right.hit, right.captions_opened) == (True, True, 8)
    assert right.location_f1 == pytest.approx(2 * 10 / 30)
    assert right.reward == pytest.approx(1 + 2 / 3)
    assert (wrong.correct, wrong.hit, wrong.location_f1) == (False, False, 0.0)
    assert score_pointed(item(), None, None, 0).correct is False


def test_interval_takes_videos_whole() -> None:
    """All questions of a video agree: as many are known as there are videos, not questions."""
    clustered, single = [], []
    for video in range(4):
        for number in range(25):
            asked = item(video * 25 + number, f"v{video}")
            right = "A" if video < 2 else "B"
            clustered.append(score(asked, result(asked, right)))
            apart = replace(asked, video=f"v{video}-{number}")
            single.append(score(apart, result(apart, right)))

    wide = summarize(clustered).figures["accuracy"]
    narrow = summarize(single).figures["accuracy"]

    assert wide is not None
    assert narrow is not None
    assert wide.mean == narrow.mean == 0.5
    assert wide.interval == Interval(0.0, 1.0)
    assert narrow.interval is not None
    assert 0.35 < narrow.interval.low < narrow.interval.high < 0.65


def test_summary_is_the_same_every_time() -> None:
    asked = [item(number, f"v{number % 7}") for number in range(30)]
    scored = [
        replace(score(one, result(one)), seconds=len(one.id) + n**1.5)
        for n, one in enumerate(asked)
    ]

    assert summarize(scored) == summarize(scored)
    assert summarize(scored) != summarize(scored, seed=1)


def test_one_video_has_no_interval() -> None:
    accuracy = summarize([score(item(), result(item()))]).figures["accuracy"]

    assert accuracy is not None
    assert accuracy.interval is None


def test_verdicts_and_types_are_counted() -> None:
    first, second = item(1, kind="why"), item(2, kind="where")
    summary = summarize(
        [
            score(first, result(first)),
            score(second, result(second, None, verdict=Verdict.GAVE_UP)),
            score(item(3), None),
        ]
    )

    assert summary.verdicts == {
        "answered": 1,
        "not_found": 0,
        "gave_up": 1,
        "failed": 0,
        "not_asked": 1,
    }
    assert summary.by_type == {
        "where": {"questions": 1, "accuracy": 0.0},
        "why": {"questions": 1, "accuracy": 1.0},
    }


def test_no_question_has_no_figure() -> None:
    assert summarize([]).figures["accuracy"] is None
