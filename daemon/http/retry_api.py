"""The routes that try again what failed: files, recordings, or everything."""

from __future__ import annotations

from fastapi import APIRouter, Request
from pydantic import BaseModel

from edge_lvr1.access import Role
from edge_lvr1.daemon.context import Context
from edge_lvr1.daemon.http.access_rules import needs, who_of
from edge_lvr1.errors import NotFoundError

RETRIED = "work.retried"


class RetriedOut(BaseModel):
    """How many failed files and recordings are tried again; 0 where none had failed."""

    jobs: int
    recordings: int


def retry_routes(context: Context) -> APIRouter:
    """POST /v1/ingest/retry, /v1/ingest/{job}/retry and /v1/recordings/{recording}/retry."""
    routes = APIRouter(prefix="/v1", tags=["service"], dependencies=[needs(Role.INGEST)])

    def retried(request: Request, jobs: int, recordings: int, **what: int) -> RetriedOut:
        if jobs or recordings:
            told = {"jobs": jobs, "recordings": recordings, **what}
            # Told as accepted: it waits for the disk, and with it what was queued before.
            context.audit.add_for_good(RETRIED, who_of(request.scope), **told)
            context.turnstile.news()
        return RetriedOut(jobs=jobs, recordings=recordings)

    @routes.post("/ingest/retry", status_code=202)
    def everything(request: Request) -> RetriedOut:
        """Try every failed file and recording again, with new attempts."""
        # Recordings first: the files of those are not to be read anew.
        recordings = context.builds.retry_all()
        return retried(request, context.jobs.retry_all(), recordings)

    @routes.post("/ingest/{job}/retry", status_code=202)
    def one_file(job: int, request: Request) -> RetriedOut:
        """Try a failed file again; nothing happens to one that did not fail."""
        done = context.jobs.retry(job)
        if done is None:
            raise NotFoundError(f"there is no ingest job {job}; /v1/ingest lists them")
        return retried(request, int(done), 0, job=job)

    @routes.post("/recordings/{recording}/retry", status_code=202)
    def one_recording(recording: int, request: Request) -> RetriedOut:
        """Try a failed recording again; nothing happens to one that did not fail."""
        done = context.builds.retry(recording)
        if done is None:
            raise NotFoundError(f"there is no recording {recording}; /v1/recordings lists them")
        return retried(request, 0, int(done), recording=recording)

    return routes
