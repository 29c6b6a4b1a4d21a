"""Caption trees from LongVideo-R1's own files: `captions/NAME.json`, one a video.

`{"video_name", "width", "captions": [high, medium, low]}`, each level a list of
`{"segment_id", "level", "caption", "frame_time"}` in order of time, where the first and the
last of `frame_time` bound the segment, in seconds (arXiv 2602.20913, its evaluation code).
There is no footage beside such a file, so nothing can be looked at.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any

from edge_lvr1.domain import (
    LEVELS,
    Caption,
    Node,
    NodeId,
    Recording,
    Span,
    StartSource,
    TreePlan,
)
from edge_lvr1.errors import DatasetError, NotFoundError
from edge_lvr1.evaluate.trees import PlacedTree, stem

WRITTEN_BY = "caption file"
MOST_WIDTH = 32
_NO_DATE = datetime(1970, 1, 1, tzinfo=timezone.utc)
_KEPT = 64  # files in memory; a tree of 512 leaves takes about 1 MB


@dataclass(frozen=True, slots=True)
class CaptionTree:
    """A TreeView over the texts of one caption file."""

    recording: Recording
    plan: TreePlan
    texts: Mapping[NodeId, str]

    def caption(self, node_id: NodeId) -> Caption:
        """A node's caption. Raises NotFoundError."""
        node = self.plan.node(node_id)
        if node is None:
            raise NotFoundError(f"{self.recording.camera} has no node {node_id}")
        return Caption(node_id, node.span, self.texts[node_id], WRITTEN_BY, "1")

    def video_qa(self, node_id: NodeId, query: str) -> str:
        """Raises NotFoundError: a caption file has no footage."""
        raise NotFoundError("there is no footage beside these captions")


class CaptionFiles:
    """A TreeSource over a folder of caption files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._read = lru_cache(maxsize=_KEPT)(read_tree)
        self._hashed = lru_cache(maxsize=None)(_hash)

    def of(self, video: str) -> tuple[PlacedTree, ...]:
        """The tree of a video; none where there is no file of its name. Raises DatasetError."""
        path = self._path(video)
        return (PlacedTree(self._read(path)),) if path else ()

    def digest(self, video: str) -> str:
        """The hash of the file's bytes."""
        path = self._path(video)
        return self._hashed(path) if path else ""

    def _path(self, video: str) -> Path | None:
        names = dict.fromkeys((f"{video}.json", f"{stem(video)}.json"))
        return next((p for name in names if (p := self.folder / Path(name).name).is_file()), None)


def read_tree(path: Path) -> CaptionTree:
    """Read a caption file.

    Raises DatasetError where it is no such file, where its counts do not fit its width, or
    where its segments are not in order of time.
    """
    try:
        told = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DatasetError(f"{path.name} cannot be read as a caption file: {error}") from error
    if not isinstance(told, Mapping):
        raise DatasetError(f"{path.name} is no caption file: it should hold one object")
    width, levels = _width(path, told), _levels(path, told)
    _check_counts(path, width, levels)
    nodes = sorted(_nodes(path, width, levels), key=lambda entry: entry[0].id)
    duration_s = max(node.span.end_s for node, _ in nodes)
    plan = TreePlan(duration_s, width, "file", tuple(node for node, _ in nodes))
    recording = Recording(
        id=1,
        camera=path.stem,
        starts_at=_NO_DATE,
        start_source=StartSource.FILE_NAME,
        duration_s=duration_s,
        width=width,
        captioner=WRITTEN_BY,
        parts=(),
    )
    return CaptionTree(recording, plan, {node.id: text for node, text in nodes})


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _width(path: Path, told: Mapping[str, Any]) -> int:
    width = told.get("width")
    if not isinstance(width, int) or isinstance(width, bool) or not 1 <= width <= MOST_WIDTH:
        raise DatasetError(
            f"{path.name}: the field 'width' should be a number from 1 to {MOST_WIDTH}, "
            f"not {str(width)[:40]!r}"
        )
    return width


def _levels(path: Path, told: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
    levels = told.get("captions")
    fits = isinstance(levels, list) and len(levels) == len(LEVELS)
    if not fits or not all(isinstance(level, list) for level in levels or ()):
        raise DatasetError(
            f"{path.name}: the field 'captions' should be three lists: high, medium and low"
        )
    return levels or ()


def _check_counts(path: Path, width: int, levels: Sequence[Sequence[Any]]) -> None:
    wanted = [width ** (depth + 1) for depth in range(len(LEVELS))]
    held = [len(level) for level in levels]
    if wanted != held:
        raise DatasetError(
            f"{path.name}: a tree of width {width} has {_counts(wanted)} captions (high, medium, "
            f"low), and the file holds {_counts(held)}: write its captions again with nested "
            "segments"
        )


def _counts(numbers: Sequence[int]) -> str:
    return f"{numbers[0]}, {numbers[1]} and {numbers[2]}"


def _nodes(path: Path, width: int, levels: Sequence[Sequence[Any]]) -> Iterator[tuple[Node, str]]:
    indices = range(1, width + 1)
    for depth, level in enumerate(levels, start=1):
        places = [
            f"{path.name}, {LEVELS[depth - 1].value} caption {number}"
            for number in range(1, len(level) + 1)
        ]
        read = [_segment(place, segment) for place, segment in zip(places, level, strict=True)]
        spans = _tiled([span for span, _ in read], places)
        ids = product(indices, repeat=depth)
        for path_of, span, (_, text) in zip(ids, spans, read, strict=True):
            yield Node(NodeId(path_of), span), text


def _segment(place: str, segment: object) -> tuple[Span, str]:
    if not isinstance(segment, Mapping):
        raise DatasetError(f"{place} should be an object")
    text, times = segment.get("caption"), segment.get("frame_time")
    if not isinstance(text, str):
        raise DatasetError(f"{place}: the field 'caption' should be text")
    numbers = isinstance(times, list) and all(
        isinstance(time_s, int | float) and not isinstance(time_s, bool) for time_s in times
    )
    if not times or not numbers or not 0 <= times[0] <= times[-1] < float("inf"):
        raise DatasetError(f"{place}: the field 'frame_time' should be ascending seconds")
    return Span(float(times[0]), float(times[-1])), text


def _tiled(spans: Sequence[Span], places: Sequence[str]) -> Iterator[Span]:
    """The spans, each lasting until the next begins: their bounds are times of frames."""
    for number, span in enumerate(spans):
        if number + 1 == len(spans):
            yield span
            return
        next_s = spans[number + 1].start_s
        if next_s < span.start_s:
            raise DatasetError(f"{places[number + 1]} begins before the one before it")
        yield Span(span.start_s, max(span.end_s, next_s))
