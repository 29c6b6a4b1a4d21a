"""The captioner on CUDA: the same replies as on the CPU, and truly computed on the GPU."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="the bundles of these tests are exported with torch")
pytest.importorskip("transformers", reason="the bundles of these tests are exported with it")
pytest.importorskip("onnxscript", reason="the bundles of these tests are exported with it")
pytest.importorskip("onnxruntime", reason="bundles run on onnxruntime")

from edge_lvr1 import bundle
from edge_lvr1.bundle import Bundle
from edge_lvr1.export.captioner import CaptionerOptions, export_captioner
from edge_lvr1.media.frames import Frame
from edge_lvr1.models.onnx import providers
from edge_lvr1.models.onnx.captioner import OnnxCaptioner
from edge_lvr1.models.onnx.preprocess import fit
from edge_lvr1.models.onnx.sampling import Sampling
from edge_lvr1.models.onnx.vl_facts import VISION
from edge_lvr1.models.onnx.vl_prompt import Shown, build_prompt
from tests.tiny_vl_bundles import SIDES_PX, checkpoint, exported, folder
from tests.tiny_vl_models import FAMILIES, pictures

pytestmark = pytest.mark.gpu

CUDA = "CUDAExecutionProvider"


def on(provider: str, made: Bundle) -> OnnxCaptioner:
    return OnnxCaptioner(made, provider, sampling=Sampling())


def for_cuda(family: str, precision: str) -> Bundle:
    out = folder() / f"{family}-{precision}-cuda"
    if not out.exists():
        options = CaptionerOptions(
            str(checkpoint(family)), out, precision, "cuda", sides_px=SIDES_PX[family]
        )
        export_captioner(options)
    return bundle.load(out, "captioner")


def still(count: int = 4) -> list[Frame]:
    return [Frame(float(index), picture) for index, picture in enumerate(pictures(count, 96, 192))]


def first_logits(model: OnnxCaptioner) -> Any:
    """Logits [words] after a clip and a request."""
    frames = [picture.image for picture in still()]
    size = model.sizes[0]
    side = model.facts.side_px
    shown = Shown((0.0, 1.0, 2.0, 3.0), size[0] // side, size[1] // side)
    prompt = build_prompt(model.facts, model.words, "", "What happens here?", shown)
    seen = model.model.see([fit(frame, *size) for frame in frames])
    found: list[Any] = []
    next(model.model.write(prompt, seen, lambda logits: found.append(logits) or 0))
    return found[0]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_greedy_reply_is_the_cpus_token_for_token(family: str) -> None:
    made = exported(family)
    asked = (still(), SIDES_PX[family][1], "What happens here?", 40)

    replies = [on(provider, made).reply(*asked) for provider in ("cpu", "cuda")]

    assert len(replies[0]) > 3
    assert replies[0] == replies[1]


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int4"])
@pytest.mark.parametrize("family", FAMILIES)
def test_logits_are_those_of_the_same_bundle_on_the_cpu(family: str, precision: str) -> None:
    made = for_cuda(family, precision)

    here, there = (first_logits(on(provider, made)) for provider in ("cuda", "cpu"))

    apart = float(np.abs(here - there).max() / np.abs(there).max())
    print(f"{family} {precision}: logits {apart:.1e} apart, as a share of the largest")
    assert apart < (1e-5 if precision == "fp32" else 0.03)


@pytest.mark.parametrize("family", FAMILIES)
def test_products_and_the_cache_are_computed_on_the_gpu(
    family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the runtime's own profile of each node, not by what a session says of itself."""
    package = providers.onnxruntime()
    plain = package.SessionOptions

    def profiled() -> Any:
        options = plain()
        options.enable_profiling = True
        options.profile_file_prefix = str(tmp_path / "profile")
        return options

    monkeypatch.setattr(package, "SessionOptions", profiled)
    model = on("cuda", for_cuda(family, "fp32"))

    model.reply(still(), SIDES_PX[family][1], "What happens here?", 6)

    for session in (model.model._vision, model.model._decoder):
        assert session.get_providers()[0] == CUDA
        ran = where_nodes_ran(Path(session.end_profiling()))
        assert {one for kind, one in ran if kind in ("MatMul", "Gemm", "Softmax")} == {CUDA}
        assert ("MatMul", CUDA) in ran


def where_nodes_ran(profile: Path) -> set[tuple[str, str]]:
    """(operator, provider) of every node that was run."""
    events = json.loads(profile.read_text("utf-8"))
    told = [event["args"] for event in events if event.get("cat") == "Node"]
    return {(one["op_name"], one["provider"]) for one in told if one.get("provider")}


def test_a_session_opened_on_cuda_says_so() -> None:
    session = providers.open_session(exported("qwen3_vl").path / VISION, "cuda")

    assert session.get_providers()[0] == CUDA
