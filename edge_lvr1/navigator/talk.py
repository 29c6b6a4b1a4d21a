"""The rounds of one recording: replies, what comes back, and how it ends.

An answer ends it, unless it is given back: once for want of a caption that was read, and
once where a look at its own evidence does not bear it out. A conversation in which replies
hold no move any more (a context that is full) is asked for the answer once, and given up.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from edge_lvr1 import prompts
from edge_lvr1.domain import (
    Action,
    Confirmation,
    FinalAnswer,
    Invalid,
    Question,
    Step,
)
from edge_lvr1.errors import Cancelled
from edge_lvr1.models.base import AgentSession
from edge_lvr1.navigator.actions import is_not_found, parse_reply
from edge_lvr1.navigator.budget import Budget
from edge_lvr1.navigator.confirm import confirm
from edge_lvr1.navigator.conversation import information_observation
from edge_lvr1.navigator.hints import Hints
from edge_lvr1.navigator.outcome import Outcome, cancelled_text, gave_up, outcome_of, rounds_text
from edge_lvr1.navigator.walk import Walk

_MOVE = re.compile(r"<\s*(?:tool|answer)\s*>", re.I)
_MOVELESS = 2
"""Replies in a row without any move, before the answer is asked for."""


@dataclass(slots=True)
class Talk:
    """One recording's conversation, up to the round `end` of the question's budget."""

    question: Question
    walk: Walk
    session: AgentSession
    hints: Hints
    budget: Budget
    end: int
    on_step: Callable[[Step], None]
    cancelled: Callable[[], bool]
    invalid: int = 0
    moveless: int = 0
    refuted: bool = False
    confirmation: Confirmation | None = field(default=None)

    def run(self, *, last: bool) -> Outcome:
        """Rounds until an answer stands or the budget is spent. Raises ModelError."""
        while True:
            if self.cancelled():
                return gave_up(self.walk, cancelled_text(self.budget.rounds), stop=True)
            if self.budget.seconds_left <= 0:
                text = f"No answer within {self.question.max_seconds:g} s."
                return gave_up(self.walk, text, stop=True)
            forced = last
            try:
                answer, last = self._round(last=last)
            except Cancelled:  # what was begun of the round is not told
                return gave_up(self.walk, cancelled_text(self.budget.rounds), stop=True)
            if answer is not None:
                return outcome_of(self.walk, self.question, answer, self.confirmation)
            if forced:
                text = f"No answer within {rounds_text(self.budget.rounds)}."
                return gave_up(self.walk, text)

    def _round(self, *, last: bool) -> tuple[FinalAnswer | None, bool]:
        """One round: the answer where one stands, and whether the next round is the last."""
        began = self.budget.now()
        moves = self.walk.moves(last=last)
        messages = self.walk.conversation.messages
        reply = self.session.reply(messages, moves, self.budget.deadline_s, self.cancelled)
        thought, action = parse_reply(reply, moves)
        action = self.walk.checked(action)
        self.budget.rounds += 1
        self.invalid += isinstance(action, Invalid)
        self.moveless = 0 if _MOVE.search(reply) else self.moveless + 1
        next_is_last = self._next_is_last(began)
        told, hint, repeated = self._come_back(
            action, thought, forced=last, last=next_is_last and not last
        )
        self.walk.take(reply, thought, told)
        seconds = self.budget.now() - began
        self.budget.took(seconds)
        here = self.walk.view.recording.id
        cost = (told, seconds, repeated, hint)
        self.on_step(Step(self.budget.rounds, here, reply, thought, action, *cost))
        stands = isinstance(action, FinalAnswer) and not told
        return (action if stands and isinstance(action, FinalAnswer) else None), next_is_last

    def _next_is_last(self, began: float) -> bool:
        spent_s = self.budget.now() - began
        return self.moveless >= _MOVELESS or self.budget.one_more_only(self.end, spent_s)

    def _come_back(
        self, action: Action, thought: str, *, forced: bool, last: bool
    ) -> tuple[str, str, bool]:
        """What comes back, the hint in it, and whether the move was a repeat."""
        if isinstance(action, FinalAnswer):
            self.walk.thought = thought or self.walk.thought
            told, hint = self._given_back(action, forced=forced, last=last)
            return told, hint, False
        told, repeated = self.walk.observe(action, last=last)
        # A hint in the turn before a forced answer could not be followed.
        hint = "" if last or forced else self.hints.after(self.walk, action, repeated=repeated)
        return (f"{told}\n{hint}" if hint else told), hint, repeated

    def _given_back(self, answer: FinalAnswer, *, forced: bool, last: bool) -> tuple[str, str]:
        """The turn that gives an answer back, and the hint in it; empty where it stands."""
        if not (forced or last) and (hint := self.hints.on_answer(self.walk, answer.text)):
            return information_observation(hint, last=False), hint
        self.confirmation = None
        if not self.question.confirm or is_not_found(answer.text):
            return "", ""
        self.confirmation, said = confirm(self.walk, answer.text)
        refuted = self.confirmation is Confirmation.NOT_CONFIRMED
        if forced or self.refuted or not refuted:
            return "", ""
        self.refuted = True
        return information_observation(prompts.refuted(said), last=last), ""
