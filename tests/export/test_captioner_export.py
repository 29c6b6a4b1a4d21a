from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("torch", reason="exports need torch, of the extra 'export'")
pytest.importorskip("transformers", reason="exports need transformers, of the extra 'export'")
pytest.importorskip("onnxscript", reason="exports need onnxscript, of the extra 'export'")
pytest.importorskip("onnxruntime", reason="bundles run on onnxruntime, of the extra 'cpu'")

import onnx

from edge_lvr1.errors import BundleError
from edge_lvr1.export import vision
from edge_lvr1.export.captioner import (
    CaptionerOptions,
    default_prompts,
    export_captioner,
    frame_sizes,
)
from edge_lvr1.export.checkpoint import Room
from edge_lvr1.export.vision import COS, bake
from edge_lvr1.media.frames import Frame
from edge_lvr1.models.onnx import vl_model
from edge_lvr1.models.onnx.providers import open_session
from edge_lvr1.models.onnx.vl_facts import (
    AFTER_GRID,
    AFTER_MAX,
    DECODER,
    PATCHES,
    VISION,
    constants_file,
)
from edge_lvr1.models.onnx.vl_prompt import Prompt, Shown, build_prompt
from tests.tiny_vl_bundles import captioner, checkpoint, exported, reference
from tests.tiny_vl_models import FAMILIES, pictures

REQUEST = "What happens between 10.0 and 20.0 s?"
TOKENS = 32
SHAPES = [0, 3, 4]  # 16:9, 4:3 and portrait, of the six frame sizes
COUNTS = [4, 7, 2]


def frames(shown: Sequence[NDArray[np.uint8]]) -> list[Frame]:
    return [Frame(10 + 1.3 * index, picture) for index, picture in enumerate(shown)]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("shape", "count"), list(zip(SHAPES, COUNTS, strict=True)))
def test_replies_of_the_fp32_bundle_are_torchs_token_for_token(
    family: str, shape: int, count: int
) -> None:
    model, torch_side = captioner(family), reference(family)
    size = model.sizes[shape]
    shown = pictures(count, *size, seed=shape)
    times_s = [frame.time_s for frame in frames(shown)]

    ids = model.reply(frames(shown), max(size), REQUEST, TOKENS)

    wanted = torch_side.greedy(shown, size, times_s, REQUEST, model.prompts["system"], TOKENS)
    ends = [index for index, token in enumerate(wanted) if token in model.facts.stops]
    assert ids == wanted[: ends[0] if ends else None]
    assert len(set(ids)) > 2, "a reply that says one thing over and over shows little"


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_written_depends_on_what_is_shown(family: str) -> None:
    model = captioner(family)
    height, width = model.sizes[0]

    first = model.reply(frames(pictures(4, height, width, seed=1)), width, REQUEST, TOKENS)
    second = model.reply(frames(pictures(4, height, width, seed=2)), width, REQUEST, TOKENS)
    turned = frames(pictures(4, height, width, seed=1)[::-1])
    backwards = model.reply(turned, width, REQUEST, TOKENS)

    assert first != second
    assert first != backwards


def test_without_deepstack_other_logits_come_out() -> None:
    model = captioner("qwen3_vl").model
    shown = pictures(2, 128, 192)
    seen = model.see(shown)
    assert seen.deepstack is not None
    prompt = captioner_prompt(6, 4)
    found: list[NDArray[np.float32]] = []

    def keep(logits: NDArray[np.float32]) -> int:
        found.append(np.array(logits))
        return 0

    next(model.write(prompt, seen, keep))
    next(model.write(prompt, type(seen)(seen.tokens, None), keep))

    assert np.abs(found[0] - found[1]).max() > 0.1


def captioner_prompt(columns: int, rows: int) -> Prompt:
    model = captioner("qwen3_vl")
    return build_prompt(model.facts, model.words, "", REQUEST, Shown((0.0, 1.0), rows, columns))


@pytest.mark.parametrize("family", FAMILIES)
def test_fp32_graphs_hold_standard_operators_only(family: str) -> None:
    for name in (VISION, DECODER):
        graph = onnx.load(exported(family).path / name, load_external_data=False)

        assert {node.domain for node in graph.graph.node} <= {"", "ai.onnx"}


def test_graphs_do_not_tell_of_the_machine_that_wrote_them() -> None:
    for file in exported("qwen3_vl").path.glob("*.onnx"):
        assert b"/" + Path(__file__).parts[1].encode() + b"/" not in file.read_bytes()


def test_int4_bundles_run_and_are_smaller() -> None:
    small, whole = exported("qwen3_vl", "int4"), exported("qwen3_vl")
    model = captioner("qwen3_vl", "int4")

    ids = model.reply(frames(pictures(4, 96, 192)), 192, REQUEST, TOKENS)

    assert ids
    weights = [item.path / (DECODER + ".data") for item in (small, whole)]
    assert weights[0].stat().st_size < weights[1].stat().st_size / 4
    graph = onnx.load(small.path / DECODER, load_external_data=False)
    assert sum(node.op_type == "MatMulNBits" for node in graph.graph.node) == 3 * 7 + 1
    assert all(file.stat().st_mode & 0o044 == 0o044 for file in small.path.iterdir())


def test_fp16_bundles_stay_near_fp32() -> None:
    half, whole = captioner("qwen2_5_vl", "fp16"), captioner("qwen2_5_vl")
    shown = pictures(4, 84, 112)

    difference = np.abs(half.model.see(shown).tokens - whole.model.see(shown).tokens).max()
    ids = half.reply(frames(shown), 112, REQUEST, TOKENS)

    assert difference < 0.02
    assert ids
    assert (half.facts.cache_dtype, half.facts.text_after) == ("float16", AFTER_MAX)
    assert whole.facts.text_after == AFTER_GRID


@pytest.mark.parametrize("family", FAMILIES)
def test_a_baked_graph_sees_what_the_free_one_does(family: str, tmp_path: Path) -> None:
    made = exported(family)
    size = made.manifest.frame_sizes[0]
    with np.load(made.path / constants_file(*size)) as stored:
        constants = dict(stored)
    graph = bake(onnx.load(made.path / VISION), constants)
    onnx.save(graph, tmp_path / "baked.onnx")
    values = np.random.default_rng(0).normal(size=(3, len(constants[COS]), 1)).astype(np.float32)
    width = next(i for i in graph.graph.input).type.tensor_type.shape.dim[2].dim_value
    values = np.repeat(values, width, axis=2)

    baked = open_session(tmp_path / "baked.onnx", "cpu", 2).run(None, {PATCHES: values})
    free = open_session(made.path / VISION, "cpu", 2).run(None, {PATCHES: values, **constants})

    assert [entry.name for entry in graph.graph.input] == [PATCHES]
    for one, other in zip(baked, free, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_long_prompts_are_read_in_pieces_to_the_same_end(monkeypatch: pytest.MonkeyPatch) -> None:
    model = captioner("qwen3_vl")
    shown = frames(pictures(12, 96, 192))
    whole = model.reply(shown, 192, REQUEST, TOKENS)
    monkeypatch.setattr(vl_model, "TOKENS_AT_ONCE", 11)
    monkeypatch.setattr(vl_model, "SLICES_AT_ONCE", 1)

    assert model.reply(shown, 192, REQUEST, TOKENS) == whole


def test_manifest_tells_what_a_person_and_the_runtime_need() -> None:
    manifest = exported("qwen3_vl").manifest

    assert manifest.role == "captioner"
    assert manifest.frame_sizes == (
        (64, 128),
        (96, 192),
        (96, 128),
        (128, 192),
        (128, 64),
        (192, 96),
    )
    assert manifest.context_tokens == 4096
    assert manifest.sampling["temperature"] == 0.7
    assert manifest.memory_estimate_mb > 0
    assert "before each two frames stands their time" in manifest.prompts["caption"]
    assert "evenly spaced" in default_prompts("qwen2_5_vl")["query"]
    assert {"vision.onnx", "decoder.onnx.data", "tokenizer.json"} <= set(manifest.files)


def test_default_frame_sizes_are_multiples_near_what_was_asked() -> None:
    sizes = frame_sizes(("16:9", "4:3", "9:16"), (512, 362, 256), 28)

    assert sizes[0] == (280, 504)
    assert sizes[3] == (392, 504)
    assert sizes[6] == (504, 280)
    assert all(side % 28 == 0 for size in sizes for side in size)
    assert len(sizes) == 9


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"precision": "bf16"}, "precision 'bf16'.*fp32, fp16, int4"),
        ({"target": "tpu"}, "target 'tpu'.*cpu, cuda"),
        ({"shapes": ("wide",)}, "'wide' is not a frame's shape"),
        ({"shapes": ("1:nan",)}, "not a frame's shape"),
        ({"shapes": ()}, "at least one shape"),
        ({"sides_px": (0,)}, "at least one shape"),
        ({"prompts": {"capton": "x"}}, "no prompt 'capton'"),
        ({"text_after": "end"}, "rule for text"),
        ({"model": "nowhere"}, "nowhere"),
        ({"room": Room(disk_bytes=1 << 40, memory_bytes=1 << 20)}, "not enough memory"),
        ({"room": Room(disk_bytes=1 << 20, memory_bytes=1 << 40)}, "not enough disk"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_written(
    changes: dict[str, object], says: str, tmp_path: Path
) -> None:
    given = {"model": str(checkpoint("qwen3_vl")), "out": tmp_path / "out", **changes}
    options = CaptionerOptions(**given)  # type: ignore[arg-type]

    with pytest.raises(BundleError, match=says):
        export_captioner(options)

    assert not list(tmp_path.iterdir())


def test_another_architecture_is_named_with_what_is_supported(tmp_path: Path) -> None:
    folder = copy(checkpoint("qwen3_vl"), tmp_path / "model")
    config = json.loads((folder / "config.json").read_text("utf-8"))
    config["architectures"] = ["LlavaForConditionalGeneration"]
    (folder / "config.json").write_text(json.dumps(config), "utf-8")

    with pytest.raises(BundleError, match=r"LlavaForConditionalGeneration.*Qwen3VL"):
        export_captioner(CaptionerOptions(str(folder), tmp_path / "out"))


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    folder = copy(checkpoint("qwen2_5_vl"), tmp_path / "model")
    shard = sorted(folder.glob("model-*.safetensors"))[1]
    shard.unlink()

    with pytest.raises(BundleError, match=shard.name):
        export_captioner(CaptionerOptions(str(folder), tmp_path / "out"))


@pytest.mark.parametrize(
    ("lost", "says"),
    [("tokenizer.json", "has no tokenizer.json"), ("preprocessor_config.json", "cannot be read")],
)
def test_a_file_that_is_missing_or_broken_leaves_no_bundle(
    lost: str, says: str, tmp_path: Path
) -> None:
    folder = copy(checkpoint("qwen2_5_vl"), tmp_path / "model")
    if lost == "tokenizer.json":
        (folder / lost).unlink()
    else:
        (folder / lost).write_text("{", "utf-8")

    with pytest.raises(BundleError, match=says):
        export_captioner(CaptionerOptions(str(folder), tmp_path / "out"))

    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_an_interrupted_export_leaves_nothing_to_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*given: object, **named: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(vision, "write_graph", interrupt)

    with pytest.raises(KeyboardInterrupt):
        export_captioner(CaptionerOptions(str(checkpoint("qwen3_vl")), tmp_path / "out"))

    assert not list(tmp_path.iterdir())


def copy(source: Path, target: Path) -> Path:
    shutil.copytree(source, target)
    return target
