"""A captioner that writes what its inputs determine, and stops where it is told to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timezone

from edge_lvr1.config import Ingest, Tree
from edge_lvr1.domain import Activity, Caption, Node, NodeId, Part, Recording, Span, StartSource
from edge_lvr1.media.frames import Footage, Wanted
from edge_lvr1.models.base import Clip, Notes, Written
from edge_lvr1.store.glances import Glances
from edge_lvr1.store.trees import Trees
from edge_lvr1.tree.build import Builder
from edge_lvr1.tree.plan import plan_tree

NOTES = 3


class BrokenError(Exception):
    """What the scripted captioner raises."""


class ScriptedCaptioner:
    """Breaks after `breaks_after` calls; `asked` lists the nodes that it was asked for."""

    name = "scripted"

    def __init__(
        self, version: str = "1", *, breaks_after: int | None = None, folds: bool = True
    ) -> None:
        self.version = version
        self.folds = folds
        self.breaks_after = breaks_after
        self.asked: list[NodeId] = []
        self.folded: list[NodeId] = []
        self.watched: list[int] = []
        self.on_caption: Callable[[], None] = lambda: None

    def wants(self, node: Node, active: Sequence[Span] | None = None) -> Wanted | None:
        """None: it decodes nothing."""
        return None

    def watch(
        self, footage: Footage, notes: Notes | None, active: Sequence[Span] | None = None
    ) -> Iterator[Notes]:
        """Three notes, from where the given ones end."""
        for number in range(notes["seen"] + 1 if notes else 1, NOTES + 1):
            self._call()
            self.watched.append(number)
            yield {"seen": number, "by": self.version}

    def caption(self, clip: Clip) -> Written:
        """The span and the notes, in words."""
        self._call()
        self.asked.append(clip.node.id)
        self.on_caption()
        span = clip.node.span
        text = f"Looked from {span.start_s} to {span.end_s} knowing {clip.notes}."
        return Written(text, {"leaves": 1}, frames=16, tokens=5, prompt="look")

    def fold(self, node: Node, children: Sequence[Caption]) -> Written | None:
        """How many leaves the children count."""
        if not self.folds:
            return None
        self._call()
        self.asked.append(node.id)
        self.folded.append(node.id)
        leaves = sum((child.details or {})["leaves"] for child in children)
        return Written(f"{len(children)} children, {leaves} leaves.", {"leaves": leaves})

    def video_qa(self, clip: Clip, query: str) -> str:
        """Not asked for by a build."""
        raise BrokenError

    def _call(self) -> None:
        if self.breaks_after is not None:
            if self.breaks_after == 0:
                raise BrokenError
            self.breaks_after -= 1


def add(trees: Trees, duration_s: float = 20.0, sha256: str = "aa") -> Recording:
    """A recording of a file that is never opened; 20 s make a tree of width 2, 14 nodes.

    It was looked over already, and found active from end to end.
    """
    recording = trees.add_recording(
        "gate",
        datetime(2026, 3, 1, 12, 0, tzinfo=timezone.utc),
        StartSource.MTIME,
        [Part("/drop/gate.mp4", 0.0, duration_s, 10, 20, sha256)],
        plan_tree(duration_s),
        "scripted",
    )
    active = Activity((0.0,), (2.0,), (Span(0.0, duration_s),))
    Glances(trees.archive).put(recording.id, active, (), (), 0)
    return recording


def builder(
    trees: Trees,
    captioner: ScriptedCaptioner,
    tree: Tree,
    clock: Callable[[], float] = lambda: 5.0,
    ingest: Ingest | None = None,
) -> Builder:
    """A builder of these trees."""
    return Builder(trees, Glances(trees.archive), captioner, tree, ingest or Ingest(), clock)
