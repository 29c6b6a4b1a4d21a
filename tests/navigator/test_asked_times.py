"""Times in a question's words: which spans they name, and what is left of the question."""

from __future__ import annotations

from datetime import datetime, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_lvr1.domain import TimeSpan
from edge_lvr1.navigator.asked_times import read_times

ZONE = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 20, 14, 0, tzinfo=ZONE)  # a Friday
FOOTAGE = TimeSpan(
    datetime(2026, 11, 17, 8, 0, tzinfo=ZONE), datetime(2026, 11, 19, 12, 0, tzinfo=ZONE)
)


def spans(text: str, now: datetime = NOW) -> list[str]:
    return [
        f"{one.since:%d.%m. %H:%M} {one.until:%d.%m. %H:%M}"
        for one in read_times(text, now, FOOTAGE).times
    ]


@pytest.mark.parametrize(
    ("phrase", "span"),
    [
        ("last Tuesday night", "17.11. 20:00 18.11. 06:00"),
        ("on Tuesday", "17.11. 00:00 18.11. 00:00"),
        ("last Friday", "13.11. 00:00 14.11. 00:00"),
        ("this Friday", "20.11. 00:00 21.11. 00:00"),
        ("last night", "19.11. 20:00 20.11. 06:00"),
        ("tonight", "20.11. 20:00 21.11. 06:00"),
        ("yesterday evening", "19.11. 17:00 19.11. 23:00"),
        ("this morning", "20.11. 05:00 20.11. 12:00"),
        ("the day before yesterday", "18.11. 00:00 19.11. 00:00"),
        ("three days ago", "17.11. 00:00 18.11. 00:00"),
        ("last week", "09.11. 00:00 16.11. 00:00"),
        ("last weekend", "14.11. 00:00 16.11. 00:00"),
        ("last month", "01.10. 00:00 01.11. 00:00"),
        ("on 14 March", "14.03. 00:00 15.03. 00:00"),
        ("on March 14th, 2026, in the afternoon", "14.03. 12:00 14.03. 18:00"),
        ("on 2026-11-18", "18.11. 00:00 19.11. 00:00"),
        ("on 18.11.2026", "18.11. 00:00 19.11. 00:00"),
        ("yesterday at 22:00", "19.11. 21:45 19.11. 22:15"),
        ("at 10 pm on Tuesday", "17.11. 21:45 17.11. 22:15"),
        ("between yesterday 22:00 and today 6:00", "19.11. 22:00 20.11. 06:00"),
        ("between 8 am and 9:30 am last Wednesday", "18.11. 08:00 18.11. 09:30"),
        ("from Monday to Wednesday", "16.11. 00:00 19.11. 00:00"),
        ("in the night from Tuesday to Wednesday", "17.11. 20:00 18.11. 06:00"),
        ("since yesterday 22:00", "19.11. 22:00 20.11. 14:01"),
        ("in the last 3 hours", "20.11. 11:00 20.11. 14:00"),
        ("2 hours ago", "20.11. 11:30 20.11. 12:30"),
    ],
)
def test_a_phrase_names_a_span_and_leaves_the_question(phrase: str, span: str) -> None:
    for text in (f"Was there a red car {phrase}?", f"{phrase}, was there a red car?"):
        read = read_times(text, NOW, FOOTAGE)

        assert spans(text) == [span]
        assert read.rest == "Was there a red car?"
        assert read.sure


def test_a_time_of_the_day_alone_is_that_of_every_day_of_the_footage() -> None:
    nights = [f"{day}.11. 22:00 {day + 1}.11. 06:00" for day in (16, 17, 18, 19)]

    assert spans("Was anyone there between 22:00 and 6:00?") == nights
    assert len(spans("Was there a dog at night?")) == 4
    assert not read_times("Was anyone there between 22:00 and 6:00?", NOW, FOOTAGE).sure


def test_a_day_and_a_range_of_hours_apart_from_it_go_together() -> None:
    assert spans("On Tuesday, was there a car between 22:00 and 6:00?") == [
        "17.11. 22:00 18.11. 06:00"
    ]


def test_several_phrases_name_several_spans() -> None:
    assert spans("Was there a car on Monday or on Wednesday?") == [
        "16.11. 00:00 17.11. 00:00",
        "18.11. 00:00 19.11. 00:00",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "What is on the table?",
        "What happens between 5 and 10 seconds?",
        "What does he hold 12 s into the video?",
        "What is on Friday's menu?",
        "Does the Black Friday sign hang there?",
        "Was anyone there on 31 February?",
        "Did it happen at 25:00?",
        "Who came first, and who came last?",
        "How many seconds does the second man stay?",
    ],
)
def test_a_text_without_a_wall_clock_time_stays_as_it_is(text: str) -> None:
    read = read_times(text, NOW, FOOTAGE)

    assert read.times == ()
    assert read.rest == text


def test_the_zone_is_that_of_now_also_where_summer_time_ends() -> None:
    now = datetime(2026, 10, 26, 9, 0, tzinfo=ZONE)

    night = read_times("Who came last Saturday night?", now).times[0]

    assert night.since.astimezone(timezone.utc).hour == 18  # summer time
    assert night.until.astimezone(timezone.utc).hour == 5  # winter time


PIECES = (
    "last this on at between from and to since until before after the in night morning noon "
    "Tuesday Friday yesterday today tonight week month ago 3 22:00 6:00 99:99 10 pm am days "
    "hours 31 February March 14th 2026-03-14 2026-99-99 9999-12-31 0001-01-01 a car ? - ,"
)
WORDS = st.sampled_from(PIECES.split())


@given(st.lists(WORDS, max_size=14).map(" ".join) | st.text(max_size=80))
def test_any_text_is_read_and_its_spans_are_in_order_and_apart(text: str) -> None:
    read = read_times(text, NOW, FOOTAGE)

    for span in read.times:
        assert span.since < span.until
    for one, other in zip(read.times, read.times[1:], strict=False):
        assert one.until < other.since
    assert bool(read.times) == bool(read.words)


def test_a_long_question_is_read_at_once() -> None:
    read = read_times("between 22:00 on the last " * 160 + "Tuesday night", NOW, FOOTAGE)

    assert len(read.rest) < 4200
