"""An embedder that remembers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge_lvr1.models.embedded.retrieval.remembered import RememberingEmbedder


class Lengths:
    """A text's vector is its length; `asked` are the texts that it was given."""

    name, dim = "lengths", 1

    def __init__(self) -> None:
        self.asked: list[str] = []

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.asked += texts
        return np.array([[len(text)] for text in texts], np.float32).reshape(len(texts), 1)


def test_a_text_is_embedded_once_and_vectors_stand_in_the_order_asked() -> None:
    lengths = Lengths()
    embedder = RememberingEmbedder(lengths)

    first = embedder.embed(["a dog", "cat", "a dog"])
    again = embedder.embed(["cat", "a man", "a dog"])

    assert first.tolist() == [[5.0], [3.0], [5.0]]
    assert again.tolist() == [[3.0], [5.0], [5.0]]
    assert lengths.asked == ["a dog", "cat", "a man"]


def test_what_was_not_asked_for_longest_is_forgotten_first() -> None:
    lengths = Lengths()
    embedder = RememberingEmbedder(lengths, most=2)
    embedder.embed(["one"])
    embedder.embed(["three"])
    embedder.embed(["one"])
    embedder.embed(["seven"])

    embedder.embed(["one"])
    embedder.embed(["three"])

    assert lengths.asked == ["one", "three", "seven", "three"]


def test_more_texts_than_are_kept_have_their_vectors_all_the_same() -> None:
    embedder = RememberingEmbedder(Lengths(), most=1)

    assert embedder.embed(["a", "bb", "ccc"]).tolist() == [[1.0], [2.0], [3.0]]


def test_no_text_has_no_vector() -> None:
    embedder = RememberingEmbedder(Lengths())

    assert embedder.embed([]).shape == (0, 1)
    assert (embedder.name, embedder.dim) == ("lengths", 1)
