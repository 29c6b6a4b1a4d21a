"""Agent and captioner take turns on the GPU within a limit, and the card's memory tells so."""

from __future__ import annotations

import math

import pytest

pytest.importorskip("onnxruntime_genai", reason="needs onnxruntime-genai")
pytest.importorskip("torch", reason="the checkpoints are made with torch")
pytest.importorskip("transformers", reason="the checkpoints are made with transformers")
pytest.importorskip("onnx_ir", reason="the bundles are built with the extra 'export'")

from edge_lvr1 import bundle
from edge_lvr1.export.agent import AgentOptions, export_agent
from edge_lvr1.export.captioner import CaptionerOptions, export_captioner
from edge_lvr1.media.frames import Frame
from edge_lvr1.models.base import Message, Moves
from edge_lvr1.models.onnx.agent import AgentSettings, OnnxAgent
from edge_lvr1.models.onnx.captioner import OnnxCaptioner
from edge_lvr1.models.residency import LoadableAgent, Residency, ResidentAgent
from tests.agent_bundles import build_here
from tests.gpu import card
from tests.tiny_vl_models import make_checkpoint, pictures

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> OnnxAgent:
    from edge_lvr1.bench_agent import Shape, make_random

    folder = tmp_path_factory.mktemp("agent")
    shape = Shape(600, 1024, 8192, 10, heads=16, cache_heads=8, head_dim=64)
    make_random(folder / "checkpoint", shape)
    options = AgentOptions(str(folder / "checkpoint"), folder / "fp16", "fp16", "cuda")
    made = bundle.load(export_agent(options, build=build_here))
    return OnnxAgent(made, AgentSettings(thought_tokens=8, context_tokens=1024))


@pytest.fixture(scope="module")
def captioner(tmp_path_factory: pytest.TempPathFactory) -> OnnxCaptioner:
    """Wide enough for its weights to stand out: about 300 MiB in fp32."""
    folder = tmp_path_factory.mktemp("captioner")
    wide = {"intermediate_size": 131072}
    checkpoint = make_checkpoint(folder / "checkpoint", "qwen3_vl", **wide)
    options = CaptionerOptions(str(checkpoint), folder / "fp32", "fp32", "cuda", sides_px=(128,))
    return OnnxCaptioner(bundle.load(export_captioner(options)), "cuda")


def test_two_models_swap_within_the_limit_and_the_memory_comes_back(
    agent: OnnxAgent, captioner: OnnxCaptioner
) -> None:
    limit_mb = max(agent.memory_mb, captioner.memory_mb) + 1
    residency = Residency(limit_mb)
    shared = ResidentAgent(agent, residency)
    residency.add("agent", agent.name, LoadableAgent(agent, shared))
    residency.add("captioner", captioner.name, captioner)
    frames = [Frame(float(index), one) for index, one in enumerate(pictures(2, 72, 128))]

    def reply() -> None:
        session = shared.open()
        session.reply([Message("user", "Where?")], Moves(3, frozenset()), math.inf)
        session.close()

    def look() -> None:
        with residency.using("captioner"):
            captioner.reply(frames, 128, "What?", 2)

    for work in (reply, look):  # what CUDA keeps for itself, once
        work()
    agent.unload()
    captioner.unload()
    empty_mb = card.used_mb()
    residency._loaded.clear()
    taken = []
    for work in (reply, look, reply, look):
        work()
        taken.append(card.used_mb() - empty_mb)
        states = {one.role: one.loaded for one in residency.states()}
        assert sum(states.values()) == 1, states
    captioner.unload()
    left_mb = card.used_mb() - empty_mb

    print(f"agent, captioner, agent, captioner: {taken} MiB; afterwards {left_mb} MiB")
    assert min(taken) > 150
    assert left_mb < 100
    assert abs(taken[2] - taken[0]) < 100
    assert abs(taken[3] - taken[1]) < 100
