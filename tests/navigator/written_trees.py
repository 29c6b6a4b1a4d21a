"""Caption trees written from known truth, and the agents and clocks that tests script."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone

from edge_lvr1.domain import (
    Answer,
    Caption,
    Level,
    Node,
    NodeId,
    Question,
    Recording,
    Span,
    StartSource,
    Step,
    TreePlan,
)
from edge_lvr1.errors import ModelError
from edge_lvr1.models.base import Agent, Cancel, Finder, Message, Moves, never
from edge_lvr1.models.embedded import wording
from edge_lvr1.models.embedded.wording import Kind, SceneEvent, Sighting
from edge_lvr1.navigator.loop import TreeView, navigate

START = datetime(2026, 11, 22, 9, 0, tzinfo=timezone(timedelta(hours=1)))


def uniform_plan(duration_s: float, width: int) -> TreePlan:
    """A plan with equal nodes, made here so that these tests need no planner."""

    def nodes(parent: tuple[int, ...], span: Span) -> Iterator[Node]:
        step = span.duration_s / width
        for index in range(1, width + 1):
            own = Span(span.start_s + step * (index - 1), span.start_s + step * index)
            node = Node(NodeId((*parent, index)), own)
            yield node
            if node.level is not Level.LOW:
                yield from nodes(node.id.path, own)

    return TreePlan(duration_s, width, "uniform", tuple(nodes((), Span(0.0, duration_s))))


def recording(number: int, duration_s: float, width: int, camera: str = "camera1") -> Recording:
    return Recording(
        id=number,
        camera=camera,
        starts_at=START + timedelta(hours=number),
        start_source=StartSource.CONTAINER,
        duration_s=duration_s,
        width=width,
        captioner="embedded",
        parts=(),
    )


@dataclass
class WrittenTree:
    """A TreeView over texts: a caption for each node, and an answer to every look."""

    recording: Recording
    plan: TreePlan
    texts: Mapping[NodeId, str]
    look: str = "No motion seen."
    broken: frozenset[NodeId] = frozenset()
    looks: list[tuple[NodeId, str]] = field(default_factory=list)

    def caption(self, node_id: NodeId) -> Caption:
        if node_id in self.broken:
            raise ModelError("the captioner has no memory left")
        node = self.plan.node(node_id)
        assert node is not None
        return Caption(node_id, node.span, self.texts[node_id], "embedded", "1")

    def video_qa(self, node_id: NodeId, query: str) -> str:
        self.looks.append((node_id, query))
        if node_id in self.broken:
            raise ModelError("the clip is gone")
        return self.look


def tree_of(
    sightings: Sequence[Sighting],
    events: Sequence[SceneEvent] = (),
    *,
    duration_s: float,
    width: int,
    number: int = 1,
    max_words: int = 300,
    look: str = "No motion seen.",
) -> WrittenTree:
    """What the embedded captioner would write of these subjects, node by node."""
    plan = uniform_plan(duration_s, width)
    texts = {
        node.id: wording.write(
            [clipped for s in sightings if (clipped := clip(s, node.span))],
            [e for e in events if node.span.contains(e.time_s)],
            max_words=max_words,
            tally=node.level is not Level.LOW,
        )
        for node in plan.nodes
    }
    return WrittenTree(recording(number, duration_s, width), plan, texts, look)


def clip(sighting: Sighting, span: Span) -> Sighting | None:
    """A subject as it is seen within a span; its movement counts by its share of time."""
    if sighting.seen.overlap_s(span) <= 0:
        return None
    seen = Span(max(sighting.seen.start_s, span.start_s), min(sighting.seen.end_s, span.end_s))
    still = sighting.still
    if still is not None:
        inside = still.overlap_s(span) > 0
        still = (
            Span(max(still.start_s, span.start_s), min(still.end_s, span.end_s)) if inside else None
        )
    before = seen.start_s > sighting.seen.start_s
    after = seen.end_s < sighting.seen.end_s
    share = seen.duration_s / sighting.seen.duration_s
    return replace(
        sighting,
        seen=seen,
        still=still,
        before=before,
        after=after,
        enters=None if before else sighting.enters,
        leaves=None if after else sighting.leaves,
        dx=sighting.dx * share,
        dy=sighting.dy * share,
    )


def figure(number: int, start_s: float, end_s: float, *colours: str, **more: object) -> Sighting:
    still = Span(start_s + (end_s - start_s) * 0.3, start_s + (end_s - start_s) * 0.7)
    made = Sighting(
        label=f"P{number}",
        kind=Kind.PERSON,
        seen=Span(start_s, end_s),
        colours=colours,
        size="large",
        enters="bottom",
        leaves="right",
        dx=0.5,
        dy=-0.1,
        still=still,
    )
    return replace(made, **more)  # type: ignore[arg-type]


def vehicle(number: int, start_s: float, end_s: float, colour: str, dy: float) -> Sighting:
    return Sighting(
        label=f"V{number}",
        kind=Kind.VEHICLE,
        seen=Span(start_s, end_s),
        colours=(colour,),
        enters="bottom" if dy < 0 else "top",
        leaves="top" if dy < 0 else "bottom",
        dy=dy,
    )


def people(**more: object) -> WrittenTree:
    """Six people who come to a table one after the other, as in a clip of 139.4 s."""
    sightings = [
        figure(1, 6.3, 20.4, "grey"),
        figure(2, 22.6, 45.3, "black"),
        figure(3, 50.7, 70.4, "black"),
        figure(4, 74.8, 87.4, "black"),
        figure(5, 92.8, 120.3, "grey", "blue"),
        figure(6, 123.7, 136.4, "grey", "blue"),
    ]
    return tree_of(sightings, duration_s=139.4, width=4, **more)  # type: ignore[arg-type]


def cars(**more: object) -> WrittenTree:
    """Four cars on a road seen from above, as in a clip of 30.2 s."""
    sightings = [
        vehicle(1, 4.5, 9.0, "white", -0.9),
        vehicle(2, 14.5, 19.0, "light blue", 0.9),
        vehicle(3, 15.0, 19.8, "red", -0.9),
        vehicle(4, 25.5, 28.5, "white", 0.9),
    ]
    return tree_of(sightings, duration_s=30.2, width=2, **more)  # type: ignore[arg-type]


class Clock:
    """Seconds that pass only when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class ScriptedAgent:
    """An agent that says what it was told to, and remembers what it was asked.

    An entry is a reply, or an error to raise. With `each_s`, every reply takes that long.
    """

    script: list[str | Exception] = field(default_factory=list)
    clock: Clock | None = None
    each_s: float = 0.0
    name: str = "scripted"
    asked: list[tuple[tuple[Message, ...], Moves]] = field(default_factory=list)
    opened: int = 0
    closed: int = 0
    finder: Finder | None = None

    def enqueue(self, *replies: str | Exception) -> ScriptedAgent:
        self.script.extend(replies)
        return self

    def open(self, finder: Finder | None = None) -> ScriptedAgent:
        self.opened += 1
        self.finder = finder
        return self

    def reply(
        self, messages: Sequence[Message], moves: Moves, deadline: float, cancelled: Cancel = never
    ) -> str:
        self.asked.append((tuple(messages), moves))
        if self.clock is not None:
            self.clock.now += self.each_s
        reply = self.script.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply

    def close(self) -> None:
        self.closed += 1


def question(text: str, *options: str, **more: object) -> Question:
    return replace(
        Question(id="q1", text=text, asked_at=START, options=options),
        **more,  # type: ignore[arg-type]
    )


def ask(
    agent: Agent,
    asked: Question,
    *views: TreeView,
    clock: Callable[[], float] | None = None,
    cancelled: Callable[[], bool] = lambda: False,
    among_others: bool = False,
) -> tuple[Answer, list[Step]]:
    """An answer and the steps that led to it."""
    steps: list[Step] = []
    answer = navigate(
        asked,
        views,
        agent,
        clock or Clock(),
        steps.append,
        cancelled,
        among_others=among_others,
    )
    return answer, steps
