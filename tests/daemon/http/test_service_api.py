"""Ingest jobs, status, health, metrics and the guard, over HTTP."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from edge_lvr1.daemon.context import Context, Doing
from edge_lvr1.daemon.http.api import create_app
from edge_lvr1.domain import Answer, Recording, Verdict
from edge_lvr1.store.queues import JobState
from tests.daemon.asgi import Http


def offer(http: Http, path: str) -> tuple[int, dict[str, list[dict[str, object]]]]:
    response = http.post(
        "/v1/ingest",
        content=json.dumps({"path": path}),
        headers={"content-type": "application/json"},
    )
    return response.status_code, response.json()


def test_offered_file_becomes_a_job_and_stays_one(http: Http, footage: Path) -> None:
    status, told = offer(http, str(footage))
    again = offer(http, str(footage))[1]

    (job,) = told["taken"]
    assert status == 202
    assert (job["path"], job["state"]) == (str(footage), "queued")
    assert again["taken"] == [job]
    assert http.get("/v1/ingest").json()["jobs"] == [job]


def test_offered_folder_gives_a_job_a_file(http: Http, tmp_path: Path) -> None:
    folder = tmp_path / "trip"
    (folder / "day").mkdir(parents=True)
    for name in ("a.mp4", "day/b.mkv", ".hidden.mp4", "c.mp4.part"):
        (folder / name).write_bytes(b"x")

    told = offer(http, str(folder))[1]

    assert [job["path"] for job in told["taken"]] == [
        str(folder / "a.mp4"),
        str(folder / "day" / "b.mkv"),
    ]
    assert told["refused"] == []


def test_offered_file_that_failed_is_tried_again(
    http: Http, context: Context, footage: Path
) -> None:
    offer(http, str(footage))
    job = context.jobs.lease("test", 60.0)
    assert job is not None
    context.jobs.fail(job, "corrupt", False)
    failed = http.get("/v1/ingest").json()["jobs"][0]

    (again,) = offer(http, str(footage))[1]["taken"]

    assert (failed["state"], failed["reason"]) == ("failed", "corrupt")
    assert (again["state"], again["reason"]) == ("queued", "")


def test_job_names_no_recording_that_became_part_of_another(
    http: Http, context: Context, recording: Recording, footage: Path
) -> None:
    offer(http, str(footage))
    job = context.jobs.lease("test", 60.0)
    assert job is not None
    context.jobs.done(job, [recording.id, recording.id + 1], "the same footage as /b.mp4")

    told = http.get(f"/v1/ingest/{job.id}").json()

    assert (told["recordings"], told["reason"]) == ([recording.id], "the same footage as /b.mp4")


def test_paths_that_cannot_be_offered_are_told_apart(http: Http, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.mp4.part").write_bytes(b"x")
    os.mkfifo(tmp_path / "pipe")

    missing = offer(http, str(tmp_path / "none.mp4"))
    relative = offer(http, "a.mp4")
    strange = offer(http, "/a\0.mp4")

    assert missing[0] == 404
    assert "no file or folder at" in str(missing[1]["error"])
    assert (relative[0], strange[0]) == (422, 422)
    for name, reason in (
        ("empty", "no files"),
        ("a.mp4.part", "unfinished"),
        ("pipe", "not a regular file"),
    ):
        told = offer(http, str(tmp_path / name))[1]
        assert told["taken"] == []
        assert reason in str(told["refused"][0]["reason"])


def test_file_name_that_is_not_utf8_is_taken_and_told_readably(
    http: Http, tmp_path: Path, context: Context
) -> None:
    path = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.mp4")
    Path(path).write_bytes(b"x")

    (job,) = offer(http, path)[1]["taken"]

    assert str(job["path"]).endswith("caf\\xe9.mp4")
    assert context.jobs.jobs()[0].path == path


def test_job_in_hand_tells_its_progress(http: Http, context: Context, footage: Path) -> None:
    offer(http, str(footage))
    job = context.jobs.lease("test", 60.0)
    assert job is not None
    context.activity.put("build", Doing(job.id, None, "watch", 3, 0))

    (told,) = http.get("/v1/ingest").json()["jobs"]

    assert told["state"] == "running"
    assert told["progress"] == {"stage": "watch", "done": 3, "total": None}
    assert http.get("/v1/status").json()["current"] == told


def test_status_tells_recordings_queues_and_backends(
    http: Http, context: Context, recording: Recording
) -> None:
    http.post("/v1/questions", json={"question": "Is there a lorry?"})

    told = http.get("/v1/status").json()

    assert (told["recordings"], told["queryable"], told["complete"]) == (1, 1, 1)
    assert told["questions"] == {"queued": 1, "running": 0}
    assert told["jobs"] == {"queued": 0, "running": 0, "placed": 0, "done": 0, "failed": 0}
    assert (told["captioner"], told["agent"]) == ("fake", "scripted")
    assert told["data"] == str(context.settings.data)


def test_health_and_metrics_answer(http: Http, recording: Recording, context: Context) -> None:
    context.jobs.offer("/a.mp4", 1, 1)
    http.post("/v1/questions", json={"question": "Is there a lorry?"})
    context.questions.lease("test", 60.0)
    (asked,) = context.questions.list()
    context.questions.finish(asked.question.id, Answer(Verdict.NOT_FOUND, "not found"))

    metrics = http.get("/metrics").text.splitlines()

    assert http.get("/healthz").json() == {"status": "ok", "faults": []}
    assert "edge_lvr1_recordings 1.0" in metrics
    assert "edge_lvr1_captions 14.0" in metrics
    assert 'edge_lvr1_questions_answered{verdict="not_found"} 1.0' in metrics
    assert f'edge_lvr1_ingest_jobs{{state="{JobState.QUEUED.value}"}} 1.0' in metrics


def test_address_that_is_not_there_is_told_as_json(http: Http) -> None:
    assert http.get("/v2").status_code == 404
    assert "openapi.json" in http.get("/v2").json()["error"]
    assert http.put("/v1/questions").status_code == 405
    assert list(http.put("/v1/questions").json()) == ["error"]


def test_page_is_served_and_loads_nothing_from_elsewhere(http: Http) -> None:
    page = http.get("/")
    files = {name: http.get(f"/{name}") for name in ("page.css", "page.js")}

    assert page.headers["content-type"].startswith("text/html")
    assert "script-src 'self'" in page.headers["content-security-policy"]
    for name, file in files.items():
        assert file.status_code == 200
        assert f'"/{name}"' in page.text
        assert "//" not in file.text.replace("// ", "")
    assert "innerHTML" not in files["page.js"].text


def test_job_is_told_by_its_number(http: Http, footage: Path) -> None:
    (taken,) = offer(http, str(footage))[1]["taken"]

    assert http.get(f"/v1/ingest/{taken['id']}").json() == taken
    assert http.get("/v1/ingest/99").status_code == 404


def test_openapi_describes_the_socket(http: Http) -> None:
    paths = http.get("/openapi.json").json()["paths"]

    assert {"/v1/questions", "/v1/recordings/{recording}/tree", "/v1/status"} <= set(paths)


def test_error_of_our_own_is_told_without_its_inside(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    http = Http(create_app(context), raise_errors=False)

    def broken() -> int:
        raise RuntimeError("secret")

    monkeypatch.setattr(type(context.offers), "pending", lambda self: broken())

    response = http.get("/v1/status")

    assert response.status_code == 500
    assert "secret" not in response.text
    assert list(response.json()) == ["error"]
