"""An index of one tree's captions, in memory: what the loop and its agent may look things up in.

It is the index that a daemon makes of a recording; here it is kept while questions about the
same video come.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_lvr1.domain import Caption, NodeId, Recording
from edge_lvr1.evaluate.trees import PlacedTree
from edge_lvr1.models.base import Embedder, Finder
from edge_lvr1.models.load import index_of

_KEPT = 8  # trees whose vectors are kept; questions of a dataset come video by video


class CaptionVectors:
    """Indexes by meaning too, with vectors of captions; those of the last few trees are kept."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._kept: dict[tuple[tuple[NodeId, str], ...], Finder] = {}

    def index(self, captions: Sequence[Caption]) -> Finder:
        """The index of a tree's captions."""
        told = tuple((caption.node, caption.text) for caption in captions)
        if told not in self._kept:
            self._kept[told] = index_of(captions, self._embedder)
            if len(self._kept) > _KEPT:
                del self._kept[next(iter(self._kept))]
        return self._kept[told]


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    """Vectors of length 1, shape (texts, dim); one of length 0 stays as it is."""
    wide = vectors.astype(np.float64)
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)
    scaled: NDArray[np.float64] = wide / np.where(lengths > 0, lengths, 1.0)
    return scaled


@dataclass(frozen=True, slots=True)
class _Finders:
    """The finders of one question, made as recordings are asked."""

    placed: Mapping[int, PlacedTree]
    vectors: CaptionVectors | None

    def of(self, recording: Recording) -> Finder | None:
        """The index of a recording's tree. Raises what its view raises."""
        one = self.placed.get(recording.id)
        if one is None:
            return None
        captions = [one.view.caption(node.id) for node in one.view.plan.nodes]
        return self.vectors.index(captions) if self.vectors else index_of(captions, None)


@contextmanager
def finders(
    placed: Sequence[PlacedTree], vectors: CaptionVectors | None = None
) -> Iterator[Callable[[Recording], Finder | None]]:
    """What gives the index of each recording's tree, for as long as it is held."""
    yield _Finders({one.view.recording.id: one for one in placed}, vectors).of
