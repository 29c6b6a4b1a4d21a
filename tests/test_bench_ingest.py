from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge_lvr1.bench_ingest import bench_ingest
from edge_lvr1.cli import app
from edge_lvr1.config import Settings
from edge_lvr1.errors import NotFoundError
from edge_lvr1.told import NOT_FOUND
from tests.media_files import steady, video


def test_every_part_of_taking_a_folder_in_is_measured(tmp_path: Path) -> None:
    for name in ("a", "b"):
        video(tmp_path / f"{name}.mp4", steady(80, fps=5.0), gop=10)

    found = bench_ingest(tmp_path, Settings(data=tmp_path / "data")).figures

    assert (found["files"], found["footage_s"]) == (2, pytest.approx(32.0))
    assert found["nodes"] == found["calls_made"] + found["calls_saved"] == 28
    assert found["calls_share_gate_off"] == 1.0
    told = ("decode_s", "survey_s", "frames_s", "build_s", "model_frames_s", "once_per_node_s")
    assert all(found[name] > 0 for name in told)


def test_bench_prints_json_and_says_where_there_is_nothing(tmp_path: Path) -> None:
    video(tmp_path / "a.mp4", steady(40, fps=5.0))
    runner = CliRunner()

    shown = runner.invoke(app, ["bench", "ingest", str(tmp_path), "--json", "--no-once-per-node"])
    nothing = runner.invoke(app, ["bench", "ingest", str(tmp_path / "missing")])

    assert json.loads(shown.stdout)["once_per_node_s"] is None
    assert nothing.exit_code == NOT_FOUND
    with pytest.raises(NotFoundError, match="no footage at"):
        bench_ingest(tmp_path / "missing", Settings(data=tmp_path / "data"))
