"""Flat baselines: what comes of reading every leaf of a tree, without an agent.

The leaf that matches the question best is the location; a second reading takes the leaf that
matches the question together with one of its options best. The option that is answered is
the one whose words, put after the question's, match leaves best, by the sum over its three
best leaves. Words are matched by FTS5's BM25 over the leaves of one video; meanings by the cosine
of an embedder's vectors.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edge_lvr1.domain import Level
from edge_lvr1.evaluate.bm25 import word_index
from edge_lvr1.evaluate.finding import unit
from edge_lvr1.evaluate.items import Item
from edge_lvr1.evaluate.score import Scored, score_pointed
from edge_lvr1.evaluate.trees import TreeSource
from edge_lvr1.models.base import Embedder

BEST_LEAVES = 3


class Matcher(Protocol):
    """How well each of some texts fits a query."""

    name: str

    def scores(self, texts: Sequence[str], queries: Sequence[str]) -> NDArray[np.float64]:
        """Float64 of shape (queries, texts); higher fits better."""
        ...


class Bm25Matcher:
    """FTS5's BM25, in memory; a text that shares no word with the query scores 0."""

    name = "flat_bm25"

    def scores(self, texts: Sequence[str], queries: Sequence[str]) -> NDArray[np.float64]:
        """Float64 of shape (queries, texts)."""
        found = np.zeros((len(queries), len(texts)))
        with word_index(texts) as index:
            for number, query in enumerate(queries):
                for place, value in index.scores(query).items():
                    found[number, place] = value
        return found


class EmbeddingMatcher:
    """The cosine of an embedder's vectors."""

    name = "flat_embeddings"

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder

    def scores(self, texts: Sequence[str], queries: Sequence[str]) -> NDArray[np.float64]:
        """Float64 of shape (queries, texts)."""
        vectors = unit(self._embedder.embed([*queries, *texts]))
        cosines: NDArray[np.float64] = vectors[: len(queries)] @ vectors[len(queries) :].T
        return cosines


@dataclass(frozen=True, slots=True)
class Pointed:
    """What a flat reading of a video makes of a question: places of leaves, and an option."""

    leaf: int
    leaf_by_options: int
    option: int | None


def point(question: NDArray[np.float64], options: NDArray[np.float64]) -> Pointed:
    """The best leaves, and the option that fits best.

    `question` scores the leaves for the question alone, shape (leaves,); `options` for the
    question with each option, shape (options, leaves).
    """
    best = np.sort(options, axis=1)[:, -BEST_LEAVES:].sum(axis=1)
    return Pointed(
        leaf=int(question.argmax()),
        leaf_by_options=int(options.max(axis=0).argmax()) if len(best) else int(question.argmax()),
        option=int(best.argmax()) if len(best) else None,
    )


def flat_readings(
    items: Sequence[Item], source: TreeSource, matcher: Matcher
) -> dict[str, list[Scored]]:
    """Every question scored by both readings, by their names; one without a tree is wrong.

    Raises what the source raises, and ModelError of an embedder.
    """
    alone: list[Scored] = []
    by_options: list[Scored] = []
    for video, group in groupby(sorted(items, key=lambda one: one.video), lambda one: one.video):
        asked = list(group)
        leaves = [
            (placed, node) for placed in source.of(video) for node in placed.view.plan.at(Level.LOW)
        ]
        if not leaves:
            for kept in (alone, by_options):
                kept += [score_pointed(item, None, None, 0) for item in asked]
            continue
        spans = [placed.in_video(node.span) for placed, node in leaves]
        texts = [placed.view.caption(node.id).text for placed, node in leaves]
        for item, found in zip(asked, _points(asked, texts, matcher), strict=True):
            for kept, leaf in ((alone, found.leaf), (by_options, found.leaf_by_options)):
                kept.append(score_pointed(item, spans[leaf], found.option, len(leaves)))
    return {matcher.name: alone, f"{matcher.name}_options": by_options}


def _points(asked: Sequence[Item], texts: Sequence[str], matcher: Matcher) -> Iterator[Pointed]:
    queries = [query for item in asked for query in _queries(item)]
    scores = matcher.scores(texts, queries)
    row = 0
    for item in asked:
        end = row + 1 + len(item.options)
        yield point(scores[row], scores[row + 1 : end])
        row = end


def _queries(item: Item) -> list[str]:
    return [item.question, *(f"{item.question} {option}" for option in item.options)]
