"""Questions that one recording cannot answer: how many, how often and when, over a span.

Each recording is asked by itself, and what they say is put together by rule: counts are
added, times are ordered. Whoever came twice is counted twice, and the answer says so. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from edge_lvr1.domain import Confirmation, Evidence, Question, Verdict
from edge_lvr1.navigator.outcome import Outcome, together
from edge_lvr1.prompts import option_texts

_MOST_TOLD = 8
_NUMBERS = (
    "no one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen nineteen twenty"
)
_OTHER_NUMBERS = {"none": 0, "nobody": 0, "nothing": 0, "zero": 0, "once": 1, "twice": 2, "a": 1}
_VALUES = {word: value for value, word in enumerate(_NUMBERS.split())} | _OTHER_NUMBERS
_IDS = re.compile(r"\(\s*\d+\s*(?:,\s*\d+\s*){1,2}\)")
_NUMBER = re.compile(rf"(?<![\w.:,-])(\d{{1,6}}|{'|'.join(_VALUES)})(?![\w:-]|[.,]\d)", re.I)
_HOW_OFTEN = re.compile(r"\bhow (?:often|many times)\b", re.I)
_HOW_MANY = re.compile(r"\b(?:how many|(?:what|which) (?:is the )?number of|count the)\b", re.I)
_WHEN = re.compile(
    r"\W*(?:(?:please|and|tell me|say)\s+)*"
    r"(?:when|(?:(?:at|on)\s+)?(?:what|which)\s+(?:time|hour|date|day))\b",
    re.I,
)
_MOMENT = re.compile(r"\b(?:at|from) (\d{1,6}(?:\.\d{1,3})?)(?= s\b| to \d)", re.I)
_FIRST = re.compile(r"\b(?:first|earliest)\b", re.I)
_LAST = re.compile(r"\b(?:last|latest|most recent)\b", re.I)


class Kind(str, Enum):
    """How a question's answers over several recordings are put together."""

    COUNT = "how many"
    OFTEN = "how often"
    WHEN = "when"
    OTHER = "other"


def kind_of(question: Question) -> Kind:
    """Whether a question is about all of the footage, rather than one moment of it.

    "What did he hold when he came?" is about a moment, and a time to choose by letter is too.
    """
    text = question.text
    if _HOW_OFTEN.search(text):
        return Kind.OFTEN
    if _HOW_MANY.search(text):
        return Kind.COUNT
    if _WHEN.match(text) and not question.options:
        return Kind.WHEN
    return Kind.OTHER


def merge(question: Question, kind: Kind, outcomes: Sequence[Outcome], left: int) -> Outcome:
    """What the recordings together say; `left` of them were not asked.

    Without any answer it is the outcome that `together` gives.
    """
    answered = [one for one in outcomes if one.verdict is Verdict.ANSWERED and one.recording]
    if not [one for one in answered if not one.denied]:
        return together(outcomes, left)
    whole = not left and all(
        one.verdict in (Verdict.ANSWERED, Verdict.NOT_FOUND) for one in outcomes
    )
    evidence = tuple(evidence for one in answered for evidence in one.evidence)
    option = None
    if kind is Kind.WHEN:
        there = [one for one in answered if not one.denied]
        text, evidence = _times(question.text, there, evidence)
    else:
        total, text = _total(kind, answered)
        text = text if whole else f"at least {text}"
        option = _option(question, total)
    if not whole:
        text += " Not all of the footage was searched."
    return Outcome(
        verdict=Verdict.ANSWERED if option or not question.options else Verdict.GAVE_UP,
        text=text,
        option=option,
        evidence=evidence,
        confirmation=_confirmation(answered),
    )


def number_in(text: str) -> int | None:
    """The first number that a text says, in digits or words; None where it says none."""
    match = _NUMBER.search(_IDS.sub(" ", text))
    if match is None:
        return None
    return int(match[1]) if match[1].isdigit() else _VALUES[match[1].lower()]


def _total(kind: Kind, answered: Sequence[Outcome]) -> tuple[int, str]:
    """The sum, and the words for it: "9 in 2 recordings: 4 on camera1 ..., 5 on camera2 ..."."""
    counts = [(one, _count(kind, one)) for one in answered]
    told = [(one, count) for one, count in counts if count]
    total = sum(count for _, count in told)
    each = ", ".join(f"{count} on {_of(one)}" for one, count in told[:_MOST_TOLD])
    more = len(told) - _MOST_TOLD
    tail = f" and {more} more recordings" if more > 0 else ""
    noun = "recording" if len(told) == 1 else "recordings"
    text = f"{total} in {len(told)} {noun}: {each}{tail}."
    if len(told) > 1 and kind is Kind.COUNT:
        text += " Whatever is seen in several recordings is counted in each."
    return total, text


def _count(kind: Kind, outcome: Outcome) -> int:
    found = number_in(outcome.text)
    if found is None and not outcome.denied:
        return 1 if kind is Kind.OFTEN or outcome.evidence else 0
    return found or 0


@dataclass(frozen=True, slots=True)
class _Seen:
    """When a camera saw what was asked about."""

    since: datetime
    until: datetime
    camera: str
    evidence: Evidence

    def __str__(self) -> str:
        return f"at {self.since.isoformat(' ', 'seconds')} on {self.camera}"


def _times(
    asked: str, answered: Sequence[Outcome], everything: tuple[Evidence, ...]
) -> tuple[str, tuple[Evidence, ...]]:
    """When it was, in order, and what bears it out; the first or last alone if that was asked."""
    seen = sorted(
        (_seen(one, evidence) for one in answered for evidence in one.evidence),
        key=lambda one: one.since,
    )
    if not seen:
        return " ".join(one.text for one in answered), everything
    if _FIRST.search(asked):
        return f"first {seen[0]}.", (seen[0].evidence,)
    if _LAST.search(asked):
        return f"last {seen[-1]}.", (seen[-1].evidence,)
    merged = _runs(seen)
    told = ", ".join(map(str, merged[:_MOST_TOLD]))
    more = f" and {len(merged) - _MOST_TOLD} more" if len(merged) > _MOST_TOLD else ""
    return f"{told}{more}.", everything


def _seen(outcome: Outcome, evidence: Evidence) -> _Seen:
    """A piece of evidence, from the moment on that the answer names in it, if it names one."""
    named = (float(match[1]) for match in _MOMENT.finditer(outcome.text))
    within = [moment_s for moment_s in named if evidence.span.contains(moment_s)]
    later = timedelta(seconds=min(within) - evidence.span.start_s if within else 0.0)
    return _Seen(evidence.starts_at + later, evidence.ends_at, evidence.camera, evidence)


def _runs(seen: Sequence[_Seen]) -> list[_Seen]:
    """One for each camera's spans that touch: the first of them."""
    kept: list[_Seen] = []
    ends: dict[str, datetime] = {}
    for one in seen:
        end = ends.get(one.camera)
        if end is None or one.since > end:
            kept.append(one)
        ends[one.camera] = max(end or one.until, one.until)
    return kept


def _of(outcome: Outcome) -> str:
    recording = outcome.recording
    assert recording is not None
    start = recording.starts_at.isoformat(" ", "minutes")
    return f"{recording.camera} from {start} (recording {recording.id})"


def _option(question: Question, total: int) -> str | None:
    texts = option_texts(question.options)
    letters = zip(question.letters, texts, strict=False)
    return next((letter for letter, text in letters if number_in(text) == total), None)


def _confirmation(answered: Sequence[Outcome]) -> Confirmation | None:
    found = {one.confirmation for one in answered if one.confirmation is not None}
    if not found:
        return None
    for worst in (Confirmation.NOT_CONFIRMED, Confirmation.UNCLEAR):
        if worst in found:
            return worst
    return Confirmation.CONFIRMED
