"""How likely each leaf of a tree is what a question is about, and which option it bears out.

An index gives each leaf a score for the question with each option. Taken as log odds, the
scores make one distribution over leaves and options: a leaf is likely where some option fits
it well, and an option where likely leaves bear it out. Pure, but for asking the finder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_lvr1.domain import Level, NodeId, Span
from edge_lvr1.models.base import Finder, Found
from edge_lvr1.models.embedded.retrieval.grid import Grid

_ALL = 100_000
"""More nodes than any tree has."""

_VAGUE = 1.0
"""What a leaf at "the beginning" or "the end" has ahead of the others, as log odds."""


@dataclass(frozen=True, slots=True)
class Weights:
    """The distribution over the leaves that an index found: float64 of shape (options, leaves).

    It sums to 1. A question without options has one row. `best` is each leaf's best score
    with any option, beside that of the best leaf.
    """

    leaves: tuple[NodeId, ...]
    shares: NDArray[np.float64]
    best: NDArray[np.float64]

    def ranked(self) -> list[NodeId]:
        """The leaves, the likeliest first."""
        return [self.leaves[place] for place in np.argsort(-self.shares.sum(axis=0), kind="stable")]

    def share(self, leaf: NodeId) -> float:
        """How likely a leaf is; 0 for one that was not found."""
        if leaf not in self.leaves:
            return 0.0
        return float(self.shares[:, self.leaves.index(leaf)].sum())

    def alike(self, least: float) -> list[NodeId]:
        """The leaves that match at least so well beside the best one, the likeliest first."""
        good = {leaf for leaf, best in zip(self.leaves, self.best, strict=True) if best >= least}
        return [leaf for leaf in self.ranked() if leaf in good]

    def merits(self, read: Sequence[NodeId]) -> list[float]:
        """How far each option is borne out by leaves that were read; the merits sum to 1."""
        places = [place for place, leaf in enumerate(self.leaves) if leaf in read]
        merits = self.shares[:, places].sum(axis=1)
        total = float(merits.sum())
        return [float(merit) / total if total else 0.0 for merit in merits]


def weigh(
    finder: Finder,
    question: str,
    options: Sequence[str],
    grid: Grid,
    window: Span | None = None,
    *,
    vague: bool = False,
) -> Weights | None:
    """Weigh the leaves for a question; None where the index knows none.

    With a window only the leaves in it count; with a vague one they come before others.
    """
    asked = [[question, option] for option in options] or [[question]]
    rows = [_leaf_scores(finder.find(texts, _ALL)) for texts in asked]
    ahead = {leaf: _ahead(grid, leaf, window, vague=vague) for row in rows for leaf in row}
    leaves = tuple(sorted(leaf for leaf, points in ahead.items() if points is not None))
    if not leaves:
        return None
    lead = np.array([ahead[leaf] or 0.0 for leaf in leaves])
    scores = np.array([[row.get(leaf, 0.0) for leaf in leaves] for row in rows])
    odds = scores + lead
    shares = np.exp(odds - odds.max())
    return Weights(leaves, shares / shares.sum(), scores.max(axis=0) / scores.max())


def evenly(grid: Grid, window: Span) -> Weights | None:
    """All leaves of a window alike, where only a time is asked about; None where it has none."""
    leaves = tuple(sorted(leaf for leaf, span in grid.leaves() if span.overlap_s(window) > 0))
    if not leaves:
        return None
    return Weights(leaves, np.full((1, len(leaves)), 1 / len(leaves)), np.ones(len(leaves)))


def _leaf_scores(found: Sequence[Found]) -> dict[NodeId, float]:
    return {one.node: one.score for one in found if one.node.level is Level.LOW}


def _ahead(grid: Grid, leaf: NodeId, window: Span | None, *, vague: bool) -> float | None:
    """What a leaf has ahead by its time; None where it is out of the time asked about."""
    if window is None:
        return 0.0
    span = grid.span(leaf)
    inside = span is not None and (span.overlap_s(window) > 0 or span.contains(window.start_s))
    if vague:
        return _VAGUE if inside else 0.0
    return 0.0 if inside else None
