"""How the embedded agent goes about captions in free words, as language models write them.

Retrieval, top down: every caption shown is scored by the question's terms, the best one
leads to its children, until a leaf speaks of what was asked. Lettered options are weighed
against what was read. It understands no sentence; it says which words it went by. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from edge_lvr1.domain import OPTION_LETTERS, FinalAnswer, GetCaption, Level, NodeId, VideoQa
from edge_lvr1.models.base import Moves
from edge_lvr1.models.embedded.retrieval.answers import (
    ENOUGH,
    Search,
    best_shown,
    looked_for,
    open_answer,
    place,
    useful,
)
from edge_lvr1.models.embedded.retrieval.asked import Asked
from edge_lvr1.models.embedded.retrieval.dialogue import Dialogue, Shown
from edge_lvr1.models.embedded.retrieval.grid import Grid
from edge_lvr1.models.embedded.retrieval.terms import (
    matched,
    terms,
)
from edge_lvr1.models.embedded.retrieval.tracked import MOST_REPLIES, Move
from edge_lvr1.prompts import NOT_FOUND

_SIBLING = 0.7
"""A node's children share its promise; each one opened lowers that of the others."""

_BLIND = 3
"""Captions opened where none shown has a word of the question."""

_TIMED = re.compile(r"\b(?:From|At) (\d{1,6}(?:\.\d{1,3})?) ?s(?:econds)?\b:?", re.I)


def decide_free(dialogue: Dialogue, asked: Asked, moves: Moves) -> Move:
    """The next move, from all that stands in the conversation."""
    search = Search.of(dialogue)
    grid = Grid(dialogue, moves.width)
    thought = [_thought(dialogue, search)]
    best = best_shown(dialogue, search, Level.LOW)
    if not moves.must_answer and dialogue.replies < MOST_REPLIES - 1:
        if not _enough(search, best):
            candidate = _next_node(dialogue, search, grid)
            if candidate is not None and dialogue.replies < MOST_REPLIES - 2:
                node, promise = candidate
                thought.append(f"I open {node}, which promises {promise:.2f}.")
                return Move(" ".join(thought), GetCaption(node))
        leaf = best or _any_leaf(dialogue)
        if leaf is not None and search.wanted and not dialogue.looks:
            thought.append(f"I have {leaf.node} looked at before I answer.")
            return Move(" ".join(thought), VideoQa(leaf.node, look_query(dialogue)))
    thought.append("I answer with what best matches.")
    if dialogue.options:
        return Move(" ".join(thought), FinalAnswer(_option(dialogue, search, moves)))
    return Move(" ".join(thought), FinalAnswer(open_answer(dialogue, asked, search, best)))


def look_query(dialogue: Dialogue) -> str:
    """What a clip is looked at for: the question itself."""
    return " ".join(dialogue.question.split())[:300]


def _thought(dialogue: Dialogue, search: Search) -> str:
    ranked = sorted(dialogue.shown, key=lambda shown: -search.score(shown.text))[:3]
    said = "; ".join(
        f"{shown.node} scores {search.score(shown.text):.2f}"
        f" ({', '.join(matched(search.query, shown.text)[:5]) or 'no word'})"
        for shown in ranked
    )
    return f"{looked_for(search)} Of the captions, {said}."


def _any_leaf(dialogue: Dialogue) -> Shown | None:
    leaves = dialogue.at(Level.LOW)
    return leaves[-1] if leaves else None


def _enough(search: Search, leaf: Shown | None) -> bool:
    if leaf is None or not search.wanted:
        return leaf is not None
    return search.coverage(leaf.text) >= ENOUGH


def _next_node(dialogue: Dialogue, search: Search, grid: Grid) -> tuple[NodeId, float] | None:
    """The unopened node that promises most, by what the caption above it says."""
    promises: list[tuple[float, int, NodeId]] = []
    for parent in dialogue.shown:
        children = grid.children(parent.node)
        opened = sum(child in dialogue.tried for child, _ in children)
        timed = _timed_scores(parent, search)
        whole = search.score(parent.text) * _SIBLING**opened
        for child, span in children:
            if child in dialogue.tried:
                continue
            told = [score for time_s, score in timed if span.contains(time_s)]
            promise = max(told) if told else whole
            promises.append((promise, len(child.path), child))
    if not promises:
        return None
    promise, _, node = max(promises, key=lambda p: (round(p[0], 6), p[1], [-i for i in p[2].path]))
    if promise <= 0:
        return _blind(dialogue, [p[2] for p in promises])
    return node, promise


def _timed_scores(parent: Shown, search: Search) -> list[tuple[float, float]]:
    """Scores of a caption's passages that say from when they tell: (seconds, score)."""
    marks = list(_TIMED.finditer(parent.text))
    ends = [mark.start() for mark in marks[1:]] + [len(parent.text)] * bool(marks)
    return [
        # A passage's time may be rounded down to just before the child it tells of.
        (float(mark[1]) + 0.05, search.score(parent.text[mark.end() : end]))
        for mark, end in zip(marks, ends, strict=True)
    ]


def _blind(dialogue: Dialogue, nodes: Sequence[NodeId]) -> tuple[NodeId, float] | None:
    """Where no caption has a word of the question: a leaf in the middle, then further ones."""
    if len(dialogue.tried) >= _BLIND or not nodes:
        return None
    deepest = max(len(node.path) for node in nodes)
    if not dialogue.at(Level.LOW) and deepest == 3:
        nodes = [node for node in nodes if len(node.path) == deepest]
    else:
        nodes = [node for node in nodes if len(node.path) == 2] or list(nodes)
    return nodes[len(nodes) // 2], 0.0


def _option(dialogue: Dialogue, search: Search, moves: Moves) -> str:
    """The option whose own words the read captions bear out best."""
    own = [set(terms(option)) - set(search.wanted) for option in dialogue.options]
    shared = set.intersection(*own) if own else set()
    passages = [
        (shown.text, search.corpus.score(_weights(search), shown.text)) for shown in dialogue.shown
    ]
    top = max((score for _, score in passages), default=0.0) or 1.0
    texts = [(text, 0.3 + score / top) for text, score in passages]
    texts += [(look.said, 1.5) for look in useful(dialogue.looks)]
    rated = [[rel * _score(search, words - shared, text) for text, rel in texts] for words in own]
    merits, widths = [max(r, default=0.0) for r in rated], [sum(r) for r in rated]
    best = max(merits, default=0.0)
    if (
        merits.count(best) > 1
    ):  # between options equally well borne out at best, by all that was read
        merits = [m + 0.01 * w if m == best else m for m, w in zip(merits, widths, strict=True)]
        best = max(merits)
    letters = moves.letters or OPTION_LETTERS[: len(merits)]
    if best <= 0 or merits.count(best) != 1 or merits.index(best) >= len(letters):
        return f"{NOT_FOUND}: none of the options has words of its own in what was read."
    index = merits.index(best)
    told_merits = ", ".join(
        f"{letter} {merit:.2f}" for letter, merit in zip(letters, merits, strict=False)
    )
    chosen = best_shown(dialogue, search, Level.LOW) or best_shown(dialogue, search)
    seen = f" Best matching caption: {place(chosen)}." if chosen else ""
    told = "" if moves.letters else f"{dialogue.options[index]}: "
    return (
        f"{letters[index]}: {told}by the words it shares with what was read ({told_merits}).{seen}"
    )


def _score(search: Search, words: set[str], text: str) -> float:
    return search.corpus.score(dict.fromkeys(words, 1.0), text)


def _weights(search: Search) -> dict[str, float]:
    return dict.fromkeys(search.wanted, 1.0)
