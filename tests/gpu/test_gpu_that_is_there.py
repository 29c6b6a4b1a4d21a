"""What the command line says of a GPU, and that one which cannot be used is no silent CPU."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edge_lvr1.config import Models, Settings
from edge_lvr1.doctor import examine
from tests.gpu import card


@pytest.mark.gpu
def test_doctor_names_the_gpu_its_driver_and_the_provider(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, models=Models(provider="cuda"))

    found = {one.name: one for one in examine(settings)}

    assert found["GPU"].ok, found["GPU"]
    assert card.asked("name") in found["GPU"].seen
    assert card.asked("driver_version") in found["GPU"].seen
    assert found["onnxruntime"].ok
    assert "CUDA" in found["onnxruntime"].seen


OPEN = """
import sys
from pathlib import Path
from edge_lvr1.errors import ModelError
from edge_lvr1.models.onnx.genai import load_model
from edge_lvr1.models.onnx.providers import open_session
for opened in (lambda: open_session(Path(sys.argv[1]), "cuda"),
               lambda: load_model(Path(sys.argv[2]), "cuda")):
    try:
        opened()
    except ModelError as error:
        print("refused:", error)
"""


def test_a_gpu_that_is_configured_and_cannot_be_used_is_an_error(tmp_path: Path) -> None:
    """In a process that sees no GPU, whether this machine has one or not."""
    pytest.importorskip("onnxruntime_genai", reason="needs onnxruntime-genai")
    pytest.importorskip("peft", reason="needs the extra 'export'")
    from tests.agent_bundles import random_agent
    from tests.tiny_vl_bundles import exported

    graph = exported("qwen3_vl").path / "vision.onnx"
    agent = random_agent(tmp_path).bundle.path

    done = subprocess.run(
        [sys.executable, "-c", OPEN, str(graph), str(agent)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
    )

    refused = [line for line in done.stdout.splitlines() if line.startswith("refused:")]
    assert len(refused) == 2, (done.stdout, done.stderr)
    assert all("cuda" in line for line in refused)
