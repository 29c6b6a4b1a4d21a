"""The ingest workers' work: files taken in one at a time, recordings captioned one at a time.

They lease a job or a recording, hand it to `intake` or `building`, and store how it ended. A
broad catch stands around one piece of work, and only there.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from edge_lvr1.daemon.context import Context, Doing
from edge_lvr1.daemon.host.journal import about
from edge_lvr1.daemon.ingest.building import Building
from edge_lvr1.daemon.ingest.intake import Intake, StillChanging
from edge_lvr1.daemon.questions.model_servers import Away
from edge_lvr1.daemon.turnstile import Stopped
from edge_lvr1.daemon.watching.settling import look
from edge_lvr1.daemon.workers import LEASE_S, OWNER, Owed, told_of
from edge_lvr1.domain import Level, Recording
from edge_lvr1.errors import (
    EdgeLvr1Error,
    MediaError,
    NotFoundError,
    ServerAway,
    StoreError,
    StoreFull,
)
from edge_lvr1.store.opening import FULL
from edge_lvr1.store.queues import Build, Job

log = logging.getLogger(__name__)

INTAKE, BUILD = "intake", "build"
_MOST_BROKEN = 5
"""Times that a server may break off over a recording before that counts as a failed try."""
_PUT_TOGETHER_S = 2.0  # while files keep coming, recordings are put together this often


class _Paused(Exception):  # noqa: N818 (not an error: ingest was asked to wait)
    """Work in hand is to be put down, because ingest pauses."""


@dataclass(slots=True)
class IntakeWork:
    """Taking files in: one job a call."""

    context: Context
    intake: Intake
    monotonic: Callable[[], float] = time.monotonic
    owed: Owed = field(default_factory=Owed)
    _together_s: float = field(default=float("-inf"), init=False)

    def __call__(self) -> bool:
        """Lease a job and take its file in; False where none waits. Raises Stopped."""
        context = self.context
        context.turnstile.pass_ingest()
        self.owed.settle()
        job = context.jobs.lease(OWNER, LEASE_S)
        if job is None:
            return self._put_together()
        try:
            with about(job=job.id, path=job.path):
                self._take_in(job)
        except Stopped:
            context.jobs.release(job)
            log.info("ingest: %s is put down; it goes on at the next start", self._name(job))
            raise
        except _Paused:
            self.owed.store(lambda: context.jobs.release(job))
            log.info("ingest: %s is put down while ingest pauses", self._name(job))
            return True
        finally:
            context.activity.put(INTAKE, None)
        if self.monotonic() - self._together_s > _PUT_TOGETHER_S or not context.jobs.busy():
            self._put_together()
        return True

    def _put_together(self) -> bool:
        changed = self.intake.put_together()
        self._together_s = self.monotonic()
        if changed:
            self.context.turnstile.news()
        return bool(changed)

    def _take_in(self, job: Job) -> None:
        jobs, name = self.context.jobs, self._name(job)
        hold = _Hold(self.context, INTAKE, job=job)
        try:
            told = self.intake.take_in(job, hold.between, hold.on_progress)
        except (Stopped, _Paused):
            raise
        except StoreError:
            self.owed.later(lambda: jobs.release(job))
            raise
        except StillChanging:
            log.info("ingest: %s changed meanwhile; waiting until it stands still", name)
            reason = "it was still being written; it is taken when it stands still"
            # Another file of the same size and time would never be offered: it is tried again.
            alike = _stands(job)
            self.owed.store(lambda: jobs.fail(job, reason, alike))
            self.context.offers.saw([job.path])
        except (MediaError, NotFoundError, PermissionError) as error:
            self._failed(job, name, _sentence(error), retry=False)
        except (EdgeLvr1Error, OSError) as error:
            if _full(error):
                self.owed.later(lambda: jobs.release(job))
                raise StoreFull(_NO_ROOM) from error
            self._failed(job, name, _sentence(error), retry=True)
        except Exception as error:
            log.exception("ingest: %s broke something", name)
            self._failed(job, name, told_of(error), retry=True)
        else:
            log.info("ingest: %s: %s", name, told)

    def _failed(self, job: Job, name: str, reason: str, *, retry: bool) -> None:
        if self.context.is_away(job.path):
            log.info("ingest: %s waits until its watched folder is there again", name)
            self.owed.store(lambda: self.context.jobs.wait(job))
            return
        log.warning("ingest: %s is not taken in: %s", name, reason)
        self.owed.store(lambda: self.context.jobs.fail(job, reason, retry))

    def _name(self, job: Job) -> str:
        path = PurePath(job.path)
        root = self.intake.root_of(Path(job.path))
        return str(path.relative_to(root)) if root else str(path)


@dataclass(frozen=True, slots=True)
class BuildWork:
    """Captioning recordings: one a call."""

    context: Context
    building: Building
    away: Away
    owed: Owed = field(default_factory=Owed)
    _broken: dict[int, int] = field(default_factory=dict, init=False)

    def __call__(self) -> bool:
        """Lease a recording and caption it; False where none waits. Raises Stopped."""
        context = self.context
        context.turnstile.pass_ingest()
        self.owed.settle()
        if self.away.look_again():
            return False
        idle = not context.jobs.busy() and not context.offers.pending()
        if closed := context.builds.close(context.settings.ingest.quiet_s, idle=idle):
            log.debug("%d recordings are closed", closed)
        build = context.builds.lease(OWNER, LEASE_S)
        if build is None:
            return False
        try:
            with about(recording=build.recording):
                self._build(build)
        except Stopped:
            context.builds.release(build)
            log.info("recording %d is put down; it goes on at the next start", build.recording)
            raise
        except _Paused:
            self.owed.store(lambda: context.builds.release(build))
            log.info("recording %d is put down while ingest pauses", build.recording)
        finally:
            context.activity.put(BUILD, None)
        return True

    def _build(self, build: Build) -> None:
        builds = self.context.builds
        started = time.monotonic()
        hold = _Hold(self.context, BUILD, build=build)
        try:
            recording = self.context.trees.recording(build.recording)
            log.info("recording %d: %s begins", recording.id, _described(recording))
            self.building.build(recording, hold.between, hold.on_progress)
        except (Stopped, _Paused):
            raise
        except StoreError:
            self.owed.later(lambda: builds.release(build))
            raise
        except ServerAway as error:
            self._put_off(build, error)
        except (MediaError, NotFoundError, PermissionError) as error:
            self._failed(build, _sentence(error), retry=False)
        except (EdgeLvr1Error, OSError) as error:
            if _full(error):
                self.owed.later(lambda: builds.release(build))
                raise StoreFull(_NO_ROOM) from error
            self._failed(build, _sentence(error), retry=True)
        except Exception as error:
            log.exception("recording %d broke something", build.recording)
            self._failed(build, told_of(error), retry=True)
        else:
            self._broken.pop(build.recording, None)
            if self.owed.store(lambda: builds.done(build)):
                self._tell(recording, time.monotonic() - started)
            else:
                log.info("recording %d got other parts meanwhile", build.recording)

    def _put_off(self, build: Build, error: ServerAway) -> None:
        """Give a recording back while its captioner's server is away.

        A server that breaks off over the same recording time and again may do so because of it.
        """
        broken = self._broken.pop(build.recording, 0) + error.reached
        if broken >= _MOST_BROKEN:
            self._failed(build, f"{error}; so {broken} times", retry=True)
            return
        if broken:
            self._broken[build.recording] = broken
        self.owed.store(lambda: self.context.builds.release(build))

    def _failed(self, build: Build, reason: str, *, retry: bool) -> None:
        if self._is_away(build):
            log.info("recording %d waits until its watched folder is there again", build.recording)
            self.owed.store(lambda: self.context.builds.wait(build))
            return
        if self.owed.store(lambda: self.context.builds.fail(build, reason, retry)):
            log.warning("recording %d is not captioned: %s", build.recording, reason)
        else:
            log.info("recording %d got other parts meanwhile", build.recording)

    def _is_away(self, build: Build) -> bool:
        try:
            parts = self.context.trees.recording(build.recording).parts
        except NotFoundError:  # put together anew, into others
            return False
        return any(self.context.is_away(part.path) for part in parts)

    def _tell(self, recording: Recording, seconds: float) -> None:
        done = self.context.trees.progress(recording.id)
        log.info(
            "recording %d: %.1f s, %d leaves, %d captions by the captioner and %d without, "
            "ready in %.1f s (%.1fx)",
            *(recording.id, recording.duration_s),
            self.context.trees.recording(recording.id).width ** len(Level),
            *(done.calls_made, done.calls_saved, seconds),
            recording.duration_s / seconds if seconds else 0.0,
        )


class _Hold:
    """Keeps a lease alive and progress known, and lets questions go first."""

    def __init__(
        self, context: Context, worker: str, job: Job | None = None, build: Build | None = None
    ) -> None:
        self._context = context
        self._worker = worker
        self._job = job
        self._build = build
        self._renewed = time.monotonic()

    def between(self) -> None:
        """Wait while a question wants to go first. Raises Stopped, _Paused."""
        if self._context.paused():
            raise _Paused
        self._context.turnstile.pass_ingest(on_wait=self._renew_in_time)
        self._renew_in_time()

    def on_progress(self, stage: str, done: int, total: int) -> None:
        """Remember how far the work is."""
        job = self._job.id if self._job else None
        recording = self._build.recording if self._build else None
        self._context.activity.put(self._worker, Doing(job, recording, stage, done, total))

    def _renew_in_time(self) -> None:
        now = time.monotonic()
        if now - self._renewed > LEASE_S / 10:
            if self._job:
                self._context.jobs.renew(self._job, LEASE_S)
            if self._build:
                self._context.builds.renew(self._build, LEASE_S)
            self._renewed = now


def _stands(job: Job) -> bool:
    """Whether what lies at a job's path now has the size and time that it was offered with."""
    try:
        file = look(job.path)
    except OSError:
        return False
    return file is not None and (file.size_bytes, file.mtime_ns) == (job.size_bytes, job.mtime_ns)


def _described(recording: Recording) -> str:
    parts = f"{len(recording.parts)} parts" if len(recording.parts) > 1 else recording.parts[0].path
    return f"{recording.camera}, {recording.starts_at:%Y-%m-%d %H:%M:%S}, {parts}"


_NO_ROOM = "a file could not be written: the disk is full; free some space on it"


def _full(error: Exception) -> bool:
    return isinstance(error, OSError) and error.errno in FULL


def _sentence(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"it cannot be read: {error.strerror or error}"
    return str(error)
