"""Recordings with their parts, tree, notes and captions: domain objects in and out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from edge_lvr1.domain import (
    Caption,
    Level,
    Node,
    NodeId,
    Part,
    Recording,
    Scope,
    StartSource,
    TreePlan,
)
from edge_lvr1.errors import NotFoundError
from edge_lvr1.store.db import Archive
from edge_lvr1.store.rows import (
    caption_of,
    caption_values,
    node_columns,
    node_of,
    part_of,
    part_values,
    recording_of,
    recording_values,
)
from edge_lvr1.store.text import clean, path_in, to_json


class Progress(NamedTuple):
    """How far a recording's captions are; `queryable` from when its high ones exist."""

    captioned: int
    total: int
    queryable: bool
    complete: bool


class Trees:
    """The recordings of an archive."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive

    def add_recording(
        self,
        camera: str,
        starts_at: datetime,
        start_source: StartSource,
        parts: Sequence[Part],
        plan: TreePlan,
        captioner: str,
        job: int | None = None,
    ) -> Recording:
        """Store a recording with its parts and all nodes of its tree, in one transaction.

        Footage that is here already (the same bytes at the same offsets, wherever the files
        lie) is not added again: the recording that has it is returned.
        """
        content = content_key(parts)
        with self._archive.transaction() as db:
            found = db.execute("SELECT id FROM recordings WHERE content = ?", [content]).fetchone()
            if found is None:
                row = recording_values(content, camera, starts_at, start_source, plan, captioner)
                number = db.execute(_INSERT_RECORDING, [*row, job]).lastrowid or 0
                db.conn.executemany(
                    "INSERT INTO parts VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    [part_values(number, ordinal, part) for ordinal, part in enumerate(parts)],
                )
                db.conn.executemany(
                    "INSERT INTO nodes(recording, h, m, l, start_s, end_s) "
                    "VALUES (?, ?, ?, ?, ?, ?)",
                    [_node_values(number, node) for node in plan.nodes],
                )
            else:
                number = int(found[0])
        return self.recording(number)

    def moved(self, recording: int, part: Part) -> Recording:
        """A part's file lies elsewhere now: its bytes are known, its path is replaced.

        Raises NotFoundError where the recording has no part with those bytes.
        """
        with self._archive.transaction() as db:
            changed = db.execute(
                "UPDATE parts SET path = ?, mtime_ns = ? WHERE recording = ? AND sha256 = ?",
                [path_in(part.path), part.mtime_ns, recording, part.sha256],
            )
            if not changed.rowcount:
                raise NotFoundError(f"recording {recording} holds nothing of {part.path}")
        return self.recording(recording)

    def recording(self, recording: int) -> Recording:
        """The recording with that number. Raises NotFoundError."""
        found = self.recordings(Scope(recording=recording))
        if not found:
            raise _no_recording(recording)
        return found[0]

    def recordings(self, scope: Scope = Scope()) -> list[Recording]:  # noqa: B008 (a value)
        """The recordings that a scope touches, in order of their start."""
        where, values = scope_sql(scope)
        rows = self._archive.rows(
            f"SELECT r.* FROM recordings r WHERE {where} ORDER BY r.starts_epoch_s, r.id", values
        )
        parts = self._parts([row["id"] for row in rows])
        return [recording_of(row, parts.get(row["id"], [])) for row in rows]

    def plan(self, recording: int) -> TreePlan:
        """The tree of a recording, as it was stored. Raises NotFoundError."""
        row = self._archive.row(
            "SELECT duration_s, width, split FROM recordings WHERE id = ?", [recording]
        )
        if row is None:
            raise _no_recording(recording)
        nodes = self._archive.rows(
            "SELECT h, m, l, start_s, end_s FROM nodes WHERE recording = ? ORDER BY h, m, l",
            [recording],
        )
        return TreePlan(
            duration_s=row["duration_s"],
            width=row["width"],
            split=row["split"],
            nodes=tuple(node_of(node) for node in nodes),
        )

    def notes(self, recording: int, written_by: str | None = None) -> Mapping[str, Any] | None:
        """What the captioner remembers of a recording; None before its first notes.

        With `written_by` (name and version), None also where another wrote them.
        """
        row = self._archive.row(
            "SELECT written_by, notes FROM notes WHERE recording = ?", [recording]
        )
        if row is None or written_by not in (None, row["written_by"]):
            return None
        notes: Mapping[str, Any] = json.loads(row["notes"])
        return notes

    def put_notes(self, recording: int, notes: Mapping[str, Any], written_by: str = "") -> None:
        """Store the captioner's notes of a recording in place of those before.

        Raises NotFoundError.
        """
        with self._archive.transaction() as db:
            stored = db.execute(
                "INSERT INTO notes(recording, written_by, notes) "
                "SELECT id, ?, ? FROM recordings WHERE id = ? "
                "ON CONFLICT(recording) DO UPDATE SET written_by = excluded.written_by, "
                "notes = excluded.notes",
                [clean(written_by), to_json(notes), recording],
            )
            if not stored.rowcount:
                raise _no_recording(recording)
            db.execute("UPDATE recordings SET noted = noted + 1 WHERE id = ?", [recording])

    def watched_by(self, recording: int) -> str | None:
        """Which captioner (name and version) has looked over the whole recording."""
        row = self._archive.row("SELECT watched_by FROM recordings WHERE id = ?", [recording])
        return row["watched_by"] if row else None

    def put_watched(self, recording: int, written_by: str) -> None:
        """Store that a captioner has looked over the whole recording."""
        with self._archive.transaction() as db:
            db.execute(
                "UPDATE recordings SET watched_by = ? WHERE id = ?", [clean(written_by), recording]
            )

    def put_caption(self, recording: int, caption: Caption) -> bool:
        """Store a node's caption and its search index; False where it had one, which stays.

        Raises NotFoundError where the recording's tree has no such node.
        """
        with self._archive.transaction() as db:
            node = db.execute(
                f"SELECT id FROM nodes WHERE recording = ? AND {_NODE}",
                [recording, *node_columns(caption.node)],
            ).fetchone()
            if node is None:
                raise NotFoundError(f"recording {recording} has no node {caption.node}")
            added = db.execute(_INSERT_CAPTION, [node[0], *caption_values(caption)]).rowcount
            if added:
                db.execute(
                    "UPDATE recordings SET captioned = captioned + 1, "
                    "high_captioned = high_captioned + ? WHERE id = ?",
                    [caption.node.level is Level.HIGH, recording],
                )
        return bool(added)

    def caption(self, recording: int, node: NodeId) -> Caption | None:
        """The caption of a node; None where it has none yet."""
        rows = self._archive.rows(
            f"{_SELECT_CAPTIONS} AND {_NODE}", [recording, *node_columns(node)]
        )
        return caption_of(rows[0]) if rows else None

    def captions(self, recording: int, level: Level | None = None) -> list[Caption]:
        """The captions of a recording, in order of their ids; of one level, if given."""
        where = "" if level is None else f" AND {_LEVEL[level]}"
        rows = self._archive.rows(f"{_SELECT_CAPTIONS}{where} ORDER BY h, m, l", [recording])
        return [caption_of(row) for row in rows]

    def progress(self, recording: int) -> Progress:
        """How many nodes have captions, of how many. Raises NotFoundError."""
        row = self._archive.row(
            "SELECT captioned, nodes, high_captioned, width FROM recordings WHERE id = ?",
            [recording],
        )
        if row is None:
            raise _no_recording(recording)
        return Progress(
            captioned=row["captioned"],
            total=row["nodes"],
            queryable=row["high_captioned"] == row["width"],
            complete=row["captioned"] == row["nodes"],
        )

    def _parts(self, recordings: Sequence[int]) -> dict[int, list[Part]]:
        parts: dict[int, list[Part]] = {}
        for row in self._archive.rows(
            "SELECT * FROM parts WHERE recording IN (SELECT value FROM json_each(?)) "
            "ORDER BY recording, ordinal",
            [to_json(list(recordings))],
        ):
            parts.setdefault(row["recording"], []).append(part_of(row))
        return parts


def _no_recording(recording: int) -> NotFoundError:
    return NotFoundError(f"there is no recording {recording}; see: edge-lvr1 recordings")


def content_key(parts: Iterable[Part]) -> str:
    """What makes footage the same footage: its bytes, and where in them it begins."""
    told = [f"{part.sha256}@{round(part.offset_s * 1000)}" for part in parts]
    return hashlib.sha256(" ".join(told).encode()).hexdigest()


def scope_sql(scope: Scope) -> tuple[str, list[Any]]:
    """The condition on `recordings r` that a scope stands for, with its values."""
    where, values = ["1"], list[Any]()
    if scope.recording is not None:
        where.append("r.id = ?")
        values.append(scope.recording)
    if scope.cameras:
        where.append("r.camera IN (SELECT value FROM json_each(?))")
        values.append(to_json([clean(camera) for camera in scope.cameras]))
    if scope.since is not None:
        where.append("r.ends_epoch_s > ?")
        values.append(scope.since.timestamp())
    if scope.until is not None:
        where.append("r.starts_epoch_s < ?")
        values.append(scope.until.timestamp())
    return " AND ".join(where), values


def _node_values(recording: int, node: Node) -> list[Any]:
    return [recording, *node_columns(node.id), node.span.start_s, node.span.end_s]


_NODE = "h = ? AND m = ? AND l = ?"
_LEVEL = {Level.HIGH: "m = 0", Level.MEDIUM: "m > 0 AND l = 0", Level.LOW: "l > 0"}
_SELECT_CAPTIONS = (
    "SELECT n.h, n.m, n.l, n.start_s, n.end_s, c.* "
    "FROM nodes n JOIN captions c ON c.node = n.id WHERE n.recording = ?"
)
_INSERT_RECORDING = (
    "INSERT INTO recordings(content, camera, starts_at, starts_epoch_s, ends_epoch_s, "
    "start_source, duration_s, width, split, captioner, nodes, job) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_INSERT_CAPTION = (
    "INSERT INTO captions"
    "(node, text, written_by, version, prompt, seconds, frames, tokens, details) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT(node) DO NOTHING"
)
