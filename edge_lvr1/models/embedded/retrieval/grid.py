"""Where the nodes of a tree lie in time, as far as the conversation tells. Pure.

Only the spans of shown captions are known. Between known borders the others are taken to
be equally long, which is exact for uniform trees and a guess for others; the guess mends
itself with every caption that comes back, since each brings its true span.
"""

from __future__ import annotations

from itertools import pairwise

from edge_lvr1.domain import Level, NodeId, Span
from edge_lvr1.models.embedded.retrieval.dialogue import Dialogue


class Grid:
    """The known and estimated spans of a conversation's tree."""

    def __init__(self, dialogue: Dialogue, width: int) -> None:
        self.width = width
        self.known = {shown.node: shown.span for shown in dialogue.shown}
        self.highs = [shown.node for shown in dialogue.at(Level.HIGH)]

    def children(self, node: NodeId) -> list[tuple[NodeId, Span]]:
        """The nodes below a known or estimated one, with their spans."""
        span = self.span(node)
        if span is None or node.level is Level.LOW:
            return []
        ids = [node.child(index) for index in range(1, self.width + 1)]
        borders: dict[int, float] = {0: span.start_s, self.width: span.end_s}
        for index, child in enumerate(ids):
            if child in self.known:
                borders[index] = self.known[child].start_s
                borders[index + 1] = self.known[child].end_s
        filled = _fill(borders, self.width)
        return [(child, Span(*sorted(filled[i : i + 2]))) for i, child in enumerate(ids)]

    def span(self, node: NodeId) -> Span | None:
        """A node's span; None below a high node that the conversation does not show."""
        if node in self.known:
            return self.known[node]
        if node.parent is None:
            return None
        return dict(self.children(node.parent)).get(node)

    def leaves(self) -> list[tuple[NodeId, Span]]:
        """All leaves in order of time."""
        return [
            leaf
            for high in self.highs
            for medium, _ in self.children(high)
            for leaf in self.children(medium)
        ]

    def best_leaf(self, span: Span) -> NodeId | None:
        """The leaf of which a span covers the largest share; of equals, the middlemost."""
        middle_s = (span.start_s + span.end_s) / 2

        def merit(leaf: tuple[NodeId, Span]) -> tuple[float, float]:
            node_span = leaf[1]
            share = node_span.overlap_s(span) / max(node_span.duration_s, 1e-6)
            return round(share, 2), -abs((node_span.start_s + node_span.end_s) / 2 - middle_s)

        inside = [leaf for leaf in self.leaves() if _meets(leaf[1], span)]
        return max(inside, key=merit)[0] if inside else None

    def first_leaf(self, span: Span, share: float = 0.25) -> NodeId | None:
        """The first leaf that a span covers at least a share of; else the first it touches."""
        inside = [leaf for leaf in self.leaves() if _meets(leaf[1], span)]
        return _first_covered(inside, span, share)

    def last_leaf(self, span: Span, share: float = 0.25) -> NodeId | None:
        """The last leaf that a span covers at least a share of; else the last it touches."""
        inside = [leaf for leaf in self.leaves() if _meets(leaf[1], span)]
        return _first_covered(inside[::-1], span, share)


def _first_covered(leaves: list[tuple[NodeId, Span]], span: Span, share: float) -> NodeId | None:
    for node, node_span in leaves:
        if node_span.overlap_s(span) >= share * node_span.duration_s:
            return node
    return leaves[0][0] if leaves else None


def _meets(leaf: Span, span: Span) -> bool:
    """Whether two spans share time; a moment lies in the leaf that contains it."""
    return leaf.overlap_s(span) > 0 or (span.duration_s == 0 and leaf.contains(span.start_s))


def _fill(borders: dict[int, float], count: int) -> list[float]:
    """Borders 0..count: the known ones as they are, the others at equal steps between."""
    known = sorted(borders)
    filled = []
    for left, right in pairwise(known):
        step = (borders[right] - borders[left]) / (right - left)
        filled += [borders[left] + step * offset for offset in range(right - left)]
    return [*filled, borders[count]]
