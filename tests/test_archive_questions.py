"""Questions to an archive of weeks through a real daemon, held against what is true by plan.

The daemon's clock is the real one, so the weeks are those before today, and days are named
as they come to be called ("last Tuesday night", "14 March"). Its zone is one in which it is
about noon, so that no midnight passes between the making and the asking.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from edge_lvr1.client import Client
from edge_lvr1.domain import TimeSpan
from edge_lvr1.follow import follow_jobs, follow_question
from tests.archive_of_weeks import Archive, Event, Seen, make, plan
from tests.daemon.processes import Daemon, until

MOST_ROUNDS = 12
ENOUGH_OF_21 = 18
RECORDINGS, DAYS = 200, 14
FEW = 10  # of the short form
INGEST_WITHIN_S = 3600.0
NEAR = timedelta(seconds=5)  # truth is to half a second, leaves are of a few seconds
Found = dict[str, Any]

WHITE_UP, BLUE_AND_RED, WHITE_DOWN = (0,), (1, 2), (3,)  # entries of car-detection.mp4's truth
HANDS = tuple(range(7))  # of bottle.mp4's


@dataclass(frozen=True, slots=True)
class Case:
    """A question, what is expected of the answer, and which moments may bear it out.

    `holds` says whether the answer is right as far as its verdict and text go.
    """

    text: str
    expected: str
    holds: Callable[[Found], bool]
    seen: Sequence[Seen] = ()
    options: tuple[str, ...] = ()
    scope: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Weeks:
    """The days before today, and how people call them."""

    today: date
    zone: tzinfo

    def events(self) -> list[Event]:
        """What happens in the weeks; everything else is still."""
        tuesday = self.last(1)
        return [
            Event("camera3", tuesday, "21:40", (BLUE_AND_RED,)),
            Event("camera1", tuesday, "23:50", (WHITE_UP,)),
            Event("camera1", 1, "19:10", (WHITE_DOWN,)),
            Event("camera2", 1, "09:15", ((0,),)),
            Event("camera2", 1, "22:15"),
            Event("camera4", 2, "02:10", (HANDS,)),
            Event("camera2", 3, "10:05", ((0, 1),)),
            Event("camera2", 3, "15:30", ((2, 3, 4),)),
            Event("camera4", 4, "11:30", (HANDS,)),
            Event("camera3", 4, "12:00", (WHITE_DOWN,)),
            Event("camera2", 5, "13:40", ((1, 2, 3),)),
            Event("camera3", 5, "18:30", (WHITE_UP,)),
            Event("camera1", 6, "14:30", (BLUE_AND_RED,)),
            Event("camera3", 6, "15:00", (WHITE_UP,)),
            Event("camera2", 6, "20:40", ((5,),)),
            Event("camera1", 7, "06:50", (WHITE_DOWN,)),
            Event("camera2", 8, "12:20", ((3,),)),
            Event("camera1", 8, "13:00", (WHITE_UP,)),
            Event("camera3", 8, "16:45"),
            Event("camera2", 8, "18:50", ((5,),)),
            Event("camera1", 9, "05:30", (WHITE_DOWN,)),
            Event("camera3", 9, "10:45", (BLUE_AND_RED,)),
            Event("camera4", 9, "16:00", (HANDS,)),
            Event("camera1", 10, "08:20", (WHITE_UP,)),
            Event("camera1", 10, "17:45", (BLUE_AND_RED,)),
            Event("camera2", 11, "03:15", ((1,),)),
            Event("camera3", 11, "14:10", (WHITE_UP,)),
            Event("camera3", 12, "02:30", (BLUE_AND_RED, WHITE_DOWN)),
            Event("camera1", 12, "07:40", (WHITE_UP,)),
            Event("camera1", 12, "16:20", (BLUE_AND_RED,)),
            Event("camera3", 13, "11:00", (BLUE_AND_RED,)),
            Event("camera4", 13, "23:20", (HANDS,)),
            Event("camera3", 14, "08:00", (WHITE_DOWN,)),
            Event("camera2", 14, "09:00", ((4, 5),)),
            Event("camera1", 14, "21:00", (BLUE_AND_RED,)),
        ]

    def last(self, weekday: int) -> int:
        """How many days ago a weekday (Monday is 0) was last, today not counted."""
        return (self.today.weekday() - weekday - 1) % 7 + 1

    def moment(self, days_ago: int, clock: str = "00:00") -> datetime:
        """A moment of a day."""
        day = self.today - timedelta(days=days_ago)
        return datetime.combine(day, time.fromisoformat(clock), self.zone)

    def dated(self, days_ago: int) -> str:
        """A day as "14 March"."""
        day = self.today - timedelta(days=days_ago)
        return f"{day.day} {day:%B}"

    def named(self, days_ago: int) -> str:
        """A day of the seven before today as "last Tuesday"."""
        return f"last {self.today - timedelta(days=days_ago):%A}"


def cases(weeks: Weeks, archive: Archive) -> list[Case]:
    """The 21 questions with their truth."""

    def seen(camera: str | None, word: str, since: datetime, until: datetime) -> list[Seen]:
        return archive.within(camera, word, since, until)

    def day(camera: str, word: str, days_ago: int) -> list[Seen]:
        return seen(camera, word, weeks.moment(days_ago), weeks.moment(days_ago - 1))

    tuesday = weeks.last(1)
    night = weeks.moment(tuesday, "20:00"), weeks.moment(tuesday - 1, "06:00")
    people = [*archive.within("camera2", "man,", *_all(weeks))]
    people += archive.within("camera2", "woman,", *_all(weeks))

    def persons(since: datetime, until: datetime) -> list[Seen]:
        ours = (p for p in people if since < p.times.until and p.times.since < until)
        return sorted(ours, key=lambda p: p.times)

    red = seen("camera3", "red", *night)
    first_car = min(day("camera1", "car", 12), key=lambda one: one.times)
    last_person = persons(weeks.moment(8), weeks.moment(7))[-1]
    three_days_ago = persons(weeks.moment(3), weeks.moment(2))
    afternoon = persons(weeks.moment(5, "12:00"), weeks.moment(5, "18:00"))
    between = seen("camera3", "red", weeks.moment(13), weeks.moment(10))
    in_daylight = weeks.moment(9, "06:00"), weeks.moment(9, "20:00")
    dated, named = weeks.dated, weeks.named
    return [
        _there("Was there a red car on camera 3 last Tuesday night?", red),
        _absent("Was there a red car on camera 1 last Tuesday night?"),
        _there(
            "Was there a white car on camera 1 yesterday evening?",
            seen("camera1", "white", weeks.moment(1, "17:00"), weeks.moment(1, "23:00")),
        ),
        _there(
            "Was anybody on camera 2 yesterday morning?",
            persons(weeks.moment(1, "05:00"), weeks.moment(1, "12:00")),
        ),
        _absent("Was there a person on camera 2 last night?"),
        _count(f"How many people were on camera 2 {named(3)}?", three_days_ago),
        _count(f"How many cars were on camera 1 on {dated(10)}?", day("camera1", "car", 10)),
        _count(f"How many red cars were on camera 3 between {dated(13)} and {dated(11)}?", between),
        _moment(f"When was the first car on camera 1 on {dated(12)}?", first_car),
        _moment(f"When was the last person on camera 2 on {dated(8)}?", last_person),
        _says("Which way did the red car go on camera 3 last Tuesday night?", r"\bup\b", red),
        _says(
            f"Which camera saw a red car {named(6)} afternoon?",
            r"\bcamera ?1\b",
            day("camera1", "red", 6),
        ),
        _option(
            f"What colour was the car on camera 1 in the morning of {dated(7)}?",
            ("red", "white", "green", "black"),
            "B",
            day("camera1", "car", 7),
        ),
        _option(
            f"How many people came to camera 2 {named(5)} afternoon?",
            ("one", "two", "three", "four"),
            "ABCD"[len(afternoon) - 1],
            afternoon,
        ),
        _there(
            "Was there a light blue car?",
            [s for s in seen(None, "light", *in_daylight) if "car" in s.what],
            cameras=["camera1", "camera3"],
            since=in_daylight[0].isoformat(),
            until=in_daylight[1].isoformat(),
        ),
        _absent(
            "Is there a person?",
            cameras=["camera4"],
            since=weeks.moment(7).isoformat(),
        ),
        _there("Is there a red car?", seen(None, "red", *_all(weeks))),
        _absent("Was there a dog on any camera last week?"),
        _absent(f"Did a red car drive down on camera 3 on {dated(13)}?"),
        _there(
            f"Was anything moving on camera 4 in the night of {dated(3)}?",
            seen("camera4", "hand", weeks.moment(3, "20:00"), weeks.moment(2, "06:00"))
            + seen("camera4", "hands", weeks.moment(3, "20:00"), weeks.moment(2, "06:00")),
        ),
        _absent(f"How many cars passed camera 3 on {dated(8)}?", none=True),
    ]


def _all(weeks: Weeks) -> tuple[datetime, datetime]:
    return weeks.moment(DAYS), weeks.moment(-1)


def _answered(found: Found) -> bool:
    denied = re.match(r"\W*(?:no|not|none|nobody|nothing|never)\b", found["text"], re.I)
    return found["verdict"] == "answered" and not denied


def _there(text: str, seen: Sequence[Seen], **scope: Any) -> Case:
    return Case(text, "yes", _answered, seen, scope=scope)


def _absent(text: str, none: bool = False, **scope: Any) -> Case:
    """Not there; `none`: an answer of 0 says so as well."""

    def holds(found: Found) -> bool:
        zero = none and re.match(r"\W*(?:0|no|none)\b", found["text"], re.I)
        return found["verdict"] == "not_found" or bool(zero)

    return Case(text, "not found", holds, scope=scope)


def _count(text: str, seen: Sequence[Seen]) -> Case:
    def holds(found: Found) -> bool:
        told = re.match(r"\W*(\d+)\b", found["text"])
        return _answered(found) and told is not None and int(told[1]) == len(seen)

    return Case(text, str(len(seen)), holds, seen)


def _moment(text: str, seen: Seen) -> Case:
    """The wall-clock time, in the answer itself."""

    def holds(found: Found) -> bool:
        told = re.search(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:[+-]\d\d:\d\d|Z)", found["text"])
        if told is None or not _answered(found):
            return False
        return seen.times.since - NEAR <= _moment_of(told[0]) <= seen.times.until + NEAR

    return Case(text, f"{seen.times.since:%m-%d %H:%M:%S}", holds, [seen])


def _says(text: str, pattern: str, seen: Sequence[Seen]) -> Case:
    def holds(found: Found) -> bool:
        return _answered(found) and re.search(pattern, found["text"], re.I) is not None

    return Case(text, pattern.replace(r"\b", "").replace(" ?", ""), holds, seen)


def _option(text: str, options: tuple[str, ...], letter: str, seen: Sequence[Seen]) -> Case:
    def holds(found: Found) -> bool:
        return _answered(found) and found["option"] == letter

    return Case(text, letter, holds, seen, options)


def _moment_of(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def _borne_out(found: Found, seen: Sequence[Seen]) -> bool:
    """Whether there is evidence and every piece of it shows what was to be found."""
    spans = [
        (one["camera"], TimeSpan(_moment_of(one["starts_at"]), _moment_of(one["ends_at"])))
        for one in found["evidence"]
    ]
    return bool(spans) and all(
        any(
            camera == true.camera
            and span.since < true.times.until
            and true.times.since < span.until
            for true in seen
        )
        for camera, span in spans
    )


@dataclass(frozen=True, slots=True)
class Result:
    """A question that was asked, and whether the answer was right."""

    case: Case
    found: Found

    @property
    def why(self) -> str:
        """What is wrong; empty where nothing is."""
        if not self.case.holds(self.found):
            return "wrong"
        if self.found["verdict"] == "answered" and not _borne_out(self.found, self.case.seen):
            return "right, but its evidence is not"
        return ""


def ask_all(client: Client, asked: Sequence[Case]) -> list[Result]:
    """Ask each question and wait for its answer."""
    results = []
    for case in asked:
        request = {"question": case.text, "options": case.options, "max_rounds": MOST_ROUNDS}
        number = client.ask({**request, **case.scope})
        results.append(Result(case, follow_question(client, number, None)))
    return results


def table(results: Sequence[Result]) -> str:
    """What was asked and what came of it, a few lines a question."""
    lines = [""]
    for number, one in enumerate(results, start=1):
        found, case = one.found, one.case
        scope = f" {case.scope}" if case.scope else ""
        options = f" {'/'.join(case.options)}" if case.options else ""
        lines += [
            f"{number:2}. {case.text}{options}{scope}",
            f"    expected {case.expected}; {found['verdict']}: {found['text'][:240]}",
            f"    {found['rounds']} rounds, {found['seconds']:.2f} s: {one.why or 'right'}"
            + (f" (read as: {found['read_as']})" if one.why else ""),
        ]
    right = sum(not one.why for one in results)
    lines.append(f"{right} of {len(results)} right")
    return "\n".join(lines)


def noon_zone(now: datetime) -> str:
    """The name of a zone in which it is between 12:00 and 13:00."""
    offset = 12 - now.astimezone(timezone.utc).hour
    return f"Etc/GMT{-offset:+d}" if offset else "Etc/GMT"


def running(folder: Path, archive: Archive, zone: str) -> Iterator[Client]:
    """A daemon that has taken in the whole archive."""
    daemon = Daemon(folder, given={"time_zone": zone})
    make(archive, daemon.watched)
    with daemon.running() as client:
        count = len(archive.recordings)
        until(lambda: len(client.jobs()) == count, "the files' finding", INGEST_WITHIN_S)
        jobs = follow_jobs(client, [job["id"] for job in client.jobs()], None)
        assert {job["state"] for job in jobs} == {"done"}, jobs
        assert len(client.recordings()) == count
        yield client


@pytest.mark.footage
@pytest.mark.parametrize("day", range(16, 23))  # whatever the weekday of today
def test_truth_is_what_the_questions_expect_on_every_weekday(day: int) -> None:
    weeks = Weeks(date(2026, 11, day), timezone.utc)
    archive = plan(weeks.events(), weeks.today, weeks.zone, RECORDINGS, DAYS)

    asked = cases(weeks, archive)

    tuesday = weeks.last(1)
    night = weeks.moment(tuesday, "20:00"), weeks.moment(tuesday - 1, "06:00")
    assert len(archive.recordings) == RECORDINGS
    assert len({(one.camera, one.starts_at) for one in archive.recordings}) == RECORDINGS
    assert [bool(one.seen) for one in asked] == [one.expected != "not found" for one in asked]
    assert [one.what for one in archive.within("camera3", "car", *night)] == [
        "light blue car",
        "red car",
    ]
    assert [one.what for one in archive.within("camera1", "car", *night)] == ["white car"]
    assert [one.camera for one in asked[11].seen] == ["camera1"]


@pytest.mark.footage
@pytest.mark.reliability
@pytest.mark.timeout(7200)
def test_questions_to_two_weeks_of_four_cameras_are_answered(tmp_path: Path) -> None:
    zone = noon_zone(datetime.now(timezone.utc))
    weeks = Weeks(datetime.now(ZoneInfo(zone)).date(), ZoneInfo(zone))
    archive = plan(weeks.events(), weeks.today, weeks.zone, RECORDINGS, DAYS)
    asked = cases(weeks, archive)
    assert len(asked) == 21

    for client in running(tmp_path, archive, zone):
        results = ask_all(client, asked)

    print(table(results))
    assert max(one.found["rounds"] for one in results) <= MOST_ROUNDS
    assert sum(not one.why for one in results) >= ENOUGH_OF_21, table(results)


@pytest.mark.footage
def test_questions_to_a_few_recordings_of_four_cameras_are_answered(tmp_path: Path) -> None:
    zone = noon_zone(datetime.now(timezone.utc))
    weeks = Weeks(datetime.now(ZoneInfo(zone)).date(), ZoneInfo(zone))
    tuesday = weeks.last(1)
    kept = {("camera3", tuesday), ("camera1", tuesday), ("camera2", 8)}
    events = [one for one in weeks.events() if (one.camera, one.days_ago) in kept and one.runs]
    archive = plan(events, weeks.today, weeks.zone, FEW, DAYS)
    texts = [
        "Was there a red car on camera 3 last Tuesday night?",
        "Was there a red car on camera 1 last Tuesday night?",
        f"When was the last person on camera 2 on {weeks.dated(8)}?",
        f"How many people were on camera 2 on {weeks.dated(8)}?",
    ]
    everyone = [s for s in archive.seen if s.camera == "camera2"]
    asked = [
        _there(texts[0], archive.within("camera3", "red", *_all(weeks))),
        _absent(texts[1]),
        _moment(texts[2], max(everyone, key=lambda one: one.times)),
        _count(texts[3], everyone),
    ]

    for client in running(tmp_path, archive, zone):
        results = ask_all(client, asked)

    print(table(results))
    assert [one.why for one in results] == [""] * len(asked), table(results)
    assert max(one.found["rounds"] for one in results) <= MOST_ROUNDS
