"""An embedder that remembers: the same passages come again with every question about a tree."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge_lvr1.models.base import Embedder

MOST = 50_000
"""Vectors kept: some 75 MiB at 384 numbers each, and the passages of about ten hours."""


class RememberingEmbedder:
    """Gives back the vectors of texts that it embedded before; the longest unused go first.

    Threads may share it.
    """

    def __init__(self, embedder: Embedder, most: int = MOST) -> None:
        self.name = embedder.name
        self.dim = embedder.dim
        self._embedder = embedder
        self._most = most
        self._kept: OrderedDict[str, NDArray[np.float32]] = OrderedDict()
        self._lock = threading.Lock()

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """One vector for each text: float32 of shape (texts, dim). Raises ModelError."""
        with self._lock:
            found = {text: self._kept[text] for text in texts if text in self._kept}
        new = [text for text in dict.fromkeys(texts) if text not in found]
        if new:
            found.update(zip(new, self._embedder.embed(new), strict=True))
        with self._lock:
            for text in found:
                self._kept[text] = found[text]
                self._kept.move_to_end(text)
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
        vectors = np.zeros((len(texts), self.dim), np.float32)
        for row, text in enumerate(texts):
            vectors[row] = found[text]
        return vectors
