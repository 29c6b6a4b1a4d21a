"""A real daemon on exported bundles: it captions a clip and answers with random weights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("torch", reason="tiny checkpoints are made with torch (extra export)")
pytest.importorskip("transformers", reason="tiny checkpoints are made with transformers")
pytest.importorskip("onnxruntime_genai", reason="the agent's runtime is not installed (extra cpu)")

from edge_lvr1 import bundle
from edge_lvr1.client import Client
from edge_lvr1.demo.process import DaemonProcess
from edge_lvr1.export.agent import AgentOptions, export_agent
from edge_lvr1.export.captioner import CaptionerOptions, export_captioner
from edge_lvr1.follow import follow_jobs, follow_question
from tests.media_files import steady, video
from tests.tiny_models import make_qwen3
from tests.tiny_vl_models import make_checkpoint

pytestmark = pytest.mark.timeout(600)

QUESTIONS = ["What happens?", "Is there a red car?", "How many people come by?"]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A daemon with an ONNX agent and captioner that cannot both be in memory."""
    folder = tmp_path_factory.mktemp("bundles")
    make_qwen3(folder / "qwen3", context=32768)
    make_checkpoint(folder / "vl", "qwen3_vl")
    agent = export_agent(
        AgentOptions(model=str(folder / "qwen3"), out=folder / "agent", precision="fp32")
    )
    captioner = export_captioner(
        CaptionerOptions(
            model=str(folder / "vl"),
            out=folder / "captioner",
            precision="fp32",
            shapes=("4:3",),
            sides_px=(128,),
        )
    )
    needs = [bundle.load(path).manifest.memory_estimate_mb for path in (agent, captioner)]
    (folder / "edge.toml").write_text(
        f"""
        [tree]
        frames_low = 4
        frames_medium = 6
        frames_high = 8
        words_low = 20
        words_medium = 30
        words_high = 30
        [models]
        agent = "onnx"
        agent_bundle = "{agent}"
        captioner = "onnx"
        captioner_bundle = "{captioner}"
        memory_limit_mb = {sum(needs) - 1}
        [questions]
        max_seconds = 300
        """,
        "utf-8",
    )
    watched = folder / "footage"
    watched.mkdir()
    clip = video(watched / "gate.mp4", steady(80, fps=5.0), gop=10)
    process = DaemonProcess(
        folder / "data", watched, folder / "s", settle_s=0.2, config=folder / "edge.toml"
    )
    with process.running() as client:
        taken = client.ingest(clip)["taken"]
        (job,) = follow_jobs(client, [entry["id"] for entry in taken], None)
        assert job["state"] == "done", job
        yield client


def test_every_node_is_captioned_by_the_exported_captioner(client: Client) -> None:
    tree = client.tree(client.recordings()[0]["id"])

    assert len(tree["nodes"]) == 14
    assert all(node["caption"] for node in tree["nodes"])
    assert all(node["written_by"].startswith(tree["captioner"]) for node in tree["nodes"])
    assert tree["captioner"].startswith("onnx")


@pytest.mark.parametrize("question", QUESTIONS)
def test_not_one_step_is_invalid_on_random_weights(client: Client, question: str) -> None:
    found: dict[str, Any] = follow_question(client, client.ask({"question": question}), None)

    assert found["steps"]
    assert found["invalid_steps"] == 0
    assert found["verdict"] in ("answered", "not_found"), found
    assert found["agent"].startswith("onnx")


def test_options_are_answered_by_one_of_their_letters(client: Client) -> None:
    asked = client.ask({"question": "Which way?", "options": ["left", "right", "up"]})

    found = follow_question(client, asked, None)

    assert found["invalid_steps"] == 0
    if found["verdict"] == "answered":
        assert found["option"] in ("A", "B", "C")


def test_status_tells_which_of_the_two_is_in_memory(client: Client) -> None:
    follow_question(client, client.ask({"question": "Who is there?"}), None)

    models = {model["role"]: model for model in client.status()["models"]}

    assert set(models) == {"agent", "captioner"}
    assert models["agent"]["loaded"]
    assert not models["captioner"]["loaded"], "the limit has room for one of them"
