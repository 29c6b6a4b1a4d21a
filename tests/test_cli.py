"""The command line as a user types it, against a real daemon on a small drawn clip."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from edge_lvr1 import cli, told
from edge_lvr1.demo.process import DaemonProcess
from edge_lvr1.demo.scene import YARD, Scene, render
from edge_lvr1.domain import Span
from edge_lvr1.follow import follow_jobs

# Sixteen seconds: one figure comes, stands and goes.
SHORT = Scene(
    duration_s=16.0,
    actors=(replace(YARD.actors[0], present=Span(3, 12), still=Span(6, 9)),),
    dims_at_s=100.0,
    brightens_at_s=200.0,
)
Run = Callable[..., Result]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a daemon at `s` that has taken in `footage/yard/short.mp4`."""
    root = tmp_path_factory.mktemp("cli")
    camera = root / "footage" / "yard"
    camera.mkdir(parents=True)
    render(root / "short.mp4", SHORT)
    shutil.copy(root / "short.mp4", camera / "short.mp4")
    process = DaemonProcess(root / "data", root / "footage", root / "s", settle_s=0.2)
    with process.running() as client:
        jobs = client.ingest(camera / "short.mp4")["taken"]
        follow_jobs(client, [job["id"] for job in jobs], None)
        yield root


@pytest.fixture
def run(folder: Path) -> Run:
    def run_command(*words: str) -> Result:
        return CliRunner().invoke(cli.app, [*words, "--socket", str(folder / "s")])

    return run_command


def printed(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_recordings_tell_camera_start_and_state(run: Run) -> None:
    (recording,) = printed(run("recordings", "--json"))

    assert recording["camera"] == "yard"
    assert recording["start_source"] == "container"
    assert recording["starts_at"].startswith("2026-03-14T09:30:00")
    assert recording["complete"] is True
    assert "yard" in run("recordings").stdout


def test_tree_json_has_the_documented_fields(run: Run) -> None:
    tree = printed(run("tree", "1", "--json"))

    assert set(tree) >= {"recording", "duration_s", "width", "captioner", "nodes"}
    assert len(tree["nodes"]) == 2 + 4 + 8
    for node in tree["nodes"]:
        assert {"node", "level", "start_s", "end_s", "caption", "written_by"} <= set(node)
    assert "(1,1,1)" in run("tree", "1").stdout


def test_ask_json_prints_one_object_with_the_documented_fields(run: Run) -> None:
    found = printed(run("ask", "Is there a person?", "--json"))

    fields = "id question verdict text evidence rounds captions_opened invalid_steps seconds"
    assert set(f"{fields} agent captioner".split()) <= set(found)
    assert found["verdict"] == "answered"
    evidence = "recording camera node start_s end_s starts_at ends_at caption"
    assert set(evidence.split()) <= set(found["evidence"][0])
    present = SHORT.actors[0].present
    assert present.overlap_s(Span(found["evidence"][0]["start_s"], found["evidence"][0]["end_s"]))


def test_ask_follow_shows_every_round(run: Run) -> None:
    result = run("ask", "How many people are there?", "--follow")

    assert result.exit_code == 0
    assert "round 1" in result.stdout
    assert "get_caption(" in result.stdout
    assert "answered" in result.stdout


def test_an_answer_by_option_carries_its_letter(run: Run) -> None:
    options = ["--option", "none", "--option", "one", "--option", "two"]

    found = printed(run("ask", "How many people are there?", *options, "--json"))

    assert found["option"] == "B"


def test_a_confirmed_answer_says_so(run: Run) -> None:
    found = printed(run("ask", "Is there a person?", "--confirm", "--json"))
    shown = run("ask", "Is there a person?", "--confirm").stdout

    assert found["confirmation"] == "confirmed"
    assert "looked at again: confirmed" in shown


def test_the_scope_that_a_question_names_is_told(run: Run) -> None:
    asked = ["ask", "Is there a person on the yard camera?"]

    found = printed(run(*asked, "--json"))

    assert found["read_as"] == "the question is about yard"
    assert found["verdict"] == "answered"
    assert "the question is about yard" in run(*asked).stdout


def test_search_and_questions_list_what_is_there(run: Run) -> None:
    run("ask", "Is there a dog?")

    hits = printed(run("search", "person", "--json"))
    asked = printed(run("questions", "--json"))
    one = printed(run("questions", asked[0]["id"], "--json"))

    assert "person-like" in hits[0]["caption"]
    assert asked[0]["question"] == "Is there a dog?"
    assert one["verdict"] == "not_found"
    assert one["steps"]
    assert "no caption matches" in run("search", "giraffe").stdout


def test_clip_writes_a_playable_file(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "a.mp4"

    result = run("clip", "1", "3", "6", "-o", str(out))

    assert result.exit_code == 0, result.output
    assert out.stat().st_size > 1000


def test_status_and_doctor_answer(run: Run, folder: Path) -> None:
    status = printed(run("status", "--json"))
    checked = CliRunner().invoke(cli.app, ["doctor", "--data", str(folder / "data"), "--json"])

    assert status["recordings"] == status["complete"] == 1
    assert all(finding["ok"] for finding in printed(checked))


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["ask", "  "], told.USAGE, "the question is empty"),
        (["ask", "x" * 5_000], told.USAGE, "4000"),
        (["ask", "x" * 100_000], told.USAGE, "64 KiB"),
        (["ask", "who?", "--recording", "99"], told.NOT_FOUND, "there is no recording 99"),
        (["ask", "who?", "--camera", "yad"], told.NOT_FOUND, "yard"),
        (["ask", "who?", "--since", "soon"], told.USAGE, "since is no time"),
        (["ask", "who?", "--since", "today", "--until", "last week"], told.USAGE, "earlier than"),
        (["ask", "who came on camera 9?"], told.NOT_FOUND, "no camera 'camera 9'"),
        (["tree", "99"], told.NOT_FOUND, "there is no recording 99"),
        (["questions", "nosuch"], told.NOT_FOUND, "nosuch"),
        (["questions", "--cancel"], told.USAGE, "which question"),
        (["ingest", "/no/such/file.mp4"], told.NOT_FOUND, "/no/such/file.mp4"),
        (["clip", "1", "20", "30", "-o", "out.mp4"], told.USAGE, "16.0 s long"),
        (["clip", "1", "5", "4", "-o", "out.mp4"], told.USAGE, "less than"),
        (["clip", "1", "1", "2", "-o", "/no/such/folder/a.mp4"], told.NOT_FOUND, "no folder"),
        (["frobnicate"], told.USAGE, "frobnicate"),
    ],
)
def test_bad_input_gets_a_sentence_and_the_right_exit_code(
    run: Run, words: list[str], code: int, sentence: str
) -> None:
    result = run(*words)

    assert result.exit_code == code, result.output
    assert sentence in " ".join(result.stderr.split())
    assert "Traceback" not in result.output


def test_no_daemon_is_told_with_what_to_do(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli.app, ["status", "--socket", str(tmp_path / "none")])

    assert result.exit_code == told.UNREACHABLE
    assert "start one with" in " ".join(result.stderr.split())


def test_a_folder_that_cannot_be_taken_in_whole_says_what_was_refused(
    run: Run, tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("not footage", "utf-8")

    result = run("ingest", str(tmp_path))

    assert result.exit_code == told.FAILED
    assert "is text, not a media file" in " ".join(result.output.split())
