"""Files of all kinds and questions by many clients at once, for minutes to an hour."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from edge_lvr1.media.children import MOST_CHILDREN
from tests.reliability.daemons import Nursery, Place
from tests.reliability.invariants import Ledger, broken
from tests.reliability.load import Clients, Drops, Memory, paced, wait_until_idle

CLIENTS = 8
CATCH_UP_S = 1800.0
MINUTE_S = 60.0
LIMITS = {"requests_per_s": 2000, "burst": 10_000, "max_connections_per_client": 64}
LONG_MINUTES = float(os.environ.get("SOAK_MINUTES", "60"))
LONG_FILES_A_MINUTE, LONG_QUESTIONS_A_MINUTE = 60, 12


def soak(place: Place, folder: Path, files: int, questions: int, seconds: float) -> Memory:
    """Let it all land and be asked, see that everything is true, and tell the figures."""
    ledger = Ledger()
    drops = Drops(place.watched, folder, ledger)
    place.settings = {"limits": LIMITS, "questions": {"max_queued": 1000}}
    place.start(counted=False, sealing=False)
    assert place.serves(), place.log
    assert place.pid is not None
    memory = Memory(place.pid)
    memory.start()
    clients = Clients(place.talk, ledger, CLIENTS, questions, seconds, files * MINUTE_S)
    began = time.monotonic()
    try:
        clients.start()
        paced(files, seconds, drops.drop)
        dropped_s = time.monotonic() - began
        clients.join()
        asked_s = time.monotonic() - began
        wait_until_idle(place.talk, CATCH_UP_S)
        ended_s = time.monotonic() - began
        status = place.talk.status()
        assert place.stop() == 0, place.log[-3000:]
    finally:
        memory.stop()
        place.kill()
    waits = sorted(clients.waits_s) or [0.0]
    print(f"\n{files} files in {dropped_s:.0f} s {dict(drops.counts)}")
    print(f"{questions} questions by {CLIENTS} clients in {asked_s:.0f} s {dict(clients.answered)}")
    print(f"half answered within {waits[len(waits) // 2]:.2f} s, the last within {waits[-1]:.1f} s")
    print(f"all done after {ended_s:.0f} s: {status['jobs']}, {status['recordings']} recordings")
    last = memory.looks[-1].at_s if memory.looks else 0.0
    for since in range(0, int(last), max(1, int(last / 12))):
        own, each = memory.median_mb(since, since + max(1, last / 12))
        print(f"memory from {since} s: {own:.0f} MB, and {each:.0f} MB of a decoder")
    assert clients.wrong == []
    assert broken(place.data, ledger) == []
    assert "Traceback" not in place.log
    return memory


def test_files_of_all_kinds_and_questions_at_once(nurse: Nursery, tmp_path: Path) -> None:
    soak(Place(tmp_path / "place", nurse), tmp_path / "made", 60, 20, 4.0)


@pytest.mark.reliability
@pytest.mark.timeout(3 * 3600)
def test_5000_files_and_1000_questions_in_ten_minutes(nurse: Nursery, tmp_path: Path) -> None:
    soak(Place(tmp_path / "place", nurse), tmp_path / "made", 5000, 1000, 600.0)


@pytest.mark.reliability
@pytest.mark.timeout(4 * 3600)
def test_memory_after_an_hour_is_that_after_five_minutes(nurse: Nursery, tmp_path: Path) -> None:
    """SOAK_MINUTES may make it shorter, to see that it works."""
    minutes = LONG_MINUTES
    files = int(minutes * LONG_FILES_A_MINUTE)
    questions = int(minutes * LONG_QUESTIONS_A_MINUTE)
    memory = soak(
        Place(tmp_path / "place", nurse), tmp_path / "made", files, questions, minutes * MINUTE_S
    )

    early_s, late_s = minutes * MINUTE_S / 12, minutes * MINUTE_S
    window_s = early_s / 2
    early = memory.median_mb(early_s, early_s + window_s)
    late = memory.median_mb(late_s - window_s, late_s)
    for what, before, after in zip(("daemon", "decoder"), early, late, strict=True):
        print(
            f"{what} after {early_s:.0f} s: {before:.0f} MB; after {late_s:.0f} s: {after:.0f} MB"
        )
        assert after <= 1.1 * before
    assert memory.most_decoders <= MOST_CHILDREN
