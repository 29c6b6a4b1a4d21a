"""Captions by their words: FTS5, ranked by BM25, within a scope.

What a user types is only ever words: it is cut into them here, and each is quoted, so that
nothing of it is FTS5 syntax.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from edge_lvr1.domain import NodeId, Scope, Span
from edge_lvr1.store.db import Archive
from edge_lvr1.store.rows import node_id
from edge_lvr1.store.trees import scope_sql

_MOST_WORDS = 64
"""Words of a query that count; a question of 100 kB would else cost that many look-ups."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A node whose caption holds words of the query; a higher score fits better.

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
) -> list[Hit]:
    """The captions that fit a text best, best first; empty for a text without words."""
    query = " OR ".join(f'"{word}"' for word in words(text))
    nodes = _nodes_of(archive, scope)
    if not query or not nodes or limit < 1:
        return []
    where, values = _scope_of_nodes(scope)
    rows = archive.rows(f"{_SEARCH} AND {where} {_BEST}", [query, *nodes, *values, limit])
    return [_hit(row) for row in rows]


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

_SEARCH = (
    "SELECT n.recording, n.h, n.m, n.l, n.start_s, n.end_s, r.camera, r.starts_at, c.text, f.rank "
    # CROSS JOIN: the index is asked once, never once for each recording of a scope.
    "FROM captions_fts f CROSS JOIN captions c ON c.node = f.rowid "
    "CROSS JOIN nodes n ON n.id = f.rowid CROSS JOIN recordings r ON r.id = n.recording "
    "WHERE captions_fts MATCH ? AND f.rowid BETWEEN ? AND ?"
)
_BEST = "ORDER BY f.rank, f.rowid LIMIT ?"


def _nodes_of(archive: Archive, scope: Scope) -> tuple[int, int] | None:
    """The range of node numbers that holds a scope's recordings, and maybe others.

    Recordings are stored whole and in order, so this spares FTS5 the ranking of the rest
    (one recording in 100,000 captions: 9 ms in place of 66 ms). None where there are none.
    """
    where, values = scope_sql(scope)
    ends = archive.row(
        f"SELECT min(r.id) AS a, max(r.id) AS z FROM recordings r WHERE {where}", values
    )
    if ends is None or ends["a"] is None:
        return None
    nodes = archive.row(
        "SELECT min(id) AS a, max(id) AS z FROM nodes WHERE recording IN (?, ?)",
        [ends["a"], ends["z"]],
    )
    return (nodes["a"], nodes["z"]) if nodes and nodes["a"] is not None else None


def _scope_of_nodes(scope: Scope) -> tuple[str, list[Any]]:
    where, values = scope_sql(scope)
    if scope.since is not None:
        where += " AND r.starts_epoch_s + n.end_s > ?"
        values.append(scope.since.timestamp())
    if scope.until is not None:
        where += " AND r.starts_epoch_s + n.start_s < ?"
        values.append(scope.until.timestamp())
    return where, values


def _hit(row: Mapping[str, Any]) -> Hit:
    return Hit(
        recording=row["recording"],
        node=node_id(row),
        span=Span(row["start_s"], row["end_s"]),
        camera=row["camera"],
        starts_at=datetime.fromisoformat(row["starts_at"]) + timedelta(seconds=row["start_s"]),
        caption=row["text"],
        score=-row["rank"],
    )
