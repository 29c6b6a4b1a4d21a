"""The question worker's work: one question at a time, ahead of everything else.

It leases a question, hands it to `answering`, and stores how it ended. A broad catch stands
around one question, and only there.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from edge_lvr1.daemon.answering import Answering
from edge_lvr1.daemon.context import Context
from edge_lvr1.daemon.turnstile import Stopped
from edge_lvr1.daemon.workers import LEASE_S, OWNER
from edge_lvr1.domain import Answer, Step, Verdict
from edge_lvr1.errors import StoreError
from edge_lvr1.store.queues import QuestionRecord

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class QuestionWork:
    """The question worker's piece of work: one question."""

    context: Context
    answering: Answering

    def __call__(self) -> bool:
        """Lease a question and answer it; False where none waits. Raises Stopped."""
        turnstile = self.context.turnstile
        if turnstile.stopped:
            raise Stopped
        # Looking costs nothing; `asking` is news to ingest when it ends, and to look for work
        # inside it would wake this worker again and again.
        if not self.context.questions.queued():
            return False
        with turnstile.asking():
            record = self.context.questions.lease(OWNER, LEASE_S)
            if record is None:
                return False
            self._answer(record)
        if turnstile.stopped:
            raise Stopped
        return True

    def _answer(self, record: QuestionRecord) -> None:
        context, question = self.context, record.question
        log.info("question %s: %s", question.id, _short(question.text))
        context.hub.tell(question.id)
        try:
            answer = self.answering.answer(question, self._on_step(record), self._cancelled(record))
        except StoreError:
            context.questions.release(record)
            raise
        except Exception as error:
            log.exception("question %s broke something", question.id)
            answer = Answer(Verdict.FAILED, f"{type(error).__name__}: {error}")
        if context.turnstile.stopped and answer.verdict is Verdict.GAVE_UP:
            context.questions.release(record)
            log.info("question %s is put down; it is asked again at the next start", question.id)
            return
        context.questions.finish(question.id, answer)
        context.hub.tell(question.id)
        told = (question.id, answer.verdict.value, answer.rounds, answer.seconds)
        log.info("question %s: %s after %d rounds, %.1f s", *told)

    def _on_step(self, record: QuestionRecord) -> Callable[[Step], None]:
        def on_step(step: Step) -> None:
            self.context.questions.add_step(record.question.id, step)
            self.context.questions.renew(record, LEASE_S)
            self.context.hub.tell(record.question.id)

        return on_step

    def _cancelled(self, record: QuestionRecord) -> Callable[[], bool]:
        def cancelled() -> bool:
            if self.context.turnstile.stopped:
                return True
            return self.context.questions.cancelled(record.question.id)

        return cancelled


def _short(text: str, most: int = 120) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"
