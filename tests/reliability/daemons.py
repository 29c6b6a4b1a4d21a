"""Daemons out of a nursery: started, killed, waited for; and what they leave behind."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any

from edge_lvr1.errors import EdgeLvr1Error
from tests.daemon.processes import ROOT, WITHIN_S, until
from tests.reliability.asking import Talk
from tests.reliability.points import Point, Synced


class Nursery:
    """A process that forks daemons, one at a time."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._said = b""

    def run(self, told: dict[str, Any]) -> int:
        """Fork a daemon; its process id."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(told).encode() + b"\n")
        self._process.stdin.flush()
        line = self.line(WITHIN_S)
        assert line, "the nursery started no process"
        return int(line)

    def line(self, within_s: float) -> str | None:
        """The next line that it says; None where it says nothing, "" where it has ended."""
        assert self._process.stdout is not None
        pipe = self._process.stdout.fileno()
        while b"\n" not in self._said:
            # Not through the file object: two lines may come at once, and one would wait in
            # its buffer, unseen by select.
            if not select.select([pipe], [], [], within_s)[0]:
                return None
            said = os.read(pipe, 4096)
            if not said:
                return ""
            self._said += said
        line, _, self._said = self._said.partition(b"\n")
        return line.decode()


@contextmanager
def nursery(**more: str) -> Iterator[Nursery]:
    """A nursery that is open, with more in its environment; its daemon ends with it."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("EDGE_LVR1_")}
    with subprocess.Popen(
        [sys.executable, "-m", "tests.reliability.nursery"],
        cwd=ROOT,
        # A second thread, as numpy's libraries would have, must not be there at a fork.
        env={**environment, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", **more},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        found = Nursery(process)
        try:
            assert found.line(WITHIN_S) == "ready"
            yield found
        finally:
            process.kill()


@dataclass
class Place:
    """Where a daemon keeps its data and watches a folder; one process at a time."""

    folder: Path
    nursery: Nursery
    settings: dict[str, Any] = field(default_factory=dict)
    data_folder: Path | None = None
    watched_folder: Path | None = None
    pid: int | None = None
    code: int | None = None

    def __post_init__(self) -> None:
        self.watched.mkdir(parents=True, exist_ok=True)

    @property
    def watched(self) -> Path:
        return self.watched_folder or self.folder / "watched"

    @property
    def data(self) -> Path:
        return self.data_folder or self.folder / "data"

    @property
    def socket(self) -> Path:
        return self.folder / "s"

    @property
    def talk(self) -> Talk:
        return Talk(self.socket)

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text("utf-8", "replace")

    def start(self, dies_at: Point | None = None, **told: Any) -> None:
        """Start a daemon; it may die before it serves."""
        ingest = {"settle_s": 0.1, "rescan_s": 1.0, "quiet_s": 0.5, "reserve_mb": 0}
        given = dict(self.settings)
        self.pid = self.nursery.run(
            {
                "settings": {
                    "data": str(self.data),
                    "socket": str(self.socket),
                    "watch": [str(self.watched)],
                    "time_zone": "UTC",
                    **given,
                    "ingest": {**ingest, **given.get("ingest", {})},
                },
                "log": str(self.folder / "log"),
                "dies_at": str(dies_at) if dies_at else None,
                **told,
            }
        )

    def serves(self) -> bool:
        """Wait until it answers; False where it dies before."""
        until(lambda: self.answers() or self.is_gone(0.0), "an answer")
        return self.pid is not None

    def answers(self) -> bool:
        with suppress(OSError, HTTPException, EdgeLvr1Error):
            self.talk.status()
            return True
        return False

    def export(self, out: Path, version: int, dies_at: Point | None = None) -> int:
        """Write a bundle in a process of its own; its exit code."""
        return self._work({"bundle": str(out), "version": version}, dies_at)

    def back_up(self, data: Path, into: Path, dies_at: Point | None = None) -> int:
        """Make a backup in a process of its own; its exit code."""
        return self._work({"backup": str(data), "into": str(into)}, dies_at)

    def _work(self, told: dict[str, Any], dies_at: Point | None) -> int:
        log = {"log": str(self.folder / "log"), "dies_at": str(dies_at) if dies_at else None}
        self.pid = self.nursery.run({**told, **log})
        code = self.ended()
        assert code is not None
        return code

    @property
    def counts(self) -> dict[str, int]:
        """What the last process that ended by itself had counted."""
        found: dict[str, int] = json.loads((self.folder / "counts").read_text())
        return found

    @property
    def synced(self) -> Synced | None:
        """What the last durable transaction of its daemons waited for."""
        return Synced.read(self.folder / "synced")

    def is_gone(self, within_s: float = 0.0) -> bool:
        """Whether the process ended."""
        return self.pid is None or self.ended(within_s) is not None

    def ended(self, within_s: float = WITHIN_S) -> int | None:
        """Its exit code once it is over; negative: the signal."""
        assert self.pid is not None
        line = self.nursery.line(within_s)
        if line is None:
            return None
        self.pid, self.code = None, int(line)
        return self.code

    def kill(self) -> None:
        """SIGKILL, if it still runs."""
        if self.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            assert self.ended() is not None

    def stop(self) -> int:
        """Ask it to end; its exit code."""
        assert self.pid is not None
        os.kill(self.pid, signal.SIGTERM)
        code = self.ended()
        assert code is not None, self.log
        return code


def decoders_of(pid: int) -> list[int]:
    """The decoding children that a daemon with that process id started, and that live."""
    found = []
    for folder in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            words = (folder / "cmdline").read_bytes().split(b"\0")
            if b"edge_lvr1.media.child" in words and str(pid).encode() in words:
                state = (folder / "stat").read_text().rsplit(")", 1)[1].split()[0]
                if state != "Z":
                    found.append(int(folder.name))
    return found
