"""Several rankings of the same things made one. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_SMOOTHING = 60


@dataclass(frozen=True, slots=True)
class Ranked:
    """Nodes with their scores, best first: int64 [n] and float64 [n]."""

    nodes: NDArray[np.int64]
    scores: NDArray[np.float64]


def nothing() -> Ranked:
    """A ranking of nothing."""
    return Ranked(np.empty(0, np.int64), np.empty(0))


def best(nodes: NDArray[np.int64], scores: NDArray[np.float64], limit: int) -> Ranked:
    """The `limit` highest scores; of equal ones those of the lowest nodes."""
    order = np.lexsort((nodes, -scores))[:limit]
    return Ranked(nodes[order], scores[order])


def fuse(rankings: Iterable[Sequence[int]], smoothing: int = _SMOOTHING) -> Ranked:
    """Reciprocal rank fusion: each ranking gives 1 / (smoothing + rank), rank from 1.

    Cormack, Clarke and Büttcher, "Reciprocal rank fusion outperforms Condorcet and individual
    rank learning methods" (SIGIR 2009). Scores of different kinds need no common scale.
    """
    scores: dict[int, float] = {}
    for ranking in rankings:
        for rank, node in enumerate(ranking, 1):
            scores[node] = scores.get(node, 0.0) + 1 / (smoothing + rank)
    nodes = np.fromiter(scores, np.int64, len(scores))
    return best(nodes, np.fromiter(scores.values(), np.float64, len(scores)), len(nodes))
