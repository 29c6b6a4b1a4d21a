"""Splits by activity against uniform ones: rounds, and how close the evidence comes.

Short visits come in a burst within long stillness, which is what watched places are like. The
same recording is divided both ways, captioned alike, and asked the same questions: once with
captions that know what a model's frames show and nothing else, where frames are spread evenly
as LongVideo-R1 spreads them; and once on drawn footage with the embedded captioner.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from statistics import mean

import pytest

from edge_lvr1.config import Ingest, Tree
from edge_lvr1.daemon.questions.views import StoredTree
from edge_lvr1.demo.scene import Actor, Scene, render
from edge_lvr1.domain import (
    Answer,
    Level,
    NodeId,
    Part,
    Question,
    Recording,
    Span,
    StartSource,
    TreePlan,
    Verdict,
)
from edge_lvr1.media.decoder import HERE
from edge_lvr1.media.frames import Footage
from edge_lvr1.models.base import AgentSession, Cancel, Finder, Message, Moves, never
from edge_lvr1.models.embedded.retrieval.agent import EmbeddedAgent
from edge_lvr1.models.embedded.retrieval.dialogue import read_dialogue
from edge_lvr1.models.embedded.vision.captioner import EmbeddedCaptioner
from edge_lvr1.models.looking import LOOKS, moments
from edge_lvr1.navigator.loop import navigate
from edge_lvr1.store.db import Archive
from edge_lvr1.store.glances import Glances
from edge_lvr1.store.trees import Trees
from edge_lvr1.tree.build import Builder
from edge_lvr1.tree.plan import plan_tree
from tests.navigator.written_trees import WrittenTree, recording

NEVER_S = 1e6
LONG_S = 1800.0
TWO_HOURS_S = 7200.0
STARTS_AT = datetime(2026, 3, 14, 9, 30, tzinfo=timezone.utc)
COLOURS = {
    "red": (178, 38, 40),
    "blue": (40, 78, 190),
    "green": (36, 130, 60),
    "yellow": (220, 196, 40),
    "white": (232, 234, 236),
}


THINGS = ("ladder", "basket", "suitcase", "umbrella", "bicycle", "trumpet")


@dataclass(frozen=True)
class Visits:
    """A file, and when a figure of each colour is in view. Each colour comes once."""

    path: Path
    present: dict[str, Span]


def visits(path: Path, seed: int) -> Visits:
    """Half an hour in which five figures come within two minutes, each for some seconds."""
    dice = random.Random(seed)
    at_s = dice.uniform(300.0, LONG_S - 300.0)
    present: dict[str, Span] = {}
    actors = []
    for colour in dice.sample(sorted(COLOURS), len(COLOURS)):
        span = Span(at_s, at_s + dice.uniform(8.0, 12.0))
        still = Span(span.start_s + 3.0, span.start_s + 4.5)
        sides = dice.sample(("left", "right"), 2)
        stands_at = dice.uniform(0.35, 0.65)
        actors.append(Actor("person", colour, COLOURS[colour], span, still, *sides, stands_at))
        present[colour] = span
        at_s = span.end_s + dice.uniform(6.0, 14.0)
    render(path, Scene(LONG_S, tuple(actors), NEVER_S, NEVER_S))
    return Visits(path, present)


@dataclass(frozen=True)
class Found:
    """How one question went: rounds, whether evidence shows the visit, and how much it spans."""

    rounds: int
    hit: bool
    evidence_s: float


def ask(visits: Visits, split: str, folder: Path) -> list[Found]:
    """Build the tree and ask when each figure comes."""
    found = []
    with Archive(folder / f"{split}.db").open() as archive:
        trees = Trees(archive)
        tree = Tree.model_validate({"split": split, "parents": "fold"})
        builder = Builder(trees, Glances(archive), EmbeddedCaptioner(), tree, Ingest())
        made = stored(archive, trees, visits.path)
        builder.build(made, Footage(made.parts))
        made = trees.recording(made.id)
        for colour, span in visits.present.items():
            question = Question(
                f"{split} {colour}",
                f"When does the {colour} person come?",
                STARTS_AT,
            )
            view = StoredTree(made, builder, HERE)
            answer = navigate(question, [view], EmbeddedAgent(), time.monotonic, lambda step: None)
            found.append(judged(answer, span))
    return found


def stored(archive: Archive, trees: Trees, path: Path) -> Recording:
    """The file as a recording that has no tree yet."""
    now = path.stat()
    part = Part(str(path), 0.0, LONG_S, now.st_size, now.st_mtime_ns, path.name)
    return trees.add_recording("yard", STARTS_AT, StartSource.FILE_NAME, [part], None, "embedded")


def judged(answer: Answer, span: Span) -> Found:
    hits = [one for one in answer.evidence if one.span.overlap_s(span) > 0]
    return Found(
        answer.rounds,
        answer.verdict is Verdict.ANSWERED and bool(hits),
        min((one.span.duration_s for one in hits), default=LONG_S),
    )


def sampled(plan: TreePlan, present: dict[str, Span]) -> WrittenTree:
    """A tree whose captions tell of a visit where one of the node's frames shows it."""
    texts = {}
    for node in plan.nodes:
        times_s = moments(node.span, LOOKS[node.level].frames)
        seen = [who for who, span in present.items() if any(map(span.contains, times_s))]
        told = [f"Somebody carries a {what} through the yard." for what in seen]
        texts[node.id] = " ".join(told) or "The yard is empty and nothing moves."
    own = recording(1, plan.duration_s, plan.width)
    return WrittenTree(own, plan, texts)


def burst(seed: int, visits: int) -> dict[str, Span]:
    """Visits of a few seconds, each with another thing, one soon after the other in two hours."""
    dice = random.Random(seed)
    things = [f"{colour} {thing}" for colour in sorted(COLOURS) for thing in THINGS][:visits]
    at_s = dice.uniform(600.0, TWO_HOURS_S - 1200.0)
    present = {}
    for thing in dice.sample(things, len(things)):
        present[thing] = Span(at_s, at_s + dice.uniform(3.0, 5.0))
        at_s = present[thing].end_s + dice.uniform(8.0, 16.0)
    return present


class Reader:
    """An agent that goes down where a caption names the thing, else where anything happens.

    It reads as LongVideo-R1's does: from wide to narrow, nothing but captions that it opened.
    """

    name = "reader"

    def __init__(self, thing: str, plan: TreePlan) -> None:
        self.thing = thing
        self.plan = plan

    def open(self, finder: Finder | None = None) -> AgentSession:
        return self

    def reply(
        self, messages: Sequence[Message], moves: Moves, deadline: float, cancelled: Cancel = never
    ) -> str:
        dialogue = read_dialogue(messages)
        named = [one.node for one in dialogue.shown if self.thing in one.text]
        leaves = [node for node in named if node.level is Level.LOW]
        if leaves:
            return f"<think>There it is.</think><answer>In {leaves[0]}.</answer>"
        lively = [one.node for one in dialogue.shown if "Somebody" in one.text]
        # Down where it is named; else broad before deep, where anything happens before all.
        named.sort(key=lambda node: -len(node.path))
        others = [one.node for one in dialogue.shown]
        for nodes in (named, sorted(lively, key=_depth), sorted(others, key=_depth)):
            for node in nodes:
                for child in self.plan.children(node):
                    if child.id not in dialogue.tried and not moves.must_answer:
                        return f"<think>On.</think><tool>get_caption({child.id})</tool>"
        return "<think>No.</think><answer>not found</answer>"

    def close(self) -> None:
        pass


def _depth(node: NodeId) -> int:
    return len(node.path)


def asked_of_sampled(present: dict[str, Span], active: list[Span] | None) -> list[Found]:
    view = sampled(plan_tree(TWO_HOURS_S, active=active), present)
    found = []
    for thing, span in present.items():
        asked = f"When does somebody carry the {thing} through the yard?"
        question = Question(thing, asked, STARTS_AT, max_rounds=60)
        agent = Reader(thing, view.plan)
        answer = navigate(question, [view], agent, time.monotonic, lambda step: None)
        found.append(judged(answer, span))
    return found


@pytest.mark.parametrize(("visits", "seeds"), [(1, 60), (6, 20), (30, 4)])
def test_short_visits_that_frames_miss_are_found_in_fewer_rounds(visits: int, seeds: int) -> None:
    uniform, activity = [], []
    for seed in range(seeds):
        present = burst(seed, visits)
        active = [Span(span.start_s - 2.0, span.end_s + 2.0) for span in present.values()]
        uniform += asked_of_sampled(present, None)
        activity += asked_of_sampled(present, active)

    show({"uniform": uniform, "activity": activity})
    assert sum(one.hit for one in activity) >= sum(one.hit for one in uniform)
    assert mean(one.rounds for one in activity) < mean(one.rounds for one in uniform)


def show(found: dict[str, list[Found]]) -> None:
    print(f"\n{'split':10}{'hits':>8}{'rounds':>8}{'evidence s':>12}")
    for split, answers in found.items():
        hits, rounds = sum(one.hit for one in answers), mean(one.rounds for one in answers)
        seconds = mean([one.evidence_s for one in answers if one.hit] or [math.nan])
        print(f"{split:10}{hits:4d}/{len(answers)}{rounds:8.1f}{seconds:12.1f}")


@pytest.mark.reliability
@pytest.mark.timeout(3600)
def test_evidence_of_short_visits_in_drawn_footage_is_shorter(tmp_path: Path) -> None:
    found: dict[str, list[Found]] = {"uniform": [], "activity": []}
    for seed in range(3):
        made = visits(tmp_path / f"{seed}.mp4", seed)
        folder = tmp_path / str(seed)
        folder.mkdir()
        for split, kept in found.items():
            kept += ask(made, split, folder)
        made.path.unlink()

    show(found)
    uniform, activity = found["uniform"], found["activity"]
    assert sum(one.hit for one in activity) >= sum(one.hit for one in uniform)
    assert mean(one.evidence_s for one in activity) < mean(one.evidence_s for one in uniform)
