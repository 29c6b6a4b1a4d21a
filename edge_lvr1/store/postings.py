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
from collections.abc import Sequence
from dataclasses import dataclass

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
class _Sealed:
    """The sealed blocks that a selection touches, end to end, and what all blocks hold."""

    captions: int
    words: int
    blocks: NDArray[np.int64]
    lengths: NDArray[np.uint16]


@dataclass(frozen=True, slots=True)
class _Open:
    """Captions that are not sealed: numbers ascending, and how many words each has."""

    nodes: NDArray[np.int64]
    lengths: NDArray[np.int64]


def rank(archive: Archive, words: Sequence[str], selection: Selection, limit: int) -> Ranked:
    """The captions that fit stemmed words best by BM25, the earliest first among equals.

    Call it in `archive.reading()`: blocks may be sealed at any time.
    """
    sealed, waiting = _sealed(archive, selection), _open(archive)
    captions = sealed.captions + len(waiting.nodes)
    if not captions or selection.empty:
        return nothing()
    average = max(1, sealed.words + int(waiting.lengths.sum())) / captions
    in_blocks, in_open = np.zeros(len(sealed.lengths)), np.zeros(len(waiting.nodes))
    longest = max(sealed.lengths.max(initial=0), waiting.lengths.max(initial=0))
    norms = np.asarray(_K1 * (1 - _B + _B * np.arange(int(longest) + 1) / average), np.float64)
    for word in words:
        found, times = _open_posting(archive, waiting, word)
        holding = _frequency(archive, word) + len(found)
        weight = math.log((captions - holding + 0.5) / (holding + 0.5))
        weight = weight if weight > 0 else _LEAST_WEIGHT
        in_open[found] += _scores(weight, times, norms[waiting.lengths[found]])
        places, counts = _block_posting(archive, sealed, word)
        _add(in_blocks, places, counts, sealed.lengths, norms, weight)
    _forget(archive, sealed, selection, in_blocks)
    in_open[~selection.holds(waiting.nodes)] = 0
    return _best(in_blocks, sealed.blocks, in_open, waiting.nodes, limit)


def _sealed(archive: Archive, selection: Selection) -> _Sealed:
    first, end = selection.ends if not selection.empty else (0, 0)
    total = archive.rows("SELECT captions, words FROM word_blocks b")
    rows = archive.rows(
        "SELECT block, lengths FROM word_blocks WHERE block BETWEEN ? AND ? ORDER BY block",
        [first >> SHIFT, (end - 1) >> SHIFT],
    )
    return _Sealed(
        captions=sum(row["captions"] for row in total),
        words=sum(row["words"] for row in total),
        blocks=np.array([row["block"] for row in rows], np.int64),
        lengths=np.frombuffer(b"".join(row["lengths"] for row in rows), "<u2"),
    )


def _open(archive: Archive) -> _Open:
    rows = archive.connect().execute("SELECT id, sz FROM captions_fts_docsize").fetchall()
    return _Open(
        nodes=np.array([row[0] for row in rows], np.int64),
        lengths=np.array([_varint(row[1]) for row in rows], np.int64),
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
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Indices into the open captions that hold a word, and how often."""
    row = archive.row("SELECT group_concat(doc) AS d FROM words_open WHERE term = ?", [word])
    found = np.fromstring((row and row["d"]) or "", np.int64, sep=",")
    nodes, times = np.unique(found, return_counts=True)
    return np.searchsorted(waiting.nodes, nodes), times.astype(np.float64)


def _block_posting(
    archive: Archive, sealed: _Sealed, word: str
) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """Places in the blocks end to end that hold a word, and how often."""
    if not len(sealed.blocks):
        return np.empty(0, np.int32), np.empty(0, np.uint8)
    rows = (
        archive.connect()
        .execute(
            "SELECT b.block, p.nodes, p.times FROM word_blocks b "
            "CROSS JOIN word_postings p ON p.block = b.block AND p.word = ? "
            "WHERE b.block BETWEEN ? AND ?",
            [word, int(sealed.blocks[0]), int(sealed.blocks[-1])],
        )
        .fetchall()
    )
    times = np.frombuffer(b"".join(row[2] for row in rows), np.uint8)
    inside = np.frombuffer(b"".join(row[1] for row in rows), "<u2")
    order = np.searchsorted(sealed.blocks, np.array([row[0] for row in rows], np.int64))
    starts = np.repeat((order * SIZE).astype(np.int32), [len(row[2]) for row in rows])
    return starts + inside, times


def _add(
    scores: NDArray[np.float64],
    places: NDArray[np.int32],
    times: NDArray[np.uint8],
    long: NDArray[np.uint16],
    norms: NDArray[np.float64],
    weight: float,
) -> None:
    """Add a word's scores where it stands. Most words stand once: that is looked up."""
    once = _scores(weight, np.ones(len(norms)), norms)
    lengths = long[places]
    added = once[lengths]
    often = np.flatnonzero(times > 1)
    added[often] = _scores(weight, times[often].astype(np.float64), norms[lengths[often]])
    scores[places] += added


def _scores(
    weight: float, times: NDArray[np.float64], norms: NDArray[np.float64]
) -> NDArray[np.float64]:
    scores: NDArray[np.float64] = weight * (times * (_K1 + 1.0) / (times + norms))
    return scores


def _forget(
    archive: Archive, sealed: _Sealed, selection: Selection, scores: NDArray[np.float64]
) -> None:
    """No score for what is out of scope, or gone since its block was sealed."""
    inside = selection.mask(sealed.blocks, SIZE)
    if inside is not None:
        scores *= inside
    for row in archive.rows("SELECT node FROM words_gone"):
        at = int(np.searchsorted(sealed.blocks, row["node"] >> SHIFT))
        if at < len(sealed.blocks) and sealed.blocks[at] == row["node"] >> SHIFT:
            scores[at * SIZE + row["node"] % SIZE] = 0


def _best(
    in_blocks: NDArray[np.float64],
    blocks: NDArray[np.int64],
    in_open: NDArray[np.float64],
    open_nodes: NDArray[np.int64],
    limit: int,
) -> Ranked:
    places = _highest(in_blocks, limit)
    rest = _highest(in_open, limit)
    nodes = np.concatenate((blocks[places >> SHIFT] * SIZE + places % SIZE, open_nodes[rest]))
    scores = np.concatenate((in_blocks[places], in_open[rest]))
    return best(nodes, scores, limit)


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
    """The block to seal next: where most has changed, once too many captions are open."""
    rows = archive.rows(
        "SELECT id >> ? AS block, count(*) AS n FROM ("
        "SELECT id FROM captions_fts_docsize UNION ALL SELECT node FROM words_gone"
        ") GROUP BY 1 ORDER BY n DESC, 1",
        [SHIFT],
    )
    return rows[0]["block"] if sum(row["n"] for row in rows) > most_open else None


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
