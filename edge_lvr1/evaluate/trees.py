"""Where the caption trees of a dataset's videos come from: what a source of trees is.

A video may be one recording or several (a long file is cut), so a source gives placed
trees: a view, and where in the video its time begins. Spans that are compared with a
dataset's clues are spans of the video.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Protocol

from edge_lvr1.domain import Span
from edge_lvr1.navigator.view import TreeView

_VIDEO_SUFFIXES = frozenset(
    f".{name}"
    for name in (
        *("mp4", "mkv", "avi", "mov", "webm", "m4v", "ts", "mpg", "mpeg", "flv", "wmv"),
        *("3gp", "dav", "ps", "h264", "h265"),
    )
)


@dataclass(frozen=True, slots=True)
class PlacedTree:
    """A recording's tree, and the second of the video at which it begins."""

    view: TreeView
    begins_s: float = 0.0

    def in_video(self, span: Span) -> Span:
        """A span of the recording, in seconds of the video."""
        return Span(span.start_s + self.begins_s, span.end_s + self.begins_s)


class TreeSource(Protocol):
    """Trees by the names of videos."""

    def of(self, video: str) -> tuple[PlacedTree, ...]:
        """The trees of a video in order of time; none where there is none.

        Raises DatasetError, StoreError where there is one that cannot be used.
        """
        ...

    def digest(self, video: str) -> str:
        """What tells one state of a video's trees from another."""
        ...


def stem(video: str) -> str:
    """A video's name without its folder and its suffix; a dot within the name stays."""
    name = PurePosixPath(video).name
    suffix = PurePosixPath(name).suffix
    return name[: -len(suffix)] if suffix.lower() in _VIDEO_SUFFIXES else name
