"""What the daemon says of itself in the audit log, and of the log in its own."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from edge_lvr1.config import Models, ModelServer, Settings
from edge_lvr1.daemon.auditing import (
    say_started,
    say_stopped,
    told_models,
    told_settings,
    without_secret,
)
from edge_lvr1.daemon.context import Context
from edge_lvr1.errors import StoreError
from edge_lvr1.store.audit import what_of
from edge_lvr1.store.audit_check import check, expected_head


def test_start_and_stop_are_told_and_their_heads_stand_in_the_log(
    context: Context, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    models = told_models(context.settings, context.backends)

    say_started(context.audit, context.settings, models)
    say_stopped(context.audit)

    started, stopped = context.audit.entries()
    assert (started.kind, stopped.kind) == ("daemon.started", "daemon.stopped")
    assert what_of(started)["models"]["captioner"]["name"] == "fake"
    said = [line.split("entry ")[1].split(" ")[0] for line in caplog.messages]
    assert [expected_head(head).hash for head in said] == [started.hash, stopped.hash]
    assert check(context.archive, expected_head(said[-1])).broken is None


def test_daemon_stops_even_where_the_log_cannot_be_written(
    context: Context, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*args: object, **what: object) -> None:
        raise StoreError("the disk is full")

    context.audit.add_for_good = full  # type: ignore[method-assign]

    say_stopped(context.audit)

    assert "the disk is full" in caplog.text


def test_settings_are_told_without_secrets_and_defaults(tmp_path: Path) -> None:
    url = "https://anna:hunter2@models.example:8443/v1?key=hunter2"
    settings = Settings(data=tmp_path, watch=(Path("/drop/\udc80"),), server=ModelServer(url=url))

    told = told_settings(settings)

    assert told["watch"] == ["/drop/\udc80"]
    assert told["server"]["url"] == "https://models.example:8443/v1"
    assert "hunter2" not in str(told)
    assert "limits" not in told


@pytest.mark.parametrize("url", ["http://[broken", "http://u:p@h/v1", "u:p@h", ""])
def test_no_address_keeps_its_password(url: str) -> None:
    assert "p@" not in without_secret(url)


def test_bundle_is_told_by_the_digest_of_its_manifest(context: Context, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    models = Models(agent="onnx", agent_bundle=tmp_path)
    settings = context.settings.model_copy(update={"models": models})

    told = told_models(settings, context.backends)["agent"]

    assert isinstance(told, dict)
    assert told["sha256"] == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
