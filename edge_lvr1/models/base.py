"""What a captioner, an agent and an embedder are, whichever backend they run on.

Backends are constructed in `models/load.py` only. Whoever holds one of these objects does
not know what is behind it: an OpenCV captioner, an ONNX session or a server.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from edge_lvr1.domain import Caption, Node, NodeId, Span
from edge_lvr1.media.frames import Footage, Wanted

Notes: TypeAlias = Mapping[str, Any]
"""What a captioner remembers of a whole recording between captions. JSON types only."""


@dataclass(frozen=True, slots=True)
class Clip:
    """A node's span of a recording, to be looked at, with the captioner's own notes.

    A captioner that takes long over it raises Cancelled once `footage.cancelled` says so.
    `active` are the spans in which the recording's activity curve says that something
    happens; None where that is not known, and empty where nothing does.
    """

    footage: Footage
    node: Node
    notes: Notes | None = None
    active: tuple[Span, ...] | None = None


@dataclass(frozen=True, slots=True)
class Written:
    """What a captioner wrote: text, details to fold with later, and what was looked at."""

    text: str
    details: Mapping[str, Any] | None = None
    frames: int = 0
    tokens: int = 0
    prompt: str = ""


class Captioner(Protocol):
    """clip -> caption, and clip + query -> answer."""

    name: str
    version: str

    def watch(
        self, footage: Footage, notes: Notes | None, active: Sequence[Span] | None = None
    ) -> Iterator[Notes]:
        """Look over a recording once before its captions are written.

        With `active` (ascending), what lies outside of these spans stands still and may be
        looked at but now and then.

        Yields notes as it goes, each complete enough to go on from: called again with the
        last one that was stored, it continues there and ends with the same notes as if it
        had never been interrupted. A captioner that needs no such look yields nothing.
        """
        ...

    def wants(self, node: Node, active: Sequence[Span] | None = None) -> Wanted | None:
        """The frames that `caption` will ask the footage for, so that one pass can fetch those
        of many nodes; None where it needs none, or cannot tell."""
        ...

    def caption(self, clip: Clip) -> Written:
        """Write a node's caption by looking. Raises ModelError, MediaError, Cancelled."""
        ...

    def fold(self, node: Node, children: Sequence[Caption]) -> Written | None:
        """Write a node's caption from its children's; None where it can only look."""
        ...

    def video_qa(self, clip: Clip, query: str) -> str:
        """Look at a leaf again with a question in mind.

        Raises ModelError, MediaError, Cancelled.
        """
        ...


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation, in the chat form that language models read."""

    role: Literal["system", "user", "assistant"]
    content: str


TWO_TOOLS = frozenset({"get_caption", "video_qa"})
"""What LongVideo-R1 was trained on: what an agent has that declares nothing else."""

MORE_TOOLS = frozenset({"search_captions", "list_recordings", "count_objects"})
"""What an agent may declare beyond these."""


@dataclass(frozen=True, slots=True)
class Moves:
    """What the agent may do next: what constrained decoding is built from.

    `tools` are the names of the calls that it knows.
    """

    width: int
    opened: frozenset[NodeId]
    letters: str = ""
    must_answer: bool = False
    tools: frozenset[str] = TWO_TOOLS


@dataclass(frozen=True, slots=True)
class Found:
    """A node that an index holds for a match, and how good a match it is.

    `score` is above 0, and higher is better; scores of one finder may be compared with each
    other, also between calls. An agent may take a score that is higher by 1 as odds about
    e times as good. `caption` is the node's text where the index has it at hand.
    """

    node: NodeId
    score: float
    caption: str | None = None


class Finder(Protocol):
    """words -> nodes of the tree that is being walked, from an index of its captions.

    A score tells where to look. Whoever rests an answer on a caption opens it first.
    """

    def find(self, texts: Sequence[str], limit: int) -> list[Found]:
        """The best matches at all levels, best first; several texts are looked for together."""
        ...


Cancel: TypeAlias = Callable[[], bool]
"""Says whether nobody wants the work in hand any more; cheap to ask, from the worker's thread."""


def never() -> bool:
    """A Cancel: the work is wanted to its end."""
    return False


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens that a language model has read and written."""

    read: int = 0
    written: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(self.read + other.read, self.written + other.written)

    def __sub__(self, other: Usage) -> Usage:
        return Usage(self.read - other.read, self.written - other.written)


@runtime_checkable
class CountsTokens(Protocol):
    """A conversation that knows what it has cost so far."""

    @property
    def usage(self) -> Usage:
        """All tokens read and written since it began: it never goes down, whatever becomes of
        a reply. What a server does not tell is not counted."""
        ...


def usage_of(session: object) -> Usage:
    """What a conversation has cost so far; nothing where it does not count."""
    return session.usage if isinstance(session, CountsTokens) else Usage()


class AgentSession(Protocol):
    """One question's conversation; a backend keeps its key-value cache here."""

    def reply(
        self,
        messages: Sequence[Message],
        moves: Moves,
        deadline: float,
        cancelled: Cancel = never,
    ) -> str:
        """The next reply to an append-only conversation. Raises ModelError, Cancelled.

        `deadline` is a moment of time.monotonic(); a backend that generates token by token
        stops there and returns what it has. One that takes longer than a moment asks
        `cancelled` as it writes, and raises Cancelled within a fraction of a second.
        """
        ...

    def close(self) -> None:
        """Free what the conversation held."""
        ...


class Agent(Protocol):
    """conversation -> next reply."""

    name: str

    def open(self, finder: Finder | None = None) -> AgentSession:
        """Begin a conversation.

        `finder` is an index of the tree that the conversation is about, for agents that know
        how to use one; the others go by the conversation alone.
        """
        ...


@runtime_checkable
class KnowsTools(Protocol):
    """An agent that declares the tools that it knows."""

    @property
    def tools(self) -> frozenset[str]:
        """The names of the calls that it may make."""
        ...


def tools_of(agent: Agent) -> frozenset[str]:
    """The tools that an agent knows, of those that there are."""
    if not isinstance(agent, KnowsTools) or not agent.tools:
        return TWO_TOOLS
    return TWO_TOOLS | (agent.tools & MORE_TOOLS)


class Embedder(Protocol):
    """texts -> vectors of their meaning."""

    name: str
    dim: int

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """One vector for each text: float32 of shape (texts, dim). Raises ModelError."""
        ...
