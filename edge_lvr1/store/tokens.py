"""Texts cut into words as FTS5's own tokenizer cuts and stems them.

SQLite does not hand its tokenizers out, so texts pass through an index in memory, and its
vocabulary is read. It knows nothing of the archive.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TOKENIZER = "porter unicode61"
_MOST_TIMES = 255  # a byte: that a word stands in a caption more often tells nothing more


@dataclass(frozen=True, slots=True)
class Posting:
    """The texts that hold a word: their indices, ascending, and how often it stands there."""

    word: str
    texts: NDArray[np.uint16]
    times: NDArray[np.uint8]


def tokens(text: str) -> list[str]:
    """The different words of a text, stemmed, in the order in which they first stand."""
    with closing(_indexed([text])) as memory:
        rows = memory.execute("SELECT term FROM words GROUP BY term ORDER BY min(offset)")
        return [row[0] for row in rows.fetchall()]


def lengths(texts: Sequence[str]) -> tuple[NDArray[np.uint16], Iterator[Posting]]:
    """How many words each of at most 65,536 texts has, and what stands where, by word."""
    words, many = [], []
    with closing(_indexed(texts)) as memory:
        for word, listed in memory.execute(
            "SELECT term, group_concat(doc) FROM words GROUP BY term"
        ):
            words.append(word)
            many.append(np.fromstring(listed, np.int64, sep=","))
    found = np.concatenate([*many, np.empty(0, np.int64)])
    counted = np.bincount(found, minlength=len(texts))
    return np.minimum(counted, 65_535).astype(np.uint16), map(_posting, words, many)


def _posting(word: str, found: NDArray[np.int64]) -> Posting:
    if len(found) == 1:  # most words of a block stand in it once; np.unique is slow for them
        texts, times = found, np.ones(1, np.int64)
    else:
        texts, times = np.unique(found, return_counts=True)
    return Posting(word, texts.astype(np.uint16), np.minimum(times, _MOST_TIMES).astype(np.uint8))


def _indexed(texts: Sequence[str]) -> sqlite3.Connection:
    memory = sqlite3.connect(":memory:")
    memory.execute(
        f"CREATE VIRTUAL TABLE texts USING fts5(text, content='', tokenize='{TOKENIZER}')"
    )
    memory.execute("CREATE VIRTUAL TABLE words USING fts5vocab(texts, 'instance')")
    memory.executemany("INSERT INTO texts(rowid, text) VALUES (?, ?)", enumerate(texts))
    return memory
