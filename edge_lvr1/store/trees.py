"""Recordings with their parts, tree, notes and captions: domain objects in and out."""

from __future__ import annotations

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
    content_key,
    node_columns,
    node_of,
    part_of,
    part_values,
    recording_of,
    recording_values,
)
from edge_lvr1.store.text import clean, path_in, to_json


class Progress(NamedTuple):
    """How far a recording's captions are; `queryable` from when its high ones exist.

    A recording to which parts may still be added has no nodes (`total` 0). `calls_made` and
    `calls_saved` count captions that the captioner was asked for, and those that it was not.
    """

    captioned: int
    total: int
    queryable: bool
    complete: bool
    calls_made: int = 0
    calls_saved: int = 0
    state: str = "queued"
    reason: str = ""


class Totals(NamedTuple):
    """Of all recordings together: how many there are, and what `Progress` tells of each."""

    recordings: int
    open: int
    queryable: int
    complete: int
    captioned: int
    nodes: int
    calls_made: int
    calls_saved: int


class Trees:
    """The recordings of an archive."""

    def __init__(self, archive: Archive) -> None:
        self.archive = archive

    def add_recording(
        self,
        camera: str,
        starts_at: datetime,
        start_source: StartSource,
        parts: Sequence[Part],
        plan: TreePlan | None,
        captioner: str,
    ) -> Recording:
        """Store a closed recording with its parts and all nodes of its tree, in one transaction.

        Without a plan its tree is yet to be planned.

        One that is here already (the same camera and start, the same bytes at the same
        offsets) is not added again: it is returned.
        """
        content = content_key(camera, starts_at, parts)
        with self.archive.transaction() as db:
            found = db.execute("SELECT id FROM recordings WHERE content = ?", [content]).fetchone()
            if found is None:
                row = recording_values(
                    content, camera, starts_at, start_source, parts, plan, captioner
                )
                number = db.execute(_INSERT_RECORDING, row).lastrowid or 0
                db.conn.executemany(
                    "INSERT INTO parts VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    [part_values(number, ordinal, part) for ordinal, part in enumerate(parts)],
                )
                db.conn.executemany(
                    _INSERT_NODE,
                    [_node_values(number, node) for node in (plan.nodes if plan else ())],
                )
            else:
                number = int(found[0])
        return self.recording(number)

    def recording(self, recording: int) -> Recording:
        """The recording with that number. Raises NotFoundError."""
        found = self.recordings(Scope(recording=recording))
        if not found:
            raise _no_recording(recording)
        return found[0]

    def recordings(
        self,
        scope: Scope = Scope(),  # noqa: B008 (a value)
        limit: int = -1,
        offset: int = 0,
    ) -> list[Recording]:
        """The recordings that a scope touches, or a page of them, in order of their start."""
        where, values = scope_sql(scope)
        rows = self.archive.rows(
            f"SELECT r.* FROM recordings r WHERE {where} ORDER BY r.starts_epoch_s, r.id "
            "LIMIT ? OFFSET ?",
            [*values, limit, offset],
        )
        parts = self._parts([row["id"] for row in rows])
        return [recording_of(row, parts.get(row["id"], [])) for row in rows]

    def count(self, scope: Scope = Scope()) -> int:  # noqa: B008 (a value)
        """How many recordings a scope touches."""
        where, values = scope_sql(scope)
        row = self.archive.row(f"SELECT count(*) AS n FROM recordings r WHERE {where}", values)
        return int(row["n"]) if row else 0

    def there(self, recordings: Iterable[int]) -> set[int]:
        """Those of some numbers that recordings have."""
        rows = self.archive.rows(
            "SELECT id FROM recordings WHERE id IN (SELECT value FROM json_each(?))",
            [to_json(list(recordings))],
        )
        return {row["id"] for row in rows}

    def of_file(self, path: str) -> list[int]:
        """The numbers of the recordings that a file is in."""
        rows = self.archive.rows(
            "SELECT recording FROM parts WHERE path = ? ORDER BY recording", [path_in(path)]
        )
        return [row["recording"] for row in rows]

    def put_plan(self, recording: int, plan: TreePlan, revision: int) -> bool:
        """Store the tree of a recording that has none; False where its parts changed meanwhile."""
        with self.archive.transaction() as db:
            stored = db.execute(
                "UPDATE recordings SET width = ?, split = ?, nodes = ? "
                "WHERE id = ? AND revision = ? AND nodes = 0",
                [plan.width, plan.split, len(plan.nodes), recording, revision],
            )
            if stored.rowcount:
                db.conn.executemany(
                    _INSERT_NODE, [_node_values(recording, node) for node in plan.nodes]
                )
        return bool(stored.rowcount)

    def add_remark(self, recording: int, remark: str, revision: int) -> None:
        """Add what is to be known of a recording; nothing where its parts changed meanwhile."""
        with self.archive.transaction() as db:
            db.execute(
                "UPDATE recordings SET remark = trim(remark || ' ' || ?) "
                "WHERE id = ? AND revision = ? AND instr(remark, ?) = 0",
                [clean(remark), recording, revision, clean(remark)],
            )

    def planned(self, recording: int) -> bool:
        """Whether a recording has a tree yet."""
        row = self.archive.row("SELECT nodes FROM recordings WHERE id = ?", [recording])
        return bool(row and row["nodes"])

    def revision(self, recording: int) -> int:
        """How often a recording's parts changed. Raises NotFoundError."""
        row = self.archive.row("SELECT revision FROM recordings WHERE id = ?", [recording])
        if row is None:
            raise _no_recording(recording)
        return int(row["revision"])

    def plan(self, recording: int) -> TreePlan:
        """The tree of a recording, as it was stored. Raises NotFoundError."""
        row = self.archive.row(
            "SELECT duration_s, width, split FROM recordings WHERE id = ?", [recording]
        )
        if row is None:
            raise _no_recording(recording)
        nodes = self.archive.rows(
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
        row = self.archive.row(
            "SELECT written_by, notes FROM notes WHERE recording = ?", [recording]
        )
        if row is None or written_by not in (None, row["written_by"]):
            return None
        notes: Mapping[str, Any] = json.loads(row["notes"])
        return notes

    def put_notes(
        self,
        recording: int,
        notes: Mapping[str, Any],
        written_by: str = "",
        revision: int | None = None,
    ) -> None:
        """Store the captioner's notes of a recording in place of those before.

        Raises NotFoundError, also where `revision` is given and its parts changed since.
        """
        with self.archive.transaction() as db:
            stored = db.execute(
                "INSERT INTO notes(recording, written_by, notes) "
                "SELECT id, ?, ? FROM recordings WHERE id = ? AND revision = coalesce(?, revision) "
                "ON CONFLICT(recording) DO UPDATE SET written_by = excluded.written_by, "
                "notes = excluded.notes",
                [clean(written_by), to_json(notes), recording, revision],
            )
            if not stored.rowcount:
                raise _no_recording(recording)
            db.execute("UPDATE recordings SET noted = noted + 1 WHERE id = ?", [recording])

    def watched_by(self, recording: int) -> str | None:
        """Which captioner (name and version) has looked over the whole recording."""
        row = self.archive.row("SELECT watched_by FROM recordings WHERE id = ?", [recording])
        return row["watched_by"] if row else None

    def put_watched(self, recording: int, written_by: str, revision: int | None = None) -> None:
        """Store that a captioner has looked over the whole recording.

        Raises NotFoundError, also where `revision` is given and its parts changed since.
        """
        with self.archive.transaction() as db:
            stored = db.execute(
                "UPDATE recordings SET watched_by = ? "
                "WHERE id = ? AND revision = coalesce(?, revision)",
                [clean(written_by), recording, revision],
            )
            if not stored.rowcount:
                raise _no_recording(recording)

    def put_caption(self, recording: int, caption: Caption) -> bool:
        """Store a node's caption and its search index; False where it had one, which stays.

        Raises NotFoundError where the recording's tree has no such node.
        """
        with self.archive.transaction() as db:
            node = db.execute(
                f"SELECT id FROM nodes WHERE recording = ? AND {_NODE}",
                [recording, *node_columns(caption.node)],
            ).fetchone()
            if node is None:
                raise NotFoundError(f"recording {recording} has no node {caption.node}")
            added = db.execute(_INSERT_CAPTION, [node[0], *caption_values(caption)]).rowcount
            if added:
                saved = caption.inherits is not None
                db.execute(
                    "UPDATE recordings SET captioned = captioned + 1, "
                    "high_captioned = high_captioned + ?, calls_made = calls_made + ?, "
                    "calls_saved = calls_saved + ? WHERE id = ?",
                    [caption.node.level is Level.HIGH, not saved, saved, recording],
                )
        return bool(added)

    def caption(self, recording: int, node: NodeId) -> Caption | None:
        """The caption of a node; None where it has none yet."""
        rows = self.archive.rows(
            f"{_SELECT_CAPTIONS} AND {_NODE}", [recording, *node_columns(node)]
        )
        return caption_of(rows[0]) if rows else None

    def captions(self, recording: int, level: Level | None = None) -> list[Caption]:
        """The captions of a recording, in order of their ids; of one level, if given."""
        where = "" if level is None else f" AND {_LEVEL[level]}"
        rows = self.archive.rows(f"{_SELECT_CAPTIONS}{where} ORDER BY h, m, l", [recording])
        return [caption_of(row) for row in rows]

    def progress(self, recording: int) -> Progress:
        """How many nodes have captions, of how many. Raises NotFoundError."""
        row = self.archive.row(
            f"SELECT {PROGRESS} FROM recordings WHERE id = ?",
            [recording],
        )
        if row is None:
            raise _no_recording(recording)
        return progress_of(row)

    def totals(self) -> Totals:
        """How far all recordings are together; summed up by the database, however many."""
        row = self.archive.row(_TOTALS)
        assert row is not None  # an aggregate always has its row
        return Totals(**row)

    def _parts(self, recordings: Sequence[int]) -> dict[int, list[Part]]:
        parts: dict[int, list[Part]] = {}
        for row in self.archive.rows(
            "SELECT * FROM parts WHERE recording IN (SELECT value FROM json_each(?)) "
            "ORDER BY recording, ordinal",
            [to_json(list(recordings))],
        ):
            parts.setdefault(row["recording"], []).append(part_of(row))
        return parts


def _no_recording(recording: int) -> NotFoundError:
    return NotFoundError(f"there is no recording {recording}; see: edge-lvr1 recordings")


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


def progress_of(row: Mapping[str, Any]) -> Progress:
    """How far a recording's captions are, by its columns PROGRESS."""
    return Progress(
        captioned=row["captioned"],
        total=row["nodes"],
        queryable=0 < row["width"] == row["high_captioned"],
        complete=0 < row["nodes"] == row["captioned"],
        calls_made=row["calls_made"],
        calls_saved=row["calls_saved"],
        state=row["state"],
        reason=row["reason"],
    )


PROGRESS = "captioned, nodes, high_captioned, width, calls_made, calls_saved, state, reason"
_TOTALS = (
    "SELECT count(*) AS recordings, coalesce(sum(state = 'open'), 0) AS open, "
    "coalesce(sum(0 < width AND width = high_captioned), 0) AS queryable, "
    "coalesce(sum(0 < nodes AND nodes = captioned), 0) AS complete, "
    "coalesce(sum(captioned), 0) AS captioned, coalesce(sum(nodes), 0) AS nodes, "
    "coalesce(sum(calls_made), 0) AS calls_made, coalesce(sum(calls_saved), 0) AS calls_saved "
    "FROM recordings"
)
_INSERT_NODE = "INSERT INTO nodes(recording, h, m, l, start_s, end_s) VALUES (?, ?, ?, ?, ?, ?)"
_NODE = "h = ? AND m = ? AND l = ?"
_LEVEL = {Level.HIGH: "m = 0", Level.MEDIUM: "m > 0 AND l = 0", Level.LOW: "l > 0"}
_SELECT_CAPTIONS = (
    "SELECT n.h, n.m, n.l, n.start_s, n.end_s, c.* "
    "FROM nodes n JOIN captions c ON c.node = n.id WHERE n.recording = ?"
)
_INSERT_RECORDING = (
    "INSERT INTO recordings(content, camera, starts_at, starts_epoch_s, ends_epoch_s, "
    "start_source, duration_s, width, split, captioner, nodes) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_INSERT_CAPTION = (
    "INSERT INTO captions"
    "(node, text, written_by, version, prompt, seconds, frames, tokens, details, inherits) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT(node) DO NOTHING"
)
