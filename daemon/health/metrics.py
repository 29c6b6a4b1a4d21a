"""Numbers for Prometheus, counted in the database and the machine when they are asked for.

What cannot be counted, as of a database in trouble, is left out; the faults say why.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from edge_lvr1.daemon.context import Context
from edge_lvr1.daemon.health.meters import reason_class
from edge_lvr1.errors import EdgeLvr1Error
from edge_lvr1.store.queues import JobState

Families = Iterator[GaugeMetricFamily]
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_BACKUP = "backup"


class DaemonMetrics(Collector):
    """Queues, recordings, captions, answers, faults, scheduled jobs, disk, memory, models."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def collect(self) -> Families:
        """The numbers as they are now."""
        yield from _machine(self._context)
        for part in (_archive, _queues, _evidence):
            try:
                # Whole, or not at all: half of what belongs together would mislead.
                yield from list(part(self._context))
            except EdgeLvr1Error:
                continue
        yield from _scheduled(self._context)
        yield from self._context.meters.registry.collect()  # type: ignore[misc]


def _archive(context: Context) -> Families:
    totals = context.trees.totals()
    yield _one("edge_lvr1_recordings", "Recordings", totals.recordings)
    yield _one(
        "edge_lvr1_recordings_complete",
        "Recordings whose every node has a caption",
        totals.complete,
    )
    yield _one("edge_lvr1_captions", "Captions", totals.captioned)
    yield _one("edge_lvr1_captions_wanted", "Nodes", totals.nodes)
    made, saved = totals.calls_made, totals.calls_saved
    yield _one("edge_lvr1_captions_made", "Captions that the captioner was asked for", made)
    yield _one("edge_lvr1_captions_saved", "Captions that needed no captioner", saved)
    row = context.archive.row(
        "SELECT max(starts_epoch_s + duration_s) AS newest_s FROM files WHERE gone_s IS NULL"
    )
    newest_s = row["newest_s"] if row else None
    if newest_s is not None:
        lag_s = max(0.0, context.clock() - newest_s)
        yield _one("edge_lvr1_newest_footage_age_seconds", "Since the newest footage ends", lag_s)


def _queues(context: Context) -> Families:
    counts = context.jobs.counts()
    jobs = {state.value: count for state, count in counts.items()}
    yield _many("edge_lvr1_ingest_jobs", "Ingest jobs", "state", jobs)
    yield _one("edge_lvr1_files_settling", "Files not whole yet", context.offers.pending())
    yield _one(
        "edge_lvr1_ingest_lag_seconds",
        "Since the oldest file was noticed whose captions are not all there; 0 where there is none",
        _lag_s(context),
    )
    failed = context.archive.rows(
        "SELECT reason, count(*) AS jobs FROM jobs WHERE state = ? GROUP BY reason",
        [JobState.FAILED.value],
    )
    reasons: Counter[str] = Counter()
    for row in failed:
        reasons[reason_class(str(row["reason"]))] += row["jobs"]
    yield _many("edge_lvr1_ingest_failed", "Files set aside", "reason", reasons)
    yield _one("edge_lvr1_questions_queued", "Questions waiting", context.questions.queued())
    verdicts = {one.value: count for one, count in context.questions.verdicts().items()}
    yield _many("edge_lvr1_questions_answered", "Questions ended", "verdict", verdicts)


def _lag_s(context: Context) -> float:
    row = context.archive.row(
        "SELECT min(offered_s) AS oldest_s FROM jobs WHERE state IN (?, ?, ?)",
        [JobState.QUEUED.value, JobState.LEASED.value, JobState.PLACED.value],
    )
    oldest_s = row["oldest_s"] if row else None
    return 0.0 if oldest_s is None else max(0.0, context.clock() - oldest_s)


def _evidence(context: Context) -> Families:
    row = context.archive.row("SELECT max(number) AS entries FROM audit")
    entries = (row["entries"] if row else None) or 0
    yield _one("edge_lvr1_audit_entries", "Entries of the audit log", entries)


def _scheduled(context: Context) -> Families:
    jobs = context.schedule.jobs() if context.schedule else []
    last = {one.name: one.last_s for one in jobs if one.last_s is not None}
    yield _many("edge_lvr1_scheduled_last_run_seconds", "Epoch of the last run", "job", last)
    failed = {one.name: float(one.failed) for one in jobs}
    yield _many("edge_lvr1_scheduled_failed", "1 where the last run failed", "job", failed)
    backup_s = next((s for name, s in last.items() if name.startswith(_BACKUP)), None)
    if backup_s is not None:
        yield _one("edge_lvr1_last_backup_seconds", "Epoch of the last backup", backup_s)


def _machine(context: Context) -> Families:
    up_s = time.monotonic() - context.started_s
    yield _one("edge_lvr1_up_seconds", "Since the start", up_s)
    faults = {fault.key: 1.0 for fault in context.faults.now()}
    yield _many("edge_lvr1_fault", "1 for each thing that is wrong now", "key", faults)
    yield _one("edge_lvr1_faults", "Things that are wrong now", len(faults))
    yield _one("edge_lvr1_ingest_paused", "1 where ingest waits", float(context.paused()))
    disk = _measured(lambda: os.statvfs(context.settings.data))
    if disk is not None:
        free, size = disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize
        yield _one("edge_lvr1_disk_free_bytes", "Free where the archive is", free)
        yield _one("edge_lvr1_disk_bytes", "Size of the disk where the archive is", size)
    database = context.settings.database_path
    sizes = {name: _size(database.with_name(database.name + name)) for name in ("", "-wal")}
    told = {name or "database": size for name, size in sizes.items()}
    yield _many("edge_lvr1_database_bytes", "Size of the database and its log", "file", told)
    yield _many("edge_lvr1_memory_bytes", "Resident memory", "of", memory())
    states = context.backends.residency.states()
    loaded = GaugeMetricFamily(
        "edge_lvr1_model_loaded", "1 for a model in memory", labels=["role", "model"]
    )
    sized = GaugeMetricFamily(
        "edge_lvr1_model_bytes", "What its bundle says it needs", labels=["role", "model"]
    )
    for one in states:
        loaded.add_metric([one.role, one.name], float(one.loaded))
        sized.add_metric([one.role, one.name], one.memory_mb * 2**20)
    yield loaded
    yield sized


def memory(proc: Path = Path("/proc"), pid: int | None = None) -> dict[str, float]:
    """Resident bytes of this process and of its children together, with how many there are."""
    own = os.getpid() if pid is None else pid
    children = _children(proc, own)
    return {
        "daemon": _resident(proc, own),
        "children": sum(_resident(proc, child) for child in children),
    }


def _children(proc: Path, pid: int) -> list[int]:
    """The children of a process, from the lists that its threads have of them."""
    found: list[int] = []
    for tasks in proc.glob(f"{pid}/task/*/children"):
        try:
            found += [int(word) for word in tasks.read_text("ascii").split()]
        except (OSError, ValueError):
            continue
    return found


def _resident(proc: Path, pid: int) -> float:
    try:
        return float(int((proc / str(pid) / "statm").read_text("ascii").split()[1]) * _PAGE_BYTES)
    except (OSError, ValueError, IndexError):
        return 0.0


def _size(path: Path) -> float:
    try:
        return float(path.stat().st_size)
    except OSError:
        return 0.0


def _measured(look: Callable[[], os.statvfs_result]) -> os.statvfs_result | None:
    try:
        return look()
    except OSError:
        return None


def _one(name: str, help_text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, help_text, value=value)


def _many(name: str, help_text: str, label: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, help_text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family
