"""`eval` and `trajectories export` as a user types them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from edge_lvr1.cli import app
from tests.evaluate.made import write_captions


def rows(*videos: str) -> list[dict[str, Any]]:
    return [
        {
            "qid": f"q{number}",
            "video_uid": video,
            "question": "What does the dog catch?",
            "choices": ["a yellow ball", "a stick"],
            "right_answer": "A",
            "clue_intervals": [[30, 40]],
        }
        for number, video in enumerate(videos)
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_captions(tmp_path / "captions", "a", "b")
    (tmp_path / "q.json").write_text(json.dumps(rows("a", "b", "b", "gone")), "utf-8")
    return tmp_path


def evaluate(folder: Path, *more: str, captions: str = "captions") -> Result:
    words = ["eval", "--dataset", "cg-bench", "--questions", str(folder / "q.json")]
    words += ["--captions", str(folder / captions), *more]
    return CliRunner().invoke(app, words)


def test_json_has_the_figures(folder: Path) -> None:
    result = evaluate(folder, "--baselines", "--json", "--rounds", "6")

    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert (told["questions"], told["max_rounds"], told["agent"]) == (4, 6, "embedded")
    assert told["verdicts"]["failed"] == 1
    assert told["baselines"]["flat_bm25"]["accuracy"] == 0.75
    assert "gone): they count as wrong" in result.stderr.replace("\n", " ")


def test_videos_without_captions_can_be_left_out(folder: Path) -> None:
    told = json.loads(evaluate(folder, "--captioned-only", "--json").stdout)

    assert (told["questions"], told["verdicts"]["failed"]) == (3, 0)


def test_limit_takes_the_first(folder: Path) -> None:
    assert json.loads(evaluate(folder, "--limit", "2", "--json").stdout)["questions"] == 2


def test_tables_results_and_plots_are_written(folder: Path) -> None:
    plots, kept = folder / "plots", folder / "r.jsonl"
    result = evaluate(folder, "--plots", str(plots), "--results", str(kept), "--no-hints")

    assert result.exit_code == 0, result.output
    assert "4 questions about 3 videos" in result.stdout
    assert len(kept.read_bytes().splitlines()) == 4
    assert len(list(plots.glob("*.png"))) == 2

    before = kept.read_bytes()
    evaluate(folder, "--results", str(kept), "--no-hints")
    assert kept.read_bytes() == before

    out = folder / "train.json"
    words = ["trajectories", "export", "--results", str(kept), "--output", str(out)]
    exported = CliRunner().invoke(app, words)
    assert exported.exit_code == 0, exported.output
    assert "dataset_info.json" in exported.stdout
    assert json.loads(out.read_text("utf-8"))[0]["conversations"][0]["from"] == "human"


@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        (("--dataset", "cgbench"), 1, "did you mean cg-bench"),
        (("--agent", "embeded"), 2, "models.agent"),
        (("--workers", "2", "--agent", "onnx"), 2, "one process only"),
        (("--questions", "nowhere.json"), 3, "there is no file nowhere.json"),
        (("--captions", "nowhere"), 1, "there is no folder nowhere"),
    ],
)
def test_what_cannot_be_measured_is_one_sentence(
    folder: Path, more: tuple[str, ...], code: int, said: str
) -> None:
    result = evaluate(folder, *more)

    assert result.exit_code == code, result.output
    assert said in " ".join(result.stderr.split())


def test_captions_of_no_video_are_refused(folder: Path) -> None:
    write_captions(folder / "others", "x")

    result = evaluate(folder, captions="others")

    assert result.exit_code == 1
    assert "no captions of any video" in " ".join(result.stderr.split())


def test_without_captions_and_archive_nothing_is_made(folder: Path) -> None:
    words = ["eval", "--dataset", "cg-bench", "--questions", str(folder / "q.json")]
    result = CliRunner().invoke(app, [*words, "--data", str(folder / "data")])

    assert result.exit_code == 3
    assert "there is no archive at" in " ".join(result.stderr.split())
    assert not (folder / "data").exists()
    exported = CliRunner().invoke(
        app,
        ["trajectories", "export", "-o", str(folder / "t"), "--data", str(folder / "data")],
    )
    assert exported.exit_code == 3
