"""What a daemon needs hardly follows how many files it knows: months of them fit."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.daemon.processes import until
from tests.reliability.daemons import Nursery, Place
from tests.reliability.known_files import fill
from tests.reliability.load import Memory

FEW = 500
WITHIN_S = 300.0
QUESTIONS = (
    {"question": "Did a white moving shape pass?"},
    {"question": "Is there a red car on camera gate?"},
    {"question": "How many people came yesterday evening?", "since": "2026-01-02T00:00:00+00:00"},
)
MOST_MORE, MOST_BYTES = 1.05, 64
"""What many files may add: a share of all, and so many bytes for each (a walk takes eight; and
each folder is watched, each recording ranked)."""


@dataclass(frozen=True)
class Cost:
    """Of a daemon that knows so many files: MB it has, seconds of a walk and of an answer."""

    files: int
    memory_mb: float
    walk_s: float
    answer_s: float


def cost(place: Place, files: int) -> Cost:
    """Start on an archive, have the folder walked and questions answered, and look."""
    fill(place.watched, place.data / "archive.db", files)
    place.settings = {"questions": {"max_rounds": 4}}
    place.start(counted=False, sealing=False)
    assert place.serves(), place.log
    assert place.pid is not None
    memory = Memory(place.pid, every_s=0.1)
    until(lambda: _root(place)["files"] == files, "a walk", WITHIN_S)
    memory.start()
    try:
        began = time.monotonic()
        for round_ in range(3):
            for asked in QUESTIONS:
                _answered(place, {**asked, "max_seconds": 60}, f"{round_}-{asked['question']}")
        answer_s = (time.monotonic() - began) / (3 * len(QUESTIONS))
        until(lambda: len(memory.looks) > 10, "looks at memory", WITHIN_S)
    finally:
        memory.stop()
    found = Cost(files, memory.median_mb(0, WITHIN_S)[0], _root(place)["scan_took_s"], answer_s)
    assert place.talk.status()["settling"] == 0
    assert place.stop() == 0, place.log[-3000:]
    assert "Traceback" not in place.log
    return found


def _root(place: Place) -> dict[str, Any]:
    (root,) = place.talk.status()["roots"]
    found: dict[str, Any] = root
    return found


def _answered(place: Place, asked: dict[str, Any], key: str) -> None:
    status, told = place.talk.request("POST", "/v1/questions", asked, key)
    assert status == 202, told
    until(lambda: place.talk.question(told["id"])["state"] == "done", "an answer", WITHIN_S)


def compare(nurse: Nursery, folder: Path, many: int) -> None:
    costs = [cost(Place(folder / str(files), nurse), files) for files in (FEW, many)]
    print()
    for one in costs:
        print(
            f"{one.files} files known: {one.memory_mb:.0f} MB, a walk takes {one.walk_s:.2f} s, "
            f"an answer {one.answer_s:.2f} s"
        )
    few, more = costs
    assert more.memory_mb <= MOST_MORE * few.memory_mb + MOST_BYTES * many / 1e6


def test_a_daemon_that_knows_many_files_is_hardly_larger(nurse: Nursery, tmp_path: Path) -> None:
    compare(nurse, tmp_path, 10_000)


@pytest.mark.reliability
@pytest.mark.timeout(3600)
def test_a_daemon_that_knows_300_000_files_is_hardly_larger(nurse: Nursery, tmp_path: Path) -> None:
    compare(nurse, tmp_path, 300_000)
