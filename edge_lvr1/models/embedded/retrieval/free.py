"""How the embedded agent goes about captions in free words, as language models write them.

Retrieval, top down: every caption shown is scored by the question's terms, the best one
leads to its children, until a leaf speaks of what was asked. Lettered options are weighed
against what was read. It understands no sentence; it says which words it went by. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edge_lvr1.domain import OPTION_LETTERS, FinalAnswer, GetCaption, Level, NodeId, VideoQa
from edge_lvr1.models.base import Moves
from edge_lvr1.models.embedded.retrieval.asked import Asked, Intent
from edge_lvr1.models.embedded.retrieval.dialogue import Dialogue, Look, Shown
from edge_lvr1.models.embedded.retrieval.grid import Grid
from edge_lvr1.models.embedded.retrieval.phrases import times
from edge_lvr1.models.embedded.retrieval.terms import (
    Corpus,
    affirming_sentence,
    matched,
    terms,
)
from edge_lvr1.models.embedded.retrieval.tracked import MOST_REPLIES, Move
from edge_lvr1.models.embedded.retrieval.words import number_in
from edge_lvr1.prompts import NO_LOOK, NOT_FOUND

_OPTION_WEIGHT = 0.4
"""How much a word of an option leads the search, next to a word of the question."""

_SIBLING = 0.7
"""A node's children share its promise; each one opened lowers that of the others."""

_ENOUGH = 0.6
"""Share of the question's terms in one leaf from which the search stops."""

_BLIND = 3
"""Captions opened where none shown has a word of the question."""

_EXCERPT = 240
_TIMED = re.compile(r"\b(?:From|At) (\d{1,6}(?:\.\d{1,3})?) ?s(?:econds)?\b:?", re.I)


@dataclass(frozen=True, slots=True)
class _Search:
    """A question's terms against the captions shown."""

    query: Mapping[str, float]
    wanted: tuple[str, ...]
    corpus: Corpus

    def score(self, text: str) -> float:
        return self.corpus.score(self.query, text)


def decide_free(dialogue: Dialogue, asked: Asked, moves: Moves) -> Move:
    """The next move, from all that stands in the conversation."""
    search = _search(dialogue)
    grid = Grid(dialogue, moves.width)
    thought = [_thought(dialogue, search)]
    if not moves.must_answer and dialogue.replies < MOST_REPLIES - 1:
        best = _best(dialogue, search, Level.LOW)
        if not _enough(dialogue, search, best):
            candidate = _next_node(dialogue, search, grid)
            if candidate is not None and dialogue.replies < MOST_REPLIES - 2:
                node, promise = candidate
                thought.append(f"I open {node}, which promises {promise:.2f}.")
                return Move(" ".join(thought), GetCaption(node))
        leaf = best or _any_leaf(dialogue)
        if leaf is not None and search.wanted and not dialogue.looks:
            thought.append(f"I have {leaf.node} looked at before I answer.")
            query = " ".join(dialogue.question.split())[:300]
            return Move(" ".join(thought), VideoQa(leaf.node, query))
    thought.append("I answer with what best matches.")
    if dialogue.options:
        return Move(" ".join(thought), FinalAnswer(_option(dialogue, search, moves)))
    return Move(" ".join(thought), FinalAnswer(_open_answer(dialogue, asked, search)))


def _search(dialogue: Dialogue) -> _Search:
    wanted = tuple(dict.fromkeys(terms(dialogue.question)))
    query = {term: _OPTION_WEIGHT for option in dialogue.options for term in terms(option)}
    query.update(dict.fromkeys(wanted, 1.0))
    return _Search(query, wanted, Corpus.of(shown.text for shown in dialogue.shown))


def _thought(dialogue: Dialogue, search: _Search) -> str:
    ranked = sorted(dialogue.shown, key=lambda shown: -search.score(shown.text))[:3]
    said = "; ".join(
        f"{shown.node} scores {search.score(shown.text):.2f}"
        f" ({', '.join(matched(search.query, shown.text)[:5]) or 'no word'})"
        for shown in ranked
    )
    return f"I look for {', '.join(search.wanted[:8]) or 'anything'}. Of the captions, {said}."


def _best(dialogue: Dialogue, search: _Search, level: Level | None = None) -> Shown | None:
    """The best-scoring caption shown, of one level or of any; narrower ones win a tie."""
    shown = [s for s in dialogue.shown if level is None or s.node.level is level]
    scored = [(search.score(s.text), len(s.node.path), s) for s in shown]
    best = max(scored, key=lambda entry: entry[:2], default=None)
    return best[2] if best and best[0] > 0 else None


def _any_leaf(dialogue: Dialogue) -> Shown | None:
    leaves = dialogue.at(Level.LOW)
    return leaves[-1] if leaves else None


def _enough(dialogue: Dialogue, search: _Search, leaf: Shown | None) -> bool:
    if leaf is None or not search.wanted:
        return leaf is not None
    weight = {term: search.corpus.weight(term) for term in search.wanted}
    found = sum(weight[term] for term in matched(search.wanted, leaf.text))
    return found >= _ENOUGH * sum(weight.values()) and found > 0


def _next_node(dialogue: Dialogue, search: _Search, grid: Grid) -> tuple[NodeId, float] | None:
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


def _timed_scores(parent: Shown, search: _Search) -> list[tuple[float, float]]:
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


def _useful(looks: Sequence[Look]) -> list[Look]:
    return [look for look in looks if NO_LOOK not in look.said]


def _option(dialogue: Dialogue, search: _Search, moves: Moves) -> str:
    """The option whose own words the read captions bear out best."""
    own = [set(terms(option)) - set(search.wanted) for option in dialogue.options]
    shared = set.intersection(*own) if own else set()
    passages = [
        (shown.text, search.corpus.score(_weights(search), shown.text)) for shown in dialogue.shown
    ]
    top = max((score for _, score in passages), default=0.0) or 1.0
    texts = [(text, 0.3 + score / top) for text, score in passages]
    texts += [(look.said, 1.5) for look in _useful(dialogue.looks)]
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
    chosen = _best(dialogue, search, Level.LOW) or _best(dialogue, search)
    seen = f" Best matching caption: {_place(chosen)}." if chosen else ""
    told = "" if moves.letters else f"{dialogue.options[index]}: "
    return (
        f"{letters[index]}: {told}by the words it shares with what was read ({told_merits}).{seen}"
    )


def _score(search: _Search, words: set[str], text: str) -> float:
    return search.corpus.score(dict.fromkeys(words, 1.0), text)


def _weights(search: _Search) -> dict[str, float]:
    return dict.fromkeys(search.wanted, 1.0)


def _open_answer(dialogue: Dialogue, asked: Asked, search: _Search) -> str:
    for look in _useful(dialogue.looks):
        sentence = affirming_sentence(look.said, [*asked.unknown, *search.wanted])
        if sentence and not (asked.intent is Intent.EXISTS and _missing(asked, search, look.said)):
            shown = dialogue.caption(look.node)
            when = f", {times([shown.span])}" if shown else ""
            begin = "Yes: " if asked.intent is Intent.EXISTS else ""
            return f"{begin}{sentence} Seen in {look.node}{when}."
    best = _best(dialogue, search, Level.LOW)
    if best is None or not matched(search.wanted, best.text):
        best = _best(dialogue, search)
    if best is None or not matched(search.wanted, best.text):
        return _not_there(search.wanted)
    missing = _missing(asked, search, best.text)
    if asked.intent is Intent.EXISTS and missing:
        return _not_there(missing)
    excerpt = _excerpt(best.text, search)
    told = f'{_begin(asked, best, search)}caption {_place(best)}, says: "{excerpt}"'
    if missing:
        told += f"; it does not mention {', '.join(missing)}"
    return f"{told}."


def _begin(asked: Asked, best: Shown, search: _Search) -> str:
    if asked.intent is Intent.EXISTS:
        return "Yes: "
    if asked.intent is Intent.WHEN:
        return f"{times([best.span])[:1].upper()}{times([best.span])[1:]}: "
    if asked.intent is Intent.COUNT and (number := _number(best.text, search.wanted)):
        return f"{number}, by what one caption says: "
    return ""


def _number(text: str, wanted: Sequence[str]) -> int | None:
    """The number that a caption gives before a noun asked for: "two young girls"."""
    tokens = re.findall(r"[a-z]+|\d+", text.lower())
    for index, token in enumerate(tokens):
        number = number_in(token)
        if number and any(matched(wanted, word) for word in tokens[index + 1 : index + 4]):
            return number
    return None


def _missing(asked: Asked, search: _Search, text: str) -> list[str]:
    """The words of the question, as far as they name something, that a text does not have."""
    named = [word for word in (*asked.unknown, *asked.specifics, asked.thing) if word]
    stems = {term: word for word in named for term in terms(word)}
    have = matched(tuple(stems), text)
    return [word for term, word in stems.items() if term not in have and term in search.wanted]


def _not_there(words: Sequence[str]) -> str:
    named = ", ".join(f'"{word}"' for word in words) or "what is asked"
    return f"{NOT_FOUND}: no caption that was opened mentions {named}."


def _place(shown: Shown) -> str:
    return f"{shown.node}, {times([shown.span])}"


def _excerpt(text: str, search: _Search) -> str:
    """The sentence of a caption that matches best, cut to a readable length."""
    sentences = re.split(r"(?<=[.!?])\s+", text)
    best = max(sentences, key=search.score).strip()
    return best if len(best) <= _EXCERPT else best[:_EXCERPT].rsplit(" ", 1)[0] + "..."
