"""The routes of evidence, and what access to footage leaves in the audit log."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from edge_lvr1.daemon.context import Context
from edge_lvr1.domain import Answer, Evidence, NodeId, Question, Recording, Span, Verdict
from edge_lvr1.store.audit import Entry, every, hash_of, what_of
from edge_lvr1.store.audit_check import check
from tests.daemon.asgi import Http
from tests.daemon.conftest import DURATION_S, STARTS_AT


def kinds(context: Context) -> list[tuple[str, dict[str, Any]]]:
    return [(entry.kind, what_of(entry)) for entry in every(context.archive)]


def answered(context: Context, recording: Recording) -> str:
    span = Span(0.0, 2.0)
    end = STARTS_AT + timedelta(seconds=2)
    evidence = Evidence(
        recording.id, "yard", NodeId((1, 1, 1)), span, STARTS_AT, end, "A lorry is seen."
    )
    context.questions.put(Question("q1", "A lorry?", STARTS_AT))
    context.questions.lease("test", 60.0)
    context.questions.finish("q1", Answer(Verdict.ANSWERED, "Yes.", (evidence,)))
    return "q1"


def test_parts_are_told_with_their_hashes(http: Http, recording: Recording) -> None:
    told = http.get(f"/v1/recordings/{recording.id}/parts").json()

    part = recording.parts[0]
    assert told == {
        "recording": recording.id,
        "parts": [
            {
                "path": part.path,
                "offset_s": 0.0,
                "duration_s": DURATION_S,
                "size_bytes": part.size_bytes,
                "sha256": part.sha256,
            }
        ],
    }
    assert http.get("/v1/recordings/77/parts").status_code == 404


def test_cut_clips_and_searches_are_in_the_audit_log(
    http: Http, context: Context, recording: Recording
) -> None:
    http.get(f"/v1/recordings/{recording.id}/clip?start_s=1&end_s=99")
    http.get("/v1/search", params={"q": "lorry", "camera": "yard"})

    assert kinds(context) == [
        (
            "clip.cut",
            {"recording": recording.id, "start_s": 1.0, "end_s": DURATION_S, "exact": False},
        ),
        ("footage.searched", {"words": "lorry", "recording": None, "cameras": ["yard"]}),
    ]


def test_offered_files_are_in_the_audit_log(http: Http, context: Context, tmp_path: Path) -> None:
    drop = tmp_path / "drop"
    drop.mkdir()
    (drop / "yard.mp4").write_bytes(b"x")

    http.post("/v1/ingest", json={"path": str(drop)})

    ((kind, what),) = kinds(context)
    assert (kind, what["path"], what["taken"]) == ("file.offered", str(drop), 1)


def test_clip_that_is_refused_is_not_told_as_cut(
    http: Http, context: Context, recording: Recording
) -> None:
    http.get(f"/v1/recordings/{recording.id}/clip?start_s=5&end_s=4")

    assert kinds(context) == []


def test_audit_log_is_told_in_pages_and_by_kind(http: Http, context: Context) -> None:
    for number in range(5):
        context.questions.put(Question(f"q{number}", "A lorry?", STARTS_AT))
    context.questions.cancel("q3")

    page = http.get("/v1/audit", params={"after": 1, "limit": 2}).json()
    cancelled = http.get("/v1/audit", params={"kind": "question.cancelled"}).json()["entries"]
    late = http.get("/v1/audit", params={"since": "2026-03-14T09:30:00+01:00"}).json()["entries"]

    assert [entry["number"] for entry in page["entries"]] == [2, 3]
    assert page["head"]["number"] == 6
    assert [entry["number"] for entry in cancelled] == [6]
    assert late == []


def test_told_entries_can_be_hashed_by_whoever_has_them(http: Http, context: Context) -> None:
    for text in ("A lorry?", '\udc80 \x1b[31m "quoted" é'):
        context.questions.put(Question(text[:1], text, STARTS_AT))

    for told in http.get("/v1/audit").json()["entries"]:
        before = told.pop("before")
        entry = Entry(**told)
        assert hash_of(entry, before) == entry.hash


@pytest.mark.parametrize("query", ["after=-1", "limit=0", "since=2026-01-01T00:00:00", "since=x"])
def test_audit_asked_without_sense_is_refused(http: Http, query: str) -> None:
    assert http.get(f"/v1/audit?{query}").status_code == 422


def test_case_is_told_with_its_entries_and_its_own_export(
    http: Http, context: Context, recording: Recording
) -> None:
    question = answered(context, recording)
    context.questions.put(Question("other", "A cat?", STARTS_AT))

    response = http.post("/v1/cases", json={"question": question, "contents": "ab" * 32})

    told = response.json()
    assert response.status_code == 201
    assert [entry["kind"] for entry in told["entries"]] == [
        "question.asked",
        "question.answered",
        "case.exported",
    ]
    exported = told["entries"][-1]
    assert json.loads(exported["what"]) == {"question": "q1", "contents": "ab" * 32}
    assert told["head"] == {"number": 4, "hash": exported["hash"]}
    assert check(context.archive).broken is None


@pytest.mark.parametrize(
    ("case", "status"),
    [
        ({"question": "q9", "contents": "ab" * 32}, 404),
        ({"question": "q9", "contents": "ab"}, 422),
        ({"question": "", "contents": "ab" * 32}, 422),
        ({"contents": "ab" * 32}, 422),
    ],
)
def test_case_of_nothing_is_refused_and_leaves_no_entry(
    http: Http, context: Context, case: dict[str, str], status: int
) -> None:
    assert http.post("/v1/cases", json=case).status_code == status
    assert kinds(context) == []
