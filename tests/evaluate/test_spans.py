"""Sets of spans against clues, by seconds."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_lvr1.domain import Span
from edge_lvr1.evaluate.spans import agreement, overlaps, union


def spans_of(*bounds: tuple[float, float]) -> list[Span]:
    return [Span(*bound) for bound in bounds]


def test_agreement_counts_seconds_once() -> None:
    found = agreement(spans_of((0, 10), (5, 20)), spans_of((10, 30)))

    assert (found.coverage, found.precision) == (0.5, 0.5)
    assert found.f1 == 0.5


def test_clues_within_five_seconds_are_one() -> None:
    near = agreement(spans_of((10, 15)), spans_of((0, 10), (15, 20)))
    far = agreement(spans_of((10, 16)), spans_of((0, 10), (16, 20)))

    assert (near.coverage, near.precision) == (0.25, 1.0)
    assert far.f1 == 0.0


def test_nothing_opened_agrees_with_nothing() -> None:
    found = agreement([], spans_of((0, 10)))

    assert (found.coverage, found.precision, found.f1) == (0.0, 0.0, 0.0)


def test_clue_that_is_a_moment_can_be_covered() -> None:
    assert agreement(spans_of((0, 10)), spans_of((4, 4))).coverage == pytest.approx(1.0)
    assert overlaps(Span(0, 10), spans_of((4, 4)))


def test_touching_is_not_overlapping() -> None:
    assert not overlaps(Span(0, 10), spans_of((10, 20)))


TIMES = st.floats(0, 1000, allow_nan=False)
SPANS = st.lists(st.tuples(TIMES, TIMES).map(lambda pair: Span(min(pair), max(pair))), max_size=8)


@settings(deadline=None)
@given(SPANS, SPANS)
def test_shares_are_shares(ours: list[Span], clues: list[Span]) -> None:
    found = agreement(ours, clues)

    assert 0 <= found.coverage <= 1 + 1e-9
    assert 0 <= found.precision <= 1 + 1e-9
    assert 0 <= found.f1 <= 1 + 1e-9


@settings(deadline=None)
@given(SPANS, st.floats(0, 20))
def test_union_is_disjoint_ordered_and_covers(spans: list[Span], gap_s: float) -> None:
    joined = union(spans, gap_s)

    assert all(one.end_s + gap_s < two.start_s for one, two in pairwise(joined))
    assert all(any(j.start_s <= s.start_s and s.end_s <= j.end_s for j in joined) for s in spans)
