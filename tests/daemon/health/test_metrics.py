"""What Prometheus is told."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from datetime import timezone

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from edge_lvr1.daemon.context import Activity, Context, Doing
from edge_lvr1.daemon.health.meters import Meters, reason_class
from edge_lvr1.daemon.health.metrics import DaemonMetrics, memory
from edge_lvr1.daemon.schedule import Schedule
from edge_lvr1.domain import Answer, Recording, Verdict
from edge_lvr1.errors import StoreError
from edge_lvr1.models.base import Usage
from tests.daemon.asgi import Http


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def told(context: Context) -> dict[str, float]:
    """Every sample, by name and labels as Prometheus writes them."""
    registry = CollectorRegistry()
    registry.register(DaemonMetrics(context))
    return samples(registry)


def samples(registry: CollectorRegistry) -> dict[str, float]:
    return {
        sample.name + "".join(f"|{value}" for value in sample.labels.values()): sample.value
        for family in registry.collect()
        for sample in family.samples
    }


def test_seconds_of_each_stage_are_measured_from_one_to_the_next() -> None:
    clock = Clock()
    meters = Meters(clock)
    activity = Activity(meters.moved)

    for stage, until in (("read", 2.0), ("read", 3.0), ("survey", 7.0)):
        activity.put("intake", Doing(1, None, stage))
        clock.now = until
    activity.put("intake", None)
    activity.put("intake", None)

    found = samples(meters.registry)
    assert found["edge_lvr1_stage_seconds_sum|read"] == 3.0
    assert found["edge_lvr1_stage_seconds_sum|survey"] == 4.0
    assert found["edge_lvr1_stage_seconds_count|read"] == 1.0


def test_questions_replies_and_tokens_are_counted() -> None:
    meters = Meters()

    meters.answered(Answer(Verdict.ANSWERED, "Yes.", rounds=3, seconds=0.7))
    meters.replied(0.2)
    meters.talked(Usage(read=900, written=31))
    meters.talked(Usage(read=70))
    meters.wrote(40)
    meters.wrote(2)

    found = samples(meters.registry)
    assert found["edge_lvr1_question_seconds_sum|answered"] == 0.7
    assert found["edge_lvr1_question_rounds_sum"] == 3.0
    assert found["edge_lvr1_agent_replies_total"] == 1.0
    assert found["edge_lvr1_caption_tokens_total"] == 42.0
    assert found["edge_lvr1_agent_tokens_total|read"] == 970.0
    assert found["edge_lvr1_agent_tokens_total|written"] == 31.0


def test_archive_machine_and_models_are_told(context: Context, recording: Recording) -> None:
    context.faults.put("disk", "the disk is nearly full")
    context.jobs.offer("/srv/late.mp4", 1, 1)
    later = dataclasses.replace(context, clock=lambda: 1090.0)

    found = told(later)

    assert found["edge_lvr1_captions"] == found["edge_lvr1_captions_wanted"] == 14.0
    assert found["edge_lvr1_captions_made"] + found["edge_lvr1_captions_saved"] == 14.0
    assert found["edge_lvr1_ingest_lag_seconds"] == 90.0
    assert (found["edge_lvr1_fault|disk"], found["edge_lvr1_faults"]) == (1.0, 1.0)
    assert 0 < found["edge_lvr1_disk_free_bytes"] <= found["edge_lvr1_disk_bytes"]
    assert found["edge_lvr1_database_bytes|-wal"] > 4096
    assert found["edge_lvr1_memory_bytes|daemon"] > 10 * 2**20
    assert found["edge_lvr1_audit_entries"] >= 0


def test_failures_are_counted_by_class(context: Context) -> None:
    for number, reason in enumerate(("a.mp4 is empty (0 bytes)", "b.mp4 is gone", "c is gone")):
        context.jobs.offer(f"/srv/{number}.mp4", 1, 1)
        job = context.jobs.lease("daemon", 60.0)
        assert job is not None
        context.jobs.fail(job, reason, False)

    found = told(context)

    assert found["edge_lvr1_ingest_failed|empty"] == 1.0
    assert found["edge_lvr1_ingest_failed|gone"] == 2.0


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("a.mp4 is empty (0 bytes); copy it again", "empty"),
        ("/srv/a.mp4 is gone; copy it back to have it taken in", "gone"),
        ("song.mp4 has no video stream", "no_video"),
        (
            "a.mp4 needs more memory to decode than is allowed",
            "decoder_memory",
        ),
        ("decoding a.mp4 gave nothing for 60 s and was ended", "decoder_time"),
        ("a.mp4 crashed its decoder (SIGSEGV): it is damaged; copy it again", "decoder_crash"),
        ("it cannot be read: Permission denied", "unreadable"),
        ("something nobody thought of", "other"),
    ],
)
def test_reasons_have_classes(reason: str, expected: str) -> None:
    assert reason_class(reason) == expected


def test_scheduled_jobs_and_the_last_backup_are_told(context: Context) -> None:
    schedule = Schedule(context.faults, timezone.utc, lambda: 5000.0)
    schedule.every("backup", 3600.0, lambda: None)
    schedule._tasks["backup"].run()

    found = told(dataclasses.replace(context, schedule=schedule))

    assert found["edge_lvr1_last_backup_seconds"] == 5000.0
    assert found["edge_lvr1_scheduled_failed|backup"] == 0.0


def test_database_in_trouble_leaves_the_machine_to_be_told(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(type(context.trees), "totals", lambda self: broken())

    found = told(context)

    assert "edge_lvr1_captions" not in found
    assert "edge_lvr1_disk_free_bytes" in found
    assert "edge_lvr1_questions_queued" in found


def test_memory_of_children_is_counted_apart() -> None:
    before = memory()
    child = subprocess.Popen(
        [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert child.stdout is not None
        child.stdout.readline()
        during = memory()
    finally:
        child.communicate()

    assert during["children"] - before["children"] > 2 * 2**20
    assert memory(pid=2**22 + 1) == {"daemon": 0.0, "children": 0.0}


def test_page_of_metrics_can_be_read(http: Http) -> None:
    page = http.get("/metrics").text

    families = {family.name for family in text_string_to_metric_families(page)}

    assert {"edge_lvr1_stage_seconds", "edge_lvr1_memory_bytes"} <= families
