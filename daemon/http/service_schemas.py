"""The JSON of the service: files to take in, and how the daemon is."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import (
    Field,
)

from edge_lvr1.daemon.http.schemas import In, Out, Shown


class PathIn(In):
    """A file or folder on the daemon's machine, as an absolute path."""

    path: str
    priority: int = Field(
        default=1, ge=0, le=9, description="the highest goes first; watched folders bring 0"
    )


class ProgressOut(Out):
    """How far the job in hand is: so many of so many of this stage's units."""

    stage: str
    done: int
    total: int | None = Field(description="null where it is not known")


class JobOut(Out):
    """A file that was taken in, is waiting, or failed with a reason."""

    id: int
    path: Shown
    state: str = Field(description="queued, running, placed, done or failed")
    reason: Shown
    attempts: int
    size_bytes: int
    recordings: list[int]
    progress: ProgressOut | None = None


class JobsOut(Out):
    """Ingest jobs, in order of their arrival; `total` counts those of all pages."""

    jobs: list[JobOut]
    total: int


class RefusedOut(Out):
    """A path that was not taken, and why."""

    path: Shown
    reason: Shown


class OfferedOut(Out):
    """What became of an offered path."""

    taken: list[JobOut]
    refused: list[RefusedOut]


class ModelOut(Out):
    """A model with weights: whether they are in memory, and how much they take there."""

    role: str
    name: Shown
    loaded: bool
    memory_mb: int


class FaultOut(Out):
    """Something that is wrong now, and since when."""

    key: Shown
    sentence: Shown
    since: datetime


class ScheduledOut(Out):
    """A job that runs by the clock: `outcome` is what its last run came to."""

    name: str
    when: str
    running: bool
    last: datetime | None
    took_s: float | None
    outcome: Shown
    failed: bool
    next: datetime | None


class RootOut(Out):
    """A watched folder: how its files are noticed and why so, and whether it is there.

    `problem` says what keeps it away or, where it is there, what of it cannot be read.
    """

    path: Shown
    found_by: Literal["events", "polling"]
    why: Shown
    there: bool
    problem: Shown
    files: int = Field(description="seen by the last walk")
    scanned_at: datetime | None
    scan_took_s: float


class HealthOut(Out):
    """`ok`, or `degraded` with what is wrong; the daemon serves either way."""

    status: str
    faults: list[FaultOut]


class StatusOut(Out):
    """How the daemon is."""

    version: str
    pid: int
    uptime_s: float
    data: Shown
    socket: Shown
    listen: str | None
    watched: list[Shown]
    captioner: str
    agent: str
    models: list[ModelOut]
    recordings: int
    open: int = Field(description="recordings to which parts may still be added")
    queryable: int
    complete: int
    calls_made: int
    calls_saved: int
    settling: int
    jobs: dict[str, int]
    questions: dict[str, int]
    current: JobOut | None
    faults: list[FaultOut] = []
    scheduled: list[ScheduledOut] = []
    roots: list[RootOut] = []
    events_lost: int = Field(
        default=0,
        description="times that the kernel lost file system events; the folders are "
        "walked at once then",
    )
