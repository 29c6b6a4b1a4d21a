"""The daemon put together: what keeps it from starting, and what ends it."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from edge_lvr1.config import Settings
from edge_lvr1.daemon.ingest.indexing import IndexWork
from edge_lvr1.daemon.service import running
from edge_lvr1.errors import StoreDamaged
from edge_lvr1.models.load import Backends
from edge_lvr1.models.residency import Residency
from edge_lvr1.store.db import Archive
from tests.daemon.fakes import FakeCaptioner, ScriptedAgent
from tests.store.test_opening import spoil

WITHIN_S = 20.0


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path / "data", socket=tmp_path / "s")


@pytest.fixture
def backends() -> Backends:
    return Backends(FakeCaptioner(), ScriptedAgent(), Residency())


def test_daemon_marks_its_database_while_it_runs(settings: Settings, backends: Backends) -> None:
    mark = settings.data / "archive.db.in-use"

    with running(settings, threading.Event(), backends):
        marked = mark.exists()

    assert marked
    assert not mark.exists()


def test_damaged_database_after_a_bad_end_is_refused_and_left_alone(
    settings: Settings, backends: Backends
) -> None:
    with Archive(settings.database_path).open():
        pass
    spoil(settings.database_path)
    spoilt = settings.database_path.read_bytes()
    (settings.data / "archive.db.in-use").touch()

    with (
        pytest.raises(StoreDamaged, match="bring back a copy with: edge-lvr1 restore"),
        running(settings, threading.Event(), backends),
    ):
        pass

    assert settings.database_path.read_bytes() == spoilt


def test_worker_whose_thread_ends_has_the_daemon_end(
    settings: Settings, backends: Backends, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end(self: IndexWork) -> bool:
        raise SystemExit(3)

    monkeypatch.setattr(IndexWork, "__call__", end)
    stop = threading.Event()

    with running(settings, stop, backends):
        assert stop.wait(WITHIN_S)


def test_worker_that_breaks_is_a_fault_and_the_daemon_goes_on(
    settings: Settings, backends: Backends, monkeypatch: pytest.MonkeyPatch
) -> None:
    broke = threading.Event()

    def fail(self: IndexWork) -> bool:
        broke.set()
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(IndexWork, "__call__", fail)
    stop = threading.Event()

    with running(settings, stop, backends) as context:
        assert broke.wait(WITHIN_S)
        faults = context.faults
        while not faults.has("worker.index"):
            assert not stop.wait(0.01)
        assert "ZeroDivisionError" in faults.now()[0].sentence
