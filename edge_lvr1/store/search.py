"""Captions by their words and their meaning, within a scope.

What a user types is only ever words: it is cut into them here, and each is quoted, so that
nothing of it is FTS5 syntax.
"""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_lvr1.domain import NodeId, Scope, Span
from edge_lvr1.errors import ModelError
from edge_lvr1.store.db import Archive
from edge_lvr1.store.fusion import fuse
from edge_lvr1.store.postings import rank
from edge_lvr1.store.rows import node_id
from edge_lvr1.store.selection import select
from edge_lvr1.store.text import to_json
from edge_lvr1.store.tokens import tokens
from edge_lvr1.store.vectors import Meaning

logger = logging.getLogger(__name__)

_FUSED = 100  # places of each ranking that count where two are fused
_MOST_WORDS = 64
"""Words of a query that count; a question of 100 kB would else cost that many look-ups."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A node whose caption fits the query; a higher score fits better.

    `starts_at` is the wall-clock time of the node's start.
    """

    recording: int
    node: NodeId
    span: Span
    camera: str
    starts_at: datetime
    caption: str
    score: float


def search(
    archive: Archive,
    text: str,
    scope: Scope = Scope(),  # noqa: B008 (a frozen value)
    limit: int = 20,
    meaning: Meaning | None = None,
) -> list[Hit]:
    """The captions that fit a text best, best first; empty for a text without words.

    By words alone, scores are BM25's. With `meaning`, the ranking by words and that by the
    vectors made so far are fused by reciprocal rank, and scores are the fusion's.
    """
    stems = tokens(" ".join(words(text)))
    if not stems or limit < 1:
        return []
    vector = _vector(text, meaning)
    with archive.reading():
        selection = select(archive, scope)
        if meaning is None or vector is None:
            found = rank(archive, stems, selection, limit)
        else:
            depth = max(limit, _FUSED)
            by_words = rank(archive, stems, selection, depth)
            by_meaning = meaning.vectors.nearest(vector, selection, depth)
            found = fuse((by_words.nodes.tolist(), by_meaning.nodes.tolist()))
        return _hits(archive, found.nodes[:limit].tolist(), found.scores[:limit].tolist())


def _vector(text: str, meaning: Meaning | None) -> NDArray[np.float32] | None:
    if meaning is None:
        return None
    try:
        return np.asarray(meaning.embed([text])[0], np.float32)
    except ModelError as error:
        logger.warning("search goes by words alone: %s", error)
        return None


def words(text: str) -> list[str]:
    """The different words of a text that tell something, in order, as many as count."""
    # NFKC: letters with accents in one piece, as captions have them; digits of any width.
    plain = unicodedata.normalize("NFKC", text)
    found = list(dict.fromkeys(match[0].lower() for match in _WORD.finditer(plain)))
    telling = [word for word in found if word not in _SAY_NOTHING]
    return (telling or found)[:_MOST_WORDS]


_WORD = re.compile(r"[^\W_]+")  # as FTS5's unicode61 cuts: letters and digits of any script
_COMMON = (
    "a an and any are at be been by can come comes did do does for from had has have how i in is "
    "it its many me much of on or show some tell that the their there these they this to was "
    "were what when where which who whose why with you"
)
_SAY_NOTHING = frozenset(_COMMON.split())
"""Left out of a query that has other words: they stand in most captions and questions."""

_HITS = (
    "SELECT n.id, n.recording, n.h, n.m, n.l, n.start_s, n.end_s, r.camera, r.starts_at, c.text "
    "FROM json_each(?) j CROSS JOIN nodes n ON n.id = j.value "
    "CROSS JOIN captions c ON c.node = n.id CROSS JOIN recordings r ON r.id = n.recording"
)


def _hits(archive: Archive, nodes: Sequence[int], scores: Sequence[float]) -> list[Hit]:
    rows = {row["id"]: row for row in archive.rows(_HITS, [to_json(list(nodes))])}
    return [_hit(rows[n], score) for n, score in zip(nodes, scores, strict=True) if n in rows]


def _hit(row: Mapping[str, Any], score: float) -> Hit:
    return Hit(
        recording=row["recording"],
        node=node_id(row),
        span=Span(row["start_s"], row["end_s"]),
        camera=row["camera"],
        starts_at=datetime.fromisoformat(row["starts_at"]) + timedelta(seconds=row["start_s"]),
        caption=row["text"],
        score=score,
    )
