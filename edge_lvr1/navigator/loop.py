"""The navigation loop: a question, some recordings, an agent, and a budget.

The recordings are asked in the order given, each in a conversation of its own, and the
first that answers ends the question. Rounds and seconds are one budget over all of them.
The loop knows nothing of backends or storage: it is handed views, an agent and a clock,
and hands out every step as it happens.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edge_lvr1.domain import (
    Answer,
    Evidence,
    FinalAnswer,
    Invalid,
    Question,
    Step,
    Verdict,
)
from edge_lvr1.errors import EdgeLvr1Error, ModelError
from edge_lvr1.models.base import Agent, AgentSession
from edge_lvr1.navigator.actions import is_not_found, option_of, parse_reply
from edge_lvr1.navigator.evidence import evidence_of, searched
from edge_lvr1.navigator.view import TreeView
from edge_lvr1.navigator.walk import Walk
from edge_lvr1.prompts import option_texts

__all__ = ["TreeView", "navigate"]

log = logging.getLogger(__name__)

MIN_SHARE = 4
"""Fewest rounds worth beginning a recording with, where more recordings wait behind it:
one medium caption, one leaf, one more try, and the answer."""


@dataclass(frozen=True, slots=True)
class _Outcome:
    """How one recording's part ended."""

    verdict: Verdict
    text: str
    option: str | None = None
    evidence: tuple[Evidence, ...] = ()
    stop: bool = False  # no other recording is to be asked


def navigate(
    question: Question,
    views: Sequence[TreeView],
    agent: Agent,
    clock: Callable[[], float],
    on_step: Callable[[Step], None],
    cancelled: Callable[[], bool] = lambda: False,
) -> Answer:
    """Ask the recordings in order until one answers or the budget is spent.

    `clock` runs like time.monotonic. `cancelled` is read before each round; a cancelled
    question ends as `gave_up` with the evidence so far, and its text says so. An agent that
    fails ends it as `failed`. What `on_step` raises goes through to the caller.
    """
    return _Navigation(question, agent, clock, on_step, cancelled).run(views)


class _Navigation:
    """One question's budget, counters and walks."""

    def __init__(
        self,
        question: Question,
        agent: Agent,
        clock: Callable[[], float],
        on_step: Callable[[Step], None],
        cancelled: Callable[[], bool],
    ) -> None:
        self.question = question
        self.agent = agent
        self.clock = clock
        self.on_step = on_step
        self.cancelled = cancelled
        self.started = 0.0
        self.rounds = 0
        self.invalid = 0
        self.slowest_s = 0.0
        self.walks: list[Walk] = []

    def run(self, views: Sequence[TreeView]) -> Answer:
        """Walk the recordings and put their outcomes together."""
        self.started = self.clock()
        outcomes: list[_Outcome] = []
        for index, view in enumerate(views):
            share = self._share(len(views) - index)
            if share < 1 or self._seconds_left() <= 0:
                break
            outcome = self._ask(view, share)
            log.info(
                "question %s: recording %d: %s after %d rounds",
                *(self.question.id, view.recording.id, outcome.verdict.value, self.rounds),
            )
            outcomes.append(outcome)
            if outcome.stop:
                break
        return self._answer(outcomes, views)

    def _share(self, waiting: int) -> int:
        left = self.question.max_rounds - self.rounds
        return min(left, max(MIN_SHARE, left // waiting))

    def _seconds_left(self) -> float:
        return self.started + self.question.max_seconds - self.clock()

    def _ask(self, view: TreeView, share: int) -> _Outcome:
        """One recording's part, with its session closed whatever happens."""
        walk = Walk(self.question, view)
        try:
            walk.begin(last=share == 1)
        except EdgeLvr1Error as error:
            log.warning("recording %d cannot be asked: %s", view.recording.id, error)
            return _Outcome(Verdict.FAILED, f"recording {view.recording.id}: {error}")
        self.walks.append(walk)
        try:
            session = self.agent.open()
            try:
                return self._rounds(walk, session, share)
            finally:
                session.close()
        except ModelError as error:
            log.error("question %s: the agent failed: %s", self.question.id, error)
            evidence = evidence_of(walk, "")
            return _Outcome(Verdict.FAILED, str(error), evidence=evidence, stop=True)

    def _rounds(self, walk: Walk, session: AgentSession, share: int) -> _Outcome:
        end = self.rounds + share
        last = share == 1
        while True:
            if self.cancelled():
                text = f"The question was cancelled after {_rounds(self.rounds)}."
                return _gave_up(walk, text, stop=True)
            if self._seconds_left() <= 0:
                text = f"No answer within {self.question.max_seconds:g} s."
                return _gave_up(walk, text, stop=True)
            forced = last
            answer, last = self._round(walk, session, end, last=last)
            if answer is not None:
                return self._outcome(walk, answer)
            if forced:
                return _gave_up(walk, f"No answer within {_rounds(self.rounds)}.")

    def _round(
        self, walk: Walk, session: AgentSession, end: int, *, last: bool
    ) -> tuple[FinalAnswer | None, bool]:
        """One round: the answer if it was one, and whether the next round is the last."""
        began = self.clock()
        moves = walk.moves(last=last)
        deadline = self.started + self.question.max_seconds
        reply = session.reply(walk.conversation.messages, moves, deadline)
        thought, action = parse_reply(reply, moves)
        action = walk.checked(action)
        self.rounds += 1
        self.invalid += isinstance(action, Invalid)
        last = self._last_is_next(end, self.clock() - began)
        observation, repeated = walk.observe(action, last=last and not moves.must_answer)
        walk.take(reply, thought, action, observation)
        seconds = self.clock() - began
        self.slowest_s = max(self.slowest_s, seconds)
        self.on_step(
            Step(
                round=self.rounds,
                recording=walk.view.recording.id,
                reply=reply,
                thought=thought,
                action=action,
                observation=observation,
                seconds=seconds,
                repeated=repeated,
            )
        )
        return (action if isinstance(action, FinalAnswer) else None), last

    def _last_is_next(self, end: int, spent_s: float) -> bool:
        """Whether the rounds, or the seconds at the pace seen so far, allow one more only."""
        slowest_s = max(self.slowest_s, spent_s)
        return end - self.rounds <= 1 or self._seconds_left() < 2 * slowest_s

    def _outcome(self, walk: Walk, answer: FinalAnswer) -> _Outcome:
        if is_not_found(answer.text):
            evidence = evidence_of(walk, answer.text, only_cited=True)
            return _Outcome(Verdict.NOT_FOUND, answer.text, evidence=evidence)
        evidence = evidence_of(walk, answer.text)
        found = option_of(answer.text, self.question.letters)
        if found is None:
            return _Outcome(Verdict.ANSWERED, answer.text, evidence=evidence, stop=True)
        letter, words = found
        option = option_texts(self.question.options)[self.question.letters.index(letter)]
        text = option if not words else f"{option}: {words}"
        if words.lower().startswith(option.lower()):
            text = words
        return _Outcome(Verdict.ANSWERED, text, letter, evidence, stop=True)

    def _answer(self, outcomes: Sequence[_Outcome], views: Sequence[TreeView]) -> Answer:
        left = views[len(outcomes) :]
        final = _together(outcomes, len(left))
        stopped = final.verdict in (Verdict.ANSWERED, Verdict.FAILED)
        return Answer(
            verdict=final.verdict,
            text=final.text,
            evidence=final.evidence,
            option=final.option,
            rounds=self.rounds,
            captions_opened=sum(len(walk.opened) for walk in self.walks),
            invalid_steps=self.invalid,
            seconds=self.clock() - self.started,
            agent=self.agent.name,
            captioner=views[0].recording.captioner if views else "",
            searched=searched(self.walks, () if stopped else left),
        )


def _gave_up(walk: Walk, text: str, *, stop: bool = False) -> _Outcome:
    return _Outcome(Verdict.GAVE_UP, text, evidence=evidence_of(walk, ""), stop=stop)


def _rounds(number: int) -> str:
    return f"{number} round{'' if number == 1 else 's'}"


def _together(outcomes: Sequence[_Outcome], left: int) -> _Outcome:
    """The outcome of a question from those of its recordings.

    `not_found` says that all of the footage asked about was searched; where recordings were
    left when the budget was spent, the question was given up.
    """
    if not outcomes:
        if left:
            return _Outcome(Verdict.GAVE_UP, "The budget left no round to ask in.")
        return _Outcome(Verdict.NOT_FOUND, "not found: no recording in this scope can be asked.")
    if outcomes[-1].stop:
        return outcomes[-1]
    verdicts = {outcome.verdict for outcome in outcomes}
    verdict = next(
        (v for v in (Verdict.GAVE_UP, Verdict.NOT_FOUND) if v in verdicts), Verdict.FAILED
    )
    texts = dict.fromkeys(outcome.text for outcome in outcomes)
    if left:
        verdict = Verdict.GAVE_UP if verdict is not Verdict.FAILED else verdict
        unread = "1 recording was" if left == 1 else f"{left} recordings were"
        texts[f"{unread} not searched: the budget was spent."] = None
    evidence = tuple(one for outcome in outcomes for one in outcome.evidence)
    return _Outcome(verdict, " ".join(texts), evidence=evidence)
