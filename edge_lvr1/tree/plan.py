"""How a recording is divided into a caption tree: a function of its length and its activity."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from edge_lvr1.domain import Node, NodeId, Span, TreePlan

_LEAF_S = 16.0  # what LongVideo-R1's trees aim at for a leaf (arXiv 2602.20913)
_LEAST_WIDTH = 4
_SHORTEST_S = 0.01  # shorter leaves could come out empty when rounded to milliseconds


ACTIVE_SHARE = 0.75
"""Of a tree's leaves, the share that goes to what is active, where that is not more anyway."""


def plan_tree(
    duration_s: float,
    *,
    active: Sequence[Span] | None = None,
    max_width: int = 8,
    min_leaf_s: float = 2.0,
) -> TreePlan:
    """Divide `duration_s` seconds into three nested levels: uniformly, or by activity.

    With `active` (ascending, apart) boundaries lie where equal shares of cumulated activity
    are reached: short leaves where something happens, none shorter than `min_leaf_s`, and long
    ones where nothing does. The width is that of a uniform tree. Boundaries are rounded to
    milliseconds once and shared by parents and children, so that children tile their parent
    exactly. Raises ValueError for a length that is not above 0.
    """
    if not 0 < duration_s < math.inf:
        raise ValueError(f"a recording lasts longer than 0 s, not {duration_s}")
    width = tree_width(duration_s, max_width=max_width, min_leaf_s=min_leaf_s)
    leaves = width**3
    inner_s = [duration_s * i / leaves for i in range(leaves)]
    split = "uniform"
    if active:
        split = "activity"
        inner_s = _by_activity(duration_s, leaves, active, min_leaf_s)
    edges_s = [round(edge_s, 3) for edge_s in inner_s] + [duration_s]
    return TreePlan(duration_s, width, split, tuple(_nodes(width, edges_s)))


def _by_activity(
    duration_s: float, leaves: int, active: Sequence[Span], min_leaf_s: float
) -> list[float]:
    """Where each leaf begins: at equal shares of time and activity together.

    A moment weighs the same everywhere and more where it is active. How much more is bounded by
    the shortest leaf: one that lies in activity alone lasts 1 / (leaves * weight). Activity
    that is too short to fill its share is widened, so that not leaves alone but the nodes above
    them are short there, and frames spread over a high node do not miss it.
    """
    shortest_s = max(min_leaf_s, _SHORTEST_S)
    busy = _widened(active, duration_s, ACTIVE_SHARE * leaves * shortest_s)
    ends_s = sorted({0.0, duration_s, *(t for s in busy for t in (s.start_s, s.end_s))})
    edges = np.array(ends_s)
    middles = (edges[:-1] + edges[1:]) / 2
    within = np.array([any(span.contains(t) for span in busy) for t in middles], bool)
    lengths = np.diff(edges)
    busy_s = float(lengths[within].sum())
    share = 0.0
    if 0 < busy_s < duration_s:
        most = (1 / (leaves * shortest_s) - 1 / duration_s) / (1 / busy_s - 1 / duration_s)
        share = min(max(0.0, most), ACTIVE_SHARE)
    weights = lengths * ((1 - share) / duration_s + within * (share / max(busy_s, _SHORTEST_S)))
    cumulated = np.concatenate([[0.0], np.cumsum(weights)])
    wanted = np.arange(leaves) / leaves * cumulated[-1]
    return [float(edge_s) for edge_s in np.interp(wanted, cumulated, edges)]


def _widened(active: Sequence[Span], duration_s: float, least_s: float) -> list[Span]:
    """The spans, each widened alike on both sides until together they last so long."""
    low_s, high_s = 0.0, duration_s
    if sum(span.duration_s for span in _merged(active, 0.0, duration_s)) >= least_s:
        return _merged(active, 0.0, duration_s)
    for _ in range(40):
        pad_s = (low_s + high_s) / 2
        if sum(span.duration_s for span in _merged(active, pad_s, duration_s)) < least_s:
            low_s = pad_s
        else:
            high_s = pad_s
    return _merged(active, high_s, duration_s)


def _merged(spans: Sequence[Span], pad_s: float, duration_s: float) -> list[Span]:
    merged: list[Span] = []
    for span in spans:
        start_s, end_s = max(0.0, span.start_s - pad_s), min(duration_s, span.end_s + pad_s)
        if merged and start_s <= merged[-1].end_s:
            merged[-1] = Span(merged[-1].start_s, max(merged[-1].end_s, end_s))
        elif start_s < end_s:
            merged.append(Span(start_s, end_s))
    return merged


def tree_width(duration_s: float, *, max_width: int = 8, min_leaf_s: float = 2.0) -> int:
    """Nodes below each node: that of LongVideo-R1, less where leaves would be too short."""
    wanted = round(math.pow(duration_s / _LEAF_S, 1 / 3))
    width = max(1, min(max(_LEAST_WIDTH, wanted), max_width))
    # Whole numbers, not a cube root: 64 ** (1/3) is 3.9999999999999996.
    while width > 1 and duration_s < width**3 * max(min_leaf_s, _SHORTEST_S):
        width -= 1
    return width


def _nodes(width: int, edges_s: list[float]) -> Iterator[Node]:
    indices = range(1, width + 1)
    for h in indices:
        yield _node((h,), width, edges_s)
        for m in indices:
            yield _node((h, m), width, edges_s)
            for leaf in indices:
                yield _node((h, m, leaf), width, edges_s)


def _node(path: tuple[int, ...], width: int, edges_s: list[float]) -> Node:
    leaves = width ** (3 - len(path))
    first = 0
    for index in path:
        first = first * width + index - 1
    return Node(NodeId(path), Span(edges_s[first * leaves], edges_s[(first + 1) * leaves]))
