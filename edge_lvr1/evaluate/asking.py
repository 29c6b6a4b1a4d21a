"""One question of a dataset, asked: from an item and its trees to a result."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from typing import Any

from edge_lvr1.domain import Answer, GetCaption, NodeId, Question, Step, Verdict
from edge_lvr1.errors import EdgeLvr1Error
from edge_lvr1.evaluate.finding import CaptionVectors, finders
from edge_lvr1.evaluate.items import Item
from edge_lvr1.evaluate.results import Opening, Result, SeenNode
from edge_lvr1.evaluate.trees import PlacedTree, TreeSource
from edge_lvr1.models.base import (
    Agent,
    AgentSession,
    Cancel,
    Finder,
    Message,
    Moves,
    never,
    tools_of,
)
from edge_lvr1.navigator.loop import navigate
from edge_lvr1.navigator.rules import Rules
from edge_lvr1.prompts import CAPTION_TURN

_NO_DATE = datetime(1970, 1, 1, tzinfo=timezone.utc)
# Part of every fingerprint: raised when what a result holds, or how it is asked, changes.
_ASKED_AS = 1


@dataclass(frozen=True, slots=True)
class Configuration:
    """What a result depends on beside its question and captions.

    `agent` names the agent and whatever of its settings changes its replies (JSON types);
    the rest are the loop's budget and rules.
    """

    agent: Mapping[str, Any]
    max_rounds: int
    max_seconds: float
    hints: bool = True
    dry_rounds: int = 3
    carry: bool = False

    def fingerprint(self, item: Item, source: TreeSource) -> str:
        """What tells a result of this configuration, item and trees from any other."""
        told = [
            _ASKED_AS,
            {**asdict(self), "agent": dict(self.agent)},
            [item.question, list(item.options), item.video],
            source.digest(item.video),
        ]
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Asker:
    """What asks questions: trees, an agent, and how it is treated."""

    source: TreeSource
    agent: Agent
    configuration: Configuration
    vectors: CaptionVectors | None = None
    clock: Callable[[], float] = time.monotonic

    def ask(self, item: Item) -> Result:
        """Put a question to the trees of its video.

        A video without a tree, or with one that cannot be read, makes a result that failed.
        """
        question = self._question(item)
        listening = _Listening(self.agent)
        placed: tuple[PlacedTree, ...] = ()
        steps: list[Step] = []
        try:
            placed = self.source.of(item.video)
            answer = self._navigate(question, placed, listening, steps.append)
        except EdgeLvr1Error as error:
            answer = Answer(Verdict.FAILED, str(error), rounds=len(steps), agent=self.agent.name)
        by_id = {one.view.recording.id: one for one in placed}
        return Result(
            item=item,
            fingerprint=self.configuration.fingerprint(item, self.source),
            question=question,
            answer=answer,
            opened=tuple(_opened(steps, by_id)),
            evidence=tuple(
                _seen(by_id[one.recording], one.node)
                for one in answer.evidence
                if one.recording in by_id
            ),
            steps=tuple(steps),
            openings=tuple(_openings(steps, listening.began)),
        )

    def _question(self, item: Item) -> Question:
        return Question(
            id=item.id,
            text=item.question,
            asked_at=_NO_DATE,
            options=item.options,
            max_rounds=self.configuration.max_rounds,
            max_seconds=self.configuration.max_seconds,
        )

    def _navigate(
        self,
        question: Question,
        placed: Sequence[PlacedTree],
        agent: Agent,
        on_step: Callable[[Step], None],
    ) -> Answer:
        if not placed:
            return Answer(Verdict.FAILED, "there are no captions of the video")
        views = [one.view for one in placed]
        with finders(placed, self.vectors) as finder:
            rules = Rules(
                finder=finder,
                hints=self.configuration.hints,
                dry_rounds=self.configuration.dry_rounds,
                carry=self.configuration.carry,
            )
            return navigate(question, views, agent, self.clock, on_step, rules=rules)


class _Listening:
    """An agent whose conversations' first turns are kept, one entry for each that spoke."""

    def __init__(self, agent: Agent) -> None:
        self.name = agent.name
        self.tools = tools_of(agent)
        self.began: list[tuple[Message, ...]] = []
        self._agent = agent

    def open(self, finder: Finder | None = None) -> AgentSession:
        """Begin a conversation."""
        return _ListeningSession(self._agent.open(finder), self.began)


class _ListeningSession:
    def __init__(self, inner: AgentSession, began: list[tuple[Message, ...]]) -> None:
        self._inner = inner
        self._began = began
        self._first = True

    def reply(
        self, messages: Sequence[Message], moves: Moves, deadline: float, cancelled: Cancel = never
    ) -> str:
        """The next reply. Raises ModelError."""
        reply = self._inner.reply(messages, moves, deadline, cancelled)
        if self._first:
            self._began.append(tuple(messages))
            self._first = False
        return reply

    def close(self) -> None:
        """End the conversation."""
        self._inner.close()


def _opened(steps: Sequence[Step], placed: Mapping[int, PlacedTree]) -> Iterator[SeenNode]:
    """The captions that came back from a call, each once; a refused call opened nothing."""
    for step in steps:
        shown = CAPTION_TURN.match(step.observation)
        if isinstance(step.action, GetCaption) and shown and not step.repeated:
            yield _seen(placed[step.recording], step.action.node)


def _seen(placed: PlacedTree, node_id: NodeId) -> SeenNode:
    node = placed.view.plan.node(node_id)
    assert node is not None, f"the loop showed {node_id}, which the tree does not have"
    return SeenNode(placed.view.recording.id, node_id, placed.in_video(node.span))


def _openings(steps: Sequence[Step], began: Sequence[tuple[Message, ...]]) -> Iterator[Opening]:
    """How the conversations began, in the order in which their recordings were asked."""
    recordings = dict.fromkeys(step.recording for step in steps)
    for recording, messages in zip(recordings, began, strict=False):
        yield Opening(recording, messages)
