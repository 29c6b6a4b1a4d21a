"""Captions by their words: BM25 over a million of them in a few tens of milliseconds.

FTS5 takes about a microsecond for each caption that holds a word of the query, and captions
hold the same few words all the time. So it indexes new captions only; a background worker
seals blocks of them: for each word, which captions of a block hold it and how often, as
arrays that numpy adds up. What is ranked, and in which order, is what FTS5's bm25() would
rank (Robertson and Zaragoza, 2009; the same constants, words and ties) over all captions.

A block is all captions with numbers in [block * SIZE, (block + 1) * SIZE). One that changes
after its block was sealed is noted as gone from it and found by FTS5 again, until the block is
sealed anew. Numbers of captions that went count in the words' frequencies until then.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlite_utils import Database

from edge_lvr1.store.db import Archive
from edge_lvr1.store.fusion import Ranked, best, nothing
from edge_lvr1.store.selection import Selection
from edge_lvr1.store.tokens import lengths

logger = logging.getLogger(__name__)

SHIFT = 14
SIZE = 1 << SHIFT
OPEN = 8192
"""Captions that may wait to be sealed: FTS5 and Python take some 10 ms for so many."""

_K1, _B = 1.2, 0.75
_LEAST_WEIGHT = 1e-6  # what FTS5 gives a word that more than half of the captions hold


@dataclass(frozen=True, slots=True)
class _Open:
    """Captions that are not sealed: numbers ascending, and how many words each has."""

    nodes: NDArray[np.int64]
    lengths: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Posting:
    """Which of a sealed block's captions hold a word, how often, and what the word weighs."""

    inside: NDArray[np.uint16]
    times: NDArray[np.uint8]
    weight: float


@dataclass(frozen=True, slots=True)
class _Scale:
    """BM25's damping by a caption's length: for each length, and as the score of one word."""

    norms: NDArray[np.float64]
    once: NDArray[np.float64]

    @classmethod
    def of(cls, average: float) -> _Scale:
        norms = np.asarray(_K1 * (1 - _B + _B * np.arange(1 << 16) / average), np.float64)
        return cls(norms, (_K1 + 1.0) / (1 + norms))

    def scores(self, times: NDArray[Any], lengths: NDArray[Any]) -> NDArray[np.float64]:
        """Of a word of weight 1 that stands so many times in captions of such lengths."""
        found: NDArray[np.float64] = self.once[lengths]
        often = np.flatnonzero(times > 1)  # rare
        many = times[often].astype(np.float64)
        found[often] = many * (_K1 + 1.0) / (many + self.norms[lengths[often]])
        return found


def rank(archive: Archive, words: Sequence[str], selection: Selection, limit: int) -> Ranked:
    """The captions that fit stemmed words best by BM25, the earliest first among equals.

    Call it in `archive.reading()`: blocks may be sealed at any time.
    """
    waiting = _open(archive)
    told = archive.row(
        "SELECT coalesce(sum(captions), 0) AS n, coalesce(sum(words), 0) AS w FROM word_blocks b"
    )
    captions = len(waiting.nodes) + (told["n"] if told else 0)
    if not captions or selection.empty:
        return nothing()
    length = int(waiting.lengths.sum()) + (told["w"] if told else 0)
    scale = _Scale.of(max(1, length) / captions)
    in_open = np.zeros(len(waiting.nodes))
    postings: dict[int, list[_Posting]] = {}
    for word in words:
        found, times = _open_posting(archive, waiting, word)
        weight = _weight(captions, _frequency(archive, word) + len(found))
        in_open[found] += weight * scale.scores(times, waiting.lengths[found])
        _collect(archive, word, weight, selection, postings)
    in_open[~selection.holds(waiting.nodes)] = 0
    places = _highest(in_open, limit)
    pool = best(waiting.nodes[places], in_open[places], limit)
    return _rank_blocks(archive, postings, scale, selection, pool, limit)


def _rank_blocks(
    archive: Archive,
    postings: Mapping[int, Sequence[_Posting]],
    scale: _Scale,
    selection: Selection,
    pool: Ranked,
    limit: int,
) -> Ranked:
    """The best of the pool and of sealed blocks; one block's scores fit into a CPU's cache."""
    blocks = np.array(sorted(postings), np.int64)
    mask = selection.mask(blocks, SIZE)
    gone = _gone(archive)
    for index, block in enumerate(blocks.tolist()):
        row = archive.row("SELECT lengths FROM word_blocks WHERE block = ?", [block])
        lengths = np.frombuffer(row["lengths"] if row else b"", "<u2")
        scores = np.zeros(SIZE)
        for posting in postings[block]:
            found = scale.scores(posting.times, lengths[posting.inside])
            scores[posting.inside] += posting.weight * found
        if mask is not None:
            scores *= mask[index * SIZE : (index + 1) * SIZE]
        scores[gone.get(block, [])] = 0
        if len(pool.scores) == limit:  # what is less than the pool's last has no place in it
            scores *= scores >= pool.scores[-1]
        places = _highest(scores, limit)
        if len(places):
            nodes = np.concatenate((pool.nodes, block * SIZE + places))
            pool = best(nodes, np.concatenate((pool.scores, scores[places])), limit)
    return pool


def _weight(captions: int, holding: int) -> float:
    weight = math.log((captions - holding + 0.5) / (holding + 0.5))
    return weight if weight > 0 else _LEAST_WEIGHT


def _open(archive: Archive) -> _Open:
    rows = archive.connect().execute("SELECT id, sz FROM captions_fts_docsize").fetchall()
    return _Open(
        nodes=np.array([row[0] for row in rows], np.int64),
        lengths=np.minimum(np.array([_varint(row[1]) for row in rows], np.int64), 65_535),
    )


def _varint(stored: bytes) -> int:
    """SQLite's variable-length integer, as FTS5 keeps a text's count of words."""
    if len(stored) == 1:
        return stored[0]
    value = 0
    for byte in stored:
        value = value << 7 | byte & 0x7F
    return value


def _frequency(archive: Archive, word: str) -> int:
    row = archive.row(
        "SELECT sum(length(p.times)) AS n FROM word_blocks b "
        "CROSS JOIN word_postings p ON p.block = b.block AND p.word = ?",
        [word],
    )
    return int(row["n"] or 0) if row else 0


def _open_posting(
    archive: Archive, waiting: _Open, word: str
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices into the open captions that hold a word, and how often."""
    row = archive.row("SELECT group_concat(doc) AS d FROM words_open WHERE term = ?", [word])
    found = np.fromstring((row and row["d"]) or "", np.int64, sep=",")
    nodes, times = np.unique(found, return_counts=True)
    return np.searchsorted(waiting.nodes, nodes), times


def _collect(
    archive: Archive,
    word: str,
    weight: float,
    selection: Selection,
    into: dict[int, list[_Posting]],
) -> None:
    """Add a word's postings in the blocks that a selection touches."""
    first, end = selection.ends
    rows = archive.connect().execute(
        "SELECT b.block, p.nodes, p.times FROM word_blocks b "
        "CROSS JOIN word_postings p ON p.block = b.block AND p.word = ? "
        "WHERE b.block BETWEEN ? AND ?",
        [word, first >> SHIFT, (end - 1) >> SHIFT],
    )
    for block, nodes, times in rows.fetchall():
        posting = _Posting(np.frombuffer(nodes, "<u2"), np.frombuffer(times, np.uint8), weight)
        into.setdefault(block, []).append(posting)


def _gone(archive: Archive) -> dict[int, list[int]]:
    """The captions that are gone from sealed blocks, as places in these."""
    found: dict[int, list[int]] = {}
    for row in archive.rows("SELECT node FROM words_gone"):
        found.setdefault(row["node"] >> SHIFT, []).append(row["node"] % SIZE)
    return found


def _highest(scores: NDArray[np.float64], limit: int) -> NDArray[np.int64]:
    """Indices of the `limit` highest scores above 0; of equal ones the first. Unordered."""
    found = np.flatnonzero(scores)
    if len(found) <= limit:
        return found
    values = scores[found]
    least = np.partition(values, len(values) - limit)[len(values) - limit]
    above = found[values > least]
    return np.concatenate((above, found[values == least][: limit - len(above)]))


def due(archive: Archive, most_open: int = OPEN) -> int | None:
    """The block to seal next; None where none is worth it.

    That is where most has changed, once too many captions are open; else one of which more
    than half is gone, which only takes space.
    """
    rows = archive.rows(
        "SELECT id >> ? AS block, count(*) AS n FROM ("
        "SELECT id FROM captions_fts_docsize UNION ALL SELECT node FROM words_gone"
        ") GROUP BY 1 ORDER BY n DESC, 1",
        [SHIFT],
    )
    if sum(row["n"] for row in rows) > most_open:
        return int(rows[0]["block"])
    hollow = archive.row(
        "SELECT b.block FROM (SELECT node >> ? AS block, count(*) AS gone FROM words_gone "
        "GROUP BY 1) g CROSS JOIN word_blocks b ON b.block = g.block WHERE g.gone * 2 > b.captions",
        [SHIFT],
    )
    return int(hollow["block"]) if hollow else None


def seal(archive: Archive, block: int) -> bool:
    """Seal a block as its captions are now; False where they changed meanwhile.

    Safe to repeat and to be killed at: one transaction, and a search sees it before or after.
    """
    texts = _texts(archive.connect(), block)
    counted, postings = lengths([text for _, text in texts])
    inside = np.array([node % SIZE for node, _ in texts], np.uint16)
    told = np.zeros(SIZE, "<u2")
    told[inside] = counted
    rows = [
        (block, p.word, inside[p.texts].astype("<u2").tobytes(), p.times.tobytes())
        for p in postings
    ]
    ends = (block * SIZE, (block + 1) * SIZE)
    with archive.transaction() as db:
        if _texts(db, block) != texts:
            return False
        db.execute(_CLOSE, ends)
        db.execute("DELETE FROM words_gone WHERE node >= ? AND node < ?", ends)
        db.execute("DELETE FROM word_postings WHERE block = ?", [block])
        db.execute("DELETE FROM word_blocks WHERE block = ?", [block])
        if texts:
            db.execute(
                "INSERT INTO word_blocks VALUES (?, ?, ?, ?)",
                [block, len(texts), int(counted.sum()), told.tobytes()],
            )
            db.conn.executemany("INSERT INTO word_postings VALUES (?, ?, ?, ?)", rows)
    logger.debug("sealed the words of block %d: %d captions", block, len(texts))
    return True


_CLOSE = (
    "INSERT INTO captions_fts(captions_fts, rowid, text) "
    "SELECT 'delete', c.node, c.text FROM captions c "
    "WHERE c.node >= ? AND c.node < ? "
    "AND EXISTS (SELECT 1 FROM captions_fts_docsize WHERE id = c.node)"
)


def _texts(database: Database, block: int) -> list[tuple[int, str]]:
    return database.execute(
        "SELECT node, text FROM captions WHERE node >= ? AND node < ? ORDER BY node",
        [block * SIZE, (block + 1) * SIZE],
    ).fetchall()
