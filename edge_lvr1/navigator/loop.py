"""The navigation loop: a question, some recordings, an agent, and a budget.

The recordings are asked in the order given, each in a conversation of its own, and the
first that answers ends the question; one that asks for a count or a time is put to all of
them, and what they say is put together. Rounds and seconds are one budget over all. The
loop knows nothing of backends or storage: it is handed views, an agent and a clock, and
hands out every step as it happens.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

from edge_lvr1.domain import Answer, Question, Step, Verdict
from edge_lvr1.errors import Cancelled, EdgeLvr1Error, ModelError, ServerAway
from edge_lvr1.models.base import Agent, tools_of
from edge_lvr1.navigator.budget import Budget
from edge_lvr1.navigator.evidence import evidence_of, searched
from edge_lvr1.navigator.hints import Hints
from edge_lvr1.navigator.merge import Kind, kind_of, merge
from edge_lvr1.navigator.outcome import Outcome, cancelled_text, together, where
from edge_lvr1.navigator.rules import Rules
from edge_lvr1.navigator.talk import Talk
from edge_lvr1.navigator.view import TreeView
from edge_lvr1.navigator.walk import Walk

__all__ = ["Rules", "TreeView", "navigate"]

log = logging.getLogger(__name__)

MIN_SHARE = 4
"""Fewest rounds worth beginning a recording with, where more recordings wait behind it:
one medium caption, one leaf, one more try, and the answer."""
_CARRIED, _CARRIED_CHARS = 3, 200


def navigate(
    question: Question,
    views: Sequence[TreeView],
    agent: Agent,
    clock: Callable[[], float],
    on_step: Callable[[Step], None],
    cancelled: Callable[[], bool] = lambda: False,
    *,
    rules: Rules = Rules(),  # noqa: B008 (a value)
    also: Sequence[TreeView] = (),
    among_others: bool = False,
) -> Answer:
    """Ask the recordings in order until one answers or the budget is spent.

    `views` have to be asked before anything is said not to be there; those in `also` come
    after them while the budget lasts. `clock` runs like time.monotonic. `cancelled` is read
    before each round, and by whatever takes long within one; a cancelled question ends as
    `gave_up` with the evidence so far, and its text says so. An agent that fails ends it as
    `failed`. What `on_step` raises goes through to the caller, and so does ServerAway: the
    agent may be back later. `among_others`: more recordings than these were asked about, so
    the answer says which one it is from, and when by the clock.
    """
    asked = replace(question, text=question.about or question.text)
    navigation = _Navigation(asked, agent, clock, on_step, cancelled, rules)
    return navigation.run(views, also, among_others=among_others)


class _Navigation:
    """One question's budget, counters and walks."""

    def __init__(
        self,
        question: Question,
        agent: Agent,
        clock: Callable[[], float],
        on_step: Callable[[Step], None],
        cancelled: Callable[[], bool],
        rules: Rules,
    ) -> None:
        self.question = question
        self.agent = agent
        self.clock = clock
        self.on_step = on_step
        self.cancelled = cancelled
        self.rules = rules
        self.budget = Budget(question, clock)
        self.invalid = 0
        self.walks: list[Walk] = []

    def run(
        self, views: Sequence[TreeView], also: Sequence[TreeView], *, among_others: bool
    ) -> Answer:
        """Walk the recordings and put their outcomes together."""
        self.budget = Budget(self.question, self.clock)
        kind = kind_of(self.question)
        if len(views) + len(also) < 2 and not (among_others and kind is Kind.WHEN):
            kind = Kind.OTHER
        question = self.question
        if kind is not Kind.OTHER:  # what holds of all is none of the options in each
            question = replace(question, options=())
        outcomes: list[Outcome] = []
        if kind is not Kind.OTHER and not views:
            views, also = also, ()  # none mentions all of it: those that may are all to be asked
        # What is asked of all is asked of those that mention it, where any do.
        everyone = [*views, *(also if kind is Kind.OTHER else ())]
        for index, view in enumerate(everyone):
            waiting = len(views) - index if index < len(views) else 1
            share = self._share(waiting, 1 if kind is not Kind.OTHER else MIN_SHARE)
            if share < 1 or self.budget.seconds_left <= 0:
                break
            outcome = self._ask(question, view, share, everyone, outcomes)
            told = (view.recording.id, outcome.verdict.value, self.budget.rounds)
            log.info("question %s: recording %d: %s after %d rounds", question.id, *told)
            outcomes.append(outcome)
            if outcome.stop and (kind is Kind.OTHER or outcome.verdict is not Verdict.ANSWERED):
                break
        left = max(0, len(views) - len(outcomes))
        broken = outcomes and outcomes[-1].stop and outcomes[-1].verdict is Verdict.FAILED
        if kind is Kind.OTHER or broken or self.cancelled():
            final = together(outcomes, left)
        else:
            final = merge(self.question, kind, outcomes, left)
        settled = final.verdict is Verdict.ANSWERED and kind is Kind.OTHER
        if settled and among_others and final.recording is not None:
            final = replace(final, text=f"{final.text} {where(final.recording)}")
        if settled or final.verdict is Verdict.FAILED:
            return self._answer(final, everyone[: len(outcomes)], ())
        unasked = also[max(0, len(outcomes) - len(views)) :]
        return self._answer(final, [*views, *also], unasked, views[len(outcomes) :])

    def _share(self, waiting: int, least: int) -> int:
        left = self.budget.rounds_left
        return min(left, max(least, left // waiting))

    def _ask(
        self,
        question: Question,
        view: TreeView,
        share: int,
        everyone: Sequence[TreeView],
        before: Sequence[Outcome],
    ) -> Outcome:
        """One recording's part, with its session closed whatever happens."""
        finder = self.rules.finder(view.recording)
        walk = Walk(
            question,
            view,
            tools=tools_of(self.agent),
            finder=finder,
            recordings=[one.recording for one in everyone],
        )
        try:
            walk.begin(last=share == 1, learnt=_learnt(before) if self.rules.carry else ())
        except Cancelled:
            text = cancelled_text(self.budget.rounds)
            return Outcome(Verdict.GAVE_UP, text, stop=True)
        except EdgeLvr1Error as error:
            log.warning("recording %d cannot be asked: %s", view.recording.id, error)
            return Outcome(Verdict.FAILED, f"recording {view.recording.id}: {error}")
        self.walks.append(walk)
        hints = Hints(finder if self.rules.hints else None, self.rules.dry_rounds)
        try:
            session = self.agent.open(finder)
            end = self.budget.rounds + share
            cancelled = self.cancelled
            talk = Talk(question, walk, session, hints, self.budget, end, self.on_step, cancelled)
            try:
                return talk.run(last=share == 1)
            finally:
                session.close()
                self.invalid += talk.invalid
        except ServerAway:
            raise
        except ModelError as error:
            log.error("question %s: the agent failed: %s", question.id, error)
            evidence = evidence_of(walk, "")
            return Outcome(Verdict.FAILED, str(error), evidence=evidence, stop=True)

    def _answer(
        self,
        final: Outcome,
        everyone: Sequence[TreeView],
        unasked: Sequence[TreeView],
        left: Sequence[TreeView] = (),
    ) -> Answer:
        return Answer(
            verdict=final.verdict,
            text=final.text,
            evidence=final.evidence,
            option=final.option,
            rounds=self.budget.rounds,
            captions_opened=sum(len(walk.opened) for walk in self.walks),
            invalid_steps=self.invalid,
            seconds=self.budget.seconds_spent,
            agent=self.agent.name,
            captioner=everyone[0].recording.captioner if everyone else "",
            searched=searched(self.walks, left, unasked),
            confirmation=final.confirmation,
        )


def _learnt(before: Sequence[Outcome]) -> list[str]:
    """What the last few recordings came to, each in a short sentence."""
    told = [one for one in before if one.recording is not None][-_CARRIED:]
    return [
        f"{one.recording.camera}, {one.recording.starts_at.isoformat(' ', 'minutes')}: "
        f"{one.text[:_CARRIED_CHARS]}"
        for one in told
        if one.recording is not None
    ]
