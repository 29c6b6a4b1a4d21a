"""One question of a dataset, asked: from an item and its trees to a result."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from typing import Any

from edge_lvr1.domain import Answer, GetCaption, Level, NodeId, Question, Step, Verdict
from edge_lvr1.errors import EdgeLvr1Error
from edge_lvr1.evaluate.finding import with_index
from edge_lvr1.evaluate.items import Item
from edge_lvr1.evaluate.results import Opening, Result, SeenNode
from edge_lvr1.evaluate.trees import PlacedTree, TreeSource
from edge_lvr1.models.base import Agent
from edge_lvr1.navigator.loop import navigate
from edge_lvr1.prompts import CAPTION_TURN

_NO_DATE = datetime(1970, 1, 1, tzinfo=timezone.utc)
# Part of every fingerprint: raised when what a result holds, or how it is asked, changes.
_ASKED_AS = 1


@dataclass(frozen=True, slots=True)
class Configuration:
    """What a result depends on beside its question and captions.

    `agent` names the agent and whatever of its settings changes its replies (JSON types).
    """

    agent: Mapping[str, Any]
    max_rounds: int
    max_seconds: float

    def fingerprint(self, item: Item, source: TreeSource) -> str:
        """What tells a result of this configuration, item and trees from any other."""
        told = [
            _ASKED_AS,
            {**asdict(self), "agent": dict(self.agent)},
            [item.question, list(item.options), item.video],
            source.digest(item.video),
        ]
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


def ask(
    item: Item,
    source: TreeSource,
    agent: Agent,
    configuration: Configuration,
    clock: Callable[[], float] = time.monotonic,
) -> Result:
    """Put a question to the trees of its video.

    A video without a tree, or with one that cannot be read, makes a result that failed.
    """
    question = Question(
        id=item.id,
        text=item.question,
        asked_at=_NO_DATE,
        options=item.options,
        max_rounds=configuration.max_rounds,
        max_seconds=configuration.max_seconds,
    )
    placed: tuple[PlacedTree, ...] = ()
    steps: list[Step] = []
    try:
        placed = source.of(item.video)
        if placed:
            views = [one.view for one in placed]
            with with_index(agent, placed) as indexed:
                answer = navigate(question, views, indexed, clock, steps.append)
        else:
            answer = Answer(Verdict.FAILED, f"there are no captions of the video {item.video}")
    except EdgeLvr1Error as error:
        answer = Answer(Verdict.FAILED, str(error), rounds=len(steps), agent=agent.name)
    by_id = {one.view.recording.id: one for one in placed}
    return Result(
        id=item.id,
        video=item.video,
        fingerprint=configuration.fingerprint(item, source),
        question=question,
        answer=answer,
        opened=tuple(_opened(steps, by_id)),
        evidence=tuple(
            _seen(by_id[one.recording], one.node)
            for one in answer.evidence
            if one.recording in by_id
        ),
        steps=tuple(steps),
        openings=tuple(_openings(steps, by_id)),
    )


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


def _openings(steps: Sequence[Step], placed: Mapping[int, PlacedTree]) -> Iterator[Opening]:
    for recording in dict.fromkeys(step.recording for step in steps):
        view = placed[recording].view
        highs = tuple(view.caption(node.id) for node in view.plan.at(Level.HIGH))
        yield Opening(recording, view.plan.duration_s, highs)
