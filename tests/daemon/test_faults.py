"""The register of what is wrong now, and where it is shown."""

from __future__ import annotations

import logging

import pytest

from edge_lvr1.daemon.context import Context
from edge_lvr1.daemon.faults import Fault, Faults
from tests.daemon.asgi import Http


def test_fault_is_told_once_when_it_begins_and_once_when_it_ends(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, logger="edge_lvr1.daemon.faults")
    now_s = [100.0]
    faults = Faults(lambda: now_s[0])

    news = [faults.put("disk", "the disk is full")]
    now_s[0] = 160.0
    news += [faults.put("disk", "the disk is fuller"), faults.put("server", "it is away")]
    seen = faults.now()
    ends = [faults.clear("disk"), faults.clear("disk")]

    assert news == [True, False, True]
    assert seen == (
        Fault("disk", "the disk is fuller", 100.0),
        Fault("server", "it is away", 160.0),
    )
    assert ends == [True, False]
    assert [fault.key for fault in faults.now()] == ["server"]
    assert [record.getMessage() for record in caplog.records] == [
        "fault: the disk is full",
        "fault: it is away",
        "no fault any more: the disk is fuller",
    ]


def test_status_and_health_show_what_is_wrong(http: Http, context: Context) -> None:
    well = http.get("/healthz")

    context.faults.put("disk", "the disk is full")
    ill = http.get("/healthz")
    status = http.get("/v1/status").json()

    assert (well.status_code, well.json()) == (200, {"status": "ok", "faults": []})
    assert ill.status_code == 200
    assert ill.json()["status"] == "degraded"
    (fault,) = ill.json()["faults"]
    assert (fault["key"], fault["sentence"]) == ("disk", "the disk is full")
    assert status["faults"] == [fault]
