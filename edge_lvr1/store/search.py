"""Captions by their words: FTS5, ranked by BM25, within a scope.

What a user types is only ever words: it is cut into them here, and each is quoted, so that
nothing of it is FTS5 syntax.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from edge_lvr1.domain import NodeId, Scope, Span
from edge_lvr1.store.db import Archive
from edge_lvr1.store.trees import node_id, scope_sql

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


def search(archive: Archive, text: str, scope: Scope = Scope(), limit: int = 20) -> list[Hit]:  # noqa: B008
    """The captions that fit a text best, best first; empty for a text without words."""
    query = " OR ".join(f'"{word}"' for word in words(text))
    if not query or limit < 1:
        return []
    where, values = scope_sql(scope)
    if scope.since is not None:
        where += " AND r.starts_epoch_s + n.end_s > ?"
        values.append(scope.since.timestamp())
    if scope.until is not None:
        where += " AND r.starts_epoch_s + n.start_s < ?"
        values.append(scope.until.timestamp())
    rows = archive.rows(
        "SELECT n.recording, n.h, n.m, n.l, n.start_s, n.end_s, r.camera, r.starts_at, c.text, "
        "f.rank FROM captions_fts f JOIN captions c ON c.node = f.rowid "
        "JOIN nodes n ON n.id = f.rowid JOIN recordings r ON r.id = n.recording "
        f"WHERE captions_fts MATCH ? AND {where} ORDER BY f.rank, f.rowid LIMIT ?",
        [query, *values, limit],
    )
    return [
        Hit(
            recording=row["recording"],
            node=node_id(row),
            span=Span(row["start_s"], row["end_s"]),
            camera=row["camera"],
            starts_at=datetime.fromisoformat(row["starts_at"]) + timedelta(seconds=row["start_s"]),
            caption=row["text"],
            score=-row["rank"],
        )
        for row in rows
    ]


def words(text: str) -> list[str]:
    """The different words of a text, in order, as many as a query takes."""
    return list(dict.fromkeys(_words(text)))[:_MOST_WORDS]


def _words(text: str) -> Iterator[str]:
    # The same composed form that captions are mostly in; letters and digits of any script.
    for match in re.finditer(r"[^\W_]+", unicodedata.normalize("NFKC", text)):
        yield match[0].lower()
