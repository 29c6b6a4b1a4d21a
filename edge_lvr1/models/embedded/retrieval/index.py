"""An index of one tree's captions, in memory: which nodes speak of some words, and how much.

BM25 over stems, with synonyms at half weight and a bonus for two words that stand side by
side (Robertson and Zaragoza, "The Probabilistic Relevance Framework", 2009). With an
embedder, the cosine of the best passage of a caption is added. A node then lends part of its
score to its neighbours in time: what happens goes on over the border of two captions, and
each of them tells only half of it.

A whole tree (584 captions at most) is indexed in some tens of milliseconds, and its passages
are embedded once, at the first search. The index knows nothing of questions or agents.
"""

from __future__ import annotations

import logging
import math
import re
import threading
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from edge_lvr1.domain import LEVELS, Caption, NodeId
from edge_lvr1.errors import ModelError
from edge_lvr1.models.base import Embedder, Found
from edge_lvr1.models.embedded.retrieval.terms import stem, synonyms
from edge_lvr1.models.embedded.retrieval.words import vocabulary

log = logging.getLogger(__name__)

Scores = NDArray[np.float64]

_K1, _B = 1.2, 0.5
_NEAR_WEIGHT = 0.5
_SIDE_BY_SIDE = 0.5
"""What two words of a text that a caption has side by side add, next to one rare word."""

_LENGTH = 0.3
"""How soon further words of a long text count less: a long option is not a better one."""

_WORDS_LENT, _MEANING_LENT = 0.5, 0.25
"""Shares of its score that a node lends to the node before it and to the one after it. A word
is missing from a caption by chance, its meaning less so."""

_VECTORS = 40.0
"""BM25 points for a cosine of 1. Cosines of passages of one video lie some 0.1 apart, so
that the best one is worth as much as one rare word."""

_BEST_PASSAGE = 0.8
"""How far a caption counts by its best passage; the rest is the mean of all of them."""

_PASSAGE_WORDS = 60
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
_TIME_MARK = re.compile(r"\b(?:At|From) \d{1,6}(?:\.\d{1,3})? ?s(?:econds)?\b:?")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
_FUNCTION_WORDS = vocabulary(
    "a an the this that these those there here and or but if then as so is are was were be been "
    "being am do does did has have had can could will would should may might must in on of at to "
    "from with by for into onto about what which who whom whose how why where when whether it "
    "its he she they them his her their him you i we us me my your our not no yes any some all "
    "each both"
)


class TreeIndex:
    """A Finder over the captions of one tree."""

    def __init__(self, rows: Sequence[_Row], embedder: Embedder | None) -> None:
        self._rows = rows
        self._embedder = embedder
        self._embedding = threading.Lock()

    @classmethod
    def of(cls, captions: Iterable[Caption], embedder: Embedder | None = None) -> TreeIndex:
        """Index the captions that a tree has so far; with an embedder, by meaning too."""
        texts = {caption.node: caption.text for caption in captions}
        width = max((max(node.path) for node in texts), default=1)
        levels = [sorted(node for node in texts if node.level is level) for level in LEVELS]
        rows = [_Row.of(nodes, texts, width) for nodes in levels if nodes]
        return cls(rows, embedder)

    def find(self, texts: Sequence[str], limit: int) -> list[Found]:
        """The best matches at all levels, best first; several texts are looked for together.

        An embedder that fails is done without, and the log says so.
        """
        asked = self._vector(" ".join(texts))
        found: list[Found] = []
        for row in self._rows:
            words = sum((row.lexicon.scores(text) for text in texts), np.zeros(len(row.nodes)))
            scores = row.lent(words, _WORDS_LENT)
            if asked is not None:
                scores += row.lent(_VECTORS * row.nearness(asked), _MEANING_LENT)
            found += [
                Found(node, float(score), row.texts[place])
                for place, (node, score) in enumerate(zip(row.nodes, scores, strict=True))
                if score > 0
            ]
        return sorted(found, key=lambda one: (-one.score, one.node))[: max(0, limit)]

    def _vector(self, text: str) -> NDArray[np.float32] | None:
        """The unit vector of what is looked for, once all passages have theirs."""
        if not text.strip():
            return None
        with self._embedding:
            if self._embedder is None:
                return None
            try:
                for row in self._rows:
                    row.embed(self._embedder)
                asked: NDArray[np.float32] = _units(self._embedder.embed([text]))[0]
                return asked
            except ModelError as error:
                log.warning("captions are searched by their words alone: %s", error)
                self._embedder = None
                return None


@dataclass(slots=True)
class _Row:
    """The captions of one level, in order of time.

    `follows` says of each node whether the one before it in the tree is here too; `owners`
    are the places of the captions that the passages are of.
    """

    nodes: Sequence[NodeId]
    texts: Sequence[str]
    follows: NDArray[np.bool_]
    lexicon: Lexicon
    vectors: NDArray[np.float32] | None = None
    owners: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    @classmethod
    def of(cls, nodes: Sequence[NodeId], texts: Mapping[NodeId, str], width: int) -> _Row:
        places = np.array([_place(node, width) for node in nodes])
        follows = np.concatenate([[False], np.diff(places) == 1])
        own = [texts[node] for node in nodes]
        return cls(nodes, own, follows, Lexicon.of(own))

    def lent(self, scores: Scores, share: float) -> Scores:
        """The scores with the share that neighbours in time lend to each other."""
        lent = scores.copy()
        lent[1:] += share * scores[:-1] * self.follows[1:]
        lent[:-1] += share * scores[1:] * self.follows[1:]
        return lent

    def embed(self, embedder: Embedder) -> None:
        """Make the vectors of all passages, once. Raises ModelError."""
        if self.vectors is not None:
            return
        cut = [passages(text) for text in self.texts]
        self.owners = np.repeat(np.arange(len(cut)), [len(one) for one in cut])
        self.vectors = _units(embedder.embed([passage for one in cut for passage in one]))

    def nearness(self, asked: NDArray[np.float32]) -> Scores:
        """How near each caption's passages are to a unit vector, from 0 to 1."""
        assert self.vectors is not None, "a row is embedded before it is searched"
        cosines = np.maximum(self.vectors @ asked, 0.0).astype(np.float64)
        best, total = np.zeros(len(self.nodes)), np.zeros(len(self.nodes))
        np.maximum.at(best, self.owners, cosines)
        np.add.at(total, self.owners, cosines)
        counts = np.maximum(1, np.bincount(self.owners, minlength=len(self.nodes)))
        return _BEST_PASSAGE * best + (1 - _BEST_PASSAGE) * total / counts


@dataclass(frozen=True, slots=True)
class Lexicon:
    """The words of some texts and where they stand: places and counts of each term and pair."""

    lengths: Scores
    terms: Mapping[str, tuple[NDArray[np.int64], Scores]]
    pairs: Mapping[tuple[str, str], NDArray[np.int64]]

    @classmethod
    def of(cls, texts: Sequence[str]) -> Lexicon:
        """Count the words of texts."""
        held: dict[str, dict[int, int]] = {}
        pairs: dict[tuple[str, str], set[int]] = {}
        lengths = np.zeros(len(texts))
        for place, text in enumerate(texts):
            found = index_terms(text)
            lengths[place] = len(found)
            for term, count in Counter(found).items():
                held.setdefault(term, {})[place] = count
            for pair in pairwise(found):
                pairs.setdefault(pair, set()).add(place)
        return cls(
            lengths=lengths / max(1.0, float(lengths.mean()) if len(texts) else 1.0),
            terms={
                term: (np.array(list(at)), np.array(list(at.values()), np.float64))
                for term, at in held.items()
            },
            pairs={pair: np.array(sorted(at)) for pair, at in pairs.items()},
        )

    def scores(self, text: str) -> Scores:
        """BM25 of every text for the words of another; float64 of shape (texts,)."""
        asked = index_terms(text)
        scores = np.zeros(len(self.lengths))
        norm = _K1 * (1 - _B + _B * self.lengths)
        for term, times in Counter(asked).items():
            counts, rarity = self._term(term)
            if rarity:
                scores += math.sqrt(times) * rarity * counts * (_K1 + 1) / (counts + norm)
        for pair in set(pairwise(asked)):
            places = self.pairs.get(pair)
            if places is not None:
                scores[places] += _SIDE_BY_SIDE * self._rarity(len(places))
        return scores * 2 / (1 + _LENGTH * len(asked))

    def _term(self, term: str) -> tuple[Scores, float]:
        """How often each text holds a term, or at half weight a synonym; and its rarity.

        A term is as common as its commonest synonym: where all texts have one of them, it
        tells them little apart.
        """
        counts = np.zeros(len(self.lengths))
        most = 0
        for near in synonyms(term):
            if near in self.terms:
                places, times = self.terms[near]
                most = max(most, len(places))
                counts[places] = np.maximum(counts[places], _NEAR_WEIGHT * times)
        if term in self.terms:
            places, times = self.terms[term]
            most = max(most, len(places))
            counts[places] = times
        return counts, self._rarity(most) if most else 0.0

    def _rarity(self, documents: int) -> float:
        return math.log(1 + (len(self.lengths) - documents + 0.5) / (documents + 0.5))


def index_terms(text: str) -> list[str]:
    """The stems of a text's words, in order, without times and function words."""
    words = _WORD.findall(_TIME_MARK.sub(" ", text).lower())
    return [stem(word) for word in words if word not in _FUNCTION_WORDS and len(word) > 1]


def passages(text: str) -> list[str]:
    """A caption in pieces that one vector can stand for: some sentences of one moment."""
    cut: list[str] = []
    for moment in _TIME_MARK.split(text):
        words = 0
        for sentence in _SENTENCE_END.split(moment.strip()):
            length = len(sentence.split())
            if words and words + length <= _PASSAGE_WORDS:
                cut[-1] += f" {sentence}"
                words += length
            elif length:
                cut.append(sentence)
                words = length
    return cut


def _place(node: NodeId, width: int) -> int:
    """A node's place among all of its level in a tree of that width."""
    place = 0
    for index in node.path:
        place = place * width + index - 1
    return place


def _units(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths > 0, lengths, 1.0), np.float32)
