"""Flat readings: every leaf of a tree, without an agent."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_lvr1.domain import NodeId
from edge_lvr1.evaluate.bm25 import word_index
from edge_lvr1.evaluate.captions import CaptionFiles
from edge_lvr1.evaluate.finding import CaptionVectors, finders
from edge_lvr1.evaluate.flat import Bm25Matcher, EmbeddingMatcher, flat_readings, point
from edge_lvr1.evaluate.items import Item
from edge_lvr1.evaluate.score import Scored
from tests.evaluate.made import TEXTS, item, write_captions


class WordEmbedder:
    """Texts that share words are near; `asked` counts the texts."""

    name, dim = "words", 64

    def __init__(self) -> None:
        self.asked = 0

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.asked += len(texts)
        vectors = np.zeros((len(texts), self.dim), np.float32)
        for row, text in enumerate(texts):
            for word in text.lower().replace(".", "").replace("?", "").split():
                vectors[row, sum(map(ord, word)) % self.dim] += 3.0
        return vectors


def scored(tmp_path: Path, *items: Item, videos: tuple[str, ...] = ("tape",)) -> list[Scored]:
    source = CaptionFiles(write_captions(tmp_path / "c", *videos))
    return flat_readings(items, source, Bm25Matcher())["flat_bm25"]


def test_best_leaf_is_the_place_and_best_option_the_answer(tmp_path: Path) -> None:
    (found,) = scored(tmp_path, item())

    assert (found.correct, found.hit, found.captions_opened) == (True, True, 8)


def test_questions_of_several_videos_are_read_by_video(tmp_path: Path) -> None:
    items = [item(1, "a"), item(2, "b"), item(3, "a", answer="B")]
    found = scored(tmp_path, *items, videos=("a", "b"))

    assert {one.item.id: one.correct for one in found} == {"q1": True, "q2": True, "q3": False}


def test_second_reading_places_by_question_and_option(tmp_path: Path) -> None:
    source = CaptionFiles(write_captions(tmp_path / "c", "tape"))
    vague = item(question="What happens?", clues=[(30, 40)])

    found = flat_readings([vague], source, Bm25Matcher())

    assert [one.hit for one in found["flat_bm25"]] == [False]
    assert [one.hit for one in found["flat_bm25_options"]] == [True]


def test_video_without_a_tree_is_wrong(tmp_path: Path) -> None:
    (found,) = scored(tmp_path, item(video="other"))

    assert (found.correct, found.hit, found.verdict) == (False, False, "not_asked")


def test_embeddings_find_by_their_cosine(tmp_path: Path) -> None:
    source = CaptionFiles(write_captions(tmp_path / "c", "tape"))
    asked = item(question="The dog catches which ball?")
    readings = flat_readings([asked], source, EmbeddingMatcher(WordEmbedder()))
    (found,) = readings["flat_embeddings"]

    assert (found.hit, found.captions_opened) == (True, 8)


def test_answer_is_the_option_with_the_best_three_leaves() -> None:
    options = np.array([[9.0, 0, 0, 0, 0], [4.0, 4, 4, 0, 0], [3.0, 3, 3, 3, 3]])

    pointed = point(np.array([0.0, 1, 5, 0, 0]), options)

    assert (pointed.leaf, pointed.leaf_by_options, pointed.option) == (2, 0, 1)


def test_words_are_stemmed_and_rare_ones_weigh_more() -> None:
    with word_index(TEXTS) as index:
        scores = index.scores("dogs catching a bus")

    assert max(scores, key=lambda place: scores[place]) in (3, 7)
    assert set(scores) >= {2, 3, 7}
    assert all(score > 0 for score in scores.values())


@settings(deadline=None)
@given(st.text())
def test_no_query_is_index_syntax(text: str) -> None:
    with word_index(TEXTS) as index:
        assert set(index.scores(text)) <= set(range(len(TEXTS)))
        assert set(index.scores(f'" OR NEAR( {text} *')) <= set(range(len(TEXTS)))


def test_finder_names_nodes_of_all_levels_best_first(tmp_path: Path) -> None:
    placed = CaptionFiles(write_captions(tmp_path / "c", "tape")).of("tape")
    with finders(placed) as finder:
        index = finder(placed[0].view.recording)
        assert index is not None
        found = index.find(["yellow ball"], 10)
        assert index.find(["zebra"], 10) == []
        assert len(index.find(["yellow ball"], 2)) == 2

    assert {one.node for one in found} >= {NodeId((1, 2, 2)), NodeId((1, 2)), NodeId((1,))}
    assert found[0].node == NodeId((1, 2, 2))
    assert found[0].caption == TEXTS[3]
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)


def test_finder_with_vectors_embeds_captions_once(tmp_path: Path) -> None:
    placed = CaptionFiles(write_captions(tmp_path / "c", "tape")).of("tape")
    embedder = WordEmbedder()
    vectors = CaptionVectors(embedder)
    for _ in range(2):
        with finders(placed, vectors) as finder:
            index = finder(placed[0].view.recording)
            assert index is not None
            assert index.find(["a yellow ball"], 1)[0].node == NodeId((1, 2, 2))

    assert embedder.asked == 14 + 2
