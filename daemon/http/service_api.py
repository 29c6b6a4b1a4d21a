"""The routes of the service itself: ingest jobs, status, health, metrics."""

from __future__ import annotations

import os
import time
from collections.abc import Container, Sequence
from datetime import datetime, timezone
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from edge_lvr1.access import Role
from edge_lvr1.daemon.context import Context, Doing, program_version
from edge_lvr1.daemon.health.metrics import DaemonMetrics
from edge_lvr1.daemon.http.access_rules import needs, role_of, who_of
from edge_lvr1.daemon.http.confined import confined, roots_of
from edge_lvr1.daemon.http.service_schemas import (
    FaultOut,
    HealthOut,
    JobOut,
    JobsOut,
    ModelOut,
    OfferedOut,
    PathIn,
    ProgressOut,
    RefusedOut,
    RootOut,
    ScheduledOut,
    StatusOut,
)
from edge_lvr1.errors import NotFoundError
from edge_lvr1.store.queues import Job, JobState, QuestionState

MOST_ROWS = 1000
_JOB_STATES = {JobState.LEASED: "running"}


def service_routes(context: Context) -> APIRouter:
    """/v1/ingest, /v1/status, /healthz and /metrics."""
    routes, ask = APIRouter(tags=["service"]), needs(Role.ASK)
    registry = CollectorRegistry()
    registry.register(DaemonMetrics(context))

    @routes.get("/v1/ingest", dependencies=[ask])
    def jobs(
        state: JobState | None = None,
        limit: Annotated[int, Query(ge=1, le=MOST_ROWS)] = MOST_ROWS,
        offset: Annotated[int, Query(ge=0, le=2**53)] = 0,
        job: Annotated[list[int] | None, Query(max_length=MOST_ROWS)] = None,
    ) -> JobsOut:
        """The files that were taken in, wait, or failed, and why; or those that are named."""
        found = context.jobs.page(state, job, limit, offset)
        return JobsOut(jobs=_jobs(context, found), total=context.jobs.total(state, job))

    @routes.get("/v1/ingest/{job}", dependencies=[ask])
    def job(job: int) -> JobOut:
        """One file's job."""
        found = context.jobs.job(job)
        if found is None:
            raise NotFoundError(f"there is no ingest job {job}; /v1/ingest lists them")
        return _jobs(context, [found])[0]

    @routes.post("/v1/ingest", status_code=202, dependencies=[needs(Role.INGEST)])
    def ingest(offered: PathIn, request: Request) -> OfferedOut:
        """Queue a file, or everything in a folder; failed ones are tried again.

        Only admins may name what is outside the watched folders and ingest.roots.
        """
        path = offered.path
        if not role_of(request.scope).allows(Role.ADMIN):
            path = confined(path, roots_of(context.settings))
        outcome = context.offers.explicit(path, offered.priority)
        told = {"path": path, "taken": len(outcome.taken), "refused": len(outcome.refused)}
        # Told as accepted, so that it waits for the disk; the jobs before it do with it.
        context.audit.add_for_good("file.offered", who_of(request.scope), **told)
        return OfferedOut(
            taken=_jobs(context, outcome.taken),
            refused=[RefusedOut(path=entry.path, reason=entry.reason) for entry in outcome.refused],
        )

    @routes.get("/v1/status", dependencies=[ask])
    def status() -> StatusOut:
        """How the daemon is and what it does."""
        return _status(context)

    @routes.get("/healthz")
    def healthz(request: Request) -> HealthOut:
        """200 while the daemon serves and its database answers, with what is wrong.

        Anybody may know whether it is well; what is wrong, only who may ask.
        """
        context.questions.queued()
        faults = _faults(context)
        told = faults if role_of(request.scope).allows(Role.ASK) else []
        return HealthOut(status="degraded" if faults else "ok", faults=told)

    @routes.get("/metrics", response_class=Response, dependencies=[ask])
    def metrics() -> Response:
        """Counts for Prometheus."""
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return routes


def _jobs(context: Context, jobs: Sequence[Job]) -> list[JobOut]:
    """Jobs, each with those of its recordings that are still there.

    One that a job of a second copy names may since have become part of another.
    """
    doing = context.activity.now()
    there = context.trees.there({number for job in jobs for number in job.recordings})
    return [_job(job, doing, there) for job in jobs]


def _job(job: Job, doing: Sequence[Doing], there: Container[int]) -> JobOut:
    progress = next(
        (
            ProgressOut(stage=one.stage, done=one.done, total=one.total or None)
            for one in doing
            if one.job == job.id or one.recording in job.recordings
        ),
        None,
    )
    return JobOut(
        id=job.id,
        path=job.path,
        state=_JOB_STATES.get(job.state, job.state.value),
        reason=job.reason,
        attempts=job.attempts,
        size_bytes=job.size_bytes,
        recordings=[number for number in job.recordings if number in there],
        progress=progress,
    )


def _status(context: Context) -> StatusOut:
    settings = context.settings
    doing = context.activity.now()
    current = _current(context, doing)
    totals = context.trees.totals()
    return StatusOut(
        version=program_version(),
        pid=os.getpid(),
        uptime_s=round(time.monotonic() - context.started_s, 1),
        data=str(settings.data),
        socket=str(settings.socket_path),
        listen=settings.listen,
        watched=[str(root) for root in settings.watch],
        captioner=context.backends.captioner.name,
        agent=context.backends.agent.name,
        models=[
            ModelOut(role=one.role, name=one.name, loaded=one.loaded, memory_mb=one.memory_mb)
            for one in context.backends.residency.states()
        ],
        recordings=totals.recordings,
        open=totals.open,
        calls_made=totals.calls_made,
        calls_saved=totals.calls_saved,
        queryable=totals.queryable,
        complete=totals.complete,
        settling=context.offers.pending(),
        jobs={
            _JOB_STATES.get(state, state.value): count
            for state, count in context.jobs.counts().items()
        },
        questions={
            "queued": context.questions.queued(),
            "running": len(context.questions.list(QuestionState.RUNNING)),
        },
        current=_jobs(context, [current])[0] if current else None,
        faults=_faults(context),
        scheduled=_scheduled(context),
        roots=_roots(context),
        events_lost=context.folders.overflows() if context.folders else 0,
    )


def _roots(context: Context) -> list[RootOut]:
    states = context.folders.states() if context.folders else []
    return [
        RootOut(
            path=str(state.path),
            found_by=state.found_by,
            why=state.why,
            there=state.there,
            problem=state.problem,
            files=state.files,
            scanned_at=_moment(state.scanned_s),
            scan_took_s=round(state.took_s, 3),
        )
        for state in states
    ]


def _scheduled(context: Context) -> list[ScheduledOut]:
    jobs = context.schedule.jobs() if context.schedule else []
    return [
        ScheduledOut(
            name=job.name,
            when=job.when,
            running=job.running,
            last=_moment(job.last_s),
            took_s=None if job.took_s is None else round(job.took_s, 2),
            outcome=job.outcome,
            failed=job.failed,
            next=_moment(job.next_s),
        )
        for job in jobs
    ]


def _moment(epoch_s: float | None) -> datetime | None:
    return None if epoch_s is None else datetime.fromtimestamp(epoch_s, timezone.utc)


def _faults(context: Context) -> list[FaultOut]:
    return [
        FaultOut(
            key=fault.key,
            sentence=fault.sentence,
            since=datetime.fromtimestamp(fault.since_s, timezone.utc),
        )
        for fault in context.faults.now()
    ]


def _current(context: Context, doing: Sequence[Doing]) -> Job | None:
    """The file in hand: that of the recording which is captioned, else that which is read."""
    for one in doing:
        if one.recording is not None:
            parts = context.trees.recording(one.recording).parts
            found = context.jobs.of_path(parts[0].path) if parts else None
            if found is not None:
                return found
    numbers = [one.job for one in doing if one.job is not None]
    return context.jobs.job(numbers[0]) if numbers else None
