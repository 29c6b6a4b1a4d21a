"""The register of what is wrong now, and where it is shown."""

from __future__ import annotations

import errno
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlite_utils import Database

from edge_lvr1.daemon.context import Context
from edge_lvr1.daemon.health.faults import Fault, Faults
from edge_lvr1.errors import StoreError, StoreFull
from edge_lvr1.store.db import Archive
from tests.daemon.asgi import Http


def test_fault_is_told_once_when_it_begins_and_once_when_it_ends(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, logger="edge_lvr1.daemon.health.faults")
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


def refusing(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every write transaction fails."""

    @contextmanager
    def transaction(self: Archive, *, durable: bool = False) -> Iterator[Database]:
        raise error
        yield

    monkeypatch.setattr(Archive, "transaction", transaction)


@pytest.mark.parametrize(
    ("error", "status", "told"),
    [
        (StoreFull("the database cannot grow: the disk is full"), 507, "the disk is full"),
        (StoreError("the database is held by another program"), 503, "held by another program"),
        (OSError(errno.ENOSPC, "No space left on device"), 507, "disk of the daemon's machine"),
        (OSError(errno.EIO, "Input/output error"), 500, "something broke inside the daemon"),
    ],
)
def test_question_that_cannot_be_stored_is_refused_in_one_sentence(
    http: Http,
    context: Context,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    status: int,
    told: str,
) -> None:
    with monkeypatch.context() as patch:
        refusing(error, patch)
        refused = http.post("/v1/questions", json={"question": "Is there a lorry?"})
    accepted = http.post("/v1/questions", json={"question": "Is there a lorry?"})

    assert refused.status_code == status
    assert told in refused.json()["error"]
    assert accepted.status_code == 202
    assert context.questions.queued() == 1


def test_health_is_503_only_while_the_database_does_not_answer(
    http: Http, context: Context
) -> None:
    path = context.archive.path
    context.archive.close()
    aside = path.rename(path.with_suffix(".aside"))
    path.mkdir()

    away = http.get("/healthz")
    path.rmdir()
    aside.rename(path)

    assert away.status_code == 503
    assert "is a folder" in away.json()["error"]
    assert http.get("/healthz").status_code == 200
