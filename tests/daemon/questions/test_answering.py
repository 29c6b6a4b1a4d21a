"""Which recordings a question is put to, and what is said of those it is not put to."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path

from edge_lvr1.daemon.context import Context
from edge_lvr1.daemon.questions.answering import Answering
from edge_lvr1.domain import Answer, Question, Scope, Verdict
from edge_lvr1.media.decoder import HERE
from edge_lvr1.prompts import OUTSIDE
from tests.daemon.conftest import STARTS_AT, builder_of, store
from tests.daemon.fakes import ScriptedAgent, answer, get_caption

DAY = timedelta(days=1)


def ask(context: Context, *replies: str, scope: Scope = Scope()) -> Answer:  # noqa: B008
    return put(context, ScriptedAgent(*replies), scope)


def put(context: Context, agent: ScriptedAgent, scope: Scope) -> Answer:
    answering = Answering(
        context.archive,
        context.trees,
        context.jobs,
        builder_of(context),
        agent,
        HERE,
        time.monotonic,
    )
    asked_at = STARTS_AT + timedelta(minutes=10)
    question = Question("q", "Is there a lorry?", asked_at, scope=scope)
    return answering.answer(question, lambda step: None, lambda: False)


def test_answer_rests_on_what_was_opened(context: Context, footage: Path) -> None:
    recording = store(context, footage)

    found = ask(context, get_caption("(1,2)"), answer("Yes, in (1,2)."))

    assert found.verdict is Verdict.ANSWERED
    assert [(one.recording, str(one.node)) for one in found.evidence] == [(recording.id, "(1,2)")]


def test_answer_says_which_recording_it_is_from_where_there_are_several(
    context: Context, footage: Path
) -> None:
    recording = store(context, footage, "yard")
    store(context, footage, "gate")

    among = ask(context, answer("Yes, in (1)."), scope=Scope(cameras=("yard",)))
    named = ask(context, answer("Yes, in (1)."), scope=Scope(recording=recording.id))

    start = recording.starts_at.isoformat(" ", "seconds")
    assert among.text == f"Yes, in (1). On yard, in recording {recording.id} from {start}."
    assert named.text == "Yes, in (1)."


def test_recording_without_high_captions_is_skipped_and_named(
    context: Context, footage: Path
) -> None:
    store(context, footage, "yard")
    bare = store(context, footage, "gate", captioned=False)

    found = ask(context, answer("Yes, in (1)."))

    assert found.verdict is Verdict.ANSWERED
    assert found.searched[-1] == (
        f"gate, recording {bare.id}: not searched, still being captioned (0 of 14 captions)"
    )


def test_files_that_wait_are_named(context: Context, footage: Path) -> None:
    store(context, footage)
    for number in range(7):
        context.jobs.offer(f"/videos/{number}.mp4", 1, 1)

    searched = ask(context, answer("Yes, in (1).")).searched

    assert "0.mp4: not searched, not taken in yet" in searched
    assert searched[-1] == "2 more files: not searched, not taken in yet"


def test_empty_archive_is_said(context: Context) -> None:
    found = ask(context)

    assert found.verdict is Verdict.NOT_FOUND
    assert "the archive is empty" in found.text
    assert found.rounds == 0


def test_footage_that_is_still_taken_in_is_said(context: Context, footage: Path) -> None:
    store(context, footage, captioned=False)

    found = ask(context)

    assert found.verdict is Verdict.NOT_FOUND
    assert "still being taken in" in found.text
    assert "(0 of 14 captions)" in found.searched[0]


def test_scope_without_footage_is_said(context: Context, footage: Path) -> None:
    store(context, footage)

    found = ask(context, scope=Scope(since=STARTS_AT + DAY))

    assert found.verdict is Verdict.NOT_FOUND
    assert "no recording lies in the times and cameras" in found.text


def test_footage_that_is_missing_in_the_times_asked_about_is_named(
    context: Context, footage: Path
) -> None:
    store(context, footage, "yard")
    scope = Scope(since=STARTS_AT - timedelta(hours=1), until=STARTS_AT + timedelta(hours=1))

    found = ask(context, answer("not found: none"), scope=scope)

    assert found.verdict is Verdict.NOT_FOUND
    assert found.searched[1:] == (
        "yard: no footage from 2026-03-14 08:30+01:00 to 2026-03-14 09:30+01:00",
        "yard: no footage from 2026-03-14 09:30+01:00 to 2026-03-14 09:40+01:00",  # asked then
    )


def test_only_the_part_of_a_recording_that_is_asked_about_is_told(
    context: Context, footage: Path
) -> None:
    store(context, footage, "yard")
    agent = ScriptedAgent(answer("not found: none"))
    scope = Scope(since=STARTS_AT, until=STARTS_AT + timedelta(seconds=4))

    put(context, agent, scope)

    first = agent.asked[0][1].content
    assert "High-level Caption 1 from 0.0 to 8.0: A lorry" in first
    assert f"High-level Caption 2 from 8.0 to 16.0: {OUTSIDE}" in first


def test_the_agent_is_given_an_index_of_the_recordings_captions(
    context: Context, footage: Path
) -> None:
    store(context, footage, "yard")
    agent = ScriptedAgent(answer("not found: none"))

    put(context, agent, Scope())

    assert agent.finder is not None
    assert agent.finder.find(["lorry"], 3)
    assert agent.finder.find(["zebra"], 3) == []
