"""How an answer from captions in free words is worded: what was matched, and what they say.

It quotes captions and says by which words it went; it understands no sentence. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edge_lvr1.domain import Level, Span
from edge_lvr1.models.embedded.retrieval.asked import Asked, Intent
from edge_lvr1.models.embedded.retrieval.dialogue import Dialogue, Look, Shown
from edge_lvr1.models.embedded.retrieval.phrases import times
from edge_lvr1.models.embedded.retrieval.terms import (
    Corpus,
    affirming_sentence,
    matched,
    terms,
)
from edge_lvr1.models.embedded.retrieval.words import number_in
from edge_lvr1.prompts import NO_LOOK, NOT_FOUND

_OPTION_WEIGHT = 0.4
"""How much a word of an option leads the search, next to a word of the question."""

ENOUGH = 0.6
"""Share of the question's terms, by weight, with which a caption speaks of what was asked."""

_EXCERPT = 240
_TIMES = re.compile(r"\bhow (?:many times|often)\b", re.I)
_WHY = re.compile(r"^\W*why\b|\bwhat for\b|\breason\b", re.I)
_REASONS = re.compile(
    r"\b(?:because|since|so that|in order to|due to|to avoid|reason|as if)\b", re.I
)


@dataclass(frozen=True, slots=True)
class Search:
    """A question's terms against the captions shown."""

    query: Mapping[str, float]
    wanted: tuple[str, ...]
    corpus: Corpus

    @classmethod
    def of(cls, dialogue: Dialogue) -> Search:
        """The terms of a dialogue's question and options, and how rare they are in it."""
        wanted = tuple(dict.fromkeys(terms(dialogue.question)))
        query = {term: _OPTION_WEIGHT for option in dialogue.options for term in terms(option)}
        query.update(dict.fromkeys(wanted, 1.0))
        return cls(query, wanted, Corpus.of(shown.text for shown in dialogue.shown))

    def score(self, text: str) -> float:
        """How well a text matches."""
        return self.corpus.score(self.query, text)

    def coverage(self, text: str) -> float:
        """The share of the question's terms, by weight, that a text has."""
        weight = {term: self.corpus.weight(term) for term in self.wanted}
        return sum(weight[term] for term in matched(self.wanted, text)) / (
            sum(weight.values()) or 1.0
        )


def looked_for(search: Search) -> str:
    """The first words of a thought: what is looked for."""
    return f"I look for {', '.join(search.wanted[:8]) or 'anything'}."


def best_shown(dialogue: Dialogue, search: Search, level: Level | None = None) -> Shown | None:
    """The best-scoring caption shown, of one level or of any; narrower ones win a tie."""
    shown = [s for s in dialogue.shown if level is None or s.node.level is level]
    scored = [(search.score(s.text), len(s.node.path), s) for s in shown]
    best = max(scored, key=lambda entry: entry[:2], default=None)
    return best[2] if best and best[0] > 0 else None


def useful(looks: Sequence[Look]) -> list[Look]:
    """The looks that came to something."""
    return [look for look in looks if NO_LOOK not in look.said]


def open_answer(
    dialogue: Dialogue, asked: Asked, search: Search, best: Shown | None, also: Sequence[Shown] = ()
) -> str:
    """The answer to a question without options, from looks and from the best caption.

    `also` are further captions that speak of what was asked, for questions about when and
    how often.
    """
    for look in useful(dialogue.looks):
        sentence = affirming_sentence(look.said, [*asked.unknown, *search.wanted])
        if sentence and not (asked.intent is Intent.EXISTS and _missing(asked, search, look.said)):
            shown = dialogue.caption(look.node)
            when = f", {times([shown.span])}" if shown else ""
            begin = "Yes: " if asked.intent is Intent.EXISTS else ""
            return f"{begin}{sentence} Seen in {look.node}{when}."
    if best is not None and time_alone(asked):
        return f'Caption {place(best)}, says: "{_excerpt(dialogue.question, best.text, search)}".'
    if best is None or not matched(search.wanted, best.text):
        best, also = best_shown(dialogue, search), ()
    if best is None or not matched(search.wanted, best.text):
        return _not_there(search.wanted)
    missing = _missing(asked, search, best.text)
    if asked.intent is Intent.EXISTS and missing:
        return _not_there(missing)
    begin = _begin(dialogue.question, asked, search, [best, *also])
    told = f'{begin}caption {place(best)}, says: "{_excerpt(dialogue.question, best.text, search)}"'
    if missing:
        told += f"; it does not mention {', '.join(missing)}"
    if also:
        told += f". Also told of in {', '.join(place(shown) for shown in also)}"
    return f"{told}."


def time_alone(asked: Asked) -> bool:
    """Whether a question names a time and nothing else: "what happens at the end?"."""
    return asked.window is not None and asked.relation is None and not terms(asked.text)


def place(shown: Shown) -> str:
    """Where a caption stands, as answers cite it."""
    return f"{shown.node}, {times([shown.span])}"


def number_told(text: str, wanted: Sequence[str]) -> int | None:
    """The number that a caption gives before a noun asked for: "two young girls"."""
    tokens = re.findall(r"[a-z]+|\d+", text.lower())
    for index, token in enumerate(tokens):
        number = number_in(token)
        if number and any(matched(wanted, word) for word in tokens[index + 1 : index + 4]):
            return number
    return None


def _begin(question: str, asked: Asked, search: Search, found: Sequence[Shown]) -> str:
    stretches = _stretches([shown.span for shown in found])
    if asked.intent is Intent.EXISTS:
        return "Yes: "
    if asked.intent is Intent.WHEN:
        told = times(stretches)
        return f"{told[:1].upper()}{told[1:]}: "
    if asked.intent is not Intent.COUNT:
        return ""
    if _TIMES.search(question):
        number = len(stretches)
        plural = "" if number == 1 else "s"
        return f"In {number} stretch{'es' if plural else ''} of what was read, {times(stretches)}: "
    told_number = number_told(found[0].text, search.wanted)
    return f"{told_number}, by what one caption says: " if told_number else ""


def _stretches(spans: Sequence[Span]) -> list[Span]:
    """Spans in order of time; those that touch are one."""
    joined: list[Span] = []
    for span in sorted(spans):
        if joined and span.start_s <= joined[-1].end_s + 0.1:
            joined[-1] = Span(joined[-1].start_s, max(joined[-1].end_s, span.end_s))
        else:
            joined.append(span)
    return joined


def _missing(asked: Asked, search: Search, text: str) -> list[str]:
    """The words of the question, as far as they name something, that a text does not have."""
    named = [word for word in (*asked.unknown, *asked.specifics, asked.thing) if word]
    stems = {term: word for word in named for term in terms(word)}
    have = matched(tuple(stems), text)
    return [word for term, word in stems.items() if term not in have and term in search.wanted]


def _not_there(words: Sequence[str]) -> str:
    named = ", ".join(f'"{word}"' for word in words) or "what is asked"
    return f"{NOT_FOUND}: no caption that was opened mentions {named}."


def _excerpt(question: str, text: str, search: Search) -> str:
    """The sentence of a caption that matches best, cut to a readable length.

    Asked why, a sentence that gives a reason comes before one that matches as well.
    """
    reasons = _WHY.search(question) is not None
    sentences = re.split(r"(?<=[.!?])\s+", text)
    best = max(
        sentences,
        key=lambda one: search.score(one) * (1.5 if reasons and _REASONS.search(one) else 1.0),
    ).strip()
    return best if len(best) <= _EXCERPT else best[:_EXCERPT].rsplit(" ", 1)[0] + "..."
