"""An index of one tree's captions, in memory: what the loop and its agent may look things up in.

Words are matched by FTS5's BM25, as the archive matches them, over the nodes of all levels;
with an embedder, meanings too. Both are brought to a common scale, so that scores can be
compared between calls: BM25 saturates towards 1, and the cosine is added.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_lvr1.domain import Caption, Recording
from edge_lvr1.evaluate.bm25 import WordIndex, word_index
from edge_lvr1.evaluate.trees import PlacedTree
from edge_lvr1.models.base import Embedder, Finder, Found

_HALF = 10.0
"""The BM25 score that counts for half: a rare word or two in a caption."""
_KEPT = 8  # trees whose vectors are kept; questions of a dataset come video by video


class TreeFinder:
    """A Finder over captions; `meaning` gives the cosine of a text with each of them."""

    def __init__(
        self,
        captions: Sequence[Caption],
        index: WordIndex,
        meaning: Callable[[str], NDArray[np.float64]] | None = None,
    ) -> None:
        self._captions = captions
        self._index = index
        self._meaning = meaning

    def find(self, texts: Sequence[str], limit: int) -> list[Found]:
        """The best matches at all levels, best first. Raises ModelError of an embedder."""
        wanted = " ".join(texts)
        scores = np.zeros(len(self._captions))
        for place, score in self._index.scores(wanted).items():
            scores[place] = score / (score + _HALF)
        if self._meaning is not None and wanted.strip():
            scores += np.maximum(self._meaning(wanted), 0.0)
        best = np.argsort(-scores, kind="stable")[:limit]
        found = ((self._captions[place], float(scores[place])) for place in best)
        return [Found(one.node, score, one.text) for one, score in found if score > 0]


class CaptionVectors:
    """Vectors of captions, those of the last few trees kept."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._kept: dict[tuple[str, ...], NDArray[np.float64]] = {}

    def meaning(self, texts: tuple[str, ...]) -> Callable[[str], NDArray[np.float64]]:
        """What gives the cosine of a text with each of some texts, float64 of shape (texts,)."""
        if texts not in self._kept:
            self._kept[texts] = unit(self._embedder.embed(texts))
            if len(self._kept) > _KEPT:
                del self._kept[next(iter(self._kept))]
        vectors = self._kept[texts]
        return lambda wanted: vectors @ unit(self._embedder.embed([wanted]))[0]


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
    stack: ExitStack

    def of(self, recording: Recording) -> Finder | None:
        """The index of a recording's tree. Raises what its view raises."""
        one = self.placed.get(recording.id)
        if one is None:
            return None
        captions = [one.view.caption(node.id) for node in one.view.plan.nodes]
        texts = tuple(caption.text for caption in captions)
        index = self.stack.enter_context(word_index(texts))
        return TreeFinder(captions, index, self.vectors.meaning(texts) if self.vectors else None)


@contextmanager
def finders(
    placed: Sequence[PlacedTree], vectors: CaptionVectors | None = None
) -> Iterator[Callable[[Recording], Finder | None]]:
    """What gives the index of each recording's tree, for as long as it is held."""
    with ExitStack() as stack:
        yield _Finders({one.view.recording.id: one for one in placed}, vectors, stack).of
