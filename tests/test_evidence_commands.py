"""The commands audit, verify and case: exit codes, JSON, and what a terminal is shown."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from edge_lvr1.access import DAEMON, Who
from edge_lvr1.cases import folder as cases
from edge_lvr1.cli import app
from edge_lvr1.daemon.context import Context
from edge_lvr1.domain import Recording
from edge_lvr1.store.audit import AuditLog, Head
from edge_lvr1.store.db import Archive
from tests.cases.conftest import InProcess, Made, answer, client, footage, halves, made, recording
from tests.daemon.conftest import context, http, settings
from tests.store.footage import Clock

# Fixtures of the tests that make cases.
__all__ = ["client", "context", "footage", "halves", "http", "made", "recording", "settings"]


def run(*args: object) -> Result:
    return CliRunner().invoke(app, [str(arg) for arg in args], env={"COLUMNS": "200"})


def said(*args: object) -> tuple[int, Any]:
    """A command's exit code, and the JSON that it printed."""
    done = run(*args, "--json")
    return done.exit_code, json.loads(done.stdout)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def head(data: Path) -> Head:
    """The head of a log of three entries, whose daemon is gone."""
    with Archive(data / "archive.db").open() as archive:
        clock = Clock()
        log = AuditLog(archive, clock)
        log.add("daemon.started", DAEMON, version="1")
        clock.now_s = 90_000.0
        log.add(
            "question.asked", Who("socket", 7, name="\x1b[31manna"), text="\x1b]0;own\x07\u202eed"
        )
        log.add("file.failed", DAEMON, path="/drop/\udc80.mp4", reason="no\npicture")
        return log.head()


def change(data: Path, sql: str) -> None:
    with sqlite3.connect(data / "archive.db") as connection:
        connection.execute("DROP TRIGGER audit_is_not_changed")
        connection.execute("DROP TRIGGER audit_is_not_shortened")
        connection.execute(sql)
    connection.close()


def test_sound_log_is_verified_without_a_daemon(data: Path, head: Head) -> None:
    code, told = said("audit", "verify", "--data", data)

    assert code == 0
    assert told == {"entries": 3, "head": {"number": 3, "hash": head.hash}, "broken": None}
    assert run("audit", "verify", "--data", data, "--expect", head).exit_code == 0
    assert str(head) in run("audit", "verify", "--data", data).stdout


def test_changed_row_is_named_with_exit_code_1(data: Path, head: Head) -> None:
    change(data, 'UPDATE audit SET what = \'{"text":"other"}\' WHERE number = 2')

    code, told = said("audit", "verify", "--data", data)
    shown = run("audit", "verify", "--data", data)

    reason = "entry 2 (question.asked) is not what was written"
    assert (code, told["broken"]) == (1, {"number": 2, "reason": reason})
    assert shown.exit_code == 1
    assert reason in shown.stderr


def test_cut_end_is_found_by_what_the_journal_said(data: Path, head: Head) -> None:
    change(data, "DELETE FROM audit WHERE number = 3")
    change_sequence = "UPDATE sqlite_sequence SET seq = 2"
    with sqlite3.connect(data / "archive.db") as connection:
        connection.execute(change_sequence)
    connection.close()

    assert run("audit", "verify", "--data", data).exit_code == 0
    assert run("audit", "verify", "--data", data, "--expect", head).exit_code == 1
    assert run("audit", "verify", "--data", data, "--expect", "3:nonsense").exit_code == 2


def test_no_archive_is_exit_code_3_and_makes_none(tmp_path: Path) -> None:
    for command in (["audit", "verify"], ["audit", "list"], ["verify"]):
        assert run(*command, "--data", tmp_path / "none").exit_code == 3
    assert not (tmp_path / "none").exists()


def test_listed_log_does_nothing_to_a_terminal(data: Path, head: Head) -> None:
    shown = run("audit", "list", "--data", data).stdout

    assert "question.asked" in shown
    assert "anna" in shown
    assert all(one == "\n" or one.isprintable() for one in shown)


def test_listed_log_is_narrowed_by_kind_time_and_number(data: Path, head: Head) -> None:
    def kinds(*given: object) -> list[str]:
        code, told = said("audit", "list", "--data", data, *given)
        assert code == 0
        return [entry["kind"] for entry in told]

    assert kinds() == ["daemon.started", "question.asked", "file.failed"]
    assert kinds("--kind", "question") == ["question.asked"]
    assert kinds("--since", "1970-01-01T12:00:00+0000") == ["question.asked", "file.failed"]
    assert kinds("--limit", 1) == ["file.failed"]


def test_json_of_the_log_is_whole_and_plain_ascii(data: Path, head: Head) -> None:
    done = run("audit", "list", "--data", data, "--json")

    told = json.loads(done.stdout)
    assert done.stdout.isascii()
    assert told[1]["who"] == {"via": "socket", "uid": 7, "name": "\x1b[31manna"}
    assert told[2]["what"] == {"path": "/drop/\udc80.mp4", "reason": "no\npicture"}


def test_footage_is_verified_and_a_changed_byte_found(
    context: Context, recording: Recording, footage: tuple[Path, Path]
) -> None:
    data = context.settings.data
    code, told = said("verify", "--data", data)
    assert (code, [one["state"] for one in told["files"]]) == (0, ["unchanged", "unchanged"])

    blob = bytearray(footage[0].read_bytes())
    blob[100] ^= 1
    footage[0].write_bytes(blob)
    footage[1].unlink()
    code, told = said("verify", recording.id, "--data", data)
    shown = run("verify", "--data", data)

    assert (code, [one["state"] for one in told["files"]]) == (1, ["changed", "gone"])
    assert shown.exit_code == 1
    assert "2 files: 1 changed, 1 gone" in shown.stdout


def test_footage_that_is_gone_alone_is_no_failure(
    context: Context, recording: Recording, footage: tuple[Path, Path]
) -> None:
    footage[1].unlink()

    assert run("verify", "--data", context.settings.data).exit_code == 0
    assert run("verify", 99, "--data", context.settings.data).exit_code == 3


def test_broken_log_fails_the_verification_of_footage(
    context: Context, recording: Recording
) -> None:
    context.audit.add("thing.done", DAEMON)
    change(context.settings.data, "UPDATE audit SET who = '{}'")

    code, told = said("verify", "--data", context.settings.data)

    assert (code, told["audit_broken"]["number"]) == (1, 1)


def test_case_is_made_by_its_question_and_verified_by_its_folder(
    context: Context,
    recording: Recording,
    client: InProcess,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answer(context, recording)
    make = cases.make_case
    monkeypatch.setattr(cases, "make_case", lambda ours, *given: make(client, *given))
    place = tmp_path / "case"

    code, told = said("case", "q1", "-o", place)

    assert code == 0
    assert (told["folder"], told["evidence"], told["missing"]) == (str(place), 2, [])
    assert set(told["sources"].values()) == {"unchanged"}
    assert run("case", "q1", "-o", place).exit_code == 2
    assert run("case", "-o", tmp_path / "other", "q1").exit_code == 0
    assert said("case", "verify", place, "--footage")[0] == 0
    (place / "report.html").write_text("mine")
    code, told = said("case", "verify", place)
    assert (code, told["wrong"][0]) == (1, "report.html has changed")


def test_case_of_hostile_text_does_nothing_to_a_terminal(made: Made) -> None:
    (made.folder / "evidence" / "\x1b[31m.mp4").write_bytes(b"")

    done = run("case", "verify", made.folder)

    assert done.exit_code == 1
    assert all(one == "\n" or one.isprintable() for one in done.stdout + done.stderr)


def test_case_of_no_folder_is_exit_code_3(tmp_path: Path) -> None:
    assert run("case", "verify", tmp_path).exit_code == 3


def test_case_without_a_daemon_is_exit_code_4(tmp_path: Path) -> None:
    done = run("case", "q1", "-o", tmp_path / "case", "--socket", tmp_path / "none")

    assert done.exit_code == 4
    assert list(tmp_path.iterdir()) == []
