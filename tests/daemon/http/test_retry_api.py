"""Trying again over the socket, priorities of what is named, and roots in the status."""

from __future__ import annotations

import json
from pathlib import Path

from edge_lvr1.daemon.context import Context
from edge_lvr1.store.queues import JobState
from tests.daemon.asgi import Http


def failed_job(context: Context, path: str = "/drop/a.mp4") -> int:
    context.jobs.offer(path, 1, 2)
    job = context.jobs.lease("test", 60.0)
    assert job is not None
    context.jobs.fail(job, "broken", retry=False)
    return job.id


def retried(context: Context) -> list[dict[str, int]]:
    rows = context.archive.rows("SELECT what FROM audit WHERE kind = 'work.retried'")
    return [json.loads(row["what"]) for row in rows]


def test_failed_job_is_tried_again_once_and_told_in_the_audit_log(
    http: Http, context: Context
) -> None:
    job = failed_job(context)

    first, second = http.post(f"/v1/ingest/{job}/retry"), http.post(f"/v1/ingest/{job}/retry")

    assert (first.status_code, first.json()) == (202, {"jobs": 1, "recordings": 0})
    assert (second.status_code, second.json()) == (202, {"jobs": 0, "recordings": 0})
    assert context.jobs.counts()[JobState.QUEUED] == 1
    assert retried(context) == [{"jobs": 1, "recordings": 0, "job": job}]


def test_everything_that_failed_is_tried_again(http: Http, context: Context) -> None:
    failed_job(context, "/drop/a.mp4")
    failed_job(context, "/drop/b.mp4")

    assert http.post("/v1/ingest/retry").json() == {"jobs": 2, "recordings": 0}
    assert http.post("/v1/ingest/retry").json() == {"jobs": 0, "recordings": 0}


def test_what_is_not_there_cannot_be_tried_again(http: Http) -> None:
    for path in ("/v1/ingest/99/retry", "/v1/recordings/99/retry"):
        found = http.post(path)

        assert found.status_code == 404
        assert "there is no" in found.json()["error"]


def test_file_that_is_named_goes_before_the_backlog(
    http: Http, context: Context, tmp_path: Path
) -> None:
    context.jobs.offer("/drop/a.mp4", 1, 2)
    named, urgent = tmp_path / "named.mp4", tmp_path / "urgent.mp4"
    for path in (named, urgent):
        path.write_bytes(b"x")

    http.post("/v1/ingest", json={"path": str(named)})
    http.post("/v1/ingest", json={"path": str(urgent), "priority": 9})
    order = [job.path for _ in range(3) if (job := context.jobs.lease("test", 60.0))]

    assert order == [str(urgent), str(named), "/drop/a.mp4"]


def test_priority_out_of_range_is_refused(http: Http, tmp_path: Path) -> None:
    found = http.post("/v1/ingest", json={"path": str(tmp_path), "priority": 10})

    assert found.status_code == 422
