"""What the command line draws, and that untrusted text cannot draw anything else."""

from __future__ import annotations

import io
import json
import unicodedata
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console, RenderableType

from edge_lvr1 import display


def drawn(renderable: RenderableType, width: int = 100) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    console.print(renderable)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def node(name: str, start_s: float, end_s: float, caption: str | None) -> dict[str, Any]:
    return {"node": name, "start_s": start_s, "end_s": end_s, "caption": caption}


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0, "0:00.0"),
        (6.34, "0:06.3"),
        (59.96, "1:00.0"),
        (4000, "1:06:40.0"),
        (36000, "10:00:00.0"),
    ],
)
def test_media_time_reads_as_a_clock(seconds: float, told: str) -> None:
    assert display.clock(seconds) == told


def test_tree_draws_every_level_and_joins_leaves_that_say_the_same() -> None:
    tree = {
        "recording": 3,
        "duration_s": 8.0,
        "width": 2,
        "captioner": "embedded",
        "nodes": [
            node("(1)", 0, 8, "all"),
            node("(1,1)", 0, 8, "half"),
            node("(1,1,1)", 0, 2, "still"),
            node("(1,1,2)", 2, 4, "still"),
            node("(1,1,3)", 4, 6, "somebody"),
            node("(1,1,4)", 6, 8, None),
        ],
    }

    text = drawn(display.caption_tree(tree))

    assert "(1,1,1) … (1,1,2)  0:00.0 to 0:04.0  still" in text
    assert "(1,1,3)  0:04.0 to 0:06.0  somebody" in text
    assert "(1,1,4)  0:06.0 to 0:08.0  not captioned yet" in text


def test_answer_shows_verdict_cost_and_each_evidence() -> None:
    found = {
        "verdict": "answered",
        "option": "B",
        "text": "2 cars",
        "rounds": 1,
        "captions_opened": 2,
        "seconds": 0.04,
        "agent": "embedded",
        "captioner": "embedded",
        "evidence": [
            {
                "recording": 1,
                "camera": "gate",
                "node": "(2,1)",
                "start_s": 3.0,
                "end_s": 4.5,
                "starts_at": "2026-01-02T03:04:05+01:00",
                "ends_at": "2026-01-02T03:04:06.500000+01:00",
                "caption": "A car.",
            }
        ],
    }

    text = drawn(display.answer(found), width=200)

    assert "answered  B  2 cars" in text
    assert "1 round, 2 captions opened, 0.0 s" in text
    assert "gate, recording 1, (2,1), 0:03.0 to 0:04.5, 2026-01-02 03:04:05+01:00" in text
    assert "A car." in text


@given(st.text())
def test_untrusted_text_reaches_the_terminal_without_control_characters(text: str) -> None:
    shown = display.plain(text).plain

    assert all(c == "\n" or c.isprintable() or c.isspace() for c in shown)
    assert "\x1b" not in shown


def test_untrusted_text_is_not_read_as_markup() -> None:
    row = [("[bold]x[/bold]", "\x1b]0;title\x07")]

    text = drawn(display.table(("a", "b"), row))

    assert "[bold]x[/bold]" in text
    assert "\x1b]0;" not in text


def test_status_shows_each_fault_with_its_time() -> None:
    fault = {"key": "disk", "sentence": "the disk is full", "since": "2026-03-14T09:30:00Z"}

    told = drawn(display.status({"version": "1", "current": None, "faults": [fault]}))

    assert "fault" in told
    assert "the disk is full (since 2026-03-14 09:30:00+00:00)" in told


HOSTILE = "<script>\x1b]0;x\x07\u202egpj.\x9b2J[bold]\r\x00\u2066"


def hostile(value: Any) -> Any:
    """The same JSON with every text made hostile, but for times and node ids."""
    if isinstance(value, dict):
        kept = ("starts_at", "ends_at", "node", "since", "started_at")
        return {k: v if k in kept else hostile(v) for k, v in value.items()}
    if isinstance(value, list):
        return [hostile(one) for one in value]
    return value + HOSTILE if isinstance(value, str) else value


AT = "2026-01-02T03:04:05+01:00"
EVIDENCE = {"recording": 1, "camera": "gate", "node": "(2,1)", "start_s": 3.0, "end_s": 4.5}
EVIDENCE |= {"starts_at": AT, "ends_at": AT, "caption": "A car."}
STEP = {"round": 1, "thought": "t", "action": "a", "observation": "o", "hint": "h"}
QUESTION = {"id": "q", "question": "?", "state": "done", "verdict": "answered", "option": "B"}
QUESTION |= {"text": "2 cars", "rounds": 1, "captions_opened": 2, "seconds": 0.04, "agent": "e"}
QUESTION |= {"captioner": "e", "evidence": [EVIDENCE], "searched": ["yard"], "read_as": "r"}
QUESTION |= {"confirmation": "confirmed", "steps": [STEP]}
JOB = {"id": 1, "path": "/drop/a.mp4", "state": "failed", "reason": "r", "recordings": []}
RECORDING = {"id": 1, "camera": "gate", "starts_at": AT, "start_source": "s", "confidence": "c"}
RECORDING |= {"duration_s": 9.0, "files": ["/a.mp4"], "state": "failed", "reason": "r"}
RECORDING |= {"captioner": "e", "calls_made": 1, "calls_saved": 2, "remark": "m", "captions": 0}
RECORDING |= {"nodes": 0, "queryable": False, "complete": False}
ACTIVITY = {"times_s": [1.0], "scores": [2.0], "active": [[0.0, 2.0]], "switches": [[1.0, "cut"]]}
TREE = {"recording": 1, "duration_s": 9.0, "width": 2, "captioner": "e"}
HIT = {**EVIDENCE, "score": 1.0}
STATUS = {"version": "1", "watched": ["/w"], "jobs": {"failed": 1}, "current": {"path": "/a"}}


@pytest.mark.parametrize(
    "draw",
    [
        lambda: display.answer(hostile(QUESTION)),
        lambda: display.question(hostile({**QUESTION, "verdict": None})),
        lambda: display.questions(hostile([QUESTION])),
        lambda: display.step(hostile(STEP)),
        lambda: display.jobs(hostile([JOB])),
        lambda: display.recordings(hostile([RECORDING])),
        lambda: display.recording(hostile(RECORDING), hostile(ACTIVITY)),
        lambda: display.hits(hostile([HIT])),
        lambda: display.status(hostile(STATUS)),
        lambda: display.caption_tree({**hostile(TREE), "nodes": [node("(1)", 0, 9, HOSTILE)]}),
    ],
)
def test_no_drawing_lets_a_text_act_on_the_terminal(draw: Callable[[], RenderableType]) -> None:
    text = drawn(draw(), width=4000)

    assert "\\x1b]0;x\\x07\\u202egpj.\\x9b2J[bold]" in text
    assert not any(unicodedata.category(c) in ("Cc", "Cf", "Cs") for c in text if c != "\n")


def test_printed_json_is_the_same_data_and_acts_on_nothing() -> None:
    value = {"a" + HOSTILE: [HOSTILE, "\U000e0041 caf\u00e9 \U0001f600", 1.5, None]}

    text = display.json_text(value)

    assert json.loads(text) == value
    assert "caf\u00e9 \U0001f600" in text
    assert not any(unicodedata.category(c) in ("Cc", "Cf", "Cs") for c in text if c != "\n")
