"""How a recording is divided into a caption tree: a function of its length."""

from __future__ import annotations

import math
from collections.abc import Iterator

from edge_lvr1.domain import Node, NodeId, Span, TreePlan

_LEAF_S = 16.0  # what LongVideo-R1's trees aim at for a leaf (arXiv 2602.20913)
_LEAST_WIDTH = 4
_SHORTEST_S = 0.01  # shorter leaves could come out empty when rounded to milliseconds


def plan_tree(duration_s: float, *, max_width: int = 8, min_leaf_s: float = 2.0) -> TreePlan:
    """Divide `duration_s` seconds uniformly into three nested levels.

    Boundaries are rounded to milliseconds once and shared by parents and children, so that
    children tile their parent exactly. Raises ValueError for a length that is not above 0.
    """
    if not 0 < duration_s < math.inf:
        raise ValueError(f"a recording lasts longer than 0 s, not {duration_s}")
    width = tree_width(duration_s, max_width=max_width, min_leaf_s=min_leaf_s)
    leaves = width**3
    edges_s = [round(duration_s * i / leaves, 3) for i in range(leaves)] + [duration_s]
    return TreePlan(duration_s, width, "uniform", tuple(_nodes(width, edges_s)))


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
