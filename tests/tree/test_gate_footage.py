"""The gate on real passages in still surroundings: nothing of them is missed, at few calls."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from edge_lvr1.config import Ingest
from edge_lvr1.domain import Activity, Level, Node, NodeId, Part, TreePlan
from edge_lvr1.media.activity import activity_of
from edge_lvr1.media.measure import Sample
from edge_lvr1.media.survey import Picture, survey
from edge_lvr1.tree.gate import Decision, How, calls, decide
from edge_lvr1.tree.plan import plan_tree
from tests.long_footage import LongFootage, Recipe, make

pytestmark = pytest.mark.footage


@dataclass(frozen=True, slots=True)
class Gated:
    """What the gate made of a piece of footage."""

    footage: LongFootage
    plan: TreePlan
    activity: Activity
    decisions: dict[NodeId, Decision]

    @property
    def missed(self) -> list[Node]:
        """Leaves in which somebody is in view, and that are not looked at."""
        return [
            leaf
            for leaf in self.plan.at(Level.LOW)
            if any(leaf.span.overlap_s(span) > 0 for span in self.footage.present)
            and self.decisions[leaf.id].how is not How.LOOK
        ]

    @property
    def share(self) -> float:
        """Calls of the captioner as a share of all nodes."""
        return calls(self.plan, self.decisions).made / len(self.plan.nodes)


def gated(path: Path, recipe: Recipe) -> Gated:
    made = make(path, recipe)
    plan = plan_tree(made.duration_s)
    part = Part(str(path), 0.0, made.duration_s, path.stat().st_size, 0, "")
    seen = list(survey([part], made.duration_s / plan.width**3))
    activity = activity_of(
        [each for each in seen if isinstance(each, Sample)], made.duration_s, Ingest()
    )
    hashes = [(each.time_s, each.hash) for each in seen if isinstance(each, Picture)]
    return Gated(made, plan, activity, decide(plan, activity, hashes, Ingest()))


def switches_are_found(result: Gated, within_s: float) -> bool:
    found = [switch.time_s for switch in result.activity.switches if switch.kind == "light"]
    true = result.footage.switches_s
    return len(found) == len(true) and all(
        abs(one - other) <= within_s for one, other in zip(found, true, strict=True)
    )


def test_passages_in_minutes_of_stillness_are_all_looked_at(tmp_path: Path) -> None:
    recipe = Recipe(duration_s=420.0, active_s=42.0, together=2, gop_s=2.0, kbps=500)

    result = gated(tmp_path / "a.mp4", recipe)

    assert result.footage.present
    assert result.missed == []
    assert result.share <= 0.25  # leaves are short here, and each passage touches several
    assert switches_are_found(result, 3.0)


@pytest.mark.reliability
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("gop_s", [2.0, 20.0])
@pytest.mark.parametrize("kbps", [None, 500], ids=["quality", "bitrate"])
def test_an_hour_of_passages_in_stillness_is_gated(
    tmp_path: Path, gop_s: float, kbps: int | None
) -> None:
    result = gated(tmp_path / "a.mp4", Recipe(gop_s=gop_s, kbps=kbps))

    assert sum(span.duration_s for span in result.footage.present) > 300
    assert result.missed == []
    assert result.share <= 0.2
    assert switches_are_found(result, 3.0)


@pytest.mark.reliability
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(clip="car-detection.mp4", duration_s=1200, active_s=120, together=4),
        Recipe(clip="bottle.mp4", duration_s=1200, active_s=120, together=7, gop_s=20, kbps=400),
        Recipe(duration_s=900, active_s=90, together=3, gop_s=20, noise=8, crf=30, seed=3),
        Recipe(duration_s=900, active_s=90, together=3, noise=8, kbps=800, seed=3),
        Recipe(duration_s=600, active_s=60, together=2, noise=0, seed=5),
    ],
    ids=["cars", "hands", "noisy", "noisy-bitrate", "no-noise"],
)
def test_in_other_scenes_and_noise_nothing_is_missed(tmp_path: Path, recipe: Recipe) -> None:
    result = gated(tmp_path / "a.mp4", recipe)

    assert result.missed == []
    assert result.share <= 0.35
    assert switches_are_found(result, 3.0)


@pytest.mark.reliability
@pytest.mark.timeout(1800)
def test_noise_and_nothing_else_is_looked_at_at_the_heartbeat_alone(tmp_path: Path) -> None:
    recipe = Recipe(duration_s=1800, active_s=0.0, switches=0, noise=6, gop_s=20, kbps=600)

    result = gated(tmp_path / "a.mp4", recipe)

    assert result.activity.active == ()
    assert {d.why for d in result.decisions.values()} <= {"first", "heartbeat", "still"}
