"""Daemons that are killed in the middle of a story, started again, and looked over afterwards."""

from __future__ import annotations

import os
import random
import shutil
import signal
import struct
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge_lvr1.bundle import load
from edge_lvr1.errors import BundleError
from edge_lvr1.store.backup import listed
from tests.daemon.processes import until
from tests.reliability.daemons import Nursery, Place, decoders_of
from tests.reliability.invariants import Ledger, broken, told_by
from tests.reliability.points import FRAMES_AT, SALT_AT, SIDES, Point, Synced
from tests.reliability.scene import Footage, Story

KILLED = -signal.SIGKILL
CHILDREN_END_WITHIN_S = 5.0
LOG_HEAD, FRAME_HEAD = 32, 24
CHECKPOINT_AT = 96  # of the frames that a checkpoint has copied, in the log's index


@dataclass(frozen=True)
class Whole:
    """A story that nobody interrupted: what it came to, what it counted, how long it took."""

    data: Path
    ledger: Ledger
    told: list[tuple[Any, ...]]
    counts: dict[str, int]
    seconds: float


@dataclass
class Outcome:
    """What came of one kill: `wrong` says what is not as it must be."""

    point: str
    reached: bool = False
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)


@dataclass
class Killer:
    """Runs stories below a folder; what is left of one that went well is removed."""

    nursery: Nursery
    folder: Path
    footage: Footage
    whole: Whole | None = None

    def uninterrupted(self) -> Whole:
        """The story from its beginning to its end, once."""
        began = time.monotonic()
        with self._story("whole") as (place, story):
            place.start()
            assert place.serves(), place.log
            assert story.go_on(), place.log
            assert place.stop() == 0, place.log
        wrong = broken(place.data, story.ledger)
        assert not wrong, wrong
        seconds = time.monotonic() - began
        told = told_by(place.data)
        self.whole = Whole(place.data, story.ledger, told, place.counts, seconds)
        return self.whole

    def killed_at(self, points: Sequence[Point]) -> Outcome:
        """A daemon that dies at a point, its successor at the next one, and so on."""
        began = time.monotonic()
        outcome = Outcome(" then ".join(map(str, points)))
        with self._story("-".join(map(str, points)).replace(":", ".")) as (place, story):
            for point in points:
                place.start(dies_at=point)
                outcome.reached = self._dies(place, story, outcome)
            return self._ends_well(place, story, outcome, began)

    def killed_after(self, seconds: float) -> Outcome:
        """A daemon that is killed from outside, so long after its start."""
        began = time.monotonic()
        outcome = Outcome(f"after {seconds:.3f} s")
        with self._story(f"after-{seconds:.4f}") as (place, story):
            place.start()
            assert place.pid is not None
            timer = threading.Timer(seconds, _kill, (place.pid,))
            timer.start()
            outcome.reached = self._dies(place, story, outcome)
            timer.cancel()
            return self._ends_well(place, story, outcome, began)

    def power_cut_after(self, seconds: float, lost: float) -> Outcome:
        """The data folder as it stands after a while, less a share of what was never synced.

        What SQLite has in its log and did not bring to the disk is lost from some frame on, or
        from the middle of one; its shared memory is lost whole.
        """
        began = time.monotonic()
        outcome = Outcome(f"power cut after {seconds:.3f} s")
        with self._story(f"cut-{seconds:.4f}-{lost:.4f}") as (place, story):
            place.start()
            timer = threading.Timer(seconds, _freeze, (place, lost))
            timer.start()
            outcome.reached = self._dies(place, story, outcome)
            timer.cancel()
            timer.join()
            if outcome.reached:
                place.data_folder = place.folder / COPY
                story.forget_gone()
            return self._ends_well(place, story, outcome, began)

    def export_killed_at(self, point: Point, fresh: bool) -> Outcome:
        """An export that dies at a point, where a bundle stood before or none did."""
        began = time.monotonic()
        outcome = Outcome(f"export {point}{'' if fresh else ' over another'}")
        place = Place(self.folder / outcome.point.replace(" ", "-").replace(":", "."), self.nursery)
        out = place.folder / "bundle"
        if not fresh:
            assert place.export(out, 1) == 0, place.log
        code = place.export(out, 2, point)
        outcome.reached = code == KILLED
        outcome.wrong += [] if code in (0, KILLED) else [f"it ended with {code}"]
        outcome.wrong += _half_a_bundle(out, {None} if fresh else {"version 1"})
        assert place.export(out, 3) == 0, place.log
        outcome.wrong += _half_a_bundle(out, set(), "version 3")
        left = [path.name for path in place.folder.iterdir() if path.name.startswith(".bundle")]
        outcome.wrong += [f"{name} is left over" for name in left]
        return self._ended(place, outcome, began)

    def backup_counts(self) -> dict[str, int]:
        """What a backup of the whole story counts that nobody interrupts."""
        assert self.whole is not None
        place = Place(self.folder / "backup", self.nursery)
        assert place.back_up(self.whole.data, place.folder / BACKUPS) == 0, place.log
        return place.counts

    def backup_killed_at(self, point: Point) -> Outcome:
        """A backup that dies at a point, beside one that is whole; then another."""
        began = time.monotonic()
        assert self.whole is not None
        outcome = Outcome(f"backup {point}")
        place = Place(self.folder / outcome.point.replace(" ", "-").replace(":", "."), self.nursery)
        data, into = self.whole.data, place.folder / BACKUPS
        assert place.back_up(data, into) == 0, place.log
        outcome.reached = place.back_up(data, into, point) == KILLED
        outcome.wrong += self._unsound(into, (1, 2) if outcome.reached else (2,))
        assert place.back_up(data, into) == 0, place.log
        outcome.wrong += self._unsound(into, (2, 3))
        left = [path.name for path in into.iterdir() if path.name.startswith(".")]
        outcome.wrong += [f"{name} is left over" for name in left]
        return self._ended(place, outcome, began)

    def _unsound(self, into: Path, counts: Sequence[int]) -> list[str]:
        """What is wrong with backups, of which there must be one of these numbers."""
        assert self.whole is not None
        found = listed(into)
        wrong = [] if len(found) in counts else [f"there are {len(found)} backups"]
        for backup in found:
            wrong += broken(backup.path, self.whole.ledger)
        return wrong

    def export_counts(self, fresh: bool) -> dict[str, int]:
        """What an export counts that nobody interrupts."""
        place = Place(self.folder / f"export-{fresh}", self.nursery)
        for version in range(1 if fresh else 2):
            assert place.export(place.folder / "bundle", version) == 0, place.log
        return place.counts

    @contextmanager
    def _story(self, name: str) -> Iterator[tuple[Place, Story]]:
        place = Place(self.folder / name, self.nursery)
        story = Story(place, self.footage)
        story.begin()
        try:
            yield place, story
        finally:
            place.kill()

    def _dies(self, place: Place, story: Story, outcome: Outcome) -> bool:
        """Let the story go on until the daemon is gone; False where it got to the end first."""
        pid = place.pid
        assert pid is not None
        died = not (place.serves() and story.go_on())
        if not died:
            place.kill()
        elif place.code != KILLED:
            outcome.wrong.append(f"it ended with {place.code}, not by the kill")
        until(lambda: not decoders_of(pid), "the end of its decoders", CHILDREN_END_WITHIN_S)
        return died

    def _ends_well(self, place: Place, story: Story, outcome: Outcome, began: float) -> Outcome:
        place.start()
        try:
            lived = place.serves() and story.go_on()
        except AssertionError as error:  # told with the others
            outcome.wrong.append(str(error))
            return self._ended(place, outcome, began)
        if not lived:
            outcome.wrong.append("the daemon after it did not live")
        elif (code := place.stop()) != 0:
            outcome.wrong.append(f"the daemon after it ended with {code}")
        else:
            outcome.wrong += broken(place.data, story.ledger)
            assert self.whole is not None
            if told_by(place.data) != self.whole.told:
                outcome.wrong.append("the captions are other than those of a whole run")
        return self._ended(place, outcome, began)

    def _ended(self, place: Place, outcome: Outcome, began: float) -> Outcome:
        outcome.seconds = time.monotonic() - began
        if outcome.wrong:
            print(place.folder, outcome.point, *outcome.wrong, sep="\n  ")
        else:
            shutil.rmtree(place.folder)
        return outcome


def points_of(counts: dict[str, int], kind: str, most: int) -> Iterator[Point]:
    """So many points of a kind, evenly over all that were counted, their sides in turn."""
    sides = SIDES[kind]
    every = [Point(kind, 1 + index, side) for index in range(counts[kind]) for side in sides]
    step = max(1.0, len(every) / most)
    if step > len(sides):  # one side of each that is chosen
        step = counts[kind] / most
        for index in range(most):
            yield Point(kind, 1 + int(index * step), sides[index % len(sides)])
        return
    for index in range(min(most, len(every))):
        yield every[int(index * step)]


def random_times(seconds: float, count: int, seed: str) -> list[float]:
    """Moments of a story that takes so long; none is another's neighbour by design."""
    dice = random.Random(seed)
    return [dice.uniform(0.01, seconds) for _ in range(count)]


COPY, BACKUPS = "after the cut", "backups"


def _freeze(place: Place, lost: float) -> None:
    """Copy a daemon's data folder at one moment, then end it."""
    pid, data = place.pid, place.data
    if pid is None:
        return
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
        until(lambda: state_of(pid) == "T", "the stop")
        shutil.copytree(data, place.folder / COPY)
        os.kill(pid, signal.SIGKILL)
    lose_unsynced(place.folder / COPY / "archive.db", place.synced, lost)


def lose_unsynced(database: Path, synced: Synced | None, lost: float) -> None:
    """Cut off the write-ahead log (sqlite.org/fileformat2.html) behind what must be on the disk.

    That is what a checkpoint has copied, and what a durable transaction waited for.
    """
    log = database.with_name(f"{database.name}-wal")
    index = database.with_name(f"{database.name}-shm")
    if not log.is_file() or not log.stat().st_size:
        return
    told = index.read_bytes() if index.is_file() else b""
    index.unlink(missing_ok=True)
    if len(told) < CHECKPOINT_AT + 4:
        return
    (frames,) = struct.unpack_from("=I", told, FRAMES_AT)
    (kept,) = struct.unpack_from("=I", told, CHECKPOINT_AT)
    if synced is not None and synced.salt == told[SALT_AT : SALT_AT + 8]:
        kept = max(kept, synced.frames)
    (page,) = struct.unpack_from(">I", log.read_bytes()[:LOG_HEAD], 8)
    least = LOG_HEAD + kept * (FRAME_HEAD + page)
    end = LOG_HEAD + frames * (FRAME_HEAD + page)
    os.truncate(log, max(least, end - int((end - least) * lost)))


def _half_a_bundle(out: Path, others: set[str | None], wanted: str = "version 2") -> list[str]:
    """What is wrong with what stands at a bundle's place: whole, or not there at all."""
    if not out.exists() and (None in others or others):
        # Between the two renames of an exchange the old one stands beside its place.
        aside = out.with_name(f".{out.name}.replaced")
        return [] if None in others or aside.exists() else ["the bundle that was there is gone"]
    try:
        source = load(out).manifest.source
    except BundleError as error:
        return [f"what stands there is no bundle: {error}"]
    return [] if source in (wanted, *others) else [f"{source} stands there"]


def state_of(pid: int) -> str:
    """The state letter of a process: T where it is stopped."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text("utf-8").rsplit(")", 1)[1].split()[0]
    return ""


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
