"""Which recordings a question is put to, and what is said of those it is not put to."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path

from edge_lvr1.daemon.answering import Answering
from edge_lvr1.daemon.context import Context
from edge_lvr1.domain import Answer, Question, Scope, Verdict
from edge_lvr1.media.decoder import HERE
from tests.daemon.conftest import STARTS_AT, builder_of, store
from tests.daemon.fakes import ScriptedAgent, answer, get_caption

DAY = timedelta(days=1)


def ask(context: Context, *replies: str, scope: Scope = Scope()) -> Answer:  # noqa: B008
    agent = ScriptedAgent(*replies)
    answering = Answering(
        context.archive,
        context.trees,
        context.jobs,
        builder_of(context),
        agent,
        HERE,
        time.monotonic,
    )
    question = Question("q", "Is there a lorry?", STARTS_AT, scope=scope)
    return answering.answer(question, lambda step: None, lambda: False)


def test_answer_rests_on_what_was_opened(context: Context, footage: Path) -> None:
    recording = store(context, footage)

    found = ask(context, get_caption("(1,2)"), answer("Yes, in (1,2)."))

    assert found.verdict is Verdict.ANSWERED
    assert [(one.recording, str(one.node)) for one in found.evidence] == [(recording.id, "(1,2)")]


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
