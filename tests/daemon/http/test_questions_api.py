"""Asking over HTTP: what is queued, what is refused and how it is told."""

from __future__ import annotations

import grp
import json
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from edge_lvr1.config import Access, Questions, Settings
from edge_lvr1.daemon.context import Context
from edge_lvr1.daemon.http.api import create_app
from edge_lvr1.daemon.http.peer import Peer
from edge_lvr1.domain import (
    Answer,
    Evidence,
    FinalAnswer,
    GetCaption,
    Invalid,
    NodeId,
    Recording,
    Span,
    Step,
    Verdict,
    VideoQa,
)
from tests.daemon.asgi import OWN, Http
from tests.daemon.conftest import store

NODE = NodeId((1, 2, 1))


def ask(http: Http, **body: Any) -> str:
    response = http.post("/v1/questions", json={"question": "Is there a lorry?", **body})
    assert response.status_code == 202, response.text
    return str(response.json()["id"])


def refusal(http: Http, **body: Any) -> tuple[int, str]:
    response = http.post("/v1/questions", json={"question": "Is there a lorry?", **body})
    assert list(response.json()) == ["error"]
    return response.status_code, response.json()["error"]


def finish(context: Context, recording: Recording, option: str | None = None) -> None:
    """Answer the question that waits, as a worker does."""
    record = context.questions.lease("test", 60.0)
    assert record is not None
    for number, action in enumerate(
        (GetCaption(NODE), VideoQa(NODE, "lorry?"), Invalid("no"), FinalAnswer("yes")), start=1
    ):
        step = Step(number, recording.id, "reply", "thought", action, "seen", 0.5)
        context.questions.add_step(record.question.id, step)
    span = Span(4.0, 6.0)
    starts_at, ends_at = map(recording.wall_clock, (span.start_s, span.end_s))
    evidence = Evidence(recording.id, "yard", NODE, span, starts_at, ends_at, "A lorry.")
    answer = Answer(
        Verdict.ANSWERED, "yes", (evidence,), option, 4, 1, 1, 2.0, "scripted", "fake", ("yard",)
    )
    context.questions.finish(record.question.id, answer)


def events(http: Http, question: str) -> list[tuple[str, dict[str, Any]]]:
    text = http.get(f"/v1/questions/{question}/events").text
    found = []
    for block in text.strip().split("\n\n"):
        name, data = block.split("\n")
        found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


def test_question_is_queued_and_its_id_returned_at_once(http: Http) -> None:
    response = http.post("/v1/questions", json={"question": "  Is there a lorry? "})

    told = response.json()
    assert response.status_code == 202
    assert told["state"] == "queued"
    assert told["events"] == f"/v1/questions/{told['id']}/events"
    assert http.get(f"/v1/questions/{told['id']}").json()["question"] == "Is there a lorry?"


def test_question_that_waits_has_no_verdict(http: Http) -> None:
    told = http.get(f"/v1/questions/{ask(http)}").json()

    assert (told["state"], told["verdict"], told["steps"]) == ("queued", None, [])


def test_answer_is_told_with_evidence_and_steps(
    http: Http, context: Context, recording: Recording
) -> None:
    question = ask(http)
    finish(context, recording)

    told = http.get(f"/v1/questions/{question}").json()

    steps = told.pop("steps")
    del told["asked_at"], told["options"], told["deadline"]
    assert told == {
        "id": question,
        "question": "Is there a lorry?",
        "state": "done",
        "verdict": "answered",
        "text": "yes",
        "evidence": [
            {
                "recording": recording.id,
                "camera": "yard",
                "node": "(1,2,1)",
                "start_s": 4.0,
                "end_s": 6.0,
                "starts_at": "2026-03-14T09:30:04+01:00",
                "ends_at": "2026-03-14T09:30:06+01:00",
                "caption": "A lorry.",
                "removed": "",
            }
        ],
        "rounds": 4,
        "captions_opened": 1,
        "invalid_steps": 1,
        "seconds": 2.0,
        "agent": "scripted",
        "captioner": "fake",
        "searched": ["yard"],
        "read_as": "",
        "confirmation": None,
    }
    assert [step["action"] for step in steps] == [
        "get_caption((1,2,1))",
        'video_qa((1,2,1), "lorry?")',
        "not a legal move: no",
        "answer: yes",
    ]


def test_only_a_question_with_options_has_an_option(
    http: Http, context: Context, recording: Recording
) -> None:
    question = ask(http, options=["yes", "no"])
    waiting = http.get(f"/v1/questions/{question}").json()
    finish(context, recording, option="A")

    assert waiting["option"] is None
    assert http.get(f"/v1/questions/{question}").json()["option"] == "A"


def test_questions_are_listed_newest_first_without_steps(http: Http) -> None:
    first, second = ask(http), ask(http)

    listed = http.get("/v1/questions").json()["questions"]

    assert [entry["id"] for entry in listed] == [second, first]
    assert "steps" not in listed[0]
    assert len(http.get("/v1/questions", params={"limit": 1}).json()["questions"]) == 1


def test_events_of_a_finished_question_are_told_after_the_fact(
    http: Http, context: Context, recording: Recording
) -> None:
    question = ask(http)
    finish(context, recording)

    told = events(http, question)

    assert [name for name, _ in told] == ["queued", "started", *["step"] * 4, "done"]
    assert told[2][1]["action"] == "get_caption((1,2,1))"
    assert told[-1][1]["verdict"] == "answered"


def test_cancelled_question_ends_its_events(http: Http) -> None:
    question = ask(http)

    told = http.delete(f"/v1/questions/{question}").json()

    assert (told["state"], told["verdict"]) == ("cancelled", None)
    assert [name for name, _ in events(http, question)] == ["queued", "done"]


def test_cancelling_an_answered_question_leaves_its_answer(
    http: Http, context: Context, recording: Recording
) -> None:
    question = ask(http)
    finish(context, recording)

    assert http.delete(f"/v1/questions/{question}").json()["verdict"] == "answered"


@pytest.mark.parametrize("path", ["", "/events"])
def test_question_that_is_not_there_is_404(http: Http, path: str) -> None:
    response = http.get(f"/v1/questions/nothing{path}")

    assert response.status_code == 404
    assert "no question 'nothing'" in response.json()["error"]
    assert http.delete("/v1/questions/nothing").status_code == 404


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"question": ""}, "the question is empty"),
        ({"question": " \n "}, "the question is empty"),
        ({"question": "x" * 4001}, "4001 characters and at most 4000"),
        ({"question": "caf\ud800"}, "not valid Unicode"),
        ({"question": None}, "question: "),
        ({"options": ["yes"]}, "one option is no choice"),
        ({"options": [str(n) for n in range(11)]}, "11 options are too many"),
        ({"options": ["yes", " "]}, "an option is empty"),
        ({"options": ["yes", "yes"]}, "two options are the same"),
        ({"options": ["x" * 3000, "y" * 3000]}, "longer than 4000 characters"),
        ({"since": "2026-03-14T10:00:00Z", "until": "2026-03-14T09:00:00Z"}, "earlier than until"),
        ({"since": "soon"}, "since is no time that is understood: 'soon'"),
        ({"since": "2026-02-30"}, "since is no time that is understood"),
        ({"until": "5"}, "until is no time that is understood"),
        ({"until": "x" * 1000}, "until is no time that is understood"),
        ({"until": ""}, "until is no time that is understood"),
        ({"since": "today", "until": "yesterday"}, "must be earlier than until"),
        ({"since": 5}, "since: "),
        ({"max_rounds": 0}, "max_rounds must be from 1"),
        ({"max_rounds": 1001}, "max_rounds must be from 1"),
        ({"max_seconds": -1}, "max_seconds must be above 0"),
        ({"recording": "first"}, "recording: "),
        ({"colour": "red"}, "'colour' that is not known"),
        ({"path": "/etc"}, "'path' that is not known"),
        ({"query": "x"}, "'query' that is not known"),
    ],
)
def test_question_that_cannot_be_asked_is_refused_in_one_sentence(
    http: Http, body: dict[str, Any], sentence: str
) -> None:
    response = http.post(
        "/v1/questions",
        content=json.dumps({"question": "Is there a lorry?", **body}),
        headers={"content-type": "application/json"},
    )

    assert response.status_code == 422
    assert sentence in response.json()["error"]
    assert "\n" not in response.json()["error"]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
def test_budget_that_is_no_number_is_refused(http: Http, number: str) -> None:
    response = http.post(
        "/v1/questions",
        content='{"question": "Is it?", "max_seconds": ' + number + "}",
        headers={"content-type": "application/json"},
    )

    assert response.status_code == 422
    assert "max_seconds" in response.json()["error"]


@pytest.mark.parametrize("content", ["", "{", "[]", '"text"', "null", "\x00", '{"question": '])
def test_body_that_is_no_object_is_refused(http: Http, content: str) -> None:
    response = http.post(
        "/v1/questions", content=content, headers={"content-type": "application/json"}
    )

    assert response.status_code == 422
    assert list(response.json()) == ["error"]


def test_question_of_100_kilobytes_is_refused_before_it_is_read(http: Http) -> None:
    status, sentence = refusal(http, question="x" * 100_000)

    assert status == 413
    assert "64 KiB" in sentence


def test_recording_that_is_not_there_is_404(http: Http, recording: Recording) -> None:
    assert refusal(http, recording=recording.id + 1)[0] == 404
    assert refusal(http, recording=10**30)[0] == 404


def test_unknown_camera_is_404_with_the_nearest_names(
    http: Http, context: Context, footage: Path
) -> None:
    store(context, footage, "front door")
    store(context, footage, "yard")

    status, sentence = refusal(http, cameras=["yard", "frontdoor"])

    assert status == 404
    assert "'frontdoor'; the nearest are front door" in sentence


def test_full_queue_is_429(context: Context, settings: Settings) -> None:
    few = settings.model_copy(update={"questions": Questions(max_queued=1)})
    context = replace(context, settings=few)
    http = Http(create_app(context))
    ask(http)

    status, sentence = refusal(http)

    assert status == 429
    assert "the queue is full (1 waiting)" in sentence


KEY = {"idempotency-key": "one-of-mine"}


def test_request_that_comes_again_with_its_key_asks_once(http: Http, context: Context) -> None:
    body = {"question": "Is there a lorry?"}
    first = http.post("/v1/questions", json=body, headers=KEY)
    again = http.post("/v1/questions", json={**body, "options": []}, headers=KEY)
    without = http.post("/v1/questions", json=body)

    assert (first.status_code, again.status_code, without.status_code) == (202, 200, 202)
    assert first.json() == again.json()
    assert context.questions.queued() == 2


def test_key_finds_its_question_also_when_it_is_answered_and_the_queue_is_full(
    context: Context, settings: Settings, recording: Recording
) -> None:
    few = settings.model_copy(update={"questions": Questions(max_queued=1)})
    http = Http(create_app(replace(context, settings=few)))
    first = http.post("/v1/questions", json={"question": "Why?"}, headers=KEY).json()["id"]
    finish(context, recording)
    ask(http)

    again = http.post("/v1/questions", json={"question": "Why?"}, headers=KEY)

    assert again.status_code == 200
    assert (again.json()["id"], again.json()["state"]) == (first, "done")


def test_key_that_comes_with_another_question_is_409(http: Http) -> None:
    http.post("/v1/questions", json={"question": "Is there a lorry?"}, headers=KEY)

    again = http.post("/v1/questions", json={"question": "Is there a van?"}, headers=KEY)

    assert again.status_code == 409
    assert "came before with another question" in again.json()["error"]


@pytest.mark.parametrize("key", ["", "x" * 201, "a\tb", "caf\xe9"])
def test_key_that_is_none_is_refused(http: Http, key: str) -> None:
    headers = {"idempotency-key": key.encode("latin-1")}

    response = http.post("/v1/questions", json={"question": "Why?"}, headers=headers)

    assert response.status_code == 422
    assert "dempotency-" in response.json()["error"]


def test_busy_says_when_to_come_back(context: Context, settings: Settings) -> None:
    few = settings.model_copy(update={"questions": Questions(max_queued_per_client=3)})
    http = Http(create_app(replace(context, settings=few)))
    for _ in range(3):
        ask(http)

    response = http.post("/v1/questions", json={"question": "Why?"})

    assert response.status_code == 429
    assert response.json()["error"].startswith("3 questions of yours wait already")
    assert response.headers["retry-after"] == "30"  # nothing measured: 10 s each


def test_deadline_is_a_moment_or_seconds_from_now(context: Context) -> None:
    http = Http(create_app(replace(context, clock=lambda: 1000.0)))
    seconds = ask(http, deadline_s=30)
    moment = ask(http, deadline="1970-01-01T01:20:00+01:00")

    assert context.questions.get(seconds).question.deadline == datetime.fromtimestamp(
        1030.0, timezone.utc
    )
    assert context.questions.get(moment).question.deadline == datetime.fromtimestamp(
        1200.0, timezone.utc
    )
    assert http.get(f"/v1/questions/{seconds}").json()["deadline"] == "1970-01-01T00:17:10Z"


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"deadline_s": 0}, "deadline_s must be above 0"),
        ({"deadline_s": 1e300}, "deadline_s must be above 0"),
        ({"deadline": "soon"}, "deadline is no time that is understood"),
        ({"deadline": "1970-01-01T00:16:40Z"}, "has passed; give a later one"),
        ({"deadline": "2100-01-01", "deadline_s": 5}, "not both"),
    ],
)
def test_deadline_that_cannot_be_kept_is_refused(
    http: Http, body: dict[str, Any], sentence: str
) -> None:
    status, told = refusal(http, **body)

    assert status == 422
    assert sentence in told


def test_limits_and_keys_are_each_clients_own(context: Context, settings: Settings) -> None:
    asking = Access(ask=(grp.getgrgid(OWN.gid).gr_name,))
    few = {"questions": Questions(max_queued_per_client=1), "access": asking}
    app = create_app(replace(context, settings=settings.model_copy(update=few)))
    first, second = (
        Http(app, peer=Peer(1, uid, OWN.gid, OWN.groups | {OWN.gid})) for uid in (0, 12345)
    )

    one = first.post("/v1/questions", json={"question": "Why?"}, headers=KEY)
    other = second.post("/v1/questions", json={"question": "Why?"}, headers=KEY)
    more = second.post("/v1/questions", json={"question": "Who?"})

    assert (one.status_code, other.status_code, more.status_code) == (202, 202, 429)
    assert one.json()["id"] != other.json()["id"]
