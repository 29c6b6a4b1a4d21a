"""What an answer rests on, and what was searched for it. Pure functions of walks.

Evidence is the nodes that the answer names; else those that the last thought names; else
the leaves that were opened, or the medium nodes where no leaf was. Only nodes whose
captions the agent has seen count, so a made-up id never becomes evidence.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence

from edge_lvr1.domain import LEVELS, Evidence, Level, NodeId, Recording
from edge_lvr1.navigator.view import TreeView
from edge_lvr1.navigator.walk import Walk

_CITED = re.compile(r"\(\s*([0-9]{1,6})\s*,\s*([0-9]{1,6})\s*(?:,\s*([0-9]{1,6})\s*)?\)")
# A lone number in brackets is more often a count: it is a node only where a word says so.
_CITED_HIGH = re.compile(r"\b(?:node|caption)s?\s*\(\s*([0-9]{1,6})\s*\)", re.I)


def cited(text: str, seen: Collection[NodeId]) -> list[NodeId]:
    """The seen nodes that a text names, in order, each once."""
    found = [
        (match.start(), tuple(int(g) for g in match.groups() if g is not None))
        for pattern in (_CITED, _CITED_HIGH)
        for match in pattern.finditer(text)
    ]
    nodes = (NodeId(path) for _, path in sorted(found) if min(path) >= 1)
    return [node for node in dict.fromkeys(nodes) if node in seen]


def evidence_of(walk: Walk, answer: str, *, only_cited: bool = False) -> tuple[Evidence, ...]:
    """The evidence of a walk's answer; `only_cited` leaves out nodes merely opened."""
    nodes = cited(answer, walk.seen) if only_cited else cited_or_opened(walk, answer)
    return tuple(_evidence(walk, node) for node in nodes)


def cited_or_opened(walk: Walk, answer: str) -> list[NodeId]:
    """The nodes that an answer rests on: those it names, its last thought names, or opened."""
    return cited(answer, walk.seen) or cited(walk.thought, walk.seen) or _opened(walk)


def _opened(walk: Walk) -> list[NodeId]:
    leaves = [node for node in walk.opened if node.level is Level.LOW]
    return leaves or list(walk.opened)


def _evidence(walk: Walk, node: NodeId) -> Evidence:
    caption, recording = walk.seen[node], walk.view.recording
    return Evidence(
        recording=recording.id,
        camera=recording.camera,
        node=node,
        span=caption.span,
        starts_at=recording.wall_clock(caption.span.start_s),
        ends_at=recording.wall_clock(caption.span.end_s),
        caption=caption.text,
    )


def searched(
    walks: Iterable[Walk], left: Iterable[TreeView], unasked: Iterable[TreeView] = ()
) -> tuple[str, ...]:
    """One line a recording: what was read of it, and what was not.

    `left` were to be asked when the budget was spent; of `unasked` the captions alone were
    searched.
    """
    lines = [_searched(walk) for walk in walks]
    for views, what in ((left, NOT_SEARCHED), (unasked, BY_CAPTIONS)):
        lines += named_recordings([view.recording for view in views], what)
    return tuple(lines)


NOT_SEARCHED = "not searched, the budget was spent"
BY_CAPTIONS = "searched by its captions only"
_MOST_NAMED = 5


def named_recordings(recordings: Sequence[Recording], what: str) -> list[str]:
    """A line for each of a few recordings, and one for all the others."""
    lines = [f"{one.camera}, recording {one.id}: {what}" for one in recordings[:_MOST_NAMED]]
    if more := len(recordings) - len(lines):
        noun = "recording" if more == 1 else "recordings"
        lines.append(f"{more} more {noun}: {what.replace('its', 'their') if more > 1 else what}")
    return lines


def _searched(walk: Walk) -> str:
    read = {level: sum(node.level is level for node in walk.seen) for level in LEVELS}
    leaves = sum(1 for _ in walk.view.plan.at(Level.LOW))
    looks = f", {len(walk.looks)} looked at again" if walk.looks else ""
    unopened = leaves - read[Level.LOW]
    verb = "leaf was" if unopened == 1 else "leaves were"
    return (
        f"{_name(walk.view)}: {read[Level.HIGH]} high, {read[Level.MEDIUM]} medium and "
        f"{read[Level.LOW]} low captions of {len(walk.view.plan.nodes)} "
        f"(0.0-{walk.view.plan.duration_s:.1f} s){looks}; {unopened} {verb} not opened"
    )


def _name(view: TreeView) -> str:
    return f"{view.recording.camera}, recording {view.recording.id}"
