"""Matching words with free-form captions: stems, synonyms, and a BM25-like score. Pure.

BM25: Robertson and Zaragoza, "The Probabilistic Relevance Framework" (2009); the document
frequencies are those of the captions in the conversation, all the agent ever sees.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from edge_lvr1.models.embedded.retrieval.words import vocabulary

_K1, _B = 1.2, 0.5
_SYNONYMS = (
    "man guy gentleman male men boy",
    "woman lady female women girl",
    "child kid toddler baby infant boy girl children",
    "person people individual someone somebody anyone human man woman",
    "car vehicle automobile truck van bus lorry",
    "bike bicycle cyclist cycling",
    "motorbike motorcycle",
    "dog puppy hound",
    "cat kitten",
    "bird parrot pigeon",
    "house home building",
    "street road",
    "sofa couch",
    "phone telephone mobile cellphone smartphone",
    "tv television",
    "picture photo photograph",
    "eat eating food meal",
    "speak talk talking conversation",
    "run running jog",
    "walk walking stroll",
    "happy smile smiling laugh laughing",
    "hold holding carry carrying grip",
    "sea ocean beach",
    "pool swimming swim",
    "grass lawn grassland field",
    "gray grey",
    "snow ski skiing snowy",
    "stage perform performance",
    "guitar instrument music",
)
_STOP = vocabulary(
    "a an the this that these those there here and or but if then as so is are was were be been "
    "being am do does did has have had can could will would should may might must in on of at "
    "to from with by for into onto about what which who whom whose how why where when whether "
    "it its he she they them his her their him you i we us me my your our not no yes any some "
    "all each video image showcases appears possibly presumably likely showing shows show scene "
    "picture see seen look looks looking near up down out while during after before first last "
    "end start s t many much more most tell find please ever happen happening happened happens "
)
_NEGATION = re.compile(
    r"\b(?:no|not|none|nothing|nobody|never|without|cannot|can't|isn't|unable|neither|nor|n't|"
    r"absent|unclear|hard to)\b",
    re.I,
)


def stem(word: str) -> str:
    """A word without its commonest endings (a light version of Porter's steps 1a to 1c)."""
    for ending, rest in (("'s", ""), ("sses", "ss"), ("ies", "y"), ("ches", "ch"), ("shes", "sh")):
        if word.endswith(ending) and len(word) - len(ending) >= 2:
            return word[: -len(ending)] + rest
    if word.endswith("s") and not word.endswith(("ss", "us", "is")) and len(word) > 3:
        word = word[:-1]
    for ending in ("ing", "ed"):
        base = word[: -len(ending)]
        if word.endswith(ending) and len(base) >= 3 and re.search(r"[aeiouy]", base):
            if base[-1] == base[-2] and base[-1] not in "lsz":
                return base[:-1]
            return base
    return word[:-1] if word.endswith("e") and len(word) > 4 else word


@lru_cache(maxsize=2048)  # a caption is scored again in every round
def terms(text: str) -> tuple[str, ...]:
    """The stems of a text's content words, in order."""
    found = re.findall(r"[^\W\d_][\w'-]*|\d+", text.lower())
    kept = (word for word in found if (word not in _STOP and len(word) > 1) or word.isdigit())
    return tuple(stem(word) for word in kept)


def _groups() -> dict[str, frozenset[str]]:
    near: dict[str, set[str]] = {}
    for line in _SYNONYMS:
        group = {stem(word) for word in line.split()}
        for word in group:
            near.setdefault(word, set()).update(group)
    return {word: frozenset(group - {word}) for word, group in near.items()}


_NEAR = _groups()
_NEAR_WEIGHT = 0.5


def synonyms(term: str) -> frozenset[str]:
    """The stems that mean about the same as a stem, itself left out."""
    return _NEAR.get(term, frozenset())


@dataclass(frozen=True, slots=True)
class Corpus:
    """Document frequencies of the captions that a conversation shows."""

    documents: int
    frequency: Mapping[str, int]
    mean_length: float

    @classmethod
    def of(cls, texts: Iterable[str]) -> Corpus:
        """Count the terms of captions."""
        counted = [terms(text) for text in texts]
        frequency = Counter(term for found in counted for term in set(found))
        mean = sum(map(len, counted)) / len(counted) if counted else 1.0
        return cls(len(counted), frequency, max(1.0, mean))

    def weight(self, term: str) -> float:
        """Inverse document frequency, of the term or of its commonest synonym.

        A term in every caption tells them little apart, whichever word they use for it.
        """
        n = max(self.frequency.get(near, 0) for near in (term, *_NEAR.get(term, ())))
        return math.log(1 + (self.documents - n + 0.5) / (n + 0.5))

    def score(self, query: Mapping[str, float], text: str) -> float:
        """BM25 of a caption for weighted query terms; synonyms count half."""
        found = Counter(terms(text))
        length = sum(found.values()) / self.mean_length
        total = 0.0
        for term, weight in query.items():
            count = found[term] or _NEAR_WEIGHT * max(
                (found[near] for near in _NEAR.get(term, ())), default=0
            )
            saturated = count * (_K1 + 1) / (count + _K1 * (1 - _B + _B * length))
            total += weight * self.weight(term) * saturated
        return total


def matched(query: Iterable[str], text: str) -> list[str]:
    """The query terms that a text holds, themselves or by a synonym."""
    found = set(terms(text))
    return [term for term in dict.fromkeys(query) if {term, *_NEAR.get(term, ())} & found]


def matched_words(text: str, other: str) -> list[str]:
    """The words of a text, as it has them, that another holds, themselves or by a synonym."""
    words = dict.fromkeys(re.findall(r"[^\W_][\w'-]*", text.lower()))
    return [word for word in words if matched(terms(word), other)]


def affirming_sentence(said: str, words: Sequence[str]) -> str | None:
    """The first sentence that speaks of a word and denies nothing; what is quoted is left out.

    A look that repeats the query in quotes, or says that it sees no such thing, affirms
    nothing.
    """
    wanted = {stem(word) for word in words}
    for sentence in re.split(r"(?<=[.!?])\s+", re.sub(r'"[^"]*"', " ", said)):
        if _NEGATION.search(sentence) or sentence.rstrip().endswith("?"):
            continue
        if wanted & set(terms(sentence)):
            return sentence.strip()
    return None
