"""Keeping search fast: words sealed into blocks and captions embedded, when nobody waits.

A piece of work is small and can be lost: what is not sealed is found by FTS5, and a caption
without a vector by its words.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge_lvr1.daemon.turnstile import Turnstile
from edge_lvr1.errors import ModelError
from edge_lvr1.models.base import Embedder
from edge_lvr1.store import postings
from edge_lvr1.store.db import Archive
from edge_lvr1.store.vectors import Meaning, Vectors

log = logging.getLogger(__name__)

FOLDER = "vectors"  # in the data folder
_BATCH = 64  # captions that are embedded at a time: 0.1 to 0.2 s of two cores
_MODEL_PAUSE_S = 60.0


def meaning_of(archive: Archive, data: Path, embedder: Embedder | None) -> Meaning | None:
    """Search by meaning with this embedder; None without one.

    Where another made the vectors so far, all captions wait for new ones, and search goes by
    words and by the vectors that are made already.
    """
    if embedder is None:
        return None
    vectors = Vectors(archive, data / FOLDER)
    if vectors.serve(embedder.name, embedder.dim):
        log.info(
            "%d captions wait for their vectors by %s", vectors.coverage().wanted, embedder.name
        )
    return Meaning(vectors, embedder.embed)


def left_over(archive: Archive, data: Path) -> Vectors:
    """The vectors of an archive that has no embedder now, without files that nothing names."""
    vectors = Vectors(archive, data / FOLDER)
    vectors.sweep()
    return vectors


@dataclass(frozen=True, slots=True)
class IndexWork:
    """The index worker's piece of work: one block, or one batch of captions.

    `left` are the vectors that an embedder made which is configured no more.
    """

    archive: Archive
    turnstile: Turnstile
    meaning: Meaning | None
    left: Vectors | None = None

    def __call__(self) -> bool:
        """Do what is due; False where nothing is. Questions go first. Raises Stopped."""
        self.turnstile.pass_ingest()
        block = postings.due(self.archive)
        if block is not None:
            return postings.seal(self.archive, block)
        if self.meaning is not None:
            return self._embed(self.meaning)
        return self.left is not None and self._shrink(self.left)

    def _shrink(self, vectors: Vectors) -> bool:
        block = vectors.hollow()
        return block is not None and vectors.seal(block)

    def _embed(self, meaning: Meaning) -> bool:
        vectors = meaning.vectors
        block = vectors.due()
        if block is not None:
            return vectors.seal(block)
        batch = vectors.wanted(_BATCH)
        if not batch:
            return False
        # Many captions say the same: nothing moved.
        texts = list(dict.fromkeys(caption.text for caption in batch))
        try:
            made = dict(zip(texts, meaning.embed(texts), strict=True))
        except ModelError as error:
            log.error("captions cannot be embedded, search goes by words: %s", error)
            self.turnstile.rest(_MODEL_PAUSE_S)
            return True
        vectors.put(batch, np.stack([made[caption.text] for caption in batch]))
        return True
