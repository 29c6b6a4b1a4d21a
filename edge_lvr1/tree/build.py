"""Captioning a recording's tree: a commit for each node, to be resumed after any kill.

It knows neither what a captioner is made of nor who is waiting: between two nodes it calls
`between`, where a daemon answers questions first, or raises to stop.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import groupby

from edge_lvr1.config import Ingest, Tree
from edge_lvr1.domain import Caption, CaptionCost, Level, Node, NodeId, Recording, Span, TreePlan
from edge_lvr1.errors import ModelError, NotFoundError
from edge_lvr1.media.clock_reading import ReadText, read_clock
from edge_lvr1.media.frames import Footage, Wanted
from edge_lvr1.media.text_tracks import Sidecars
from edge_lvr1.media.words import with_words, without_words
from edge_lvr1.models.base import Captioner, Clip, Notes, Written
from edge_lvr1.store.glances import Glances
from edge_lvr1.store.trees import Trees
from edge_lvr1.tree.gate import Decision, decide, inherited, order, telling
from edge_lvr1.tree.glance import glance
from edge_lvr1.tree.plan import plan_tree

logger = logging.getLogger(__name__)

WATCH, CAPTION = "watch", "caption"
"""The stages of a build. Notes come in no known number, so `watch` has a total of 0."""

Between = Callable[[], None]
OnProgress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Builder:
    """What captioning needs. `clock` runs like time.monotonic.

    `read_text` reads text off pictures, for clocks that are burnt in; None: they are not read.

    With `tree.parents` "fold", leaves come first, then their parents from them; with "frames"
    the widest first, each by looking.
    """

    trees: Trees
    glances: Glances
    captioner: Captioner
    tree: Tree
    ingest: Ingest
    clock: Callable[[], float] = time.monotonic
    read_text: ReadText | None = None
    sidecars: Sidecars = field(default_factory=Sidecars)

    def build(
        self,
        recording: Recording,
        footage: Footage,
        between: Between = lambda: None,
        on_progress: OnProgress = lambda stage, done, total: None,
    ) -> None:
        """Caption all nodes of a recording that have no caption yet.

        `on_progress(stage, done, total)` is told after each commit. Raises what the captioner
        and `between` raise, and NotFoundError where the recording's parts changed meanwhile;
        what was committed stays, and the next call goes on from there.
        """
        revision = self.trees.revision(recording.id)
        self._check_clock(recording, footage, revision)
        activity = glance(
            recording,
            footage,
            self.glances,
            self.ingest,
            self.sidecars,
            revision,
            between,
            on_progress,
        )
        if not self.trees.planned(recording.id):
            active = activity.active if self.tree.split == "activity" else None
            plan = plan_tree(recording.duration_s, active=active)
            if not self.trees.put_plan(recording.id, plan, revision):
                raise NotFoundError(f"recording {recording.id} was put together anew")
        watched = activity.active if self.ingest.gate == "on" else None
        plan = self.trees.plan(recording.id)
        written = {caption.node: caption for caption in self.trees.captions(recording.id)}
        if len(written) == len(plan.nodes):
            return
        notes = self._watch(recording, footage, watched, revision, between, on_progress)
        work = _Work(self, recording, footage, plan, self._decisions(recording, plan), notes)
        work.written.update(written)
        work.caption_all(between, on_progress)
        logger.info("recording %d: %d captions are complete", recording.id, len(plan.nodes))

    def caption(self, recording: Recording, node_id: NodeId, footage: Footage) -> Caption:
        """A node's caption, written now where it has none: for an agent ahead of the build.

        May run while `build` does; whichever commits first, all have that caption. Raises
        NotFoundError for a node that is not in the tree, ModelError before the recording was
        watched, and what the captioner raises.
        """
        found = self.trees.caption(recording.id, node_id)
        if found is not None:
            return found
        plan = self.trees.plan(recording.id)
        node = plan.node(node_id)
        if node is None:
            raise NotFoundError(f"recording {recording.id} has no node {node_id}")
        if self.trees.watched_by(recording.id) != self.writer:
            raise ModelError(f"recording {recording.id} is still being watched; ask again later")
        notes = self.trees.notes(recording.id, self.writer)
        work = _Work(self, recording, footage, plan, self._decisions(recording, plan), notes)
        written = self.trees.captions(recording.id)
        work.written.update((caption.node, caption) for caption in written)
        return work.write(node, footage)

    @property
    def writer(self) -> str:
        """The captioner by name and version."""
        return f"{self.captioner.name} {self.captioner.version}"

    def _check_clock(self, recording: Recording, footage: Footage, revision: int) -> None:
        """Hold the clock in the picture against the file's time, once."""
        if self.read_text is None or self.glances.activity(recording.id) is not None:
            return
        reading = read_clock(footage, recording.starts_at, self.read_text)
        if reading is not None and reading.sentence:
            logger.warning("recording %d: %s", recording.id, reading.sentence)
            self.trees.add_remark(recording.id, reading.sentence, revision)

    def _decisions(self, recording: Recording, plan: TreePlan) -> Mapping[NodeId, Decision]:
        activity = self.glances.activity(recording.id)
        if activity is None or self.ingest.gate == "off":
            return {}
        return decide(plan, activity, self.glances.hashes(recording.id), self.ingest)

    def _watch(
        self,
        recording: Recording,
        footage: Footage,
        active: Sequence[Span] | None,
        revision: int,
        between: Between,
        on_progress: OnProgress,
    ) -> Notes | None:
        notes = self.trees.notes(recording.id, self.writer)
        if self.trees.watched_by(recording.id) == self.writer:
            return notes
        between()
        for count, latest in enumerate(self.captioner.watch(footage, notes, active), 1):
            notes = latest
            self.trees.put_notes(recording.id, notes, self.writer, revision)
            on_progress(WATCH, count, 0)
            between()
        self.trees.put_watched(recording.id, self.writer, revision)
        return notes


class _Work:
    """One recording's tree while its captions are written."""

    def __init__(
        self,
        builder: Builder,
        recording: Recording,
        footage: Footage,
        plan: TreePlan,
        decisions: Mapping[NodeId, Decision],
        notes: Notes | None,
    ) -> None:
        self.builder = builder
        self.recording = recording
        self.footage = footage
        self.plan = plan
        self.decisions = decisions
        self.notes = notes
        self.written: dict[NodeId, Caption] = {}
        activity = builder.glances.activity(recording.id) if decisions else None
        self.active = activity.active if activity else None
        self.cues = builder.glances.cues(recording.id) if builder.ingest.subtitles else ()

    def caption_all(self, between: Between, on_progress: OnProgress) -> None:
        """Write what is missing, in order; frames of nodes alike come from one plan."""
        nodes = order(self.plan, self.decisions, self.builder.tree.parents)
        todo = [(node, self._wanted(node)) for node in nodes if node.id not in self.written]
        on_progress(CAPTION, len(self.written), len(self.plan.nodes))

        def take(node: Node, footage: Footage) -> None:
            between()
            self.write(node, footage)
            on_progress(CAPTION, len(self.written), len(self.plan.nodes))

        for (_, gathered), group in groupby(todo, lambda one: (one[0].level, one[1] is not None)):
            if not gathered:
                for node, _ in group:
                    take(node, self.footage)
                continue
            several = [(node, wanted) for node, wanted in group if wanted is not None]
            with closing(self.footage.gather([wanted for _, wanted in several])) as found:
                for index, frames in found:
                    node, wanted = several[index]
                    take(node, self.footage.holding(wanted, frames))

    def write(self, node: Node, footage: Footage) -> Caption:
        """A node's caption, committed; that of whoever was faster, where one was."""
        trees = self.builder.trees
        caption = trees.caption(self.recording.id, node.id)
        if caption is None:
            caption = self._written(node, footage)
            if not trees.put_caption(self.recording.id, caption):
                caption = trees.caption(self.recording.id, node.id) or caption
        self.written[node.id] = caption
        return caption

    def _wanted(self, node: Node) -> Wanted | None:
        if self._source(node) is not None:
            return None
        return self.builder.captioner.wants(node, self.active)

    def _source(self, node: Node) -> NodeId | None:
        decision = self.decisions.get(node.id)
        return decision.source if decision else None

    def _written(self, node: Node, footage: Footage) -> Caption:
        captioner, clock = self.builder.captioner, self.builder.clock
        started_s = clock()
        source = self._source(node)
        if source is None:
            written = self._fold(node) or captioner.caption(
                Clip(footage, node, self.notes, self.active)
            )
        else:
            of = self.plan.node(source)
            assert of is not None, f"{node.id} inherits from {source}, which is not in the tree"
            kept = self.written.get(source) or self.write(of, self.footage)
            # The words found in the other span are not of this one.
            kept = replace(kept, text=without_words(kept.text))
            written = inherited(node, self.decisions[node.id], kept)
        return Caption(
            node=node.id,
            span=node.span,
            text=with_words(written.text, self.cues, node.span, self._words(node.level)),
            written_by=captioner.name,
            version=captioner.version,
            prompt=written.prompt,
            cost=CaptionCost(clock() - started_s, written.frames, written.tokens),
            details=written.details,
            inherits=source,
        )

    def _words(self, level: Level) -> int:
        tree = self.builder.tree
        return {
            Level.LOW: tree.words_low,
            Level.MEDIUM: tree.words_medium,
            Level.HIGH: tree.words_high,
        }[level]

    def _fold(self, node: Node) -> Written | None:
        if self.builder.tree.parents != "fold" or node.level is Level.LOW:
            return None
        children = [
            self.written[child.id]
            for child in self.plan.children(node.id)
            if child.id in self.written
        ]
        if len(children) < self.plan.width:
            return None
        captioner = self.builder.captioner
        told = telling(children, self.decisions)
        # Details mean something only to the captioner (and version) that wrote them.
        if any(
            (child.written_by, child.version) != (captioner.name, captioner.version)
            for child in told
        ):
            return None
        return captioner.fold(node, told)
