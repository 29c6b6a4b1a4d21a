"""Signs of life, and the watchdog that they feed."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_lvr1.daemon.health.faults import Faults
from edge_lvr1.daemon.health.heartbeat import Heartbeats, Watch
from edge_lvr1.daemon.host.notify import Notifier
from edge_lvr1.daemon.turnstile import Stopped, Turnstile
from edge_lvr1.daemon.workers import Worker
from edge_lvr1.errors import StoreError


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(str(tmp_path / "n"))
        end.setblocking(False)
        yield end


def fed(manager: socket.socket) -> int:
    """How often the watchdog was fed since the last look."""
    count = 0
    while True:
        try:
            count += manager.recv(4096) == b"WATCHDOG=1"
        except BlockingIOError:
            return count


def watch(
    beats: Heartbeats,
    manager: socket.socket,
    faults: Faults | None = None,
    loop: bool = True,
    database: Exception | None = None,
) -> Watch:
    def ask() -> None:
        if database is not None:
            raise database

    return Watch(
        beats,
        Notifier(manager.getsockname(), 30.0),
        faults or Faults(),
        lambda within_s: loop,
        ask,
        lambda: "well",
    )


def test_worker_in_one_step_for_too_long_is_stuck_until_it_goes_on(clock: Clock) -> None:
    beats = Heartbeats(60.0, clock)

    with beats.working("build"):
        clock.now += 61
        stuck = beats.stuck()
        beats.beat()
        after = beats.stuck()
        clock.now += 61
    ended = beats.stuck()

    assert [(one.name, one.for_s) for one in stuck] == [("build", 61.0)]
    assert after == ended == []


def test_worker_that_waits_for_work_is_not_stuck(clock: Clock) -> None:
    beats = Heartbeats(60.0, clock)

    with beats.working("build"):
        with beats.resting():
            clock.now += 3600
            waiting = beats.stuck()
        clock.now += 59
        back = beats.stuck()

    assert waiting == back == []


def test_thread_that_did_not_sign_up_gives_no_sign(clock: Clock) -> None:
    beats = Heartbeats(60.0, clock)

    with beats.working("build"):
        clock.now += 61
        other = threading.Thread(target=beats.beat)
        other.start()
        other.join()
        stuck = beats.stuck()

    assert [one.name for one in stuck] == ["build"]


def test_watchdog_is_fed_while_work_goes_on_and_not_while_it_is_stuck(
    clock: Clock, manager: socket.socket
) -> None:
    beats, faults = Heartbeats(60.0, clock), Faults()
    watching = watch(beats, manager, faults)

    with beats.working("build"):
        well = watching.look(), fed(manager)
        clock.now += 61
        stuck = watching.look(), watching.look(), fed(manager)
        told = [fault.sentence for fault in faults.now()]
        beats.beat()
        again = watching.look(), fed(manager)

    assert well == (True, 1)
    assert stuck == (False, False, 0)
    assert told == [
        "the build worker has been in one step for 61 s; where systemd watches, it restarts "
        "the daemon"
    ]
    assert again == (True, 1)
    assert faults.now() == ()


def test_watchdog_is_not_fed_while_requests_are_not_answered(
    clock: Clock, manager: socket.socket
) -> None:
    assert not watch(Heartbeats(60.0, clock), manager, loop=False).look()
    assert fed(manager) == 0


def test_database_that_answers_with_an_error_is_no_reason_for_a_restart(
    clock: Clock, manager: socket.socket
) -> None:
    assert watch(Heartbeats(60.0, clock), manager, database=StoreError("the disk is full")).look()
    assert fed(manager) == 1


def test_looks_come_three_times_within_the_watchdogs_time(manager: socket.socket) -> None:
    beats = Heartbeats(60.0)

    def look_s(watchdog_s: float | None) -> float:
        notifier = Notifier(None, watchdog_s)
        return Watch(beats, notifier, Faults(), lambda s: True, lambda: 0, lambda: "").look_s

    assert look_s(6.0) == 2.0
    assert look_s(600.0) == look_s(None) == 10.0


def test_worker_gives_signs_of_life_and_rests_where_there_is_no_work(clock: Clock) -> None:
    beats = Heartbeats(60.0, clock)
    turnstile = Turnstile(lambda: 0, beats)
    pieces: list[list[str]] = []
    second = threading.Event()

    def work() -> bool:
        before = [one.name for one in beats.stuck()]
        clock.now += 61
        pieces.append(before + [one.name for one in beats.stuck()])
        if len(pieces) == 2:
            second.set()
        return len(pieces) < 2

    worker = Worker("build", turnstile, work)
    worker.start()
    assert second.wait(10)
    turnstile.stop()
    assert worker.join(10)

    assert pieces == [["build"], ["build"]]
    assert beats.stuck() == []
    with pytest.raises(Stopped):
        turnstile.pass_ingest()
