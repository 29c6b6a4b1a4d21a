"""A captioner and an agent that do as they are told, at the seams where models stand."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence

from edge_lvr1.domain import Caption, Node, Span
from edge_lvr1.media.frames import Footage, Wanted
from edge_lvr1.models.base import (
    AgentSession,
    Cancel,
    Clip,
    Finder,
    Message,
    Moves,
    Notes,
    Written,
    never,
)

LONG_S = 30.0


class Gate:
    """A place where a thread waits until the test lets it go on; open from the start."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self._open = threading.Event()
        self._open.set()

    def shut(self) -> None:
        self._open.clear()

    def open(self) -> None:
        self._open.set()

    def pass_through(self) -> None:
        self.reached.set()
        if not self._open.wait(LONG_S):
            raise TimeoutError("the test never opened the gate")


class FakeCaptioner:
    """Writes which node it was asked for; no picture is looked at."""

    name = "fake"
    version = "1"

    def __init__(self, before: Callable[[Node], None] = lambda node: None) -> None:
        self._before = before

    def wants(self, node: Node, active: Sequence[Span] | None = None) -> Wanted | None:
        return None

    def watch(
        self, footage: Footage, notes: Notes | None, active: Sequence[Span] | None = None
    ) -> Iterator[Notes]:
        yield {"watched": True}

    def caption(self, clip: Clip) -> Written:
        self._before(clip.node)
        return Written(f"A lorry is seen in {clip.node.id}.")

    def fold(self, node: Node, children: Sequence[Caption]) -> Written | None:
        self._before(node)
        return Written(f"A lorry and {len(children)} spans in {node.id}.")

    def video_qa(self, clip: Clip, query: str) -> str:
        return f"{query}: a lorry."


class ScriptedAgent:
    """Replies what was enqueued; `before` is called ahead of each reply."""

    name = "scripted"

    def __init__(self, *replies: str, before: Callable[[], None] = lambda: None) -> None:
        self._replies = list(replies)
        self._before = before
        self.finder: Finder | None = None
        self.asked: list[Sequence[Message]] = []

    def open(self, finder: Finder | None = None) -> AgentSession:
        self.finder = finder
        return self

    def reply(
        self, messages: Sequence[Message], moves: Moves, deadline: float, cancelled: Cancel = never
    ) -> str:
        self._before()
        self.asked.append(tuple(messages))
        return self._replies.pop(0) if self._replies else answer("not found: the script is over")

    def close(self) -> None:
        pass


def answer(text: str) -> str:
    """A reply that answers."""
    return f"<think>I know.</think><answer>{text}</answer>"


def get_caption(node: str) -> str:
    """A reply that opens a caption."""
    return f"<think>I look.</think><tool>get_caption({node})</tool>"
