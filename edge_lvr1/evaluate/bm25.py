"""Texts ranked by their words: FTS5's BM25 over an index in memory."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager

# The archive's own, so that both read words alike.
_TOKENIZER = "porter unicode61"
_WORD = re.compile(r"[^\W_]+")


class WordIndex:
    """An index of some texts, which are known by their places."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def scores(self, query: str) -> dict[int, float]:
        """How well texts fit, above 0; a text that shares no word with the query is absent."""
        words = dict.fromkeys(_WORD.findall(query.lower()))
        if not words:
            return {}
        # Quoted, so that nothing of a question is FTS5 syntax.
        match = " OR ".join(f'"{word}"' for word in words)
        ranked = self._db.execute(
            "SELECT rowid, bm25(texts) FROM texts WHERE texts MATCH ?", [match]
        )
        return {row: -rank for row, rank in ranked}  # FTS5 gives the best the lowest


@contextmanager
def word_index(texts: Sequence[str]) -> Iterator[WordIndex]:
    """An index of texts, for as long as it is held."""
    with closing(sqlite3.connect(":memory:")) as db:
        db.execute(f"CREATE VIRTUAL TABLE texts USING fts5(text, tokenize='{_TOKENIZER}')")
        db.executemany("INSERT INTO texts(rowid, text) VALUES (?, ?)", enumerate(texts))
        yield WordIndex(db)
