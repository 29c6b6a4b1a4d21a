"""What everything here is about, as values: spans, nodes, captions, questions, answers.

Standard library only, and no effects: these objects never open, read or write anything.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, TypeAlias

OPTION_LETTERS = "ABCDEFGHIJ"


class Level(str, Enum):
    """A level of the caption tree, from the widest spans to the narrowest."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


LEVELS = (Level.HIGH, Level.MEDIUM, Level.LOW)


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A half-open span of media time [start_s, end_s), in seconds of a recording."""

    start_s: float
    end_s: float

    def __post_init__(self) -> None:
        if not self.start_s <= self.end_s:
            raise ValueError(f"a span cannot end ({self.end_s}) before it starts ({self.start_s})")

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.end_s - self.start_s

    def overlap_s(self, other: Span) -> float:
        """Seconds that both spans cover."""
        return max(0.0, min(self.end_s, other.end_s) - max(self.start_s, other.start_s))

    def contains(self, time_s: float) -> bool:
        """Whether a moment lies in the span."""
        return self.start_s <= time_s < self.end_s


_NODE_ID = re.compile(r"\s*\(?\s*(\d{1,6})\s*(?:,\s*(\d{1,6})\s*)?(?:,\s*(\d{1,6})\s*)?,?\s*\)?\s*")


@dataclass(frozen=True, slots=True, order=True)
class NodeId:
    """A node's place in the tree: (h), (h, m) or (h, m, l), each from 1 to the width."""

    path: tuple[int, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.path) <= len(LEVELS) or min(self.path) < 1:
            raise ValueError(f"not a node id: {self.path}")

    @classmethod
    def parse(cls, text: str) -> NodeId:
        """Read "(1,2,3)", "1, 2" or "(4)". Raises ValueError on anything else."""
        match = _NODE_ID.fullmatch(text)
        if match is None:
            raise ValueError(f"not a node id: {text[:40]!r}; write (h), (h,m) or (h,m,l)")
        return cls(tuple(int(group) for group in match.groups() if group is not None))

    @property
    def level(self) -> Level:
        """The level that this id names."""
        return LEVELS[len(self.path) - 1]

    @property
    def parent(self) -> NodeId | None:
        """The node one level up; None for a high node."""
        return NodeId(self.path[:-1]) if len(self.path) > 1 else None

    def child(self, index: int) -> NodeId:
        """The child with that index, from 1."""
        return NodeId((*self.path, index))

    def fits(self, width: int) -> bool:
        """Whether every index is within a tree of that width."""
        return max(self.path) <= width

    def __str__(self) -> str:
        return "(" + ",".join(map(str, self.path)) + ")"


@dataclass(frozen=True, slots=True)
class Node:
    """A span of a recording with its place in the tree."""

    id: NodeId
    span: Span

    @property
    def level(self) -> Level:
        """The node's level."""
        return self.id.level


@dataclass(frozen=True, slots=True)
class TreePlan:
    """How a recording is divided: all nodes of three nested levels, in order of their ids."""

    duration_s: float
    width: int
    split: str
    nodes: tuple[Node, ...]

    def at(self, level: Level) -> Iterator[Node]:
        """The nodes of one level, in order of time."""
        return (node for node in self.nodes if node.level is level)

    def children(self, node_id: NodeId) -> Iterator[Node]:
        """The nodes right below one, in order of time."""
        depth = len(node_id.path)
        for place in range(self._place(node_id), len(self.nodes)):
            node = self.nodes[place]
            if node.id.path[:depth] != node_id.path:
                return
            if len(node.id.path) == depth + 1:
                yield node

    def node(self, node_id: NodeId) -> Node | None:
        """The node with that id; None where the tree has none."""
        place = self._place(node_id)
        found = self.nodes[place] if place < len(self.nodes) else None
        return found if found is not None and found.id == node_id else None

    def _place(self, node_id: NodeId) -> int:
        return bisect_left(self.nodes, node_id, key=lambda node: node.id)


class StartSource(str, Enum):
    """Where a recording's wall-clock start was read from."""

    CONTAINER = "container"
    FILE_NAME = "file name"
    MTIME = "mtime"


class Confidence(str, Enum):
    """How far the start of a part can be trusted."""

    SURE = "sure"  # a full date and time with a known offset
    LIKELY = "likely"  # a local time that a clock showed twice or never, or a container's word
    GUESSED = "guessed"  # worked back from when the file was last written


@dataclass(frozen=True, slots=True)
class TakenFile:
    """A media file that was taken in: what a recording's parts are put together from."""

    id: int
    path: str
    camera: str
    starts_at: datetime  # aware: with UTC offset
    start_source: StartSource
    confidence: Confidence
    duration_s: float
    size_bytes: int
    mtime_ns: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Part:
    """One media file, and where in its recording it begins."""

    path: str
    offset_s: float
    duration_s: float
    size_bytes: int
    mtime_ns: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Recording:
    """What one camera saw without a gap: one or more parts end to end.

    `parts` is () where not its files but only the recording was asked for.
    """

    id: int
    camera: str
    starts_at: datetime  # aware: with UTC offset
    start_source: StartSource
    duration_s: float
    width: int
    captioner: str
    parts: tuple[Part, ...]
    confidence: Confidence = Confidence.LIKELY
    remark: str = ""  # what is to be known of it, as that its clock disagrees

    def wall_clock(self, time_s: float) -> datetime:
        """The wall-clock time of a moment of this recording."""
        return self.starts_at + timedelta(seconds=time_s)


@dataclass(frozen=True, slots=True)
class Switch:
    """A moment when the whole picture changed: its light, or the scene itself."""

    time_s: float
    kind: str  # "light" or "cut"


@dataclass(frozen=True, slots=True)
class Activity:
    """How much happens in a recording, moment by moment, and when it counts as active.

    `scores` are the curve at `times_s` (ascending): 1 is the threshold of being active.
    """

    times_s: tuple[float, ...]
    scores: tuple[float, ...]
    active: tuple[Span, ...]
    switches: tuple[Switch, ...] = ()


@dataclass(frozen=True, slots=True)
class CaptionCost:
    """What a caption cost: wall seconds, frames looked at, tokens written (0 without a model)."""

    seconds: float = 0.0
    frames: int = 0
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Caption:
    """Text of a node, who wrote it and what it cost.

    `details` is what the writing captioner wants to have again when it folds children into
    their parent (JSON types only; None where it keeps nothing). `inherits` is the node whose
    caption this one was taken from, without asking the captioner.
    """

    node: NodeId
    span: Span
    text: str
    written_by: str
    version: str
    prompt: str = ""
    cost: CaptionCost = CaptionCost()
    details: Mapping[str, Any] | None = None
    inherits: NodeId | None = None


@dataclass(frozen=True, slots=True, order=True)
class TimeSpan:
    """A half-open span of wall-clock time, aware: with UTC offsets."""

    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Scope:
    """Which footage a question is about; an empty scope is the whole archive."""

    recording: int | None = None
    cameras: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    times: tuple[TimeSpan, ...] = ()  # within since and until; () for all between them

    def overlaps(self, since: datetime, until: datetime) -> bool:
        """Whether a wall-clock span holds any moment that the scope names."""
        if self.since is not None and until <= self.since:
            return False
        if self.until is not None and since >= self.until:
            return False
        return not self.times or any(t.since < until and since < t.until for t in self.times)


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked, of which footage, with which budget.

    `about` is the text without the words that named its scope ("on camera 3 last night"),
    where it had such; `read_as` says which scope was read from them. After `deadline`, a
    moment of the wall clock, nobody wants the answer any more.
    """

    id: str
    text: str
    asked_at: datetime
    options: tuple[str, ...] = ()
    scope: Scope = Scope()
    max_rounds: int = 10
    max_seconds: float = 120.0
    confirm: bool = False
    about: str = ""
    read_as: str = ""
    deadline: datetime | None = None

    @property
    def letters(self) -> str:
        """The letters of the options: "ABCD" for four."""
        return OPTION_LETTERS[: len(self.options)]


@dataclass(frozen=True, slots=True)
class GetCaption:
    """Open the caption of a medium or low node."""

    node: NodeId


@dataclass(frozen=True, slots=True)
class VideoQa:
    """Look at the clip of a leaf with a question of the agent's own."""

    node: NodeId
    query: str


@dataclass(frozen=True, slots=True)
class SearchCaptions:
    """Ask an index of the tree for captions that mention words."""

    words: str


@dataclass(frozen=True, slots=True)
class ListRecordings:
    """Ask which recordings the question is about; `camera` narrows, "" does not."""

    camera: str = ""


@dataclass(frozen=True, slots=True)
class CountObjects:
    """Have the things of one kind in the clip of a leaf counted."""

    node: NodeId
    what: str


@dataclass(frozen=True, slots=True)
class FinalAnswer:
    """The agent's answer, as it wrote it."""

    text: str


@dataclass(frozen=True, slots=True)
class Invalid:
    """A reply that is not a legal move, and the reason, as the agent is told it."""

    reason: str


Action: TypeAlias = (
    GetCaption | VideoQa | SearchCaptions | ListRecordings | CountObjects | FinalAnswer | Invalid
)


@dataclass(frozen=True, slots=True)
class Step:
    """A round: the agent's reply, the action read from it, and what came back.

    `hint` is the part of the observation that the loop added of its own, where it did.
    """

    round: int
    recording: int
    reply: str
    thought: str
    action: Action
    observation: str
    seconds: float
    repeated: bool = False
    hint: str = ""


class Confirmation(str, Enum):
    """What a second look at an answer's evidence came to."""

    CONFIRMED = "confirmed"
    NOT_CONFIRMED = "not_confirmed"
    UNCLEAR = "unclear"


class Verdict(str, Enum):
    """How a question ended."""

    ANSWERED = "answered"
    NOT_FOUND = "not_found"  # looked, is not there
    GAVE_UP = "gave_up"  # the budget was spent
    FAILED = "failed"  # something broke; the text says what


@dataclass(frozen=True, slots=True)
class Evidence:
    """A node that an answer rests on, so that a person can check it."""

    recording: int
    camera: str
    node: NodeId
    span: Span
    starts_at: datetime
    ends_at: datetime
    caption: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What a question came to. `option` is a letter where options were given."""

    verdict: Verdict
    text: str
    evidence: tuple[Evidence, ...] = ()
    option: str | None = None
    rounds: int = 0
    captions_opened: int = 0
    invalid_steps: int = 0
    seconds: float = 0.0
    agent: str = ""
    captioner: str = ""
    searched: tuple[str, ...] = field(default=())
    confirmation: Confirmation | None = None  # None where it was not asked for
