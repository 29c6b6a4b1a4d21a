"""Load on a daemon: files of all kinds that land, change and move, and clients that ask.

Everything is chosen by a seed. What was dropped and asked is kept in a ledger.
"""

from __future__ import annotations

import os
import random
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any

from tests.media_files import steady, video
from tests.mutated_files import MUTATIONS
from tests.reliability.asking import ACCEPTED, BUSY, Talk
from tests.reliability.invariants import ANY, FORGOTTEN, Ledger

MINUTE_S = 60
FIRST_DAY_S = 1_767_225_600  # 2026-01-01, UTC
PART_S = 2
CAMERAS = 12
LOOK_S, CALM_LOOKS = 0.25, 6
ENDED = ("done", "cancelled")
WORDS = ("Is a moving shape seen", "Did a person pass", "Is there a vehicle", "When is it white")

# How many of a hundred files are of which kind.
KINDS = {
    "single": 16,
    "part": 20,
    "duplicate": 12,
    "mutated": 10,
    "empty": 10,
    "text": 8,
    "renamed": 8,
    "replaced": 6,
    "subtitle": 5,
    "hidden": 5,
}


@dataclass
class Drops:
    """Files for a watched folder. Of one seed they are always the same.

    `through` is another path to the same folder, to write by; `folder` is for their encodes.
    """

    watched: Path
    folder: Path
    ledger: Ledger
    seed: str = "load"
    through: Path | None = None
    counts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        make = [(f"{n}.mp4", steady(PART_S * 2, fps=2.0)) for n in range(4)]
        self._encodes = [
            video(self.folder / name, times, gop=2, first_number=number * 50).read_bytes()
            for number, (name, times) in enumerate(make)
        ]
        self._dice = random.Random(self.seed)
        self._number = 0
        self._landed: list[Path] = []  # good ones, which may be copied, renamed, replaced
        self._parts: list[Path] = []

    def drop(self) -> str:
        """Do one thing to the watched folder; which kind."""
        self._number += 1
        kind = self._dice.choices(list(KINDS), list(KINDS.values()))[0]
        if kind in ("duplicate", "renamed", "replaced", "subtitle") and not self._landed:
            kind = "single"
        getattr(self, f"_{kind}")()
        self.counts[kind] += 1
        return kind

    def _single(self) -> None:
        self._land(self._write(self._name(), self._unique()))

    def _part(self) -> None:
        """One of five parts of a recording, which come in any order."""
        if not self._parts:
            camera, start_s = self._camera(), self._moment()
            self._parts = [
                self._path(f"{camera}.{_stamp(start_s + index * PART_S)}.mp4") for index in range(5)
            ]
            self._dice.shuffle(self._parts)
        self._land(self._write(self._parts.pop(), self._unique()))

    def _duplicate(self) -> None:
        source = self._some()
        self._write(self._path(f"again{self._number}/{source.name}"), source.read_bytes())

    def _mutated(self) -> None:
        data = bytearray(self._unique())
        for mutation in self._dice.choices(MUTATIONS, k=2):
            if data:
                mutation(data, self._dice)
        self._write(self._name(), bytes(data))

    def _empty(self) -> None:
        self._write(self._name(), b"")

    def _text(self) -> None:
        self._write(self._path(f"notes{self._number}.txt"), f"list {self._number}\n".encode())

    def _renamed(self) -> None:
        source = self._some()
        target = self._path(f"moved{self._number}/{source.name}")
        target.parent.mkdir(parents=True, exist_ok=True)
        source.rename(target)
        self.ledger.dropped[self._seen(source)] = FORGOTTEN
        self.ledger.dropped[self._seen(target)] = ANY
        self._landed[self._landed.index(source)] = target

    def _replaced(self) -> None:
        self._write(self._some(), self._unique())

    def _subtitle(self) -> None:
        words = f"1\n00:00:00,000 --> 00:00:01,000\nword {self._number}\n"
        self._write(self._some().with_suffix(".srt"), words.encode())

    def _hidden(self) -> None:
        name = self._dice.choice((".hidden{}.mp4", "half{}.mp4.part", "copy{}.tmp", "~lock{}.mp4"))
        path = self._path(name.format(self._number))
        path.write_bytes(self._unique())

    def _land(self, path: Path) -> None:
        self._landed.append(path)

    def _some(self) -> Path:
        return self._dice.choice(self._landed)

    def _write(self, path: Path, content: bytes) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f".{path.name}.part")
        unfinished.write_bytes(content)
        unfinished.replace(path)
        self.ledger.dropped[self._seen(path)] = ANY
        return path

    def _unique(self) -> bytes:
        """A small sound file that no other is: with a box of padding (ISO 14496-12, `free`)."""
        content = self._dice.choice(self._encodes)
        return content + struct.pack(">I4sQ", 16, b"free", self._dice.getrandbits(63))

    def _name(self) -> Path:
        return self._path(f"{self._camera()}.{_stamp(self._moment())}.mp4")

    def _path(self, name: str) -> Path:
        return (self.through or self.watched) / name

    def _seen(self, path: Path) -> Path:
        """A path as the daemon has it."""
        return self.watched / path.relative_to(self.through or self.watched)

    def _camera(self) -> str:
        return f"cam{self._dice.randrange(CAMERAS):02d}"

    def _moment(self) -> int:
        """A start of its own: a minute apart from all others."""
        return FIRST_DAY_S + self._number * MINUTE_S


def _stamp(epoch_s: int) -> str:
    return time.strftime("%Y%m%d_%H%M%S", time.gmtime(epoch_s))


@dataclass
class Clients:
    """Clients that ask at a steady rate and wait for their answers.

    What they ask is about the first `span_s` of the footage's time.
    """

    talk: Talk
    ledger: Ledger
    count: int
    questions: int
    seconds: float
    span_s: float
    answered: Counter[str] = field(default_factory=Counter)
    waits_s: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    busy: int = 0

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._ask_all, args=(number,)) for number in range(self.count)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join()

    def _ask_all(self, client: int) -> None:
        mine = range(client, self.questions, self.count)
        began = time.monotonic()
        for index, number in enumerate(mine):
            due = began + self.seconds * index / max(1, len(mine))
            time.sleep(max(0.0, due - time.monotonic()))
            try:
                self._ask(client, number)
            except (OSError, HTTPException, ValueError) as error:
                self.wrong.append(f"question {number}: {error!r}")

    def _ask(self, client: int, number: int) -> None:
        key = f"{client}-{number}"
        asked = {"question": f"{WORDS[number % len(WORDS)]}?", **_terms(number, self.span_s)}
        with self._lock:
            self.ledger.keys.add(key)
        began = time.monotonic()
        while (reply := self.talk.request("POST", "/v1/questions", asked, key))[0] == BUSY:
            self.busy += 1
            time.sleep(1.0)
        status, told = reply
        if status not in ACCEPTED:
            self.wrong.append(f"question {number}: {status} {told}")
            with self._lock:
                self.ledger.keys.discard(key)
            return
        question = str(told["id"])
        with self._lock:
            self.ledger.questions.add(question)
        while (found := self.talk.question(question))["state"] not in ENDED:
            time.sleep(0.2)
        with self._lock:
            self.answered[str(found["verdict"])] += 1
            self.waits_s.append(time.monotonic() - began)


def _terms(number: int, span_s: float) -> dict[str, Any]:
    """What a question is about: an hour of a day, mostly; now and then everything."""
    terms: dict[str, Any] = {"max_rounds": 4, "max_seconds": 10}
    if number % 10:
        since = FIRST_DAY_S + (number * 997) % int(span_s)
        terms |= {"since": _iso(since), "until": _iso(since + 3600)}
    return terms


def _iso(epoch_s: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(epoch_s))


@dataclass(frozen=True)
class Look:
    """A daemon's memory at a moment: its own, and of each of its decoders."""

    at_s: float
    own_mb: float
    decoders_mb: tuple[float, ...]


@dataclass
class Memory:
    """Looks at a daemon's memory now and then."""

    pid: int
    every_s: float = 1.0
    looks: list[Look] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._began = time.monotonic()
        self._thread = threading.Thread(target=self._look_on)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def median_mb(self, since_s: float, until_s: float) -> tuple[float, float]:
        """The medians in a window: of the daemon, and of one decoder (0 where there is none).

        How many decoders wait for work, one or two, says nothing of memory that is lost.
        """
        inside = [look for look in self.looks if since_s <= look.at_s < until_s] or self.looks
        own = sorted(look.own_mb for look in inside)
        each = sorted(one for look in inside for one in look.decoders_mb) or [0.0]
        return own[len(own) // 2], each[len(each) // 2]

    @property
    def most_decoders(self) -> int:
        """The most decoders that lived at a time."""
        return max(len(look.decoders_mb) for look in self.looks)

    def _look_on(self) -> None:
        while not self._stop.wait(self.every_s):
            own = _resident_mb(self.pid)
            if own:
                each = tuple(filter(None, map(_resident_mb, children_of(self.pid))))
                self.looks.append(Look(time.monotonic() - self._began, own, each))


def children_of(pid: int) -> list[int]:
    """The processes that a process's threads started, and that live."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += map(int, task.read_text("ascii").split())
        except OSError:
            continue
    return found


def _resident_mb(pid: int) -> float:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def paced(count: int, seconds: float, act: Callable[[], object]) -> None:
    """Act so many times, evenly over so many seconds; later where it takes longer."""
    began = time.monotonic()
    for index in range(count):
        time.sleep(max(0.0, began + seconds * index / count - time.monotonic()))
        act()


def idle(talk: Talk) -> bool:
    """Whether nothing waits, settles, is taken in, captioned or answered."""
    status = talk.status()
    jobs, questions = status["jobs"], status["questions"]
    waiting = sum(number for state, number in jobs.items() if state not in ("done", "failed"))
    return not (waiting or status["settling"] or status["open"] or any(questions.values()))


def wait_until_idle(talk: Talk, within_s: float) -> None:
    """Wait for the end of all work, and for another look at the folders that finds nothing."""
    end, calm = time.monotonic() + within_s, 0
    while calm < CALM_LOOKS:
        assert time.monotonic() < end, f"there is still work after {within_s:g} s: {talk.status()}"
        time.sleep(LOOK_S)
        calm = calm + 1 if idle(talk) else 0
