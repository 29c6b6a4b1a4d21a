"""A small story that a daemon lives through: files that land, are renamed and replaced; questions.

It can be told again from the start after every kill: what is done already is not done again.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any

from edge_lvr1.errors import EdgeLvr1Error
from tests.media_files import steady, video, without_moov
from tests.reliability.asking import Talk
from tests.reliability.daemons import Place
from tests.reliability.invariants import FORGOTTEN, Ledger

LOOK_S = 0.03
STORY_S = 90.0
LONG_AGO_S = 1_700_000_000  # mtimes of all files: a start that is read from them stays the same
GATE, NEXT, YARD = (
    "gate.20260314_093000.mp4",
    "gate.20260314_093010.mp4",
    "yard.20260314_110000.mp4",
)


@dataclass(frozen=True)
class Footage:
    """A few seconds of pictures as the files of a scene, made once."""

    folder: Path

    @classmethod
    def make(cls, folder: Path) -> Footage:
        folder.mkdir(parents=True, exist_ok=True)
        video(folder / GATE, steady(20, fps=2.0), gop=4)
        video(folder / NEXT, steady(20, fps=2.0), gop=4, first_number=20)
        video(folder / YARD, steady(12, fps=2.0), gop=4, first_number=300)
        video(folder / "whole.mp4", steady(8, fps=2.0), gop=4, first_number=700)
        without_moov(folder / "half.mp4")
        (folder / "empty.mp4").write_bytes(b"")
        for path in folder.iterdir():
            os.utime(path, (LONG_AGO_S, LONG_AGO_S))
        return cls(folder)

    def drop(self, name: str, target: Path) -> None:
        """Put a file in place as a careful writer does, unless it is there."""
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished = target.with_name(f".{target.name}.part")
        shutil.copy2(self.folder / name, unfinished)
        unfinished.replace(target)


@dataclass
class Story:
    """What is dropped on a daemon and asked of it, and how far that is."""

    place: Place
    footage: Footage
    ledger: Ledger = field(default_factory=Ledger)
    asked: dict[str, str] = field(default_factory=dict)

    def begin(self) -> None:
        """Files that are there before the daemon starts."""
        for name in (GATE, NEXT, YARD, "half.mp4", "empty.mp4"):
            self.footage.drop(name, self.place.watched / name)
        self.ledger.dropped = {self.place.watched / name: "done" for name in (GATE, NEXT, YARD)} | {
            self.place.watched / name: "failed" for name in ("half.mp4", "empty.mp4")
        }

    def forget_gone(self) -> None:
        """A file that was renamed need not be known by its old name: its job may be undone."""
        for path in self.ledger.dropped:
            if not path.exists():
                self.ledger.dropped[path] = FORGOTTEN

    def go_on(self) -> bool:
        """Tell the story to its end; False where the daemon died before."""
        for chapter in (self._first, self._second):
            try:
                if not chapter(self.place.talk):
                    return False
            except (EdgeLvr1Error, OSError, HTTPException):
                # Away, or going: which of them shows at the next look.
                if self.place.is_gone(5.0):
                    return False
                raise
        return True

    def _first(self, talk: Talk) -> bool:
        self._ask("first", {"question": "Did anybody pass the gate?"})
        self._ask("taken back", {"question": "How many people were in the yard?"})
        talk.cancel(self.asked["taken back"])
        return self._until(lambda: self._ended(talk))

    def _second(self, talk: Talk) -> bool:
        watched, dropped = self.place.watched, self.ledger.dropped
        again, moved = watched / "again" / YARD, watched / "moved" / NEXT
        if again not in dropped:
            dropped |= {again: "done", moved: "done", watched / "half.mp4": "done"}
            self.footage.drop(YARD, again)
            self.footage.drop("whole.mp4", watched / "half.mp4")
        if not moved.exists():
            moved.parent.mkdir(exist_ok=True)
            (watched / NEXT).rename(moved)
        self._ask("second", {"question": "When was something seen in the yard?"})
        return self._until(lambda: self._ended(talk))

    def _ask(self, name: str, request: dict[str, Any]) -> None:
        if name not in self.asked:
            self.asked[name] = self.place.talk.ask(name, request, self.ledger)

    def _ended(self, talk: Talk) -> bool:
        jobs = {Path(job["path"]): job["state"] for job in talk.jobs()}
        wanted = self.ledger.dropped
        if any(jobs.get(path) != state for path, state in wanted.items() if state != FORGOTTEN):
            return False
        status = talk.status()
        asked = [talk.question(number)["state"] for number in self.asked.values()]
        return (
            status["settling"] == 0
            and status["recordings"] == status["complete"]
            and all(state in ("done", "cancelled") for state in asked)
        )

    def _until(self, look: Callable[[], bool]) -> bool:
        end = time.monotonic() + STORY_S
        while time.monotonic() < end:
            if self.place.is_gone():
                return False
            if look():
                return True
            time.sleep(LOOK_S)
        raise AssertionError(f"the story does not end: {self._told()}")

    def _told(self) -> str:
        talk = self.place.talk
        jobs = [(job["path"], job["state"], job["reason"]) for job in talk.jobs()]
        return f"{jobs} {talk.status()} {self.place.log[-3000:]}"
