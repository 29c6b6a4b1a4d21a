"""The routes of the service itself: ingest jobs, status, health, metrics."""

from __future__ import annotations

import os
import time

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from edge_lvr1.daemon.context import Context, Doing, program_version
from edge_lvr1.daemon.metrics import ArchiveMetrics
from edge_lvr1.daemon.schemas import (
    JobOut,
    JobsOut,
    ModelOut,
    OfferedOut,
    PathIn,
    ProgressOut,
    RefusedOut,
    StatusOut,
)
from edge_lvr1.errors import NotFoundError
from edge_lvr1.store.queues import Job, JobState, QuestionState

_JOB_STATES = {JobState.LEASED: "running"}


def service_routes(context: Context) -> APIRouter:
    """/v1/ingest, /v1/status, /healthz and /metrics."""
    routes = APIRouter(tags=["service"])
    registry = CollectorRegistry()
    registry.register(ArchiveMetrics(context))

    @routes.get("/v1/ingest")
    def jobs() -> JobsOut:
        """The files that were taken in, wait, or failed, and why."""
        doing = context.activity.now()
        return JobsOut(jobs=[_job(job, doing) for job in context.jobs.jobs()])

    @routes.get("/v1/ingest/{job}")
    def job(job: int) -> JobOut:
        """One file's job."""
        found = context.jobs.job(job)
        if found is None:
            raise NotFoundError(f"there is no ingest job {job}; /v1/ingest lists them")
        return _job(found, context.activity.now())

    @routes.post("/v1/ingest", status_code=202)
    def ingest(offered: PathIn) -> OfferedOut:
        """Queue a file, or everything in a folder; failed ones are tried again."""
        outcome = context.offers.explicit(offered.path)
        doing = context.activity.now()
        return OfferedOut(
            taken=[_job(job, doing) for job in outcome.taken],
            refused=[RefusedOut(path=entry.path, reason=entry.reason) for entry in outcome.refused],
        )

    @routes.get("/v1/status")
    def status() -> StatusOut:
        """How the daemon is and what it does."""
        return _status(context)

    @routes.get("/healthz")
    def healthz() -> dict[str, str]:
        """200 while the daemon serves and its database answers."""
        context.questions.queued()
        return {"status": "ok"}

    @routes.get("/metrics", response_class=Response)
    def metrics() -> Response:
        """Counts for Prometheus."""
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return routes


def _job(job: Job, doing: Doing | None) -> JobOut:
    progress = None
    if doing is not None and doing.job == job.id:
        progress = ProgressOut(stage=doing.stage, done=doing.done, total=doing.total or None)
    return JobOut(
        id=job.id,
        path=job.path,
        state=_JOB_STATES.get(job.state, job.state.value),
        reason=job.reason,
        attempts=job.attempts,
        size_bytes=job.size_bytes,
        recordings=list(job.recordings),
        progress=progress,
    )


def _status(context: Context) -> StatusOut:
    settings = context.settings
    doing = context.activity.now()
    current = context.jobs.job(doing.job) if doing else None
    progress = [context.trees.progress(one.id) for one in context.trees.recordings()]
    return StatusOut(
        version=program_version(),
        pid=os.getpid(),
        uptime_s=round(time.time() - context.started_s, 1),
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
        recordings=len(progress),
        queryable=sum(one.queryable for one in progress),
        complete=sum(one.complete for one in progress),
        settling=context.offers.pending(),
        jobs={
            _JOB_STATES.get(state, state.value): count
            for state, count in context.jobs.counts().items()
        },
        questions={
            "queued": context.questions.queued(),
            "running": len(context.questions.list(QuestionState.RUNNING)),
        },
        current=_job(current, doing) if current else None,
    )
