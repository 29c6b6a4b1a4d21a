"""Recordings and captions to fill an archive with."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from edge_lvr1.domain import Caption, CaptionCost, Node, Part, Question, Recording, StartSource
from edge_lvr1.store.trees import Trees
from edge_lvr1.tree.plan import plan_tree

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=timezone(timedelta(hours=2)))


class Clock:
    """Epoch seconds that stand still until told."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def part(sha256: str = "aa", path: str = "/drop/gate.mp4", duration_s: float = 20.0) -> Part:
    return Part(path, 0.0, duration_s, 1234, 5678, sha256)


def add(
    trees: Trees,
    sha256: str = "aa",
    camera: str = "gate",
    starts_at: datetime = NOON,
    duration_s: float = 20.0,
) -> Recording:
    """A recording of one part; 20 s make a tree of width 2, with 14 nodes."""
    return trees.add_recording(
        camera,
        starts_at,
        StartSource.MTIME,
        [part(sha256, f"/drop/{sha256}.mp4", duration_s)],
        plan_tree(duration_s),
        "scripted",
    )


def caption(node: Node, text: str = "A person walks.") -> Caption:
    cost = CaptionCost(0.5, 3, 7)
    return Caption(node.id, node.span, text, "scripted", "1", "look", cost, {"count": 1})


def question(number: int = 1, text: str = "Is there a red car?") -> Question:
    return Question(f"q{number}", text, NOON)
