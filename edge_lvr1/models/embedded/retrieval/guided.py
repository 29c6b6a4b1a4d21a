"""How the embedded agent goes about captions in free words when it has an index of them.

The index says which leaves are likely to be what the question is about, with each option.
They are opened in that order until what was read is clearly most of it, then what lies next
to the likeliest one, before or after it where the question says so. The answer rests on
captions that were opened: it cites them, and says by which words it went. Pure.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from edge_lvr1.domain import OPTION_LETTERS, FinalAnswer, GetCaption, NodeId, VideoQa
from edge_lvr1.models.base import Moves
from edge_lvr1.models.embedded.retrieval.answers import (
    ENOUGH,
    Search,
    looked_for,
    number_told,
    open_answer,
    place,
    useful,
)
from edge_lvr1.models.embedded.retrieval.asked import Asked, Intent
from edge_lvr1.models.embedded.retrieval.dialogue import Dialogue, Shown
from edge_lvr1.models.embedded.retrieval.free import decide_free, look_query
from edge_lvr1.models.embedded.retrieval.grid import Grid
from edge_lvr1.models.embedded.retrieval.terms import matched, matched_words, terms
from edge_lvr1.models.embedded.retrieval.tracked import MOST_REPLIES, Move
from edge_lvr1.models.embedded.retrieval.weighing import Weights
from edge_lvr1.models.embedded.retrieval.words import number_in
from edge_lvr1.prompts import NOT_FOUND

_CLEAR, _MOST = 0.9, 5
"""Leaves are opened till they are likely enough to hold the answer, or so many are read."""

_ALIKE, _MOST_OF_ALL = 0.6, 7
"""Asked when or how often, what matches about as well as the best leaf is opened too."""

_AS_WELL = 0.9
"""A caption speaks of what was asked too when it has so much of what the best one has of it."""

_SUPPORTS = 0.2
"""A leaf that was read supports an answer when it is so likely beside the best one."""

_SAYS_SO = 2.0
"""What a number told or a look's own word adds to an option, as log odds."""

_TIE = 1e-6
_AFTER = re.compile(r"\bafter\b", re.I)
_BEFORE = re.compile(r"\b(?:before|until|prior to)\b", re.I)


def decide_guided(dialogue: Dialogue, asked: Asked, moves: Moves, weights: Weights) -> Move:
    """The next move, from all that stands in the conversation and from the leaves' weights."""
    read = [shown for leaf in weights.ranked() if (shown := dialogue.caption(leaf))]
    search = Search.of(dialogue)
    thought = [looked_for(search), _likeliest(weights, read)]
    if not moves.must_answer and dialogue.replies < MOST_REPLIES - 1:
        step = _next_leaf(dialogue, asked, search, weights, read, Grid(dialogue, moves.width))
        if step is not None and dialogue.replies < MOST_REPLIES - 2:
            leaf, why = step
            return Move(" ".join([*thought, f"I open {leaf}: {why}."]), GetCaption(leaf))
        if read and search.wanted and not dialogue.looks:
            thought.append(f"I have {read[0].node} looked at before I answer.")
            return Move(" ".join(thought), VideoQa(read[0].node, look_query(dialogue)))
    if not read:
        return decide_free(dialogue, asked, moves)
    thought.append("I answer with what was read.")
    if dialogue.options:
        text = _option(dialogue, search, weights, read, moves)
    else:
        best, also = _speaking(asked, search, weights, read)
        text = open_answer(dialogue, asked, search, best, also)
    return Move(" ".join(thought), FinalAnswer(text))


def _likeliest(weights: Weights, read: Sequence[Shown]) -> str:
    told = ", ".join(f"{leaf} {weights.share(leaf):.0%}" for leaf in weights.ranked()[:3])
    share = sum(weights.share(shown.node) for shown in read)
    return f"By the index it is in {told}; what I have read makes {share:.0%}."


def _next_leaf(
    dialogue: Dialogue,
    asked: Asked,
    search: Search,
    weights: Weights,
    read: Sequence[Shown],
    grid: Grid,
) -> tuple[NodeId, str] | None:
    """The leaf to open next, and why; None where enough is read."""
    many = asked.intent in (Intent.WHEN, Intent.COUNT)
    if read and not many and not dialogue.options and search.coverage(read[0].text) >= ENOUGH:
        return None
    if len(dialogue.tried) >= _MOST_OF_ALL:
        return None
    share = sum(weights.share(leaf) for leaf in dialogue.tried)
    untried = [leaf for leaf in weights.ranked() if leaf not in dialogue.tried]
    if untried and share < _CLEAR and len(dialogue.tried) < _MOST:
        return untried[0], f"{weights.share(untried[0]):.0%} likely"
    if many:
        more = [leaf for leaf in weights.alike(_ALIKE) if leaf not in dialogue.tried]
        return (more[0], "it matches about as well as the best") if more else None
    if read and dialogue.options:
        for leaf, where in _beside(dialogue.question, grid, read[0].node):
            if leaf not in dialogue.tried:
                return leaf, f"it comes {where} {read[0].node}"
    return None


def _beside(question: str, grid: Grid, leaf: NodeId) -> list[tuple[NodeId, str]]:
    """The leaves next to one in time, on the sides that the question leaves open."""
    leaves = [node for node, _ in grid.leaves()]
    if leaf not in leaves:
        return []
    place = leaves.index(leaf)
    after, before = _AFTER.search(question), _BEFORE.search(question)
    sides = []
    if place > 0 and not (after and not before):
        sides.append((leaves[place - 1], "right before"))
    if place + 1 < len(leaves) and not (before and not after):
        sides.append((leaves[place + 1], "right after"))
    return sides


def _speaking(
    asked: Asked, search: Search, weights: Weights, read: Sequence[Shown]
) -> tuple[Shown, list[Shown]]:
    """The caption that answers best, and for when and how often the others that speak of it."""
    covered = {shown.node: search.coverage(shown.text) for shown in read}
    best = max(read, key=lambda shown: (round(covered[shown.node], 1), weights.share(shown.node)))
    enough = _AS_WELL * covered[best.node]
    speaking = sorted(
        (shown for shown in read if enough and covered[shown.node] >= enough),
        key=lambda shown: shown.span,
    )
    if asked.ordinal in (1, -1) and speaking:
        return (speaking[0] if asked.ordinal == 1 else speaking[-1]), []
    if asked.intent not in (Intent.WHEN, Intent.COUNT):
        return best, []
    return best, [shown for shown in speaking if shown is not best]


def _option(
    dialogue: Dialogue, search: Search, weights: Weights, read: Sequence[Shown], moves: Moves
) -> str:
    """The option that the leaves read bear out best, with the captions and words for it."""
    merits = _merits(dialogue, search, weights, read)
    best = max(merits)
    letters = moves.letters or OPTION_LETTERS[: len(merits)]
    index = merits.index(best)
    clear = sum(merit >= best - _TIE for merit in merits) == 1
    if not clear or index >= len(letters):
        where = ", ".join(place(shown) for shown in read[:3])
        return f"{NOT_FOUND}: nothing that was read speaks for one option more; read: {where}."
    told = "" if moves.letters else f"{dialogue.options[index]}: "
    odds = ", ".join(f"{a} {merit:.2f}" for a, merit in zip(letters, merits, strict=False))
    support = _support(weights, read)
    more = f" Read with it: {', '.join(map(place, support))}." if support else ""
    return (
        f"{letters[index]}: {told}best borne out by caption {place(read[0])}"
        f"{_shared(dialogue, index, [read[0], *support])} (weighed {odds}).{more}"
    )


def _merits(
    dialogue: Dialogue, search: Search, weights: Weights, read: Sequence[Shown]
) -> list[float]:
    """How far each option is borne out: by the index at what was read, numbers, and looks."""
    merits = weights.merits([shown.node for shown in read])
    own = [set(terms(option)) - set(search.wanted) for option in dialogue.options]
    numbers = [_number(option) for option in dialogue.options]
    number = next((n for shown in read if (n := number_told(shown.text, search.wanted))), None)
    ahead = [0.0] * len(merits)
    for index, words in enumerate(own):
        if None not in numbers and number is not None:
            ahead[index] += _SAYS_SO * (numbers[index] == number)
        own_words = words - set().union(*own[:index], *own[index + 1 :])
        looks = useful(dialogue.looks)
        ahead[index] += _SAYS_SO * any(matched(own_words, look.said) for look in looks)
    raised = [merit * math.exp(more) for merit, more in zip(merits, ahead, strict=True)]
    total = sum(raised) or 1.0
    return [merit / total for merit in raised]


def _number(option: str) -> int | None:
    """The number that an option is: "two", "3", "four people"."""
    words = re.findall(r"[a-z]+|\d+", option.lower())
    return number_in(words[0]) if words else None


def _support(weights: Weights, read: Sequence[Shown]) -> list[Shown]:
    """What was read beside the best caption and may show it too, the likelier first."""
    best = read[0]
    return [
        shown
        for shown in read[1:]
        if weights.share(shown.node) >= _SUPPORTS * weights.share(best.node)
        or shown.span.start_s == best.span.end_s
        or shown.span.end_s == best.span.start_s
    ]


def _shared(dialogue: Dialogue, index: int, cited: Sequence[Shown]) -> str:
    """The words by which an option was chosen; where there is none, that it was not words."""
    text = " ".join(shown.text for shown in cited)
    asked = matched_words(dialogue.question, text)[:4]
    own = [w for w in matched_words(dialogue.options[index], text) if w not in asked][:4]
    if not own:
        return ", by the index alone: no word of the option stands there"
    with_asked = f" with {_quoted(asked)} of the question" if asked else ""
    return f", which has {_quoted(own)} of it{with_asked}"


def _quoted(words: Sequence[str]) -> str:
    return ", ".join(f'"{word}"' for word in words)
