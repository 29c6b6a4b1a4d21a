"""What happens by the clock: named jobs, each with what it last came to and when it is next.

Knows when, not what: the work is passed in. A job that raises is logged and told among the
faults until it goes well again; it runs again the next time. A clock that is set back would
hold APScheduler up for as long as it was set back, so the schedule looks for that and begins
its intervals anew.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone, tzinfo
from typing import TypeAlias

from apscheduler.executors.pool import ThreadPoolExecutor  # type: ignore[import-untyped]
from apscheduler.jobstores.base import JobLookupError  # type: ignore[import-untyped]
from apscheduler.schedulers.background import BackgroundScheduler  # type: ignore[import-untyped]
from apscheduler.triggers.base import BaseTrigger  # type: ignore[import-untyped]

from edge_lvr1.daemon.health.faults import Faults
from edge_lvr1.daemon.quiet_hours import QuietHours
from edge_lvr1.daemon.turnstile import Stopped
from edge_lvr1.errors import EdgeLvr1Error

log = logging.getLogger(__name__)

_SLOWEST_LOOK_S = 1.0
_FASTEST_LOOK_S = 0.05
_PUT_OFF_S, _MOST_DOUBLED = 600.0, 10
_CLOCK_LOOK_S = 5.0
_CLOCK_SET_S = 2.0  # NTP slews less than this between two looks
_THREADS = 8

Work: TypeAlias = Callable[[], str | None]
"""A job's work; what it came to, in a few words, or None."""


class NotNow(Exception):  # noqa: N818 (not an error: the reason is told, and it is tried later)
    """The work of a job in quiet hours has to wait; the text says for what."""


@dataclass(frozen=True, slots=True)
class JobState:
    """A job as it is now. Times are epoch seconds; None: not yet, or not planned.

    `outcome` is what the last run came to: "" before the first, "ok" where it has nothing to
    tell; `failed` says that it is the sentence of an error.
    """

    name: str
    when: str
    running: bool
    last_s: float | None
    took_s: float | None
    outcome: str
    failed: bool
    next_s: float | None


class Task:
    """A named piece of work and what its runs came to; knows no scheduler."""

    def __init__(
        self, name: str, when: str, work: Work, faults: Faults, clock: Callable[[], float]
    ) -> None:
        self.name = name
        self.when = when
        self._work = work
        self._faults = faults
        self._clock = clock
        self._lock = threading.Lock()
        self._running = False
        self._last_s: float | None = None
        self._took_s: float | None = None
        self._outcome = ""
        self._failed = False
        self.failures = 0
        """How many of the last runs failed, one after the other."""

    def run(self) -> bool:
        """Do the work once, and keep what came of it; False where it was put off."""
        began_s = self._clock()
        with self._lock:
            self._running = True
        done, failed = True, False
        try:
            outcome = self._work() or "ok"
        except NotNow as reason:
            outcome, done = f"put off: {reason}", False
        except Stopped:
            outcome = "the daemon stopped"
        except EdgeLvr1Error as error:
            log.error("%s: %s; it is tried again", self.name, error)
            outcome, failed = str(error), True
        except Exception as error:  # one job must not end the others; kept and shown below
            log.exception("%s failed; it is tried again", self.name)
            outcome, failed = f"{type(error).__name__}: {error}", True
        with self._lock:
            self._running = False
            self._last_s, self._took_s = began_s, max(0.0, self._clock() - began_s)
            self._outcome, self._failed = outcome, failed
        if failed:
            self.failures += 1
            self._faults.put(f"job.{self.name}", f"the job {self.name} failed: {outcome}")
        elif done:
            self.failures = 0
            self._faults.clear(f"job.{self.name}")
        return done

    def state(self, next_s: float | None) -> JobState:
        """As it is now."""
        with self._lock:
            return JobState(
                self.name,
                self.when,
                self._running,
                self._last_s,
                self._took_s,
                self._outcome,
                self._failed,
                next_s,
            )


class ClockWatch:
    """Tells by how much the wall clock was set, against one that only runs on."""

    def __init__(self, wall: Callable[[], float], monotonic: Callable[[], float]) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._apart_s = wall() - monotonic()

    def set_by_s(self) -> float:
        """Seconds that the wall clock was set by since the last look; 0 where it was not.

        A machine that slept has its clock set forward.
        """
        apart_s = self._wall() - self._monotonic()
        by_s = apart_s - self._apart_s
        self._apart_s = apart_s
        return by_s if abs(by_s) > _CLOCK_SET_S else 0.0


class _Every(BaseTrigger):  # type: ignore[misc]
    """Fires each so many seconds; runs that were missed are not counted up.

    APScheduler's own trigger names each of them, one by one under its lock: a clock set from
    1970 to now is a billion runs, in which nothing else goes on and memory ends.
    """

    def __init__(self, seconds: float, first_s: float = 0.0) -> None:
        self.interval = timedelta(seconds=seconds)
        self._first = timedelta(seconds=first_s)

    def lost(self, planned: datetime, now: datetime) -> bool:
        """Whether a run is planned for later than any is, by a clock that was set back since."""
        return planned - now > max(self.interval, self._first) + timedelta(seconds=_CLOCK_SET_S)

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        """An interval after the last time, or after now where that has passed."""
        due = (previous_fire_time or now) + self.interval
        return due if due > now else now + self.interval


class _Openings(BaseTrigger):  # type: ignore[misc]
    """Fires when quiet hours begin."""

    def __init__(self, hours: QuietHours, zone: tzinfo) -> None:
        self._hours = hours
        self._zone = zone

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        """The first opening after the last one, and not before now."""
        return self._hours.next_opening(now, self._zone)


class Schedule:
    """Runs named jobs in threads of its own; `clock` gives epoch seconds.

    `zone` is that of the quiet hours. A job never runs twice at once; one that takes longer
    than its interval misses runs.
    """

    def __init__(
        self, faults: Faults, zone: tzinfo, clock: Callable[[], float] = time.time
    ) -> None:
        self._faults = faults
        self._zone = zone
        self._clock = clock
        # APScheduler tells of every job and run, and warns of one that takes longer than its
        # interval: neither is the operator's story.
        logging.getLogger("apscheduler").setLevel(logging.ERROR)
        self._scheduler = BackgroundScheduler(
            timezone="UTC",
            executors={"default": ThreadPoolExecutor(_THREADS)},
            job_defaults={"coalesce": True, "misfire_grace_time": None, "max_instances": 1},
        )
        self._tasks: dict[str, Task] = {}
        self._stopping = threading.Event()
        self._ticker = threading.Thread(target=self._tick, name="clock", daemon=True)

    def every(self, name: str, seconds: float, work: Work, first_s: float | None = None) -> None:
        """Run `work` every so many seconds; first after `first_s`, None: after an interval.

        Where it failed it is tried again in ten minutes, then in twenty and so on, until that
        is no sooner than its time.
        """
        task = self._task(name, f"every {span_text(seconds)}", work)

        def run() -> None:
            task.run()
            again_s = _PUT_OFF_S * 2.0 ** (min(task.failures, _MOST_DOUBLED) - 1)
            if task.failures and again_s < seconds and not self._stopping.is_set():
                self._scheduler.modify_job(name, next_run_time=self._from_now(again_s))

        self._scheduler.add_job(
            run,
            _Every(seconds, first_s or 0.0),
            id=name,
            next_run_time=self._from_now(seconds if first_s is None else first_s),
        )

    def at_hours(self, name: str, hours: QuietHours, work: Work) -> None:
        """Run `work` once in each night's hours: when they open, or now where they have.

        Where it raises NotNow it is tried again in ten minutes, while the hours last.
        """
        task = self._task(name, f"at {hours}", work)

        def run() -> None:
            if not task.run():
                self._put_off(name, hours)

        trigger = _Openings(hours, self._zone)
        now = self._from_now(0.0)
        first = now if hours.holds(now, self._zone) else trigger.get_next_fire_time(None, now)
        self._scheduler.add_job(run, trigger, id=name, next_run_time=first)

    def while_needed(
        self, name: str, seconds: float, look: Callable[[], bool]
    ) -> Callable[[], None]:
        """A job that runs only once it was woken, and until `look` says that it need not.

        Returns what wakes it.
        """
        waking = _Waking(look)
        task = self._task(name, f"every {span_text(seconds)} while needed", waking.look)

        def run() -> None:
            task.run()
            waking.rest(lambda: self._remove(name))

        def wake() -> None:
            waking.wake(
                lambda: self._scheduler.add_job(
                    run,
                    _Every(seconds),
                    id=name,
                    replace_existing=True,
                )
            )

        return wake

    def start(self) -> None:
        """Begin; jobs that are due at once run now."""
        self._scheduler.start()
        self._ticker.start()

    def stop(self) -> None:
        """End, started or not; work in hand is waited for."""
        self._stopping.set()
        if self._scheduler.running:
            self._scheduler.shutdown(wait=True)
        if self._ticker.is_alive():
            self._ticker.join()

    def jobs(self) -> list[JobState]:
        """All jobs, in the order they were made."""
        planned = {job.id: job.next_run_time for job in self._scheduler.get_jobs()}
        found = []
        for name, task in list(self._tasks.items()):
            moment = planned.get(name)
            found.append(task.state(moment.timestamp() if moment else None))
        return found

    def begin_anew(self) -> None:
        """Plan all jobs from now on: the wall clock was set."""
        now = self._from_now(0.0)
        for job in self._scheduler.get_jobs():
            interval = getattr(job.trigger, "interval", None)
            moment = now + interval if interval else job.trigger.get_next_fire_time(None, now)
            try:
                job.modify(next_run_time=moment)
            except JobLookupError:  # it was needed no more, just now
                continue

    def _task(self, name: str, when: str, work: Work) -> Task:
        assert name not in self._tasks, f"there are two jobs called {name}"
        self._tasks[name] = Task(name, when, work, self._faults, self._clock)
        return self._tasks[name]

    def _put_off(self, name: str, hours: QuietHours) -> None:
        again = self._from_now(_PUT_OFF_S)
        if hours.holds(again, self._zone) and not self._stopping.is_set():
            self._scheduler.modify_job(name, next_run_time=again)

    def _remove(self, name: str) -> None:
        try:
            self._scheduler.remove_job(name)
        except JobLookupError:
            log.debug("%s was not planned any more", name)

    def _from_now(self, seconds: float) -> datetime:
        return datetime.fromtimestamp(self._clock(), timezone.utc) + timedelta(seconds=seconds)

    def _tick(self) -> None:
        watch = ClockWatch(time.time, time.monotonic)
        while not self._stopping.wait(_CLOCK_LOOK_S):
            if by_s := watch.set_by_s():
                log.warning("the clock was set by %+.0f s; jobs are planned from now on", by_s)
                self.begin_anew()
            elif self._lost():
                log.warning("the clock was set and set back; jobs are planned from now on")
                self.begin_anew()

    def _lost(self) -> bool:
        """Whether a job waits by a clock that is not this one: it was set twice between looks."""
        now = self._from_now(0.0)
        return any(
            isinstance(job.trigger, _Every) and job.trigger.lost(job.next_run_time, now)
            for job in self._scheduler.get_jobs()
            if job.next_run_time is not None
        )


class _Waking:
    """Whether a job that runs while it is needed is awake."""

    def __init__(self, look: Callable[[], bool]) -> None:
        self._look = look
        self._lock = threading.Lock()
        self._awake = False
        self._needed = True
        self._calls = 0

    def look(self) -> None:
        with self._lock:
            self._needed = True  # where the look raises, it is tried again
            calls = self._calls
        needed = self._look()
        with self._lock:  # who woke us meanwhile may have come after what the look saw
            self._needed = needed or calls != self._calls

    def rest(self, remove: Callable[[], None]) -> None:
        with self._lock:
            if self._awake and not self._needed:
                self._awake = False
                remove()

    def wake(self, add: Callable[[], object]) -> None:
        with self._lock:
            self._calls += 1
            self._needed = True
            if not self._awake:
                self._awake = True
                add()


def look_interval_s(settle_s: float) -> float:
    """A quarter of the settling time, so that a whole file waits at most that much longer."""
    return min(_SLOWEST_LOOK_S, max(_FASTEST_LOOK_S, settle_s / 4))


def span_text(seconds: float) -> str:
    """A length of time as a person says it: 0.5 s, 30 s, 5 min, 24 h."""
    for unit_s, unit in ((3600.0, "h"), (60.0, "min")):
        if seconds >= 2 * unit_s or seconds == unit_s:
            return f"{seconds / unit_s:g} {unit}"
    return f"{seconds:g} s"
