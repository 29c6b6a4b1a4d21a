"""Starting, reaching and ending real daemon processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from edge_lvr1.client import Client
from edge_lvr1.errors import Unreachable

ROOT = Path(__file__).resolve().parents[2]
WITHIN_S = 60.0
T = TypeVar("T")


def until(look: Callable[[], T | None], what: str, within_s: float = WITHIN_S) -> T:
    """What `look` gives as soon as it gives something."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"{what} did not happen within {within_s:g} s")


@dataclass
class Daemon:
    """A place for a daemon, and the process that may run there."""

    folder: Path
    settle_s: float = 0.2
    given: dict[str, Any] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.watched.mkdir(parents=True, exist_ok=True)

    @property
    def watched(self) -> Path:
        return self.folder / "watched"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def socket(self) -> Path:
        return self.folder / "s"

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text("utf-8", "replace")

    @property
    def client(self) -> Client:
        return Client(self.socket)

    def launch(self, **given: Any) -> subprocess.Popen[bytes]:
        """Start a process, whether it will serve or not."""
        told = {
            "data": str(self.data),
            "socket": str(self.socket),
            "watch": [str(self.watched)],
            "settle_s": self.settle_s,
            **self.given,
            **given,
        }
        environment = {k: v for k, v in os.environ.items() if not k.startswith("EDGE_LVR1_")}
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "tests.daemon.child", json.dumps(told)],
                cwd=ROOT,
                env=environment,
                stdout=log,
                stderr=log,
            )

    def start(self, **given: Any) -> Client:
        """Start, and wait until it answers or is gone."""
        self.process = self.launch(**given)
        until(lambda: self._answers() or self.is_gone(), "an answer")
        return self.client

    @contextmanager
    def running(self, **given: Any) -> Iterator[Client]:
        """Serves inside this block, and ends well."""
        client = self.start(**given)
        try:
            with client:
                yield client
            assert self.stop() == 0, self.log
        finally:
            self.kill()

    def stop(self) -> int:
        """Ask it to end; its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(WITHIN_S)

    def kill(self) -> None:
        """End it, if it still runs."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(WITHIN_S)

    def is_gone(self) -> bool:
        """Whether the process ended."""
        return self.process is not None and self.process.poll() is not None

    def _answers(self) -> bool:
        try:
            with self.client as client:
                client.status()
        except Unreachable:
            return False
        return True


def ended_jobs(client: Client, count: int) -> dict[str, dict[str, Any]]:
    """The jobs by file name, once so many have ended."""

    def look() -> dict[str, dict[str, Any]] | None:
        jobs = {Path(job["path"]).name: job for job in client.jobs()}
        ended = [job for job in jobs.values() if job["state"] in ("done", "failed")]
        return jobs if len(ended) >= count else None

    return until(look, f"the end of {count} jobs")
