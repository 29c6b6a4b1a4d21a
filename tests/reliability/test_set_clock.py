"""A wall clock that is set forwards and back under a daemon, while files land and clients ask."""

from __future__ import annotations

import shutil
import struct
import subprocess
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.daemon.processes import until
from tests.reliability.asking import ACCEPTED
from tests.reliability.daemons import Place, nursery
from tests.reliability.invariants import Ledger, broken
from tests.reliability.load import FIRST_DAY_S, Drops, idle, wait_until_idle

HOUR_S, DAY_S, YEAR_S = 3600, 86_400, 365 * 86_400
SHORT = (HOUR_S, YEAR_S, -YEAR_S)
LONG = (HOUR_S, 0, DAY_S, -DAY_S, YEAR_S, 0, -HOUR_S, YEAR_S, -YEAR_S, 0)
ANSWERED_WITHIN_S, RUN_WITHIN_S, ENDED_WITHIN_S = 30.0, 15.0, 120.0


@dataclass(frozen=True)
class Clock:
    """The file that says by how much a process's wall clock is ahead, and what reads it."""

    file: Path
    library: Path

    @classmethod
    def make(cls, folder: Path) -> Clock:
        """Build it; skips the test where there is no compiler."""
        made = cls(folder / "ahead", folder / "set_clock.so")
        made.set(0)
        source = Path(__file__).with_name("set_clock.c")
        compiler = shutil.which("gcc") or shutil.which("cc")
        if compiler is None:
            pytest.skip("needs a C compiler")
        subprocess.run(
            [compiler, "-shared", "-fPIC", "-O1", "-o", made.library, source], check=True
        )
        return made

    def set(self, ahead_s: int) -> None:
        with self.file.open("r+b" if self.file.exists() else "wb") as file:
            file.write(struct.pack("=q", ahead_s))


def runs(place: Place) -> dict[str, str | None]:
    """When what runs all the time ran last, by the daemon's clock."""
    scheduled = place.talk.status()["scheduled"]
    return {one["name"]: one["last"] for one in scheduled if one["name"] in ("rescan", "keep")}


def is_answered(place: Place, question: str) -> bool:
    return bool(place.talk.question(question)["state"] == "done")


def all_ran(place: Place, before: dict[str, str | None]) -> bool:
    now = runs(place)
    return all(now[name] != before[name] for name in before)


def ask(place: Place, key: str, ledger: Ledger) -> str:
    told: dict[str, Any]
    status, told = place.talk.request(
        "POST", "/v1/questions", {"question": "Is a moving shape seen?"}, key
    )
    assert status in ACCEPTED, told
    ledger.keys.add(key)
    ledger.questions.add(str(told["id"]))
    return str(told["id"])


def live_through(place: Place, clock: Clock, made: Path, jumps: tuple[int, ...]) -> None:
    """Files land and questions are asked before, at and after each jump."""
    ledger = Ledger()
    drops = Drops(place.watched, made, ledger, "clock")
    # Of an age that footage reaches only where the clock runs half a year ahead.
    days = (time.time() - FIRST_DAY_S) / DAY_S + 180
    place.settings = {"keep": {"default": {"max_days": max(days, 180)}, "every_h": 0.0005}}
    place.start(counted=False, sealing=False)
    assert place.serves(), place.log
    for number, ahead_s in enumerate(jumps):
        for _ in range(3):
            drops.drop()
        asked = [ask(place, f"{number} before", ledger)]
        clock.set(ahead_s)
        for _ in range(3):
            drops.drop()
        asked.append(ask(place, f"{number} after", ledger))
        for question in asked:
            until(partial(is_answered, place, question), "an answer", ANSWERED_WITHIN_S)
        until(lambda: idle(place.talk), "the end of all work", ENDED_WITHIN_S)
        until(partial(all_ran, place, runs(place)), "a run of each job", RUN_WITHIN_S)
        status = place.talk.status()
        assert status["faults"] == []
        assert 0 <= status["uptime_s"] < 1000
    wait_until_idle(place.talk, ENDED_WITHIN_S)
    status = place.talk.status()
    assert place.stop() == 0, place.log[-3000:]

    print(f"\nthe clock was set {len(jumps)} times: {status['jobs']}, {len(ledger.keys)} questions")
    assert broken(place.data, ledger) == []
    assert "Traceback" not in place.log
    assert "stuck" not in place.log
    assert "removed recording" not in place.log


@pytest.mark.parametrize(
    "jumps", [SHORT, pytest.param(LONG, marks=pytest.mark.reliability)], ids=["short", "long"]
)
@pytest.mark.timeout(600)
def test_clock_that_is_set_costs_nothing(tmp_path: Path, jumps: tuple[int, ...]) -> None:
    clock = Clock.make(tmp_path)
    before_s = time.monotonic()
    with nursery(LD_PRELOAD=str(clock.library), CLOCK_AHEAD=str(clock.file)) as nurse:
        place = Place(tmp_path, nurse)
        try:
            live_through(place, clock, tmp_path / "made", jumps)
        finally:
            place.kill()
    print(f"{time.monotonic() - before_s:.0f} s")
