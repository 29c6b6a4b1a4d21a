"""How a question ended in one recording, and what the ends in several come to. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from edge_lvr1.domain import Confirmation, Evidence, FinalAnswer, Question, Recording, Verdict
from edge_lvr1.navigator.actions import is_not_found, option_of
from edge_lvr1.navigator.evidence import evidence_of
from edge_lvr1.navigator.walk import Walk
from edge_lvr1.prompts import NOT_FOUND, option_texts

_MOST_TEXTS = 3
_DENIES = re.compile(r"\W*(?:no|none|nobody|no one|nothing|never|zero|0)\b(?!\s*[.:]\d)", re.I)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one recording's part ended.

    `denied`: it was answered with a plain no, which holds for that recording alone.
    """

    verdict: Verdict
    text: str
    option: str | None = None
    evidence: tuple[Evidence, ...] = ()
    stop: bool = False  # no other recording is to be asked
    confirmation: Confirmation | None = None
    recording: Recording | None = None
    denied: bool = False


def denies(text: str) -> bool:
    """Whether an answer begins with a plain no."""
    return _DENIES.match(text) is not None


def outcome_of(
    walk: Walk, question: Question, answer: FinalAnswer, confirmation: Confirmation | None
) -> Outcome:
    """What an answer that stands comes to."""
    here = walk.view.recording
    if is_not_found(answer.text):
        evidence = evidence_of(walk, answer.text, only_cited=True)
        return Outcome(Verdict.NOT_FOUND, answer.text, evidence=evidence, recording=here)
    evidence = evidence_of(walk, answer.text)
    letter, text, chosen = None, answer.text, answer.text
    if found := option_of(answer.text, question.letters):
        letter, words = found
        chosen = option_texts(question.options)[question.letters.index(letter)]
        text = chosen if not words else f"{chosen}: {words}"
        if words.lower().startswith(chosen.lower()):
            text = words
    return Outcome(
        Verdict.ANSWERED,
        text,
        letter,
        evidence,
        stop=not denies(chosen),
        confirmation=confirmation,
        recording=here,
        denied=denies(chosen),
    )


def gave_up(walk: Walk, text: str, *, stop: bool = False) -> Outcome:
    """The budget was spent, or the question taken back."""
    evidence = evidence_of(walk, "")
    return Outcome(
        Verdict.GAVE_UP, text, evidence=evidence, stop=stop, recording=walk.view.recording
    )


def where(recording: Recording) -> str:
    """ "On camera1, in recording 12 from 2026-03-14 21:40:05+01:00." """
    start = recording.starts_at.isoformat(" ", "seconds")
    return f"On {recording.camera}, in recording {recording.id} from {start}."


def cancelled_text(rounds: int) -> str:
    """What is said of a question that nobody wants answered any more."""
    return f"The question was cancelled after {rounds_text(rounds)}."


def rounds_text(number: int) -> str:
    """ "1 round", "4 rounds"."""
    return f"{number} round{'' if number == 1 else 's'}"


def together(outcomes: Sequence[Outcome], left: int) -> Outcome:
    """The outcome of a question from those of its recordings.

    `left` are the recordings that had to be asked before anything is said not to be there,
    and were not. A plain no of every recording is a no; where options hold none, it is the
    answer.
    """
    if not outcomes:
        if left:
            return Outcome(Verdict.GAVE_UP, "The budget left no round to ask in.")
        return Outcome(Verdict.NOT_FOUND, f"{NOT_FOUND}: no recording in this scope can be asked.")
    if outcomes[-1].stop or (len(outcomes) == 1 and not left and outcomes[0].denied):
        return outcomes[-1]
    evidence = tuple(one for outcome in outcomes for one in outcome.evidence)
    denied = next((outcome for outcome in outcomes if outcome.option), None)
    verdicts = {_without_denial(outcome) for outcome in outcomes}
    verdict = next(
        (v for v in (Verdict.GAVE_UP, Verdict.NOT_FOUND) if v in verdicts), Verdict.FAILED
    )
    if denied is not None and verdict is Verdict.NOT_FOUND and not left:
        return Outcome(Verdict.ANSWERED, denied.text, denied.option, evidence)
    texts = dict.fromkeys(_as_not_found(outcome) for outcome in outcomes)
    if (more := len(texts) - _MOST_TEXTS) > 0:
        texts = dict.fromkeys(list(texts)[:_MOST_TEXTS])
        texts[f"{more} more recordings came to nothing either."] = None
    if left:
        verdict = Verdict.GAVE_UP if verdict is not Verdict.FAILED else verdict
        unread = "1 recording was" if left == 1 else f"{left} recordings were"
        texts[f"{unread} not searched: the budget was spent."] = None
    return Outcome(verdict, " ".join(texts), evidence=evidence)


def _without_denial(outcome: Outcome) -> Verdict:
    return Verdict.NOT_FOUND if outcome.denied else outcome.verdict


def _as_not_found(outcome: Outcome) -> str:
    return f"{NOT_FOUND}: {outcome.text}" if outcome.denied else outcome.text
