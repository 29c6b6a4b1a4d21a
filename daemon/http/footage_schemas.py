"""The JSON of footage: recordings, trees, hits, holds."""

from __future__ import annotations

from datetime import datetime, timezone

from pydantic import (
    Field,
)

from edge_lvr1.daemon.http.schemas import Out, Shown
from edge_lvr1.store.holds import Hold


class HoldOut(Out):
    """Why a recording is held, by whom, and since when."""

    recording: int
    reason: Shown
    who: Shown
    since: datetime


class RecordingOut(Out):
    """A recording, and how far its tree is."""

    id: int
    camera: Shown
    starts_at: datetime
    ends_at: datetime
    start_source: str = Field(description="file name, container or mtime")
    confidence: str = Field(description="of the start: sure, likely or guessed")
    duration_s: float
    width: int = Field(description="0 while parts may still be added")
    captioner: str
    nodes: int
    captions: int
    calls_made: int = Field(description="captions that the captioner was asked for")
    calls_saved: int = Field(description="captions of what stands still, without asking")
    state: str = Field(description="open, queued, running, done or failed")
    reason: Shown = Field(description="why it failed")
    remark: Shown = Field(description="what is to be known of it")
    queryable: bool
    complete: bool
    files: list[Shown]
    hold: HoldOut | None = Field(default=None, description="what keeps the rules from it")


class RecordingsOut(Out):
    """Recordings, in order of their start; `total` counts those of all pages."""

    recordings: list[RecordingOut]
    total: int


class ActivityOut(Out):
    """How much happens in a recording: a curve (1 is the threshold), and what it came to."""

    recording: int
    times_s: list[float]
    scores: list[float]
    active: list[tuple[float, float]]
    switches: list[tuple[float, str]]


class NodeOut(Out):
    """A node with its caption, null where it has none yet."""

    node: str
    level: str
    start_s: float
    end_s: float
    caption: Shown | None
    written_by: str | None
    inherits: str | None = Field(description="the node whose caption it was taken from")


class TreeOut(Out):
    """A recording's caption tree, in order of node ids."""

    recording: int
    duration_s: float
    width: int
    captioner: str
    nodes: list[NodeOut]


class HitOut(Out):
    """A caption that matches; a higher score is a better match."""

    recording: int
    camera: Shown
    node: str
    start_s: float
    end_s: float
    starts_at: datetime
    caption: Shown
    score: float
    thumbnail: str = Field(description="where its picture is")


class HitsOut(Out):
    """Captions that match, best first."""

    hits: list[HitOut]


def hold_out(hold: Hold) -> HoldOut:
    """A hold as JSON."""
    since = datetime.fromtimestamp(hold.since_s, timezone.utc)
    return HoldOut(recording=hold.recording, reason=hold.reason, who=hold.who, since=since)
