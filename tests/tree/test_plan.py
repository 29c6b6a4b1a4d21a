from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edge_lvr1.domain import Level, NodeId, Span, TreePlan
from edge_lvr1.tree.plan import plan_tree, tree_width

DURATIONS = st.floats(0.001, 8 * 3600, allow_nan=False)


@pytest.mark.parametrize(
    ("duration_s", "width"),
    [(7200.0, 8), (139.4, 4), (128.0, 4), (127.9, 3), (54.0, 3), (53.9, 2), (30.2, 2), (16.0, 2),
     (15.9, 1), (0.04, 1), (20_000.0, 8), (2000.0, 5)],
)  # fmt: skip
def test_width_is_that_of_longvideo_r1_with_no_leaf_under_two_seconds(
    duration_s: float, width: int
) -> None:
    plan = plan_tree(duration_s)

    assert plan.width == width
    assert len(plan.nodes) == width + width**2 + width**3


def test_two_hours_have_leaves_of_14_seconds() -> None:
    leaves = list(plan_tree(7200.0).at(Level.LOW))

    assert len(leaves) == 512
    assert {round(leaf.span.duration_s, 1) for leaf in leaves} == {14.1}


@given(DURATIONS)
@example(0.04)
@example(30.233333333333334)
@example(7199.9999)
def test_children_tile_their_parent_exactly(duration_s: float) -> None:
    plan = plan_tree(duration_s)

    for node in plan.nodes:
        if node.level is not Level.LOW:
            _assert_tiles([child.span for child in plan.children(node.id)], node.span)
    _assert_tiles([node.span for node in plan.at(Level.HIGH)], Span(0.0, duration_s))


def _assert_tiles(spans: list[Span], whole: Span) -> None:
    assert spans[0].start_s == whole.start_s
    assert spans[-1].end_s == whole.end_s
    assert all(a.end_s == b.start_s for a, b in itertools.pairwise(spans))
    assert all(span.duration_s > 0 for span in spans)


@given(DURATIONS, st.integers(1, 12), st.floats(0.0, 30.0))
def test_width_keeps_to_its_bounds(duration_s: float, max_width: int, min_leaf_s: float) -> None:
    plan = plan_tree(duration_s, max_width=max_width, min_leaf_s=min_leaf_s)

    assert 1 <= plan.width <= max_width
    assert len(plan.nodes) == plan.width + plan.width**2 + plan.width**3
    if plan.width > 1:
        shortest_s = min(leaf.span.duration_s for leaf in plan.at(Level.LOW))
        assert shortest_s > max(0.0, min_leaf_s - 0.002)


@given(DURATIONS)
def test_nodes_stand_in_order_of_their_ids_and_are_found_by_them(duration_s: float) -> None:
    plan = plan_tree(duration_s)

    ids = [node.id for node in plan.nodes]
    assert ids == sorted(ids)
    assert all(plan.node(node.id) is node for node in plan.nodes)
    assert all(node.id.fits(plan.width) for node in plan.nodes)


def test_node_that_is_not_in_the_tree_is_none() -> None:
    plan = plan_tree(30.0)

    for path in [(3,), (1, 3), (1, 1, 3), (2, 2, 3), (9, 9, 9)]:
        assert plan.node(NodeId(path)) is None
        assert list(plan.children(NodeId(path))) == []
    assert list(plan.children(NodeId((1, 1, 1)))) == []
    assert TreePlan(1.0, 1, "uniform", ()).node(NodeId((1,))) is None


@given(DURATIONS)
def test_inner_boundaries_are_whole_milliseconds(duration_s: float) -> None:
    starts_s = [node.span.start_s for node in plan_tree(duration_s).nodes]

    assert starts_s == [round(start_s, 3) for start_s in starts_s]


@pytest.mark.parametrize("duration_s", [0.0, -1.0, math.nan, math.inf])
def test_length_that_is_none_is_refused(duration_s: float) -> None:
    with pytest.raises(ValueError, match="longer than 0 s"):
        plan_tree(duration_s)


def test_width_never_shrinks_as_recordings_grow() -> None:
    widths = [tree_width(seconds / 2) for seconds in range(1, 20_000)]

    assert widths == sorted(widths)


SPANS = st.lists(
    st.tuples(st.floats(0.0, 1.0), st.floats(0.0, 1.0)).map(sorted), min_size=1, max_size=5
)


def apart(shares: list[list[float]], duration_s: float) -> list[Span]:
    """Spans of a recording that are ascending and do not touch, from shares of its length."""
    spans: list[Span] = []
    for start, end in sorted(shares):
        span = Span(start * duration_s, end * duration_s)
        if not spans or span.start_s > spans[-1].end_s:
            spans.append(span)
    return spans


@given(st.floats(20.0, 7200.0), SPANS)
def test_tree_split_by_activity_tiles_and_has_no_leaf_that_is_too_short(
    duration_s: float, shares: list[list[float]]
) -> None:
    plan = plan_tree(duration_s, active=apart(shares, duration_s))

    leaves = list(plan.at(Level.LOW))
    assert plan.width == plan_tree(duration_s).width
    assert leaves[0].span.start_s == 0.0
    assert leaves[-1].span.end_s == duration_s
    assert all(one.span.end_s == two.span.start_s for one, two in itertools.pairwise(leaves))
    assert min(leaf.span.duration_s for leaf in leaves) >= min(2.0, duration_s / len(leaves)) - 0.01
    for node in plan.nodes:
        children = list(plan.children(node.id))
        assert not children or children[0].span.start_s == node.span.start_s


def test_leaves_are_short_where_something_happens_and_long_where_nothing_does() -> None:
    active = [Span(600.0, 640.0), Span(3000.0, 3020.0)]

    plan = plan_tree(3600.0, active=active)

    busy = [n for n in plan.at(Level.LOW) if any(s.contains(n.span.start_s) for s in active)]
    assert plan.split == "activity"
    assert 20 <= len(busy) <= 31  # of 2 s each, as short as leaves may be
    assert max(leaf.span.duration_s for leaf in plan.at(Level.LOW)) > 16.0


def test_single_short_event_makes_the_high_nodes_around_it_short() -> None:
    plan = plan_tree(7200.0, active=[Span(4000.0, 4008.0)])

    (around,) = [node for node in plan.at(Level.HIGH) if node.span.contains(4004.0)]
    assert around.span.duration_s < 200.0


@pytest.mark.parametrize("active", [[], [Span(0.0, 3600.0)]])
def test_without_a_difference_in_activity_leaves_are_alike(active: list[Span]) -> None:
    plan = plan_tree(3600.0, active=active)

    lengths = [leaf.span.duration_s for leaf in plan.at(Level.LOW)]
    assert max(lengths) - min(lengths) < 0.01
