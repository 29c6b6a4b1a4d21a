"""A watched folder whose file system is unmounted under a daemon, and mounted again later."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.daemon.processes import until
from tests.reliability.daemons import Nursery, Place
from tests.reliability.invariants import Ledger, broken
from tests.reliability.load import Drops, wait_until_idle
from tests.small_disk import small_disk

ENDED_WITHIN_S = 300.0


class Share:
    """A disk that can be mounted and taken away at a place; what is on it stays."""

    def __init__(self, disk: Path, place: Path) -> None:
        self.disk = disk
        self.place = place

    def mount(self) -> None:
        subprocess.run(["mount", "--bind", str(self.disk), str(self.place)], check=True)

    def seen_from_elsewhere(self, path: Path) -> Path:
        return self.disk / path.relative_to(self.place)

    def vanish(self) -> None:
        subprocess.run(["umount", "-l", str(self.place)], check=True)


@contextmanager
def mounted(folder: Path) -> Iterator[Share]:
    """A share that is mounted; skips the test where nothing can be."""
    folder.mkdir(parents=True, exist_ok=True)
    with small_disk(folder / "disk", 64_000) as disk:
        place = folder / "watched"
        place.mkdir()
        share = Share(disk, place)
        share.mount()
        try:
            yield share
        finally:
            subprocess.run(["umount", "-l", str(place)], check=False, capture_output=True)


def wrongly_gone(data: Path, share: Share) -> list[str]:
    """Files that the archive takes to be deleted, and that lie on the share."""
    with closing(sqlite3.connect(data / "archive.db")) as db:
        rows = db.execute("SELECT path FROM files WHERE gone_s IS NOT NULL").fetchall()
    return [path for (path,) in rows if share.seen_from_elsewhere(Path(path)).exists()]


def recordings(data: Path) -> int:
    with closing(sqlite3.connect(data / "archive.db")) as db:
        return int(db.execute("SELECT count(*) FROM recordings").fetchone()[0])


def live_through(
    place: Place, share: Share, made: Path, rounds: int, files: int, seed: str
) -> None:
    """Files land, the share goes in the middle of it and comes back, so many times."""
    dice = random.Random(seed)
    ledger = Ledger()
    # What clients drop lies on the share, whether the daemon sees it or not.
    drops = Drops(place.watched, made, ledger, seed, through=share.disk)
    place.start(counted=False, sealing=False)
    assert place.serves(), place.log
    for number in range(rounds):
        for _ in range(files):
            drops.drop()
        until(lambda: recordings(place.data), "a first recording")
        time.sleep(dice.uniform(0.0, 1.0))
        share.vanish()
        before = recordings(place.data)
        for _ in range(files // 2):  # the share lives on elsewhere
            drops.drop()
        if number % 3 == 1:  # the daemon is started while the share is away
            place.kill()
            place.start(counted=False, sealing=False)
            assert place.serves(), place.log
        until(lambda: place.talk.status()["faults"], "the fault")
        time.sleep(dice.uniform(0.5, 1.5))  # scans that find an empty folder
        assert wrongly_gone(place.data, share) == []
        assert recordings(place.data) >= before
        share.mount()
        until(lambda: not place.talk.status()["faults"], "the end of the fault")
    wait_until_idle(place.talk, ENDED_WITHIN_S)
    status = place.talk.status()
    assert place.stop() == 0, place.log

    print(f"\n{rounds} times away: {status['jobs']}, {status['recordings']} recordings")
    assert broken(place.data, ledger) == []
    assert "Traceback" not in place.log


def test_share_that_goes_away_in_the_middle_costs_nothing(nurse: Nursery, tmp_path: Path) -> None:
    with mounted(tmp_path / "share") as share:
        place = Place(tmp_path, nurse, watched_folder=share.place)
        try:
            live_through(place, share, tmp_path / "made", 1, 8, "short")
        finally:
            place.kill()


@pytest.mark.reliability
@pytest.mark.timeout(1800)
def test_share_that_goes_away_20_times_costs_nothing(nurse: Nursery, tmp_path: Path) -> None:
    with mounted(tmp_path / "share") as share:
        place = Place(tmp_path, nurse, watched_folder=share.place)
        try:
            live_through(place, share, tmp_path / "made", 20, 30, "long")
        finally:
            place.kill()
