"""Captioning a recording's tree: a commit for each node, to be resumed after any kill.

It knows neither what a captioner is made of nor who is waiting: between two nodes it calls
`between`, where a daemon answers questions first, or raises to stop.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

from edge_lvr1.config import Tree
from edge_lvr1.domain import LEVELS, Caption, CaptionCost, Level, Node, NodeId, Recording, TreePlan
from edge_lvr1.errors import ModelError, NotFoundError
from edge_lvr1.media.frames import Footage
from edge_lvr1.models.base import Captioner, Clip, Notes, Written
from edge_lvr1.store.trees import Trees

logger = logging.getLogger(__name__)

WATCH, CAPTION = "watch", "caption"
"""The stages of a build. Notes come in no known number, so `watch` has a total of 0."""


def build_tree(
    recording: Recording,
    trees: Trees,
    captioner: Captioner,
    footage: Footage,
    settings: Tree,
    between: Callable[[], None] = lambda: None,
    on_progress: Callable[[str, int, int], None] = lambda stage, done, total: None,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Caption all nodes of a recording that have no caption yet.

    With `settings.parents` "fold", leaves first, then their parents from them; with
    "frames", the widest first, each by looking. `on_progress(stage, done, total)` is told
    after each commit. Raises what the captioner and `between` raise; what was committed
    stays, and the next call goes on from there.
    """
    plan = trees.plan(recording.id)
    written = {caption.node: caption for caption in trees.captions(recording.id)}
    if len(written) == len(plan.nodes):
        return
    notes = _watch(recording, trees, captioner, footage, between, on_progress)
    on_progress(CAPTION, len(written), len(plan.nodes))
    for node in order(plan, settings):
        if node.id in written:
            continue
        between()
        children = [written[child.id] for child in plan.children(node.id) if child.id in written]
        clip = Clip(footage, node, notes)
        caption = _write(clip, plan, children, captioner, settings, clock)
        written[node.id] = _commit(recording, trees, caption)
        on_progress(CAPTION, len(written), len(plan.nodes))
    logger.info("recording %d: %d captions are complete", recording.id, len(plan.nodes))


def caption_node(
    recording: Recording,
    node_id: NodeId,
    trees: Trees,
    captioner: Captioner,
    footage: Footage,
    settings: Tree,
    clock: Callable[[], float] = time.monotonic,
) -> Caption:
    """A node's caption, written now where it has none: for an agent that is ahead of the build.

    May run while `build_tree` does; whichever commits first, all have that caption. Raises
    NotFoundError for a node that is not in the tree, ModelError before the recording was
    watched, and what the captioner raises.
    """
    found = trees.caption(recording.id, node_id)
    if found is not None:
        return found
    plan = trees.plan(recording.id)
    node = plan.node(node_id)
    if node is None:
        raise NotFoundError(f"recording {recording.id} has no node {node_id}")
    if trees.watched_by(recording.id) != _writer(captioner):
        raise ModelError(f"recording {recording.id} is still being watched; ask again later")
    children = [
        caption for caption in trees.captions(recording.id) if caption.node.parent == node_id
    ]
    clip = Clip(footage, node, trees.notes(recording.id, _writer(captioner)))
    return _commit(recording, trees, _write(clip, plan, children, captioner, settings, clock))


def order(plan: TreePlan, settings: Tree) -> list[Node]:
    """The nodes in the order they are captioned."""
    levels: Sequence[Level] = LEVELS if settings.parents == "frames" else LEVELS[::-1]
    return [node for level in levels for node in plan.at(level)]


def _watch(
    recording: Recording,
    trees: Trees,
    captioner: Captioner,
    footage: Footage,
    between: Callable[[], None],
    on_progress: Callable[[str, int, int], None],
) -> Notes | None:
    writer = _writer(captioner)
    notes = trees.notes(recording.id, writer)
    if trees.watched_by(recording.id) == writer:
        return notes
    between()
    for count, latest in enumerate(captioner.watch(footage, notes), 1):
        notes = latest
        trees.put_notes(recording.id, notes, writer)
        on_progress(WATCH, count, 0)
        between()
    trees.put_watched(recording.id, writer)
    return notes


def _write(
    clip: Clip,
    plan: TreePlan,
    children: Sequence[Caption],
    captioner: Captioner,
    settings: Tree,
    clock: Callable[[], float],
) -> Caption:
    started_s = clock()
    written = _fold(clip.node, plan, children, captioner, settings) or captioner.caption(clip)
    return Caption(
        node=clip.node.id,
        span=clip.node.span,
        text=written.text,
        written_by=captioner.name,
        version=captioner.version,
        prompt=written.prompt,
        cost=CaptionCost(clock() - started_s, written.frames, written.tokens),
        details=written.details,
    )


def _fold(
    node: Node,
    plan: TreePlan,
    children: Sequence[Caption],
    captioner: Captioner,
    settings: Tree,
) -> Written | None:
    if settings.parents != "fold" or node.level is Level.LOW or len(children) < plan.width:
        return None
    # Details mean something only to the captioner (and version) that wrote them.
    if any((c.written_by, c.version) != (captioner.name, captioner.version) for c in children):
        return None
    return captioner.fold(node, children)


def _commit(recording: Recording, trees: Trees, caption: Caption) -> Caption:
    if trees.put_caption(recording.id, caption):
        return caption
    return trees.caption(recording.id, caption.node) or caption


def _writer(captioner: Captioner) -> str:
    return f"{captioner.name} {captioner.version}"
