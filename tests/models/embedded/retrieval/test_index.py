"""The index of one tree's captions."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_lvr1.domain import Caption, Level, NodeId, Span
from edge_lvr1.errors import ModelError
from edge_lvr1.models.base import Found
from edge_lvr1.models.embedded.retrieval.index import TreeIndex, passages

DULL = "An empty courtyard with a fence and a gate."


def tree(width: int = 3, **texts: str) -> list[Caption]:
    """Captions of a tree; keyword "n121" is that of (1,2,1), "" leaves one out, others are dull."""
    told = {NodeId(tuple(map(int, key[1:]))): text for key, text in texts.items()}
    places = range(1, width + 1)
    nodes = [NodeId(path) for depth in (1, 2, 3) for path in product(places, repeat=depth)]
    captions = [
        Caption(node, Span(0.0, 1.0), told.get(node, DULL), "a model", "1") for node in nodes
    ]
    return [caption for caption in captions if caption.text]


class MeaningOfDogs:
    """An embedder for which all that barks is one thing."""

    name = "dogs"
    dim = 2

    def __init__(self) -> None:
        self.asked: list[str] = []

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.asked += texts
        barks = [any(word in text for word in ("dog", "terrier", "barks")) for text in texts]
        return np.array([[1.0, 0.0] if one else [0.0, 1.0] for one in barks], np.float32)


class Broken:
    name = "broken"
    dim = 2

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        raise ModelError("no memory")


def leaves(found: Sequence[Found]) -> list[str]:
    return [str(one.node) for one in found if one.node.level is Level.LOW]


def test_the_caption_that_speaks_of_it_is_found_first_with_its_text() -> None:
    index = TreeIndex.of(tree(n121="A dog chases a red ball.", n231="A woman waters flowers."))

    found = index.find(["does a dog chase the ball?"], 1)

    assert [(str(one.node), one.caption) for one in found] == [
        ("(1,2,1)", "A dog chases a red ball.")
    ]
    assert found[0].score > 0


def test_forms_and_synonyms_of_a_word_match_and_the_word_itself_matches_better() -> None:
    index = TreeIndex.of(tree(n111="A puppy sleeps.", n222="Two dogs sleep.", n333="A cat."))

    assert leaves(index.find(["dog"], 9))[:1] == ["(2,2,2)"]
    assert "(1,1,1)" in leaves(index.find(["dog"], 9))
    assert "(3,3,3)" not in leaves(index.find(["dog"], 9))


def test_two_words_side_by_side_are_better_than_apart() -> None:
    index = TreeIndex.of(
        tree(n111="A ball, blue, and a box, red.", n333="A box, blue, and a red ball.")
    )

    assert leaves(index.find(["the red ball"], 2))[0] == "(3,3,3)"


def test_what_goes_on_in_the_next_caption_makes_one_more_likely() -> None:
    index = TreeIndex.of(tree(n111="A dog.", n222="A dog.", n223="A dog."))

    scores = {str(one.node): one.score for one in index.find(["dog"], 99)}

    assert scores["(2,2,2)"] > scores["(1,1,1)"] > scores["(1,1,2)"] > 0


def test_neighbours_are_neighbours_over_the_border_of_their_parents_only_if_captioned() -> None:
    whole = TreeIndex.of(tree(n113="A dog."))
    gap = TreeIndex.of(tree(n113="A dog.", n121=""))

    assert "(1,2,1)" in leaves(whole.find(["dog"], 9))
    assert leaves(gap.find(["dog"], 9)) == ["(1,1,3)", "(1,1,2)"]


def test_several_texts_are_looked_for_together() -> None:
    index = TreeIndex.of(tree(n111="A dog.", n222="A cat.", n333="A dog and a cat."))

    assert leaves(index.find(["dog", "cat"], 1)) == ["(3,3,3)"]


def test_all_levels_are_searched() -> None:
    index = TreeIndex.of(tree(n2="A dog in the morning.", n21="A dog."))

    assert {"(2)", "(2,1)"} <= {str(one.node) for one in index.find(["dog"], 99)}


@pytest.mark.parametrize("texts", [[], [""], ["the of"], ["elephant"]])
def test_words_that_no_caption_has_find_nothing(texts: list[str]) -> None:
    assert TreeIndex.of(tree()).find(texts, 9) == []


def test_a_tree_without_captions_yet_finds_nothing() -> None:
    assert TreeIndex.of([]).find(["dog"], 9) == []


def test_an_embedder_finds_what_shares_no_word_and_reads_each_caption_once() -> None:
    embedder = MeaningOfDogs()
    index = TreeIndex.of(tree(n222="A terrier."), embedder)

    assert leaves(index.find(["dog"], 1)) == ["(2,2,2)"]
    asked = len(embedder.asked)
    assert leaves(index.find(["who barks"], 1)) == ["(2,2,2)"]
    assert len(embedder.asked) == asked + 1


def test_an_embedder_that_fails_is_done_without() -> None:
    index = TreeIndex.of(tree(n222="A dog."), Broken())

    assert leaves(index.find(["dog"], 1)) == ["(2,2,2)"]


def test_a_passage_holds_sentences_of_one_moment() -> None:
    long = " ".join(["word"] * 50) + "."

    assert passages("At 1.0s: One. Two. At 2.5s: Three.") == ["One. Two.", "Three."]
    assert passages(f"{long} {long} End.") == [long, f"{long} End."]
    assert passages("") == []


WORDS = st.lists(st.sampled_from(["dog", "cat", "the", "At 3.0s:", "runs.", "ball"])).map(" ".join)


@settings(deadline=None)
@given(st.lists(WORDS, min_size=39, max_size=39), st.lists(WORDS, max_size=3), st.integers(0, 50))
def test_scores_fall_are_above_zero_and_name_each_node_once(
    texts: list[str], asked: list[str], limit: int
) -> None:
    captions = [
        Caption(one.node, one.span, text, "a model", "1")
        for one, text in zip(tree(), texts, strict=True)
    ]

    found = TreeIndex.of(captions).find(asked, limit)

    scores = [one.score for one in found]
    assert len(found) <= limit
    assert scores == sorted(scores, reverse=True)
    assert all(score > 0 for score in scores)
    assert len({one.node for one in found}) == len(found)
