"""What results are worth: each question by itself, and all of them together. Pure.

Definitions, which `docs/evaluation.md` repeats:

- correct: the option that was answered is the right one. Without a prediction (not found,
  given up, failed, never asked) a question is wrong. Questions whose answer the dataset
  keeps to itself count in nothing that needs it.
- located spans: the leaves whose captions were opened; where no leaf was, the medium nodes.
  Coverage, precision and `location_f1` compare them with the clues by seconds.
- best evidence: the first leaf among the nodes that the answer rests on. `hit`: it shares
  time with a clue. Evidence without a leaf is no hit. `evidence_f1` compares all leaves of
  the evidence with the clues.
- location reward (LongVideo-R1): location_f1 + 1 for a correct answer - 0.2 x the share of
  calls that repeated an earlier one.
- bootstrap: videos are drawn with replacement, each with all of its questions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from edge_lvr1.domain import OPTION_LETTERS, Level, Span, Verdict
from edge_lvr1.evaluate.items import Item
from edge_lvr1.evaluate.results import Result, SeenNode
from edge_lvr1.evaluate.spans import Agreement, agreement, overlaps

REPEAT_WEIGHT = 0.2
RESAMPLES = 2000
_FEWEST = 2  # videos that an interval can be drawn from
NOT_ASKED = "not_asked"


@dataclass(frozen=True, slots=True)
class Scored:
    """One question, scored.

    None where the dataset gives no answer, or no clue, and for what a flat reading does not
    have.
    """

    item: Item
    verdict: str
    correct: bool | None
    hit: bool | None = None
    coverage: float | None = None
    precision: float | None = None
    location_f1: float | None = None
    evidence_f1: float | None = None
    reward: float | None = None
    rounds: int | None = None
    captions_opened: int | None = None
    invalid_steps: int | None = None
    repeat_ratio: float | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Interval:
    """A 95 % interval."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Figure:
    """A mean over the questions that have it; no interval where one video has them all."""

    mean: float
    interval: Interval | None
    questions: int


@dataclass(frozen=True, slots=True)
class Summary:
    """All questions together. Figures are None where no question has one.

    `rounds`, `captions_opened`, `seconds` are means a question; `invalid_steps` and
    `repeat_ratio` too.
    """

    questions: int
    videos: int
    figures: Mapping[str, Figure | None]
    verdicts: Mapping[str, int]
    by_type: Mapping[str, Mapping[str, float]]


MEASURES: dict[str, Callable[[Scored], float | None]] = {
    "accuracy": lambda one: one.correct,
    "hit_rate": lambda one: one.hit,
    "location_f1": lambda one: one.location_f1,
    "evidence_f1": lambda one: one.evidence_f1,
    "coverage": lambda one: one.coverage,
    "precision": lambda one: one.precision,
    "location_reward": lambda one: one.reward,
    "rounds": lambda one: one.rounds,
    "captions_opened": lambda one: one.captions_opened,
    "invalid_steps": lambda one: one.invalid_steps,
    "repeat_ratio": lambda one: one.repeat_ratio,
    "seconds": lambda one: one.seconds,
}


def score(item: Item, result: Result | None) -> Scored:
    """Score a question; without a result it is wrong, and nothing was located."""
    correct = _correct(item, result)
    opened = located(result.opened) if result else []
    evidence = [seen.span for seen in result.evidence if _is_leaf(seen)] if result else []
    hit, place, cited = None, None, None
    if item.clues:
        hit = bool(evidence) and overlaps(evidence[0], item.clues)
        place, cited = agreement(opened, item.clues), agreement(evidence, item.clues)
    repeats = result.repeat_ratio if result else 0.0
    return Scored(
        item=item,
        verdict=result.answer.verdict.value if result else NOT_ASKED,
        correct=correct,
        hit=hit,
        coverage=place.coverage if place else None,
        precision=place.precision if place else None,
        location_f1=place.f1 if place else None,
        evidence_f1=cited.f1 if cited else None,
        reward=_reward(place, correct, repeats),
        rounds=result.answer.rounds if result else 0,
        captions_opened=result.answer.captions_opened if result else 0,
        invalid_steps=result.answer.invalid_steps if result else 0,
        repeat_ratio=repeats,
        seconds=result.answer.seconds if result else 0.0,
    )


def score_pointed(item: Item, span: Span | None, option: int | None, read: int) -> Scored:
    """Score what points at one leaf and one option, having read so many captions."""
    letter = None if option is None else OPTION_LETTERS[option]
    correct = None if item.answer is None else letter == item.answer
    spans = [] if span is None else [span]
    place = agreement(spans, item.clues) if item.clues else None
    return Scored(
        item=item,
        verdict=NOT_ASKED if span is None else Verdict.ANSWERED.value,
        correct=correct,
        hit=any(overlaps(one, item.clues) for one in spans) if item.clues else None,
        coverage=place.coverage if place else None,
        precision=place.precision if place else None,
        location_f1=place.f1 if place else None,
        evidence_f1=place.f1 if place else None,
        reward=_reward(place, correct, 0.0),
        captions_opened=read,
    )


def located(opened: Iterable[SeenNode]) -> list[Span]:
    """The spans of the leaves that were opened; of the medium nodes where no leaf was."""
    seen = list(opened)
    leaves = [one.span for one in seen if _is_leaf(one)]
    return leaves or [one.span for one in seen]


def summarize(scored: Sequence[Scored], seed: int = 0) -> Summary:
    """All questions together, with intervals from a bootstrap over videos."""
    draws = _draws([one.item.video for one in scored], seed)
    verdicts = Counter(one.verdict for one in scored)
    known = [verdict.value for verdict in Verdict]
    return Summary(
        questions=len(scored),
        videos=len({one.item.video for one in scored}),
        figures={name: _figure(scored, value, draws) for name, value in MEASURES.items()},
        verdicts={name: verdicts[name] for name in dict.fromkeys([*known, *verdicts])},
        by_type=_by_type(scored),
    )


def _correct(item: Item, result: Result | None) -> bool | None:
    if item.answer is None:
        return None
    return result is not None and result.answer.option == item.answer


def _reward(place: Agreement | None, correct: bool | None, repeats: float) -> float | None:
    if place is None or correct is None:
        return None
    return place.f1 + correct - REPEAT_WEIGHT * repeats


def _is_leaf(seen: SeenNode) -> bool:
    return seen.node.level is Level.LOW


def _draws(videos: Sequence[str], seed: int) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """How often each question is drawn: int64 of shape (resamples, questions)."""
    names = sorted(set(videos))
    place = {name: number for number, name in enumerate(names)}
    generator = np.random.default_rng(seed)
    drawn = generator.integers(0, max(1, len(names)), (RESAMPLES, len(names)))
    counts = np.zeros((RESAMPLES, len(names)), np.int64)
    np.add.at(counts, (np.arange(RESAMPLES)[:, None], drawn), 1)
    return counts[:, [place[video] for video in videos]]


def _figure(
    scored: Sequence[Scored],
    measure: Callable[[Scored], float | None],
    draws: np.ndarray[tuple[int, int], np.dtype[np.int64]],
) -> Figure | None:
    values = [measure(one) for one in scored]
    has = np.array([value is not None for value in values], bool)
    if not has.any():
        return None
    kept = np.array([float(value) for value in values if value is not None])
    mean = float(kept.mean())
    if len({one.item.video for one, there in zip(scored, has, strict=True) if there}) < _FEWEST:
        return Figure(mean, None, len(kept))
    weights = draws[:, has]
    totals = weights.sum(axis=1)
    drawn = totals > 0  # a draw may hold only videos whose questions lack this measure
    means = (weights[drawn] @ kept) / totals[drawn]
    low, high = np.percentile(means, [2.5, 97.5])
    return Figure(mean, Interval(float(low), float(high)), len(kept))


def _by_type(scored: Sequence[Scored]) -> dict[str, dict[str, float]]:
    """Questions and accuracy of each type of question."""
    found: dict[str, dict[str, float]] = {}
    for kind in sorted({one.item.type for one in scored if one.item.type}):
        right = [one.correct for one in scored if one.item.type == kind]
        known = [one for one in right if one is not None]
        if known:
            found[kind] = {"questions": len(known), "accuracy": sum(known) / len(known)}
    return found
