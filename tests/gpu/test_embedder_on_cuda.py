"""The embedder on CUDA: vectors as on the CPU, within what another order of sums gives."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="the original is made by torch")
pytest.importorskip("transformers", reason="the original is a transformers model")
pytest.importorskip("onnxscript", reason="the graph is written with it")
pytest.importorskip("onnxruntime", reason="bundles run on onnxruntime")

from edge_lvr1.bundle import Bundle, Manifest, load, write_bundle
from edge_lvr1.export.embedder import SENTENCES
from edge_lvr1.models.onnx.embedder import GRAPH, TOKENIZER, OnnxEmbedder
from tests.export.tiny_embedder import DIMENSION, make_bert

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    checkpoint = make_bert(tmp_path_factory.mktemp("bert"))

    def fill(out: Path) -> Manifest:
        graph_of(checkpoint, out / GRAPH)
        shutil.copyfile(checkpoint / TOKENIZER, out / TOKENIZER)
        extra = {"dimension": DIMENSION, "max_tokens": 48, "pooling": "mean", "normalize": True}
        kinds = ("embedder", "bert", "onnxruntime", "tiny", "fp32", "cpu")
        return Manifest(*kinds, context_tokens=48, extra=extra)

    return load(write_bundle(tmp_path_factory.mktemp("out") / "e", fill).path, "embedder")


def graph_of(checkpoint: Path, file: Path) -> None:
    import torch
    from transformers import AutoModel

    from edge_lvr1.export.graphs import write_graph

    class States(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = AutoModel.from_pretrained(checkpoint).eval()

        def forward(self, ids: torch.Tensor, mask: torch.Tensor, kinds: torch.Tensor) -> Any:
            return self.model(ids, mask, kinds).last_hidden_state

    ids = torch.ones(2, 7, dtype=torch.int64)
    free = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    write_graph(
        States().eval(),
        (ids, ids.tril(4), ids - 1),
        file,
        inputs=["input_ids", "attention_mask", "token_type_ids"],
        outputs=["last_hidden_state"],
        dynamic_shapes=(free, free, free),
    )


def test_vectors_are_the_cpus(made: Bundle) -> None:
    on_cpu = OnnxEmbedder(made, "cpu").embed(SENTENCES)
    embedder = OnnxEmbedder(made, "cuda")

    on_cuda = embedder.embed(SENTENCES)

    assert embedder._session.get_providers()[0] == "CUDAExecutionProvider"
    apart = float(np.abs(on_cpu - on_cuda).max())
    print(f"vectors are {apart:.1e} apart at most")
    assert apart < 1e-3
