"""The question worker's work: one question at a time, ahead of everything else.

It leases a question, hands it to `answering`, and stores how it ended. A broad catch stands
around one question, and only there.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from edge_lvr1.daemon.context import Context
from edge_lvr1.daemon.host.journal import about
from edge_lvr1.daemon.questions.answering import Answering
from edge_lvr1.daemon.questions.model_servers import Away
from edge_lvr1.daemon.turnstile import Stopped
from edge_lvr1.daemon.workers import LEASE_S, OWNER, Owed, told_of
from edge_lvr1.domain import Answer, Question, Step, Verdict
from edge_lvr1.errors import ServerAway, StoreError
from edge_lvr1.store.queues import QuestionRecord

log = logging.getLogger(__name__)

_MOST_PUT_BACK = 3
"""Times that a question is put back into the queue because its agent's server stayed away."""
_CANCEL_S, _EXPIRE_S = 0.2, 1.0  # how often the database is asked about what clients want


@dataclass(frozen=True, slots=True)
class QuestionWork:
    """The question worker's piece of work: one question."""

    context: Context
    answering: Answering
    away: Away
    owed: Owed = field(default_factory=Owed)
    _put_back: dict[str, int] = field(default_factory=dict, init=False)

    def __call__(self) -> bool:
        """Lease a question and answer it; False where none waits. Raises Stopped."""
        turnstile = self.context.turnstile
        if turnstile.stopped:
            raise Stopped
        self.owed.settle()
        # Looking costs nothing; `asking` is news to ingest when it ends, and to look for work
        # inside it would wake this worker again and again.
        if not self.context.questions.queued():
            self.away.look_again()
            return False
        _expire(self.context)
        if self.away.waiting():
            return False
        with turnstile.asking():
            record = self.context.questions.lease(OWNER, LEASE_S)
            if record is None:
                return False
            with about(question=record.question.id):
                self._answer(record)
        if turnstile.stopped:
            raise Stopped
        return True

    def _answer(self, record: QuestionRecord) -> None:
        context = self.context
        question = _cut(record.question, context.clock())
        log.info("question %s: %s", question.id, _short(question.text))
        context.hub.tell(question.id)
        try:
            answer = self.answering.answer(
                question, self._on_step(record), Cancellation(context, question.id)
            )
        except StoreError:
            self.owed.later(lambda: context.questions.release(record))
            raise
        except ServerAway as error:
            tries = self._put_back.pop(question.id, 0) + 1
            if tries <= _MOST_PUT_BACK:
                self._put_back[question.id] = tries
                log.info("question %s waits for its agent: %s", question.id, error)
                self.owed.store(lambda: self._release(record))
                return
            answer = Answer(Verdict.FAILED, f"{error}; so {tries} times")
        except Exception as error:
            log.exception("question %s broke something", question.id)
            answer = Answer(Verdict.FAILED, told_of(error))
        if context.turnstile.stopped and answer.verdict is Verdict.GAVE_UP:
            context.questions.release(record)
            log.info("question %s is put down; it is asked again at the next start", question.id)
            return
        self._put_back.pop(question.id, None)
        self.owed.store(lambda: self._finish(question.id, answer))
        context.meters.answered(answer)
        told = (question.id, answer.verdict.value, answer.rounds, answer.seconds)
        log.info("question %s: %s after %d rounds, %.1f s", *told)

    def _finish(self, question: str, answer: Answer) -> None:
        self.context.questions.finish(question, answer)
        self.context.hub.tell(question)

    def _release(self, record: QuestionRecord) -> None:
        self.context.questions.release(record)
        self.context.hub.tell(record.question.id)

    def _on_step(self, record: QuestionRecord) -> Callable[[Step], None]:
        def on_step(step: Step) -> None:
            self.context.questions.add_step(record.question.id, step)
            self.context.questions.renew(record, LEASE_S)
            self.context.hub.tell(record.question.id)

        return on_step


class Cancellation:
    """Whether a question in hand is to end: its client, or the daemon, wants no more of it.

    Asked as often as anybody likes, it looks a few times a second. Meanwhile it ends what
    waits too long behind the question. `clock` runs like time.monotonic.
    """

    def __init__(
        self, context: Context, question: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._context = context
        self._question = question
        self._clock = clock
        self._looked_s = self._expired_s = clock() - _EXPIRE_S
        self._said = False

    def __call__(self) -> bool:
        """True once it is to end."""
        self._context.turnstile.heartbeats.beat()
        if self._context.turnstile.stopped or self._said:
            return True
        now_s = self._clock()
        if now_s - self._looked_s >= _CANCEL_S:
            self._looked_s = now_s
            self._said = self._context.questions.cancelled(self._question)
        if now_s - self._expired_s >= _EXPIRE_S:
            self._expired_s = now_s
            _expire(self._context)
        return self._said


def _expire(context: Context) -> None:
    for question in context.questions.expire():
        log.info("question %s: not begun by its deadline", question)
        context.hub.tell(question)


def _cut(question: Question, now_s: float) -> Question:
    """The question with no more seconds than are left to its deadline.

    From here on a clock counts that nobody sets.
    """
    if question.deadline is None:
        return question
    left_s = round(max(0.1, question.deadline.timestamp() - now_s), 1)
    return replace(question, max_seconds=min(question.max_seconds, left_s))


def _short(text: str, most: int = 120) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"
