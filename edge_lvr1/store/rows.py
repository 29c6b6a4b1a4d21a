"""Rows of recordings, parts, nodes and captions as domain objects, and back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from edge_lvr1.domain import (
    Caption,
    CaptionCost,
    Confidence,
    Node,
    NodeId,
    Part,
    Recording,
    Span,
    StartSource,
    TakenFile,
    TreePlan,
)
from edge_lvr1.store.text import clean, path_in, path_out, to_json


def node_id(row: Mapping[str, Any]) -> NodeId:
    """The node id in a row's columns h, m, l."""
    return NodeId(tuple(index for index in (row["h"], row["m"], row["l"]) if index))


def node_columns(node: NodeId) -> list[int]:
    """A node id as the columns h, m, l."""
    return [*node.path, *[0] * (3 - len(node.path))]


def recording_of(row: Mapping[str, Any], parts: Sequence[Part]) -> Recording:
    """The recording of a row, with its parts."""
    return Recording(
        id=row["id"],
        camera=row["camera"],
        starts_at=datetime.fromisoformat(row["starts_at"]),
        start_source=StartSource(row["start_source"]),
        duration_s=row["duration_s"],
        width=row["width"],
        captioner=row["captioner"],
        parts=tuple(parts),
        confidence=Confidence(row["confidence"]),
        remark=row["remark"],
    )


def content_key(camera: str, starts_at: datetime, parts: Iterable[Part]) -> str:
    """What makes a recording the same: its camera, its start, and its parts' bytes and places."""
    told = [clean(camera), str(round(starts_at.timestamp() * 1000))]
    told += [f"{part.sha256}@{round(part.offset_s * 1000)}" for part in parts]
    return hashlib.sha256(" ".join(told).encode()).hexdigest()


def recording_values(
    content: str,
    camera: str,
    starts_at: datetime,
    start_source: StartSource,
    parts: Sequence[Part],
    plan: TreePlan | None,
    captioner: str,
) -> list[Any]:
    """A new recording in the order of the columns that `Trees` inserts."""
    epoch_s = starts_at.timestamp()
    duration_s = plan.duration_s if plan else max(p.offset_s + p.duration_s for p in parts)
    return [
        content,
        clean(camera),
        starts_at.isoformat(),
        epoch_s,
        epoch_s + duration_s,
        start_source.value,
        duration_s,
        plan.width if plan else 0,
        plan.split if plan else "",
        clean(captioner),
        len(plan.nodes) if plan else 0,
    ]


def file_of(row: Mapping[str, Any]) -> TakenFile:
    """The file of a row."""
    return TakenFile(
        id=row["id"],
        path=path_out(row["path"]),
        camera=row["camera"],
        starts_at=datetime.fromisoformat(row["starts_at"]),
        start_source=StartSource(row["start_source"]),
        confidence=Confidence(row["confidence"]),
        duration_s=row["duration_s"],
        size_bytes=row["size_bytes"],
        mtime_ns=row["mtime_ns"],
        sha256=row["sha256"],
    )


def file_values(file: TakenFile) -> list[Any]:
    """A file in the order of the columns of `files`, without its number and its place."""
    return [
        path_in(file.path),
        clean(file.camera),
        file.starts_at.isoformat(),
        file.starts_at.timestamp(),
        file.start_source.value,
        file.confidence.value,
        file.duration_s,
        file.size_bytes,
        file.mtime_ns,
        file.sha256,
    ]


def part_of(row: Mapping[str, Any]) -> Part:
    """The part of a row."""
    return Part(
        path=path_out(row["path"]),
        offset_s=row["offset_s"],
        duration_s=row["duration_s"],
        size_bytes=row["size_bytes"],
        mtime_ns=row["mtime_ns"],
        sha256=row["sha256"],
    )


def part_values(recording: int, ordinal: int, part: Part) -> list[Any]:
    """A part in the order of the columns of `parts`."""
    return [
        recording,
        ordinal,
        path_in(part.path),
        part.offset_s,
        part.duration_s,
        part.size_bytes,
        part.mtime_ns,
        part.sha256,
    ]


def node_of(row: Mapping[str, Any]) -> Node:
    """The node of a row."""
    return Node(node_id(row), Span(row["start_s"], row["end_s"]))


def caption_of(row: Mapping[str, Any]) -> Caption:
    """The caption of a row of captions joined with its node."""
    return Caption(
        node=node_id(row),
        span=Span(row["start_s"], row["end_s"]),
        text=row["text"],
        written_by=row["written_by"],
        version=row["version"],
        prompt=row["prompt"],
        cost=CaptionCost(row["seconds"], row["frames"], row["tokens"]),
        details=None if row["details"] is None else json.loads(row["details"]),
        inherits=None if row["inherits"] is None else NodeId.parse(row["inherits"]),
    )


def caption_values(caption: Caption) -> list[Any]:
    """A caption in the order of the columns of `captions`, after its node."""
    return [
        clean(caption.text),
        clean(caption.written_by),
        clean(caption.version),
        clean(caption.prompt),
        caption.cost.seconds,
        caption.cost.frames,
        caption.cost.tokens,
        None if caption.details is None else to_json(caption.details),
        None if caption.inherits is None else str(caption.inherits),
    ]
