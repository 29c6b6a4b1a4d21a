"""What to open to have subjects described that a full caption only counted. Pure.

A caption counts every subject but describes only as many as its words allow. Where the
looks of the others matter, they are found further down: below the narrowest caption whose
count still holds some of them, and whose colours do not rule them out.
"""

from __future__ import annotations

from collections.abc import Sequence

from edge_lvr1.domain import Level, NodeId
from edge_lvr1.models.embedded.retrieval.asked import Asked, Intent
from edge_lvr1.models.embedded.retrieval.dialogue import Dialogue
from edge_lvr1.models.embedded.retrieval.evidence import Scene
from edge_lvr1.models.embedded.retrieval.found import Finding
from edge_lvr1.models.embedded.retrieval.grid import Grid
from edge_lvr1.models.embedded.retrieval.words import colours_in, nearness
from edge_lvr1.models.embedded.wording import Tally

_MOST = 5
"""Captions opened for descriptions only; the rounds left are for leaves and the answer."""


def node_for_details(
    dialogue: Dialogue, asked: Asked, scene: Scene, finding: Finding, grid: Grid
) -> NodeId | None:
    """The next node to open for descriptions; None where they do not matter or none is left."""
    missing = set(scene.undescribed(asked.kinds))
    if not missing or len(dialogue.tried) >= _MOST or not _matters(asked, scene, finding, missing):
        return None
    parents = [
        (node, children)
        for node, tallies in scene.tallied
        if _promises(tallies, missing, asked)
        and (children := _unopened(node, dialogue, asked, grid))
    ]
    if not parents:
        return None
    backwards = asked.ordinal is not None and asked.ordinal < 0
    deepest = max(len(node.path) for node, _ in parents)
    nearest = sorted(entry for entry in parents if len(entry[0].path) == deepest)
    return nearest[-1][1][-1] if backwards else nearest[0][1][0]


def _matters(asked: Asked, scene: Scene, finding: Finding, missing: set[str]) -> bool:
    """Whether what is not described could change the answer."""
    if asked.intent is Intent.EXISTS and finding.found and asked.ordinal is None:
        return False
    if asked.ordinal is not None and asked.ordinal > 0 and finding.found and finding.aims:
        at_s = finding.aims[0].span.start_s
        early = [t.seen for _, ts in scene.highs() for t in ts if missing & set(t.labels)]
        return asked.ordinal > 1 and any(seen.end_s < at_s for seen in early)
    looks = (asked.colour, asked.heading, asked.enters, asked.leaves, asked.side, asked.window)
    if asked.ordinal is not None or any(look is not None for look in looks):
        return True
    return asked.intent not in (Intent.EXISTS, Intent.COUNT) and not finding.found


def _promises(tallies: Sequence[Tally], missing: set[str], asked: Asked) -> bool:
    """Whether missing ones were counted here, in the colour asked for where colours are told."""
    for tally in tallies:
        if not missing & set(tally.labels):
            continue
        told = [colour for name, _ in tally.colours for colour in colours_in(name)]
        if asked.colour is None or not told:
            return True
        if any(nearness(asked.colour, colour) for colour in told):
            return True
    return False


def _unopened(node: NodeId, dialogue: Dialogue, asked: Asked, grid: Grid) -> list[NodeId]:
    if node.level is Level.LOW:
        return []
    return [
        child
        for child, span in grid.children(node)
        if child not in dialogue.tried
        and (asked.window is None or span.overlap_s(asked.window) > 0)
    ]
