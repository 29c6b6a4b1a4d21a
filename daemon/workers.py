"""The two worker threads: one takes files in, one answers questions and goes first.

They lease a piece of work, hand it to `ingesting` or `answering`, and store how it ended.
A broad catch stands around one piece of work, and only there.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePath

from edge_lvr1.daemon.answering import Answering
from edge_lvr1.daemon.context import Context, Doing
from edge_lvr1.daemon.ingesting import Ingesting, StillChanging, Taken
from edge_lvr1.daemon.turnstile import Stopped
from edge_lvr1.domain import Answer, Step, Verdict
from edge_lvr1.errors import EdgeLvr1Error, MediaError, NotFoundError, StoreError
from edge_lvr1.store.queues import Job, QuestionRecord

log = logging.getLogger(__name__)

_OWNER = "daemon"
_LEASE_S = 600.0  # longer than any single caption takes; a daemon that starts frees all at once
_LOOK_AGAIN_S = 5.0  # for retries that come due without news
_STORE_PAUSE_S = 10.0  # a full disk or a locked database: go on answering, try again later


class Worker:
    """A thread that calls `work` until it raises Stopped; `work` says whether it found any."""

    def __init__(self, name: str, context: Context, work: Callable[[], bool]) -> None:
        self._context = context
        self._work = work
        # A daemon thread, so that one stuck in a decoder cannot keep the process alive.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def name(self) -> str:
        """What its log lines and its thread are called."""
        return self._thread.name

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def join(self, timeout_s: float) -> bool:
        """Wait for the end, after the turnstile was stopped; False where it does not come."""
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        turnstile = self._context.turnstile
        try:
            while True:
                mark = turnstile.mark()
                try:
                    found = self._work()
                except StoreError as error:
                    log.error("%s: %s; trying again", self._thread.name, error)
                    turnstile.rest(_STORE_PAUSE_S)
                    continue
                if not found:
                    turnstile.wait(mark, _LOOK_AGAIN_S)
        except Stopped:
            log.debug("%s worker stopped", self._thread.name)


@dataclass(frozen=True, slots=True)
class IngestWork:
    """The ingest worker's piece of work: one job."""

    context: Context
    ingesting: Ingesting

    def __call__(self) -> bool:
        """Lease a job and take its file in; False where none waits. Raises Stopped."""
        self.context.turnstile.pass_ingest()
        job = self.context.jobs.lease(_OWNER, _LEASE_S)
        if job is None:
            return False
        try:
            self._take_in(job)
        except Stopped:
            self.context.jobs.release(job)
            log.info("ingest: %s is put down; it goes on at the next start", self._name(job))
            raise
        finally:
            self.context.activity.put(None)
        return True

    def _take_in(self, job: Job) -> None:
        jobs, name = self.context.jobs, self._name(job)
        started = time.monotonic()
        hold = _Hold(self.context, job)
        log.info("ingest: %s begins", name)
        try:
            taken = self.ingesting.take_in(job, hold.between, hold.on_progress)
        except Stopped:
            raise
        except StoreError:
            jobs.release(job)
            raise
        except StillChanging:
            log.info("ingest: %s changed meanwhile; waiting until it stands still", name)
            jobs.fail(job, "it was still being written; it is taken when it stands still", False)
            self.context.offers.saw(Path(job.path))
        except (MediaError, NotFoundError, PermissionError) as error:
            self._failed(job, name, _sentence(error), retry=False)
        except (EdgeLvr1Error, OSError) as error:
            self._failed(job, name, _sentence(error), retry=True)
        except Exception as error:
            log.exception("ingest: %s broke something", name)
            self._failed(job, name, f"{type(error).__name__}: {error}", retry=True)
        else:
            jobs.done(job, taken.recordings, taken.remark)
            self._tell(name, taken, time.monotonic() - started)

    def _failed(self, job: Job, name: str, reason: str, *, retry: bool) -> None:
        log.warning("ingest: %s is not taken in: %s", name, reason)
        self.context.jobs.fail(job, reason, retry)

    def _tell(self, name: str, taken: Taken, seconds: float) -> None:
        if taken.remark:
            log.info("ingest: %s: %s", name, taken.remark)
        else:
            told = (name, taken.duration_s, taken.leaves, seconds)
            ratio = taken.duration_s / seconds if seconds else 0.0
            log.info("ingest: %s: %.1f s, %d leaves, ready in %.1f s (%.1fx)", *told, ratio)

    def _name(self, job: Job) -> str:
        path = PurePath(job.path)
        inside = [r for r in self.ingesting.roots if path.is_relative_to(r)]
        return str(path.relative_to(inside[0])) if inside else str(path)


class _Hold:
    """Keeps a job's lease alive and its progress known, and lets questions go first."""

    def __init__(self, context: Context, job: Job) -> None:
        self._context = context
        self._job = job
        self._renewed = time.monotonic()

    def between(self) -> None:
        """Wait while a question wants to go first. Raises Stopped."""
        self._context.turnstile.pass_ingest(on_wait=self._renew_in_time)
        self._renew_in_time()

    def on_progress(self, stage: str, done: int, total: int) -> None:
        """Remember how far the job is."""
        self._context.activity.put(Doing(self._job.id, stage, done, total))

    def _renew_in_time(self) -> None:
        now = time.monotonic()
        if now - self._renewed > _LEASE_S / 10:
            self._context.jobs.renew(self._job, _LEASE_S)
            self._renewed = now


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
            record = self.context.questions.lease(_OWNER, _LEASE_S)
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
            self.context.questions.renew(record, _LEASE_S)
            self.context.hub.tell(record.question.id)

        return on_step

    def _cancelled(self, record: QuestionRecord) -> Callable[[], bool]:
        def cancelled() -> bool:
            if self.context.turnstile.stopped:
                return True
            return self.context.questions.cancelled(record.question.id)

        return cancelled


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"it cannot be read: {error.strerror or error}"
    return str(error)


def _short(text: str, most: int = 120) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1] + "…"
