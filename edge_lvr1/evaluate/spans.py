"""Sets of spans and how far they agree. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from edge_lvr1.domain import Span

CLUE_GAP_S = 5.0
"""Clues no further apart than this are one, as in LongVideo-R1's location reward."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far spans agree with clues, by seconds: each a share from 0 to 1.

    `coverage` of the clues lies in the spans, `precision` of the spans in the clues.
    """

    coverage: float
    precision: float

    @property
    def f1(self) -> float:
        """The harmonic mean of both; 0 where both are."""
        both = self.coverage + self.precision
        return 2 * self.coverage * self.precision / both if both else 0.0


def union(spans: Iterable[Span], gap_s: float = 0.0) -> list[Span]:
    """Disjoint spans that cover the same time, in order; gaps up to `gap_s` are closed."""
    joined: list[Span] = []
    for span in sorted(spans):
        if joined and span.start_s <= joined[-1].end_s + gap_s:
            joined[-1] = Span(joined[-1].start_s, max(joined[-1].end_s, span.end_s))
        else:
            joined.append(span)
    return joined


def agreement(spans: Iterable[Span], clues: Iterable[Span]) -> Agreement:
    """How far spans agree with clues, which are merged first (`CLUE_GAP_S`).

    No span agrees with nothing. A clue of no length is a moment, and counts as covered or
    not by its middle hundredth of a second.
    """
    ours = union(spans)
    theirs = union((_lasting(clue) for clue in clues), CLUE_GAP_S)
    common_s = _common_s(ours, theirs)
    ours_s, theirs_s = _length_s(ours), _length_s(theirs)
    return Agreement(
        coverage=common_s / theirs_s if theirs_s else 0.0,
        precision=common_s / ours_s if ours_s else 0.0,
    )


def overlaps(span: Span, clues: Iterable[Span]) -> bool:
    """Whether a span shares time with any clue (merged or not makes no odds beyond gaps)."""
    return any(span.overlap_s(_lasting(clue)) > 0 for clue in clues)


def _lasting(clue: Span) -> Span:
    if clue.duration_s > 0:
        return clue
    return Span(clue.start_s - 0.005, clue.end_s + 0.005)


def _length_s(spans: Sequence[Span]) -> float:
    return sum(span.duration_s for span in spans)


def _common_s(ours: Sequence[Span], theirs: Sequence[Span]) -> float:
    return sum(one.overlap_s(other) for one in ours for other in theirs)
