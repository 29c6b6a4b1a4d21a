"""What the daemon's parts share: built once by the service, handed to each."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from edge_lvr1.config import Settings
from edge_lvr1.daemon.health.faults import Faults
from edge_lvr1.daemon.health.meters import Meters
from edge_lvr1.daemon.hub import Hub
from edge_lvr1.daemon.ingest.offers import Offers
from edge_lvr1.daemon.schedule import Schedule
from edge_lvr1.daemon.turnstile import Turnstile
from edge_lvr1.daemon.watching.folders import Folders
from edge_lvr1.media.decoder import HERE, Decoder
from edge_lvr1.models.load import Backends
from edge_lvr1.store.audit import AuditLog
from edge_lvr1.store.db import Archive
from edge_lvr1.store.glances import Glances
from edge_lvr1.store.queues import BuildQueue, IngestQueue, QuestionQueue
from edge_lvr1.store.trees import Trees
from edge_lvr1.store.vectors import Meaning


@dataclass(frozen=True, slots=True)
class Doing:
    """The job or recording in hand: `done` of `total` units of a stage; total 0 where unknown."""

    job: int | None
    recording: int | None
    stage: str
    done: int = 0
    total: int = 0


class Activity:
    """What the ingest workers are doing, to be read from other threads.

    `moved` is told of each worker and the stage that it is in from then on.
    """

    def __init__(
        self, moved: Callable[[str, str | None], None] = lambda worker, stage: None
    ) -> None:
        self._moved = moved
        self._lock = threading.Lock()
        self._now: dict[str, Doing] = {}

    def now(self) -> tuple[Doing, ...]:
        """The work in hand."""
        with self._lock:
            return tuple(self._now.values())

    def put(self, worker: str, doing: Doing | None) -> None:
        """Say what a worker does from now on."""
        with self._lock:
            self._now.pop(worker, None)
            if doing is not None:
                self._now[worker] = doing
        self._moved(worker, doing.stage if doing else None)


@dataclass(frozen=True, slots=True)
class Context:
    """The parts of a running daemon. `clock` gives epoch seconds."""

    settings: Settings
    archive: Archive
    trees: Trees
    glances: Glances
    jobs: IngestQueue
    builds: BuildQueue
    questions: QuestionQueue
    offers: Offers
    turnstile: Turnstile
    backends: Backends
    audit: AuditLog
    decoder: Decoder = HERE
    meaning: Meaning | None = None
    schedule: Schedule | None = None
    hub: Hub = field(default_factory=Hub)
    activity: Activity = field(default_factory=Activity)
    faults: Faults = field(default_factory=Faults)
    meters: Meters = field(default_factory=Meters)
    paused: Callable[[], bool] = lambda: False  # whether ingest has to wait for room
    folders: Folders | None = None
    backing_up: threading.Lock = field(default_factory=threading.Lock)
    clock: Callable[[], float] = time.time
    started_s: float = field(default_factory=time.monotonic)  # of a clock that nobody sets

    def is_away(self, path: str) -> bool:
        """Whether the watched folder of a file cannot be reached now."""
        return self.folders is not None and self.folders.is_away(Path(path))

    def seems_away(self, path: str) -> str:
        """Why the watched folder of a file could not be reached lately; empty where it could."""
        return "" if self.folders is None else self.folders.problem_of(Path(path))


def program_version() -> str:
    """The installed version; in a checkout that is not installed there is none to tell."""
    try:
        return version("edge-lvr1")
    except PackageNotFoundError:
        return "not installed"
