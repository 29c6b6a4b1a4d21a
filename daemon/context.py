"""What the daemon's parts share: built once by the service, handed to each."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version

from edge_lvr1.config import Settings
from edge_lvr1.daemon.hub import Hub
from edge_lvr1.daemon.offers import Offers
from edge_lvr1.daemon.turnstile import Turnstile
from edge_lvr1.models.load import Backends
from edge_lvr1.store.db import Archive
from edge_lvr1.store.queues import IngestQueue, QuestionQueue
from edge_lvr1.store.trees import Trees


@dataclass(frozen=True, slots=True)
class Doing:
    """The ingest job in hand: `done` of `total` units of a stage; total 0 where unknown."""

    job: int
    stage: str
    done: int = 0
    total: int = 0


class Activity:
    """What the ingest worker is doing, to be read from other threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now: Doing | None = None

    def now(self) -> Doing | None:
        """The job in hand; None where there is none."""
        with self._lock:
            return self._now

    def put(self, doing: Doing | None) -> None:
        """Say what is being done from now on."""
        with self._lock:
            self._now = doing


@dataclass(frozen=True, slots=True)
class Context:
    """The parts of a running daemon. `clock` gives epoch seconds."""

    settings: Settings
    archive: Archive
    trees: Trees
    jobs: IngestQueue
    questions: QuestionQueue
    offers: Offers
    turnstile: Turnstile
    backends: Backends
    hub: Hub = field(default_factory=Hub)
    activity: Activity = field(default_factory=Activity)
    clock: Callable[[], float] = time.time
    started_s: float = field(default_factory=time.time)


def program_version() -> str:
    """The installed version; in a checkout that is not installed there is none to tell."""
    try:
        return version("edge-lvr1")
    except PackageNotFoundError:
        return "not installed"
