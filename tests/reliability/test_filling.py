"""A data folder on a small disk that fills up again and again while files and questions come."""

from __future__ import annotations

import random
import time
from http.client import HTTPException
from pathlib import Path

import pytest

from tests.daemon.processes import until
from tests.reliability.asking import ACCEPTED
from tests.reliability.daemons import Nursery, Place
from tests.reliability.invariants import Ledger, broken
from tests.reliability.load import Drops, wait_until_idle
from tests.small_disk import fill, free_bytes, small_disk

DISK_KIB = 64_000
RESERVE_MB = 6
SERVES_WITHIN_S = 60.0
ENDED_WITHIN_S = 300.0


def fill_again_and_again(
    place: Place, disk: Path, made: Path, rounds: int, files: int
) -> dict[str, int]:
    """Fill the disk to another level each time, kill the daemon in every third; what was asked.

    What the daemon accepts is answered in the end; what it has no room for, it refuses.
    """
    dice = random.Random("fill")
    ledger = Ledger()
    drops = Drops(place.watched, made, ledger, "fill")
    place.settings = {"ingest": {"reserve_mb": RESERVE_MB}}
    asked = {"accepted": 0, "refused": 0}
    place.start(counted=False, sealing=False)
    assert place.serves(), place.log
    for number in range(rounds):
        for _ in range(files):
            drops.drop()
        ballast = fill(disk, leave_bytes=dice.choice((0, 10_000, 500_000, 3_000_000)))
        until(lambda: "disk" in faults(place), "the fault")
        for question in range(4):
            asked[_ask(place, f"{number} {question}", ledger)] += 1
        if number % 3 == 2:  # a start on a full disk may fail, and is tried again
            place.kill()
            place.start(counted=False, sealing=False)
            time.sleep(dice.uniform(0.1, 1.0))
        ballast.unlink()
        until(lambda: _serves(place), "an answer", SERVES_WITHIN_S)
        until(lambda: not faults(place), "the end of the fault")
    wait_until_idle(place.talk, ENDED_WITHIN_S)
    status = place.talk.status()
    assert place.stop() == 0, place.log[-3000:]

    print(f"\nfilled {rounds} times: {status['jobs']}, {status['recordings']} recordings, {asked}")
    assert broken(place.data, ledger) == []
    assert "Traceback" not in place.log
    return asked


def faults(place: Place) -> list[str]:
    return [fault["key"] for fault in place.talk.status()["faults"]]


def _ask(place: Place, key: str, ledger: Ledger) -> str:
    """Ask once; a key that was refused is not to be found again."""
    try:
        status, told = place.talk.request(
            "POST", "/v1/questions", {"question": "Is a moving shape seen?" + " Or two?" * 100}, key
        )
    except (OSError, HTTPException):
        pytest.fail(f"the daemon does not answer: {place.log[-2000:]}")
    if status not in ACCEPTED:
        assert status == 507, told
        return "refused"
    ledger.keys.add(key)
    ledger.questions.add(str(told["id"]))
    return "accepted"


def _serves(place: Place) -> bool:
    """Whether it answers; one that did not come up is started again."""
    if place.is_gone():
        place.start(counted=False, sealing=False)
    return place.answers()


@pytest.mark.reliability
@pytest.mark.timeout(1800)
def test_disk_that_fills_up_20_times_costs_nothing_accepted(nurse: Nursery, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", DISK_KIB) as disk:
        place = Place(tmp_path, nurse, data_folder=disk / "data")
        try:
            asked = fill_again_and_again(place, disk, tmp_path / "made", 20, 12)
        finally:
            place.kill()
        assert free_bytes(disk) > RESERVE_MB * 1_000_000

    assert asked["accepted"] > 0
    assert asked["refused"] > 0
