"""`export tensorrt`: what is decided without a GPU, and Edge-LLM's ONNX export for real."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="checkpoints are made with torch")
pytest.importorskip("transformers", reason="checkpoints are made with transformers")
pytest.importorskip("onnx", reason="graphs are made with onnx")

import torch

from edge_lvr1 import bundle as bundles
from edge_lvr1.bundle import Manifest, write_bundle
from edge_lvr1.errors import BundleError, ModelError
from edge_lvr1.export import checkpoint as checkpoints
from edge_lvr1.export import edgellm, engines
from edge_lvr1.export.edgellm import EDGELLM, EdgeLlmOptions, check_able, stage
from edge_lvr1.export.engines import EngineOptions, Graph, export_engines, provider_options
from edge_lvr1.export.tensorrt import TensorrtOptions, export_tensorrt
from edge_lvr1.export.tool_env import cache_dir, run, tool_env
from edge_lvr1.models.base import Message, Moves
from edge_lvr1.models.chat_server import ChatServer, Endpoint
from edge_lvr1.models.onnx.device import Device, Found, engine_name, find_device, fits
from edge_lvr1.models.onnx.engine import engine_file
from edge_lvr1.models.server import ServerAgent, ServerCaptioner
from tests.export.tiny_embedder import DIMENSION
from tests.tiny_models import make_qwen3
from tests.tiny_server_models import CHAT_TEMPLATE
from tests.tiny_vl_models import make_checkpoint

ORIN = Device("Orin (nvgpu)", "8.7", "10.3.0")
NOTHING = Found()
READY = Found(ORIN.gpu, ORIN.compute_capability, ORIN.tensorrt)


def test_a_gpu_is_found_by_its_driver() -> None:
    printed = "NVIDIA RTX A2000, Laptop, 8.6\nNVIDIA H200, 9.0\n"

    found = find_device(lambda command: printed, lambda: "10.13.3", Path("/nowhere"))

    assert found.device() == Device("NVIDIA RTX A2000, Laptop", "8.6", "10.13.3")


def test_a_jetson_without_nvidia_smi_is_found_by_its_board(tmp_path: Path) -> None:
    board = tmp_path / "model"
    board.write_text("NVIDIA Jetson AGX Orin Developer Kit\0")

    found = find_device(lambda command: "", lambda: "10.3.0", board)

    assert found.compute_capability == "8.7"


@pytest.mark.parametrize("printed", ["", "No devices were found\n", "GPU, [N/A]\n", "\n"])
def test_words_that_are_no_gpu_are_none(printed: str) -> None:
    assert find_device(lambda command: printed, lambda: "", Path("/nowhere")) == Found()


def test_what_is_missing_is_said() -> None:
    assert NOTHING.missing() == (
        "no NVIDIA GPU answers (nvidia-smi finds none)",
        "the package tensorrt cannot be loaded",
    )
    assert Found("GPU", "8.6", "11.0.0").missing() == (
        "TensorRT 11.0.0 is installed and 10 is needed",
    )
    assert READY.missing() == ()


def test_an_engine_is_named_by_graph_precision_and_device() -> None:
    others = [
        Device("Orin", "8.7", "10.3.0"),
        Device(ORIN.gpu, "8.6", "10.3.0"),
        Device(ORIN.gpu, "8.7", "10.4.0"),
    ]
    names = {engine_name("ab" * 32, "fp16", device) for device in [ORIN, *others]}
    names |= {engine_name("cd" * 32, "fp16", ORIN), engine_name("ab" * 32, "fp32", ORIN)}

    assert len(names) == 6
    assert engine_name("ab" * 32, "fp16", ORIN) == engine_name("ab" * 32, "fp16", ORIN)


def test_engines_of_another_device_do_not_fit() -> None:
    assert fits(ORIN.as_extra(), READY) is None
    newer = Found(ORIN.gpu, "8.7", "10.9.0")
    assert fits(ORIN.as_extra(), newer) == (
        "the engines were built for tensorrt 10.3.0 and here it is 10.9.0"
    )
    assert "no NVIDIA GPU" in str(fits(ORIN.as_extra(), NOTHING))


@pytest.mark.parametrize(
    ("changes", "found", "words"),
    [
        ({"build": True}, NOTHING, r"no NVIDIA GPU.*export to ONNX works here"),
        (
            {"build": True},
            Found("H200", "9.0", "10.9.0"),
            r"no runtime for compute capability 9\.0",
        ),
        ({"quantize": "int4_awq"}, NOTHING, "none answers here.*without quantization"),
        ({"quantize": "int3"}, READY, "no quantization 'int3': choose one of int4_awq"),
    ],
)
def test_what_cannot_be_done_here_is_told_with_what_can(
    changes: dict[str, Any], found: Found, words: str, tmp_path: Path
) -> None:
    options = EdgeLlmOptions("model", tmp_path / "out", found=found, **changes)

    with pytest.raises(BundleError, match=words):
        edgellm.export_edgellm(options)


def test_what_can_be_done_is_let_through(tmp_path: Path) -> None:
    check_able(EdgeLlmOptions("model", tmp_path), NOTHING)
    check_able(EdgeLlmOptions("model", tmp_path, quantize="fp8", build=True), READY)


def _agent(folder: Path, dtype: Any = None) -> Path:
    folder.mkdir(parents=True)
    make_qwen3(folder, shards=dtype is None)
    if dtype is not None:
        from transformers import AutoModelForCausalLM

        AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).save_pretrained(folder)
    return folder


def _weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    files = sorted(folder.glob("*.safetensors"))
    return {name: tensor for file in files for name, tensor in load_file(file).items()}


def test_a_checkpoint_is_staged_in_half_with_an_append_only_template(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    source = _agent(tmp_path / "source")

    notes = stage(checkpoints.read(source), tmp_path / "staged", None, tmp_path)

    before, after = _weights(source), _weights(tmp_path / "staged")
    assert {tensor.dtype for tensor in after.values()} == {torch.float16}
    assert all(torch.allclose(before[n].float(), after[n].float(), atol=1e-3) for n in before)
    assert checkpoints.read(tmp_path / "staged").tensors == frozenset(before)
    assert json.loads((tmp_path / "staged/config.json").read_text())["torch_dtype"] == "float16"
    assert "drops reasoning" in notes[0]
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "staged")
    turns = [
        {"role": "user", "content": "What?"},
        {"role": "assistant", "content": "<think>why</think>\n<answer>so</answer>"},
        {"role": "user", "content": "And?"},
    ]
    texts = [tokenizer.apply_chat_template(turns[:count], tokenize=False) for count in (2, 3)]
    assert "<think>why</think>" in texts[0]
    assert texts[1].startswith(texts[0])


def test_numbers_beyond_half_precision_are_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    source = _agent(tmp_path / "source")
    file = sorted(source.glob("*.safetensors"))[0]
    held = {name: tensor.float() * 1e6 for name, tensor in _file(file).items()}
    save_file(held, file, metadata={"format": "pt"})

    with pytest.raises(BundleError, match="beyond float16"):
        stage(checkpoints.read(source), tmp_path / "staged", None, tmp_path)


def _file(file: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return dict(load_file(file))


def test_a_captioner_without_a_chat_template_is_refused(tmp_path: Path) -> None:
    source = make_checkpoint(tmp_path / "source", "qwen3_vl")
    for name in ("chat_template.jinja", "chat_template.json"):
        (source / name).unlink(missing_ok=True)

    with pytest.raises(BundleError, match="has no chat template"):
        stage(checkpoints.read(source), tmp_path / "staged", None, tmp_path)


def _embedder(path: Path, **changes: Any) -> Path:
    extra = {"dimension": DIMENSION, "max_tokens": 48, "pooling": "mean", "normalize": True}
    facts = {"role": "embedder", "runtime": "onnxruntime", "precision": "fp32", **changes}

    def fill(out: Path) -> Manifest:
        (out / "model.onnx").write_bytes(b"graph")
        return Manifest(family="bert", source="tiny", target="cpu", extra=extra, **facts)

    return write_bundle(path, fill).path


@pytest.mark.parametrize("route", engines.ROUTES)
def test_engines_need_a_device_and_say_what_works_without(route: str, tmp_path: Path) -> None:
    bundle = _embedder(tmp_path / "embedder")
    options = TensorrtOptions(str(bundle), tmp_path / "out", route=route, found=NOTHING)

    with pytest.raises(BundleError, match=r"no NVIDIA GPU.*runs on this machine's CPU as it is"):
        export_tensorrt(options)

    assert not (tmp_path / "out").exists()


def test_a_runtime_without_its_provider_is_missing_too(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="its providers are asked for")
    if "TensorrtExecutionProvider" in engines._providers():
        pytest.skip("this onnxruntime has the provider")
    options = EngineOptions(
        _embedder(tmp_path / "embedder"), tmp_path / "out", route="onnxruntime", found=READY
    )

    with pytest.raises(BundleError, match="onnxruntime has no TensorRT provider"):
        export_engines(options)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"role": "agent", "runtime": "onnxruntime-genai"}, "export the checkpoint of an agent"),
        ({"precision": "int8"}, "export the embedder in fp32"),
    ],
)
def test_bundles_that_tensorrt_cannot_take_are_refused(
    changes: dict[str, str], words: str, tmp_path: Path
) -> None:
    bundle = _embedder(tmp_path / "bundle", **changes)

    with pytest.raises(BundleError, match=words):
        export_engines(EngineOptions(bundle, tmp_path / "out", found=READY))


def test_a_bundle_is_not_quantized_as_a_checkpoint_is(tmp_path: Path) -> None:
    bundle = _embedder(tmp_path / "bundle")

    with pytest.raises(BundleError, match="is a bundle: quantizing"):
        export_tensorrt(TensorrtOptions(str(bundle), tmp_path / "out", quantize="fp8"))


def test_an_embedder_is_built_from_one_word_to_a_full_batch(tmp_path: Path) -> None:
    bundle = bundles.load(_embedder(tmp_path / "bundle"))

    [graph] = engines.graphs(bundle, tmp_path)
    asked = provider_options(graph, tmp_path / "cache", ORIN, fp16=True)

    assert asked["trt_profile_min_shapes"].startswith("input_ids:1x1,attention_mask:1x1")
    assert "input_ids:32x48" in asked["trt_profile_max_shapes"]
    assert asked["trt_engine_cache_path"] == str(tmp_path / "cache")
    assert ORIN.key() in asked["trt_engine_cache_prefix"]


def test_a_built_bundle_says_its_device_and_is_to_be_verified_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(graph: Graph, folder: Path, device: Device, fp16: bool) -> dict[str, str]:
        (folder / engine_name(graph.key, "fp16", device)).write_bytes(b"engine")
        return {"graph": graph.file.name}

    monkeypatch.setattr(engines, "build_engine", build)
    bundle = _embedder(tmp_path / "bundle")

    out = export_engines(EngineOptions(bundle, tmp_path / "out", found=READY))

    manifest = bundles.load(out, "embedder").manifest
    assert (manifest.target, manifest.precision) == ("tensorrt", "fp16")
    assert manifest.extra["engines"]["device"] == ORIN.as_extra()
    assert manifest.verification is None
    [engine] = [name for name in manifest.files if name.endswith(".engine")]
    assert engine.startswith("engines/")
    with pytest.raises(ModelError, match=r"cannot run here: .*build it again on this device"):
        engine_file(bundles.load(out), "model.onnx")
    assert engine_file(bundles.load(bundle), "model.onnx") is None


def test_vision_graphs_are_baked_for_each_frame_size(tmp_path: Path) -> None:
    captioner = pytest.importorskip("edge_lvr1.export.captioner")
    ort = pytest.importorskip("onnxruntime", reason="the graphs are run")
    source = make_checkpoint(tmp_path / "source", "qwen3_vl")
    options = captioner.CaptionerOptions(
        str(source), tmp_path / "bundle", precision="fp32", shapes=("4:3", "3:4"), sides_px=(128,)
    )
    bundle = bundles.load(captioner.export_captioner(options))
    folder = tmp_path / "graphs"
    folder.mkdir()

    shapes = []
    for graph in engines.graphs(bundle, folder):
        [patches] = ort.InferenceSession(str(graph.file)).get_inputs()
        largest = graph.profiles[patches.name].largest
        assert list(largest[1:]) == list(patches.shape[1:])
        given = np.zeros(graph.profiles[patches.name].smallest, np.float32)
        assert ort.InferenceSession(str(graph.file)).run(None, {patches.name: given})
        shapes.append((graph.file.name, graph.key))

    assert len(shapes) == len(bundle.manifest.frame_sizes) == 2
    assert len({key for _, key in shapes}) == 2


# --- for real: minutes, gigabytes -------------------------------------------------------


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The user's own cache: what stands there is used, what is made there stays."""
    return cache_dir()


@pytest.mark.slow_export
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("family", ["qwen3", "qwen3_vl", "qwen2_5_vl"])
def test_edge_llm_writes_onnx_of_tiny_checkpoints(family: str, tools: Path, tmp_path: Path) -> None:
    if family == "qwen3":
        source = _agent(tmp_path / "source", torch.bfloat16)
    else:
        source = make_checkpoint(tmp_path / "source", family)
        (source / "chat_template.jinja").write_text(CHAT_TEMPLATE)

    out = export_tensorrt(TensorrtOptions(str(source), tmp_path / "out", cache=tools))

    bundle = bundles.load(out)
    parts = {"llm"} if family == "qwen3" else {"llm", "visual"}
    assert {name.split("/")[0] for name in bundle.manifest.files} == parts
    assert all(f"{part}/model.onnx" in bundle.manifest.files for part in parts)
    assert (bundle.family, bundle.runtime) == (family, "tensorrt-edgellm")
    assert bundle.manifest.extra["form"] == "onnx"
    assert bundle.manifest.versions["tensorrt-edgellm"] == "0.11.0"
    assert _operators(out / "llm" / "model.onnx") & {"trt_edgellm"}


def _operators(file: Path) -> set[str]:
    import onnx

    return {node.domain for node in onnx.load(file, load_external_data=False).graph.node}


@pytest.mark.slow_export
@pytest.mark.timeout(1800)
def test_requests_are_what_edge_llms_own_server_takes(tools: Path, tmp_path: Path) -> None:
    env = tool_env(EDGELLM, tools)
    bodies = [_agent_body(), _captioner_body()]
    (tmp_path / "bodies.json").write_text(json.dumps(bodies))
    found = next(env.path.glob("lib/python*/site-packages/experimental/server/api/protocol.py"))
    shutil.copyfile(found, tmp_path / "protocol.py")  # its package needs the server's extra
    script = (
        "import json, protocol\n"
        "for body in json.load(open('bodies.json')):\n"
        "    read = protocol.ChatCompletionRequest(**body)\n"
        "    print(read.stop_strings, read.enable_thinking, read.guided_decoding is not None)\n"
    )
    (tmp_path / "read.py").write_text(script)

    printed = run([env.python, "read.py"], folder=tmp_path)

    assert printed.splitlines() == [
        "['</tool>', '</answer>'] True True",
        "[] False False",
    ]


def _agent_body() -> dict[str, Any]:
    sent: list[dict[str, Any]] = []
    agent = ServerAgent(_Recorded(sent), constraint="guided_decoding")
    agent.reply([Message("user", "What?")], Moves(4, frozenset()), 1e12)
    return sent[0]


def _captioner_body() -> dict[str, Any]:
    from edge_lvr1.media.frames import Frame

    sent: list[dict[str, Any]] = []
    frame = Frame(0.5, np.zeros((8, 8, 3), np.uint8))
    ServerCaptioner(_Recorded(sent))._ask("Describe.", [frame], 30)
    return sent[0]


class _Recorded(ChatServer):
    """Writes down what would be sent."""

    def __init__(self, sent: list[dict[str, Any]]) -> None:
        super().__init__(Endpoint("http://127.0.0.1:9/v1", "m"), transport=_transport(sent))


def _transport(sent: list[dict[str, Any]]) -> Any:
    import httpx

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(json.loads(request.content))
        return httpx.Response(200, json={"choices": [{"message": {"content": "so"}}]})

    return httpx.MockTransport(answer)
