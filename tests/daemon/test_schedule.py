"""What runs by the clock: a task on a fake clock, a real scheduler with short times."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_lvr1.daemon.health.faults import Faults
from edge_lvr1.daemon.quiet_hours import QuietHours
from edge_lvr1.daemon.schedule import (
    ClockWatch,
    JobState,
    NotNow,
    Schedule,
    Task,
    _Every,
    look_interval_s,
    span_text,
)
from edge_lvr1.errors import SettingsError, StoreError

LONG_S = 30.0
UTC = timezone.utc
BERLIN = ZoneInfo("Europe/Berlin")
NIGHT = QuietHours.parse("02:00-05:00")


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self, now_s: float = 1000.0) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s


def test_runs_that_a_clock_skipped_are_not_counted_up() -> None:
    every = _Every(0.25)
    last = datetime(1970, 1, 1, tzinfo=UTC)
    now = datetime(2026, 3, 14, tzinfo=UTC)

    due = every.get_next_fire_time(last, now)

    assert now < due <= now + timedelta(seconds=0.25)
    assert every.get_next_fire_time(now, now) == now + timedelta(seconds=0.25)


def test_run_that_is_planned_by_another_clock_is_lost() -> None:
    every = _Every(60.0, first_s=300.0)
    now = datetime(2026, 3, 14, tzinfo=UTC)

    assert not every.lost(now + timedelta(seconds=300), now)
    assert every.lost(now + timedelta(hours=1), now)


class Files:
    """Files that settle after so many looks."""

    def __init__(self) -> None:
        self.left = 0
        self.looks = 0
        self.settled = threading.Event()

    def settle(self) -> bool:
        self.looks += 1
        self.left -= 1
        if self.left <= 0:
            self.settled.set()
        return self.left > 0


@pytest.fixture
def faults() -> Faults:
    return Faults(Clock())


@pytest.fixture
def schedule(faults: Faults) -> Iterator[Schedule]:
    made = Schedule(faults, UTC)
    yield made
    made.stop()


def job(schedule: Schedule, name: str) -> JobState:
    return next(one for one in schedule.jobs() if one.name == name)


def test_a_task_tells_when_it_ran_and_what_it_came_to(faults: Faults) -> None:
    clock = Clock()

    def work() -> str:
        clock.now_s += 7
        return "removed 3 recordings"

    task = Task("keep", "every 1 h", work, faults, clock)
    before = task.state(None)
    task.run()

    assert (before.last_s, before.outcome) == (None, "")
    assert task.state(5.0) == JobState(
        "keep", "every 1 h", False, 1000.0, 7.0, "removed 3 recordings", False, 5.0
    )


@pytest.mark.parametrize("error", [StoreError("the disk is full"), RuntimeError("a bug of ours")])
def test_a_task_that_raises_is_a_fault_until_it_goes_well(
    faults: Faults, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    errors = [error]

    def work() -> None:
        if errors:
            raise errors.pop()

    task = Task("backup", "every 24 h", work, faults, Clock())
    with caplog.at_level(logging.ERROR):
        task.run()
    told = [fault.sentence for fault in faults.now()]
    failed = task.state(None)
    task.run()

    assert failed.failed
    assert str(error) in failed.outcome
    assert str(error) in caplog.text
    assert len(told) == 1
    assert str(error) in told[0]
    assert faults.now() == ()
    assert task.state(None).outcome == "ok"


def test_what_is_put_off_says_why_and_is_no_fault(faults: Faults) -> None:
    def work() -> None:
        raise NotNow("footage is being taken in")

    task = Task("tidy", "at 02:00-05:00", work, faults, Clock())

    assert not task.run()
    assert task.state(None).outcome == "put off: footage is being taken in"
    assert faults.now() == ()


def test_a_job_runs_at_the_start_and_again(schedule: Schedule) -> None:
    ran = threading.Semaphore(0)
    schedule.every("rescan", 0.05, ran.release, first_s=0.0)
    schedule.start()

    assert all(ran.acquire(timeout=LONG_S) for _ in range(3))
    assert job(schedule, "rescan").next_s is not None


def test_a_job_that_raises_runs_again(schedule: Schedule) -> None:
    ran = threading.Semaphore(0)

    def work() -> None:
        ran.release()
        raise StoreError("the database is held by another program")

    schedule.every("keep", 0.05, work, first_s=0.0)
    schedule.start()

    assert all(ran.acquire(timeout=LONG_S) for _ in range(3))


def test_a_rare_job_that_fails_is_soon_tried_again_and_then_less_soon(schedule: Schedule) -> None:
    def fails() -> str:
        raise StoreError("the disk is full")

    schedule.every("backup", 86_400.0, fails, first_s=0.0)
    schedule.start()

    def waits_s(last_s: float) -> float:
        end = time.monotonic() + LONG_S
        while time.monotonic() < end:
            (job,) = schedule.jobs()
            if job.next_s and job.last_s and job.last_s > last_s and not job.running:
                planned_s = job.next_s - job.last_s
                if planned_s < 80_000:  # at first it is planned for its time
                    return planned_s
            time.sleep(0.01)
        raise AssertionError("it did not fail")

    first_s = waits_s(0.0)
    began_s = time.time()
    schedule._scheduler.modify_job("backup", next_run_time=datetime.now(UTC))
    second_s = waits_s(began_s)

    assert first_s == pytest.approx(600, abs=20)
    assert second_s == pytest.approx(1200, abs=20)


def test_files_are_looked_at_until_none_is_left(schedule: Schedule) -> None:
    files = Files()
    files.left = 3
    wake = schedule.while_needed("settle", 0.05, files.settle)
    schedule.start()
    wake()
    wake()

    assert files.settled.wait(LONG_S)
    schedule.stop()
    assert files.looks == 3


def test_a_later_file_wakes_it_again(schedule: Schedule) -> None:
    files = Files()
    files.left = 1
    wake = schedule.while_needed("settle", 0.05, files.settle)
    schedule.start()
    wake()
    first = files.settled.wait(LONG_S)
    files.settled.clear()
    files.left = 1

    wake()

    assert first
    assert files.settled.wait(LONG_S)


def test_a_file_that_comes_during_the_last_look_is_looked_at(schedule: Schedule) -> None:
    looks = threading.Semaphore(0)
    woken: list[None] = []

    def look() -> bool:
        looks.release()
        if not woken:
            woken.append(None)
            wake()  # comes after what this look saw
        return False

    wake = schedule.while_needed("settle", 0.05, look)
    schedule.start()
    wake()

    assert all(looks.acquire(timeout=LONG_S) for _ in range(2))


def test_a_look_that_raises_is_repeated(schedule: Schedule) -> None:
    looks = threading.Semaphore(0)

    def look() -> bool:
        looks.release()
        raise StoreError("the disk is full")

    wake = schedule.while_needed("settle", 0.05, look)
    schedule.start()
    wake()

    assert all(looks.acquire(timeout=LONG_S) for _ in range(2))


def test_work_in_quiet_hours_waits_for_them(faults: Faults) -> None:
    noon = datetime(2026, 11, 23, 12, tzinfo=UTC)
    schedule = Schedule(faults, UTC, Clock(noon.timestamp()))
    schedule.at_hours("tidy", NIGHT, lambda: None)

    told = job(schedule, "tidy")

    assert told.next_s == (noon + timedelta(hours=14)).timestamp()
    assert told.when == "at 02:00-05:00"


def test_work_in_quiet_hours_runs_at_once_where_they_have_begun(schedule: Schedule) -> None:
    ran = threading.Event()
    now = datetime.now(UTC)
    start = now - timedelta(minutes=30)
    end = now + timedelta(minutes=90)
    schedule.at_hours("tidy", QuietHours.parse(f"{start:%H:%M}-{end:%H:%M}"), ran.set)
    schedule.start()

    assert ran.wait(LONG_S)


def test_what_is_put_off_in_quiet_hours_comes_again_in_the_same_hours(schedule: Schedule) -> None:
    ran = threading.Event()
    now = datetime.now(UTC)
    start, end = now - timedelta(minutes=30), now + timedelta(minutes=90)

    def work() -> None:
        ran.set()
        raise NotNow("a question is being asked")

    schedule.at_hours("tidy", QuietHours.parse(f"{start:%H:%M}-{end:%H:%M}"), work)
    schedule.start()

    assert ran.wait(LONG_S)
    until = time.monotonic() + LONG_S
    while (job(schedule, "tidy").next_s or 1e12) > (now + timedelta(hours=2)).timestamp():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_clock_that_was_set_back_does_not_hold_jobs_up(faults: Faults) -> None:
    clock = Clock(2e9)
    schedule = Schedule(faults, UTC, clock)
    schedule.every("rescan", 30.0, lambda: None)
    schedule.at_hours("tidy", NIGHT, lambda: None)
    clock.now_s = 1e9

    schedule.begin_anew()

    assert job(schedule, "rescan").next_s == 1e9 + 30
    assert 1e9 < (job(schedule, "tidy").next_s or 0) <= 1e9 + 24 * 3600


def test_the_clock_watch_tells_a_set_clock_from_one_that_runs() -> None:
    wall, steady = Clock(1e9), Clock(50.0)
    watch = ClockWatch(wall, steady)
    wall.now_s, steady.now_s = 1e9 + 5.3, 55.0
    slewed = watch.set_by_s()
    wall.now_s, steady.now_s = 1e9 - 3590, 60.0

    assert slewed == 0
    assert watch.set_by_s() == pytest.approx(-3600.3)
    assert watch.set_by_s() == 0


def test_stop_before_start_does_nothing(schedule: Schedule) -> None:
    schedule.stop()


@pytest.mark.parametrize(("settle_s", "look_s"), [(0.0, 0.05), (2.0, 0.5), (60.0, 1.0)])
def test_looks_come_often_enough_and_not_more(settle_s: float, look_s: float) -> None:
    assert look_interval_s(settle_s) == look_s


@pytest.mark.parametrize("text", ["", "2-5", "02:00", "24:00-01:00", "02:60-03:00", "03:00-03:00"])
def test_hours_that_cannot_be_are_refused_with_their_key(text: str) -> None:
    with pytest.raises(SettingsError, match=r"keep\.quiet_hours"):
        QuietHours.parse(text)


@given(
    start=st.integers(0, 1439),
    length=st.integers(1, 1439),
    now_s=st.floats(1.577e9, 1.893e9),
)
def test_hours_open_within_two_days_and_hold_when_they_open(
    start: int, length: int, now_s: float
) -> None:
    hours = QuietHours(start, (start + length) % 1440)
    moment = datetime.fromtimestamp(now_s, UTC)
    since_start = (moment.hour * 60 + moment.minute - start) % 1440

    opening = hours.next_opening(moment, BERLIN)

    # On the day that summer time begins a local time may not be there; it opens an hour later.
    assert timedelta() < opening - moment <= timedelta(hours=25)
    assert hours.holds(opening, BERLIN) or opening.astimezone(BERLIN).month == 3
    assert hours.holds(moment, UTC) == (since_start < length)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.5, "0.5 s"), (30, "30 s"), (300, "5 min"), (3600, "1 h"), (86400, "24 h")],
)
def test_a_length_of_time_as_a_person_says_it(seconds: float, said: str) -> None:
    assert span_text(seconds) == said
