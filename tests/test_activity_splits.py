"""Splits by activity against uniform ones: rounds, and how close the evidence comes.

Short visits come in bursts within long stillness, which is what watched places are like. The
same footage is divided both ways, captioned alike, and asked the same questions.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from statistics import mean

import pytest

from edge_lvr1.config import Ingest, Tree
from edge_lvr1.daemon.views import StoredTree
from edge_lvr1.demo.scene import Actor, Scene, render
from edge_lvr1.domain import (
    Answer,
    Part,
    Question,
    Recording,
    Span,
    StartSource,
    Verdict,
)
from edge_lvr1.media.decoder import HERE
from edge_lvr1.media.frames import Footage
from edge_lvr1.models.embedded.retrieval.agent import EmbeddedAgent
from edge_lvr1.models.embedded.vision.captioner import EmbeddedCaptioner
from edge_lvr1.navigator.loop import navigate
from edge_lvr1.store.db import Archive
from edge_lvr1.store.glances import Glances
from edge_lvr1.store.trees import Trees
from edge_lvr1.tree.build import Builder

NEVER_S = 1e6
LONG_S = 1800.0
STARTS_AT = datetime(2026, 3, 14, 9, 30, tzinfo=timezone.utc)
COLOURS = {
    "red": (178, 38, 40),
    "blue": (40, 78, 190),
    "green": (36, 130, 60),
    "yellow": (220, 196, 40),
    "white": (232, 234, 236),
}


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
        recording = stored(archive, trees, visits.path)
        builder.build(recording, Footage(recording.parts))
        recording = trees.recording(recording.id)
        for colour, span in visits.present.items():
            question = Question(
                f"{split} {colour}",
                f"When does the {colour} person come?",
                STARTS_AT,
            )
            view = StoredTree(recording, builder, HERE)
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


@pytest.mark.reliability
@pytest.mark.timeout(3600)
def test_short_visits_in_long_stillness_take_no_more_rounds_and_shorter_evidence(
    tmp_path: Path,
) -> None:
    found: dict[str, list[Found]] = {"uniform": [], "activity": []}
    for seed in range(3):
        made = visits(tmp_path / f"{seed}.mp4", seed)
        folder = tmp_path / str(seed)
        folder.mkdir()
        for split, kept in found.items():
            kept += ask(made, split, folder)
        made.path.unlink()

    print(f"\n{'split':10}{'hits':>8}{'rounds':>8}{'evidence s':>12}")
    for split, answers in found.items():
        hits, rounds = sum(one.hit for one in answers), mean(one.rounds for one in answers)
        seconds = mean(one.evidence_s for one in answers)
        print(f"{split:10}{hits:5d}/{len(answers)}{rounds:8.1f}{seconds:12.1f}")
    uniform, activity = found["uniform"], found["activity"]
    assert sum(one.hit for one in activity) >= sum(one.hit for one in uniform)
    assert mean(one.rounds for one in activity) <= mean(one.rounds for one in uniform)
    assert mean(one.evidence_s for one in activity) < mean(one.evidence_s for one in uniform)
