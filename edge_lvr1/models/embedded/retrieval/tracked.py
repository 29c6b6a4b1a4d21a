"""How the embedded agent goes about captions in the embedded captioner's sentences. Pure.

The high captions mostly hold the fact already; what is opened below them is to rest the
answer on leaves, narrow enough for a person to check. `Move` is one reply: a thought and
an action.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from edge_lvr1.domain import (
    OPTION_LETTERS,
    FinalAnswer,
    GetCaption,
    Level,
    NodeId,
    Span,
    VideoQa,
)
from edge_lvr1.models.base import Moves
from edge_lvr1.models.embedded import wording
from edge_lvr1.models.embedded.retrieval.asked import Asked, Intent
from edge_lvr1.models.embedded.retrieval.details import node_for_details
from edge_lvr1.models.embedded.retrieval.dialogue import Dialogue
from edge_lvr1.models.embedded.retrieval.evidence import Scene, Subject, scene_of
from edge_lvr1.models.embedded.retrieval.finding import find
from edge_lvr1.models.embedded.retrieval.found import Aim, Finding, Value
from edge_lvr1.models.embedded.retrieval.grid import Grid
from edge_lvr1.models.embedded.retrieval.options import choose
from edge_lvr1.models.embedded.retrieval.phrases import counted, listing, noun, sought
from edge_lvr1.models.embedded.retrieval.terms import affirming_sentence
from edge_lvr1.prompts import NOT_FOUND

MOST_REPLIES = 10
"""The agent ends by itself with this reply, whatever budget the loop would still give."""

_STRAIGHT_TO_LEAVES = 3
"""From this many things to see on, leaves are opened without the medium nodes above them."""

_MOST_AIMS = 7
_KINDS_TOLD = (
    "the captioner tells only person-like figures, vehicle-like shapes and moving shapes apart"
)


@dataclass(frozen=True, slots=True)
class Move:
    """One reply of the agent."""

    thought: str
    action: GetCaption | VideoQa | FinalAnswer


def decide_tracked(dialogue: Dialogue, asked: Asked, moves: Moves) -> Move:
    """The next move, from all that stands in the conversation."""
    scene = scene_of(dialogue)
    grid = Grid(dialogue, moves.width)
    may_open = not moves.must_answer and dialogue.replies < MOST_REPLIES - 1
    if asked.unknown and not asked.events:
        return _unknown(dialogue, asked, scene, grid, may_open=may_open)
    finding = find(asked, scene, dialogue.duration_s)
    thought = [
        f"The question asks {asked.intent.value}: {_subject_of(asked)}.",
        _scores(asked, scene),
    ]
    if may_open and (node := node_for_details(dialogue, asked, scene, finding, grid)):
        thought.append(
            f"Captions so far count subjects that they do not describe, so I open {node}."
        )
        return Move(" ".join(thought), GetCaption(node))
    aims = finding.aims if finding.found else ()
    step = _next_step(dialogue, grid, aims) if may_open else None
    if step is not None:
        node, why = step
        thought += [f"So far: {finding.text}.", f"I open {node}: {why}."]
        return Move(" ".join(thought), GetCaption(node))
    thought.append("That is enough to answer." if finding.found else "Nothing speaks for it.")
    return Move(
        " ".join(thought), FinalAnswer(_answer(dialogue, asked, scene, grid, finding, moves))
    )


def _subject_of(asked: Asked) -> str:
    return "the recording" if asked.intent is Intent.LENGTH else sought(asked)


def _scores(asked: Asked, scene: Scene) -> str:
    """Each high node with how many subjects of the kinds asked for it holds."""
    letters = {kind.letter for kind in asked.kinds or tuple(wording.Kind)}
    parts = []
    for node, tallies in scene.highs():
        labels = [label for t in tallies for label in t.labels if label[0] in letters]
        told = f" ({', '.join(labels[:6])}{', ...' if len(labels) > 6 else ''})" if labels else ""
        parts.append(f"{node} scores {len(labels)}{told}")
    return f"By subjects of that kind: {'; '.join(parts)}."


def _next_step(dialogue: Dialogue, grid: Grid, aims: Sequence[Aim]) -> tuple[NodeId, str] | None:
    """The next node on the way to the leaves that show what is aimed at."""
    direct = len(aims) >= _STRAIGHT_TO_LEAVES
    for aim in _covering(aims):
        leaf = _leaf_of(aim, grid)
        if leaf is None or leaf in dialogue.tried:
            continue
        share = _share(aim, grid, leaf)
        medium = leaf.parent
        if medium and not direct and medium not in dialogue.tried:
            return medium, f"{aim.what} should be in it, in {leaf}, for {share:.0%} of that leaf"
        return leaf, f"{aim.what} should be in view for {share:.0%} of it"
    return None


def _covering(aims: Sequence[Aim]) -> list[Aim]:
    """As many aims as there are rounds for, spread over the recording."""
    if len(aims) <= _MOST_AIMS:
        return list(aims)
    step = (len(aims) - 1) / (_MOST_AIMS - 1)
    return [aims[round(index * step)] for index in range(_MOST_AIMS)]


def _leaf_of(aim: Aim, grid: Grid) -> NodeId | None:
    if aim.where == "first":
        return grid.first_leaf(aim.span)
    if aim.where == "last":
        return grid.last_leaf(aim.span)
    return grid.best_leaf(aim.span)


def _share(aim: Aim, grid: Grid, leaf: NodeId) -> float:
    span = grid.span(leaf)
    if span is None or not span.duration_s:
        return 0.0
    return 1.0 if aim.span.duration_s == 0 else span.overlap_s(aim.span) / span.duration_s


def _answer(
    dialogue: Dialogue, asked: Asked, scene: Scene, grid: Grid, finding: Finding, moves: Moves
) -> str:
    text = f"{finding.text}.{_caveats(asked, scene, finding)}"
    cites = _cited(dialogue, grid, finding.aims) if finding.found else ""
    letters = moves.letters or OPTION_LETTERS[: len(dialogue.options)]
    if letters and dialogue.options:
        usable = finding.found or finding.value != Value()
        index = (
            choose(dialogue.options, asked, finding.value, dialogue.duration_s) if usable else None
        )
        if index is None or index >= len(letters):
            return f"{NOT_FOUND}: no option agrees with what the captions tell: {text}{cites}"
        option = dialogue.options[index]
        told = "" if text.lower().startswith(option.lower()) else f"{option}: "
        return f"{letters[index]}: {'' if moves.letters else told}{text}{cites}"
    return f"{text}{cites}" if finding.found else f"{NOT_FOUND}: {text}"


def _caveats(asked: Asked, scene: Scene, finding: Finding) -> str:
    parts = []
    if asked.specifics and asked.kinds:
        plain = noun(asked.kinds, 2)
        parts.append(f'Captions tell {plain} only and cannot bear out "{asked.specifics[0]}"')
    if asked.clothes and finding.found:
        parts.append("Colours are told of a figure as a whole")
    if asked.side:
        parts.append("Captions tell a side only where somebody or something comes or goes")
    if asked.places:
        places = " ".join(asked.places)
        parts.append(f'No caption mentions "{places}", so the place is left open')
    missing = len(scene.undescribed(asked.kinds))
    if missing and asked.intent is not Intent.COUNT:
        parts.append(f"{missing} more are counted that no opened caption describes")
    return "".join(f" {part}." for part in parts)


def _cited(dialogue: Dialogue, grid: Grid, aims: Sequence[Aim]) -> str:
    """The nodes that bear an answer out: leaves that were opened, else what stands above."""
    nodes: list[NodeId] = []
    for aim in _covering(aims):
        node = _witness(dialogue, grid, aim)
        if node is not None:
            nodes.append(node)
    shown = [
        f"caption {node}" if node.level is Level.HIGH else str(node)
        for node in dict.fromkeys(nodes)
    ]
    return f" Seen in {', '.join(shown)}." if shown else ""


def _witness(dialogue: Dialogue, grid: Grid, aim: Aim) -> NodeId | None:
    """The narrowest shown caption on the way to an aim's leaf that speaks of its subject."""
    node = _leaf_of(aim, grid)
    narrowest: NodeId | None = None
    while node is not None:
        shown = dialogue.caption(node)
        if shown is not None:
            narrowest = narrowest or node
            if not aim.label or re.search(rf"\b{aim.label}\b", shown.text):
                return node
        node = node.parent
    return narrowest


def _unknown(dialogue: Dialogue, asked: Asked, scene: Scene, grid: Grid, *, may_open: bool) -> Move:
    """A question with words that no caption of this kind can bear out: look once, then say so."""
    words = ", ".join(f'"{word}"' for word in asked.unknown)
    thought = [f"No caption mentions {words}.", _scores(asked, scene)]
    affirmed = next(
        (
            (look, s)
            for look in dialogue.looks
            if (s := affirming_sentence(look.said, asked.unknown))
        ),
        None,
    )
    if affirmed:
        look, sentence = affirmed
        thought.append(f"But the look at {look.node} speaks of it.")
        return Move(" ".join(thought), FinalAnswer(f"A look says: {sentence} Seen in {look.node}."))
    step = _look_step(dialogue, asked, scene, grid) if may_open else None
    if step is not None:
        why, action = step
        return Move(" ".join([*thought, why]), action)
    thought.append("There is nothing more to look at for it.")
    return Move(" ".join(thought), FinalAnswer(_unknown_answer(asked, scene, words)))


def _unknown_answer(asked: Asked, scene: Scene, words: str) -> str:
    text = f"{NOT_FOUND}: no caption mentions {words}; {_KINDS_TOLD}"
    there = [s for s in scene.subjects if asked.kinds and s.kind in asked.kinds]
    if there:
        text += f"; {counted(asked.kinds, len(there))} can be told: {listing(there)}"
    return f"{text}."


def _look_step(
    dialogue: Dialogue, asked: Asked, scene: Scene, grid: Grid
) -> tuple[str, GetCaption | VideoQa] | None:
    """Down to the leaf where most is to be seen, and one look there."""
    subject = _most_promising(asked, scene)
    if subject is None or dialogue.looks:
        return None
    leaf = grid.best_leaf(_within(subject.seen, asked.window))
    if leaf is None:
        return None
    medium = leaf.parent
    if medium and medium not in dialogue.tried and leaf not in dialogue.tried:
        return f"{subject.label} is the likeliest to be it; I open {medium}.", GetCaption(medium)
    if leaf not in dialogue.tried:
        return f"{subject.label} is best in view in {leaf}.", GetCaption(leaf)
    if dialogue.caption(leaf) is None:
        return None
    query = " ".join(dialogue.question.split())[:200]
    return f"Words do not tell; I have {leaf} looked at.", VideoQa(leaf, query)


def _most_promising(asked: Asked, scene: Scene) -> Subject | None:
    """The longest seen subject: of the kind asked for, else one that is of no kind known."""
    of_kind = [s for s in scene.subjects if s.kind in asked.kinds]
    strange = [s for s in scene.subjects if s.kind is wording.Kind.OTHER]
    for group in (of_kind, strange, scene.subjects):
        if group:
            return max(group, key=lambda s: s.seen.duration_s)
    return None


def _within(span: Span, window: Span | None) -> Span:
    if window is None or not span.overlap_s(window):
        return span
    return Span(max(span.start_s, window.start_s), min(span.end_s, window.end_s))
