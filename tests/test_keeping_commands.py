"""hold, release, backup and restore: exit codes, JSON, what a terminal is shown; a real daemon."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from edge_lvr1.access import DAEMON
from edge_lvr1.cli import app
from edge_lvr1.daemon.http.listen import sole_daemon
from edge_lvr1.store.audit import AuditLog
from edge_lvr1.store.backup import Backups
from edge_lvr1.store.db import Archive
from tests.daemon.conftest import footage
from tests.daemon.processes import Daemon, ended_jobs
from tests.store.footage import Clock

__all__ = ["footage"]


def run(*args: object) -> Result:
    return CliRunner().invoke(app, [str(arg) for arg in args], env={"COLUMNS": "300"})


def said(*args: object) -> Any:
    done = run(*args, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    place = Daemon(tmp_path)
    yield place
    place.kill()


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A backup of an archive with one audit entry, to which another was added since."""
    clock = Clock()
    with Archive(tmp_path / "data" / "archive.db").open() as archive:
        log = AuditLog(archive, clock)
        log.add("daemon.started", DAEMON)
        backup = Backups(tmp_path / "data", "1", clock).make(tmp_path / "backups")
        log.add("question.asked", DAEMON)
    return backup.path


def test_from_holding_to_bringing_back(daemon: Daemon, footage: Path) -> None:
    with daemon.running() as client:
        shutil.copy(footage, daemon.watched / "yard.mp4")
        ended_jobs(client, 1)
        (recording,) = client.recordings()
        number, at = recording["id"], ("--socket", daemon.socket)
        held = said("hold", number, "--reason", "theft", *at)
        listing = run("recordings", *at).stdout
        closer = run("recordings", number, *at).stdout
        status = run("status", *at).stdout
        backup = said("backup", *at)
        backups = said("backup", "--list", *at)
        released = run("release", number, *at)
        again = run("release", number, *at)
        running = run("restore", backup["path"], "--data", daemon.data)
    restored = said("restore", backup["path"], "--data", daemon.data)
    with daemon.running() as client:
        back = client.recordings()
        check = run("audit", "verify", "--data", daemon.data)

    assert held["reason"] == "theft"
    assert "held" in listing
    assert "theft" in closer
    assert "job backup" in status
    assert "job tidy" in status
    assert backups == [backup]
    assert "is not held any more" in released.stdout
    assert again.exit_code == 3
    assert running.exit_code == 1
    assert "another daemon" in running.output
    assert restored["newer"]["recording.released"] == 1
    assert Path(restored["aside"]).is_dir()
    assert [(one["id"], one["hold"]["reason"], one["complete"]) for one in back] == [
        (number, "theft", True)
    ]
    assert check.exit_code == 0, check.output


def test_a_restore_says_what_it_did(made: Path, tmp_path: Path) -> None:
    done = run("restore", made, "--data", tmp_path / "data")

    assert done.exit_code == 0
    assert "1 audit entries" in done.stdout
    assert f"kept in {tmp_path / 'data' / 'replaced-'}" in done.stdout
    assert "it had 1 later entries: 1 question.asked" in done.stdout


def test_a_restore_into_an_empty_folder_keeps_nothing_aside(made: Path, tmp_path: Path) -> None:
    told = said("restore", made, "--data", tmp_path / "new")

    assert (told["aside"], told["newer"], told["entries"]) == (None, {}, 1)


@pytest.mark.parametrize(
    ("spoil", "code"), [(lambda made: made.rename(made.parent / "x"), 3), (lambda made: None, 1)]
)
def test_what_cannot_be_restored_has_an_exit_code(
    made: Path, tmp_path: Path, spoil: Any, code: int
) -> None:
    spoil(made)
    with sole_daemon(tmp_path / ("data" if code == 1 else "") / "daemon.lock", "it"):
        assert run("restore", made, "--data", tmp_path / "data").exit_code == code


def test_listing_and_making_are_not_asked_for_at_once(tmp_path: Path) -> None:
    done = run("backup", "--list", "--to", tmp_path)

    assert done.exit_code == 2
