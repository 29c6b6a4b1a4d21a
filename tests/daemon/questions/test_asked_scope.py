"""The scope of a question: from its fields, and from its own words."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from edge_lvr1.config import Questions
from edge_lvr1.daemon.context import Context
from edge_lvr1.daemon.http.question_schemas import QuestionIn
from edge_lvr1.daemon.questions.asking import question_of
from edge_lvr1.daemon.questions.moments import moment_of
from edge_lvr1.domain import Question
from edge_lvr1.errors import NotFoundError, QuestionError
from tests.daemon.conftest import STARTS_AT, store

ZONE = ZoneInfo("Europe/Berlin")
NOW = STARTS_AT.astimezone(ZONE) + timedelta(hours=6)  # Saturday 14 March, 15:30


@pytest.mark.parametrize(
    ("text", "since", "until"),
    [
        ("2026-03-14T09:30:00+01:00", "14 09:30", "14 09:30"),
        ("2026-03-14T08:30:00Z", "14 09:30", "14 09:30"),
        ("2026-03-14T09:30", "14 09:30", "14 09:30"),
        ("2026-03-14", "14 00:00", "14 00:00"),
        ("yesterday 22:00", "13 22:00", "13 22:00"),
        ("yesterday", "13 00:00", "14 00:00"),
        ("last Tuesday night", "10 20:00", "11 06:00"),
        ("this morning", "14 05:00", "14 12:00"),
        ("3 days ago", "11 00:00", "12 00:00"),
        ("2 hours ago", "14 13:30", "14 13:30"),
        ("13 March 2026 10pm", "13 22:00", "13 22:00"),
        ("now", "14 15:30", "14 15:30"),
    ],
)
def test_a_moment_is_read_as_people_write_it(text: str, since: str, until: str) -> None:
    def read(name: str) -> str:
        return f"{moment_of(text, NOW, name).astimezone(ZONE):%d %H:%M}"

    assert (read("since"), read("until")) == (since, until)


@pytest.mark.parametrize("text", ["soon", "", "5", "25:99", "2026-13-01", "x" * 1000, "\x00", "é"])
def test_what_is_no_moment_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(QuestionError, match="since is no time that is understood"):
        moment_of(text, NOW, "since")


def read(context: Context, text: str, **fields: Any) -> Question:
    asked = QuestionIn(question=text, **fields)
    return question_of(asked, Questions(), context.trees, NOW.timestamp, ZONE)


@pytest.fixture
def cameras(context: Context, footage: Path) -> Context:
    for camera in ("camera1", "camera3", "gate"):
        store(context, footage, camera, captioned=False)
    return context


def test_words_narrow_the_scope_and_leave_the_question(cameras: Context) -> None:
    question = read(cameras, "Was there a red car on camera 3 this morning?")

    assert question.text == "Was there a red car on camera 3 this morning?"
    assert question.about == "Was there a red car?"
    assert question.scope.cameras == ("camera3",)
    assert question.scope.since == datetime(2026, 3, 14, 5, 0, tzinfo=ZONE)
    assert question.scope.until == datetime(2026, 3, 14, 12, 0, tzinfo=ZONE)
    assert question.read_as == (
        "the question is about camera3, 2026-03-14 05:00+01:00 to 2026-03-14 12:00+01:00"
    )
    assert question.asked_at.tzinfo is timezone.utc


def test_fields_go_before_words(cameras: Context) -> None:
    question = read(
        cameras, "Was there a car on camera 3 yesterday?", cameras=["gate"], since="today"
    )

    assert question.scope.cameras == ("gate",)
    assert question.scope.since == datetime(2026, 3, 14, tzinfo=ZONE)
    assert (question.about, question.read_as) == ("", "")


def test_a_question_about_one_recording_is_not_read_for_times(cameras: Context) -> None:
    question = read(cameras, "What happens between 10:00 and 11:00 on camera 9?", recording=1)

    assert question.scope.since is None
    assert question.about == ""


def test_a_bare_clock_time_may_be_the_recordings_own(cameras: Context) -> None:
    own = read(cameras, "What does he hold at 0:10?")
    day = read(cameras, "Was anyone there between 9:00 and 10:00?")
    nowhere = read(cameras, "Was anyone there between 22:00 and 6:00?")

    assert own.scope.since is None
    assert day.scope.since == datetime(2026, 3, 13, 9, 0, tzinfo=ZONE)
    assert len(day.scope.times) == 2
    assert nowhere.scope.since is not None


def test_a_camera_that_is_not_there_is_refused_with_the_nearest(cameras: Context) -> None:
    with pytest.raises(NotFoundError, match="no camera 'camera 9'; the nearest are camera"):
        read(cameras, "Was there a red car on camera 9?")
    with pytest.raises(NotFoundError, match="no camera 'gatee'; the nearest are gate"):
        read(cameras, "Was there a red car?", cameras=["gatee"])


def test_a_span_that_ends_before_it_begins_is_refused_in_one_sentence(cameras: Context) -> None:
    with pytest.raises(QuestionError, match=r"since \(2026-03-14 .* must be earlier than until"):
        read(cameras, "Who came?", since="today", until="yesterday 10:00")


def test_an_empty_archive_takes_any_words(context: Context) -> None:
    question = read(context, "Was there a red car on camera 3 last night?")

    assert question.scope.cameras == ()
