"""From a checkpoint to a verified agent bundle."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("onnxruntime_genai", reason="needs onnxruntime-genai")
pytest.importorskip("torch", reason="needs the extra 'export'")
pytest.importorskip("transformers", reason="needs the extra 'export'")
pytest.importorskip("peft", reason="needs the extra 'export'")

from edge_lvr1 import prompts
from edge_lvr1.bundle import Bundle, load, update_manifest
from edge_lvr1.errors import BundleError, ModelError
from edge_lvr1.export.agent import AgentOptions, cache_bytes, export_agent, sampling_defaults
from edge_lvr1.export.inspect import describe
from edge_lvr1.export.report import Bound, judge
from edge_lvr1.export.verify import VerifyOptions, comparison_for, verify_bundle
from edge_lvr1.export.verify_agent import bounds_for
from edge_lvr1.models.base import Message
from edge_lvr1.models.onnx.agent import AgentSettings, OnnxAgent
from tests import agent_bundles
from tests.agent_bundles import build_here
from tests.tiny_models import SYSTEM, make_qwen3

# peft asks transformers for something under its old name.
pytestmark = pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.*:FutureWarning")

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def rand(tmp_path_factory: pytest.TempPathFactory) -> agent_bundles.Random:
    return agent_bundles.random_agent(tmp_path_factory.getbasetemp())


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> agent_bundles.Navigator:
    return agent_bundles.navigator(tmp_path_factory.getbasetemp())


def copy_of(bundle: Bundle, out: Path) -> Path:
    shutil.copytree(bundle.path, out)
    return out


def test_the_manifest_says_what_the_bundle_is(rand: agent_bundles.Random) -> None:
    manifest = rand.bundle.manifest

    assert (manifest.role, manifest.family, manifest.runtime) == (
        "agent",
        "qwen3",
        "onnxruntime-genai",
    )
    assert (manifest.precision, manifest.target) == ("fp32", "cpu")
    assert manifest.context_tokens == 4096
    assert manifest.chat == "append-only"
    assert manifest.prompts == {"system": prompts.SYSTEM}
    assert manifest.tools == ("get_caption", "video_qa")
    assert manifest.sampling == {
        "do_sample": True,
        "temperature": 0.6,
        "top_p": 0.95,
        "top_k": 20,
        "seed": 0,
    }
    assert {"torch", "transformers", "onnxruntime-genai"} <= set(manifest.versions)
    assert manifest.memory_estimate_mb > 0
    assert {"model.onnx", "model.onnx.data", "tokenizer.json"} <= set(manifest.files)


def test_the_user_is_told_that_the_template_drops_reasoning(rand: agent_bundles.Random) -> None:
    assert any("drops reasoning" in note for note in rand.notes)
    assert any("drops reasoning" in note for note in rand.bundle.manifest.extra["notes"])


def test_nothing_of_this_machine_stands_in_a_bundle(rand: agent_bundles.Random) -> None:
    folder = str(rand.bundle.path.parent)

    for file in rand.bundle.path.iterdir():
        assert folder.encode() not in file.read_bytes(), file.name
    assert rand.bundle.manifest.source == rand.checkpoint.name


def test_an_embedder_is_verified_by_its_own_export() -> None:
    with pytest.raises(BundleError, match="compared while it is exported"):
        comparison_for("embedder")
    assert comparison_for("agent").__name__ == "compare_agent"


def test_a_system_prompt_of_ones_own_goes_into_the_bundle(trained: agent_bundles.Navigator) -> None:
    assert trained.fp32.manifest.prompts == {"system": SYSTEM}


def test_the_bundles_system_prompt_stands_in_for_the_callers(
    trained: agent_bundles.Navigator,
) -> None:
    taught = trained.rounds[0]
    other = (Message("system", "Something else."), *taught.messages[1:])

    reply = OnnxAgent(trained.fp32).open().reply(other, taught.moves, time.monotonic() + 60)

    assert reply == taught.reply


def test_tied_embeddings_give_the_same_replies_as_torch(tmp_path: Path) -> None:
    make_qwen3(tmp_path / "model", tied=True, seed=3)
    options = AgentOptions(str(tmp_path / "model"), tmp_path / "agent", precision="fp32")

    export_agent(options, build=build_here)

    report = verify_bundle(VerifyOptions(tmp_path / "agent", str(tmp_path / "model")))
    assert report.passed, report.reason
    assert report.figures["conversation_alike"] == 1.0


def test_an_adapter_is_merged(tmp_path: Path) -> None:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    make_qwen3(tmp_path / "model", seed=4)
    torch.manual_seed(5)
    tuned = get_peft_model(
        AutoModelForCausalLM.from_pretrained(tmp_path / "model"),
        LoraConfig(r=4, target_modules=["q_proj", "down_proj"], init_lora_weights=False),
    )
    tuned.save_pretrained(str(tmp_path / "adapter"))
    tuned.merge_and_unload().save_pretrained(tmp_path / "merged")
    for file in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copyfile(tmp_path / "model" / file, tmp_path / "merged" / file)
    options = AgentOptions(
        str(tmp_path / "model"),
        tmp_path / "agent",
        precision="fp32",
        adapter=tmp_path / "adapter",
    )

    export_agent(options, build=build_here)

    assert load(tmp_path / "agent").manifest.extra["adapter"] == "adapter"
    merged = verify_bundle(VerifyOptions(tmp_path / "agent", str(tmp_path / "merged")))
    assert merged.passed, merged.reason
    base = verify_bundle(VerifyOptions(tmp_path / "agent", str(tmp_path / "model")))
    assert not base.passed
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_an_adapter_that_does_not_fit_is_refused(
    tmp_path: Path, rand: agent_bundles.Random
) -> None:
    (tmp_path / "adapter").mkdir()
    options = AgentOptions(
        str(rand.checkpoint), tmp_path / "agent", precision="fp32", adapter=tmp_path / "adapter"
    )

    with pytest.raises(BundleError, match="no adapter_config"):
        export_agent(options, build=build_here)
    with pytest.raises(BundleError, match="no adapter folder"):
        export_agent(replace(options, adapter=tmp_path / "nowhere"))
    assert not (tmp_path / "agent").exists()


def test_a_build_for_a_gpu_is_written_here_and_refused_to_run_here(
    tmp_path: Path, rand: agent_bundles.Random
) -> None:
    import onnxruntime_genai

    options = AgentOptions(
        str(rand.checkpoint), tmp_path / "agent", precision="fp16", target="cuda"
    )

    export_agent(options, build=build_here)

    bundle = load(tmp_path / "agent", "agent")
    assert bundle.manifest.target == "cuda"
    assert "cuda" in (tmp_path / "agent" / "genai_config.json").read_text()
    if not onnxruntime_genai.is_cuda_available():
        with pytest.raises(ModelError, match="on cuda"):
            OnnxAgent(bundle).open()


def test_an_interrupted_build_leaves_nothing(tmp_path: Path, rand: agent_bundles.Random) -> None:
    def interrupted(model: Path, out: Path, *_: object) -> None:
        (out / "model.onnx").write_bytes(b"half")
        raise KeyboardInterrupt

    options = AgentOptions(str(rand.checkpoint), tmp_path / "agent", precision="fp32")

    with pytest.raises(KeyboardInterrupt):
        export_agent(options, build=interrupted)

    assert list(tmp_path.iterdir()) == []


def test_a_failing_build_says_what_the_builder_said(
    tmp_path: Path, rand: agent_bundles.Random
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(rand.checkpoint, broken)
    config = json.loads((broken / "config.json").read_text())
    (broken / "config.json").write_text(json.dumps({**config, "hidden_act": "no-such-act"}))

    with pytest.raises(BundleError, match=r"model builder failed .*no-such-act"):
        export_agent(AgentOptions(str(broken), tmp_path / "agent", precision="fp32"))

    assert not (tmp_path / "agent").exists()


# --- verification ---


def test_fp32_passes_and_says_so_in_the_manifest(
    tmp_path: Path, trained: agent_bundles.Navigator
) -> None:
    out = copy_of(trained.fp32, tmp_path / "agent")

    report = verify_bundle(VerifyOptions(out, str(trained.checkpoint)))

    assert report.passed, report.reason
    assert report.figures["logits_difference"] < 1e-4
    assert report.figures["agreement"] == 1.0
    stored = load(out).manifest.verification
    assert stored is not None
    assert stored["passed"] is True
    assert stored["figures"]["tokens"] > 500


def test_int4_is_reported_as_agreement_and_perplexity(
    tmp_path: Path, trained: agent_bundles.Navigator
) -> None:
    out = copy_of(trained.int4, tmp_path / "agent")

    report = verify_bundle(VerifyOptions(out, str(trained.checkpoint)))

    assert set(report.bounds) == {"tokenized_alike", "agreement", "perplexity_change"}
    assert 0.5 < report.figures["agreement"] <= 1.0
    assert report.figures["logits_difference"] > 1e-3, "int4 is not fp32"


def test_a_bundle_of_other_weights_fails_and_is_refused(
    tmp_path: Path, rand: agent_bundles.Random
) -> None:
    make_qwen3(tmp_path / "other", seed=9)
    out = copy_of(rand.bundle, tmp_path / "agent")

    report = verify_bundle(VerifyOptions(out, str(tmp_path / "other")))

    assert not report.passed
    with pytest.raises(BundleError, match="failed its verification"):
        load(out)
    assert load(out, allow_failed=True).role == "agent"


def test_a_checkpoint_with_another_vocabulary_is_said_not_to_be_the_original(
    rand: agent_bundles.Random, trained: agent_bundles.Navigator
) -> None:
    with pytest.raises(BundleError, match="was not made from it"):
        verify_bundle(VerifyOptions(rand.bundle.path, str(trained.checkpoint)))


def test_figures_are_held_to_their_bounds() -> None:
    bounds = {"a": Bound("the a", at_most=1.0), "b": Bound("the b", at_least=0.5)}

    assert judge("x", {"a": 1.0, "b": 0.5}, bounds).passed
    assert "the a is 2, at most 1" in judge("x", {"a": 2.0, "b": 1.0}, bounds).reason
    assert "the b is 0.4, at least 0.5" in judge("x", {"a": 0.0, "b": 0.4}, bounds).reason
    assert not judge("x", {"a": float("nan"), "b": 1.0}, bounds).passed
    assert not judge("x", {"a": 0.0}, bounds).passed


def test_bounds_are_looser_where_the_original_ran_in_less_than_float32() -> None:
    exact, loose = bounds_for("fp32", exact=True), bounds_for("fp32", exact=False)

    assert exact["logits_difference"].at_most == 1e-3
    assert loose["logits_difference"] == bounds_for("bf16", exact=True)["logits_difference"]


# --- inspection ---


def test_inspection_shows_what_a_person_asks(
    tmp_path: Path, trained: agent_bundles.Navigator
) -> None:
    out = copy_of(trained.int4, tmp_path / "agent")

    shown = dict(describe(out))

    assert shown["role"] == "agent, qwen3"
    assert shown["precision"] == "int4"
    assert shown["runs on"] == "onnxruntime-genai, cpu"
    assert shown["context"] == "2048 tokens"
    assert shown["verified"].startswith("not yet")
    assert shown["state"] == "whole"


def test_inspection_shows_damage_and_failure(tmp_path: Path, rand: agent_bundles.Random) -> None:
    out = copy_of(rand.bundle, tmp_path / "agent")
    bundle = load(out)
    report = {"passed": False, "reason": "no good", "figures": {"agreement": 0.5}}
    update_manifest(bundle, replace(bundle.manifest, verification=report))
    (out / "model.onnx.data").unlink()

    shown = dict(describe(out))

    assert "FAILED: no good" in shown["verified"]
    assert "agreement 0.5" in shown["verified"]
    assert "model.onnx.data is missing" in shown["state"]


# --- what goes into the manifest ---


def test_generation_defaults_are_carried_over() -> None:
    generation = {"temperature": 0.6, "top_p": None, "eos_token_id": [1, 2], "do_sample": True}

    assert sampling_defaults(generation) == {"temperature": 0.6, "do_sample": True, "seed": 0}


def test_the_cache_of_qwen3_8b_is_as_large_as_it_is() -> None:
    config = {"num_hidden_layers": 36, "num_key_value_heads": 8, "head_dim": 128}
    config |= {"num_attention_heads": 32, "hidden_size": 4096}

    assert cache_bytes(config, "cuda", 1) == 36 * 8 * 128 * 2 * 2
    assert cache_bytes(config, "cpu", 16384) == 36 * 8 * 128 * 2 * 4 * 16384


def test_the_runtime_needs_no_torch(rand: agent_bundles.Random) -> None:
    script = (
        "import sys, time\nfrom pathlib import Path\n"
        "from edge_lvr1.bundle import load\n"
        "from edge_lvr1.models.base import Message, Moves\n"
        "from edge_lvr1.models.onnx.agent import OnnxAgent\n"
        "session = OnnxAgent(load(Path(sys.argv[1]))).open()\n"
        "moves = Moves(2, frozenset())\n"
        "reply = session.reply([Message('user', 'Hm?')], moves, time.monotonic() + 60)\n"
        "assert reply.startswith('<think>'), reply\n"
        "heavy = {'torch', 'transformers', 'onnx', 'edge_lvr1.navigator'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )

    subprocess.run([sys.executable, "-c", script, str(rand.bundle.path)], cwd=ROOT, check=True)


def test_the_agents_settings_may_shorten_the_context_but_not_stretch_it(
    rand: agent_bundles.Random,
) -> None:
    short = OnnxAgent(rand.bundle, AgentSettings(context_tokens=500))
    long = OnnxAgent(rand.bundle, AgentSettings(context_tokens=10**6))

    assert short._limits().context_tokens == 500
    assert long._limits().context_tokens == 4096


def test_a_tool_that_there_is_not_cannot_be_declared(tmp_path: Path) -> None:
    options = AgentOptions("none", tmp_path / "agent", more_tools=("open_door",))

    with pytest.raises(BundleError, match="no tool 'open_door'; known: count_objects"):
        export_agent(options)
