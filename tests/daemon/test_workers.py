"""Workers: what a piece of work raises ends neither them nor what was accepted."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator

import pytest

from edge_lvr1.daemon.health.faults import Faults
from edge_lvr1.daemon.turnstile import Stopped, Turnstile
from edge_lvr1.daemon.workers import Owed, Worker, told_of
from edge_lvr1.errors import StoreError, StoreFull

WITHIN_S = 20.0


class Rests(Turnstile):
    """A turnstile at which nobody really waits; the waits are kept."""

    def __init__(self) -> None:
        super().__init__(lambda: 0)
        self.rested_s: list[float] = []

    def rest(self, seconds: float) -> None:
        self.rested_s.append(seconds)

    def wait(self, mark: int, timeout_s: float) -> None:
        if self.stopped:
            raise Stopped


def ran(
    work: Iterator[object], faults: Faults, on_end: Callable[[], None] = lambda: None
) -> tuple[Rests, list[Exception]]:
    """A worker that ran through a script of results and errors, and was stopped then."""
    turnstile, anew = Rests(), list[Exception]()

    def piece() -> bool:
        for one in work:
            if isinstance(one, BaseException):
                raise one
            return bool(one)
        raise Stopped

    worker = Worker("intake", turnstile, piece, faults, anew.append, on_end)
    worker.start()
    assert worker.join(WITHIN_S)
    return turnstile, anew


def test_trouble_with_the_database_is_waited_out_with_pauses_that_double_to_a_bound(
    caplog: pytest.LogCaptureFixture,
) -> None:
    full = StoreFull("the disk is full")
    faults = Faults()

    turnstile, anew = ran(iter([full] * 9), faults)

    assert turnstile.rested_s == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0, 30.0]
    assert anew == [full] * 9
    (fault,) = faults.now()
    assert (fault.key, fault.sentence) == (
        "worker.intake",
        "the intake worker waits: the disk is full",
    )
    assert [record.getMessage() for record in caplog.records] == [f"fault: {fault.sentence}"]


def test_work_that_goes_well_again_clears_the_fault_and_the_pauses() -> None:
    faults, trouble = Faults(), StoreError("held by another program")

    turnstile, _ = ran(iter([trouble, trouble, True, trouble, True]), faults)

    assert turnstile.rested_s == [1.0, 2.0, 1.0]
    assert faults.now() == ()


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ZeroDivisionError("division by zero"), "ZeroDivisionError: division by zero"),
        (MemoryError(), "ran out of memory"),
        (sqlite3.ProgrammingError("closed"), "ProgrammingError: closed"),
    ],
)
def test_worker_that_breaks_begins_anew_and_says_so_once(
    error: Exception, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    faults, ended = Faults(), threading.Event()

    _, anew = ran(iter([error, error, error]), faults, ended.set)

    assert len(anew) == 3
    assert told in faults.now()[0].sentence
    traces = [record for record in caplog.records if record.exc_info]
    assert [record.levelno for record in traces] == [logging.ERROR]
    assert not ended.is_set()


def test_worker_whose_thread_ends_ends_the_daemon(caplog: pytest.LogCaptureFixture) -> None:
    ended = threading.Event()

    ran(iter([SystemExit(3)]), Faults(), ended.set)

    assert ended.is_set()
    assert "the intake worker ended; the daemon ends with it" in caplog.text


def test_worker_that_is_stopped_ends_nothing() -> None:
    ended = threading.Event()

    ran(iter([True, False]), Faults(), ended.set)

    assert not ended.is_set()


def test_what_is_owed_is_stored_in_order_once_the_database_takes_it() -> None:
    stored: list[str] = []
    full = [True]

    def write(name: str) -> Callable[[], None]:
        def once() -> None:
            if full[0]:
                raise StoreFull("the disk is full")
            stored.append(name)

        return once

    owed = Owed()
    with pytest.raises(StoreFull):
        owed.store(write("a"))
    owed.later(write("b"))
    with pytest.raises(StoreFull):
        owed.settle()
    assert stored == []

    full[0] = False
    owed.settle()
    owed.settle()

    assert stored == ["a", "b"]
    assert owed.store(lambda: 7) == 7


def test_error_that_nobody_foresaw_is_a_sentence() -> None:
    assert told_of(StoreError("it is locked")) == "it is locked"
    assert told_of(ValueError("no")) == "ValueError: no"
    assert told_of(MemoryError()).startswith("the daemon ran out of memory")
