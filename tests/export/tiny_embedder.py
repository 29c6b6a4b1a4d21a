"""A tiny BERT checkpoint, and a stand-in for the tool that writes its graph."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from edge_lvr1.export.tool_env import Tool, ToolEnv

WORDS = [
    *("a", "red", "car", "drives", "past", "the", "gate", "two", "people"),
    *("walk", "dog", "nothing", "moves", "at", "door", "light", "x", "s"),
]
DIMENSION = 32

EXPORTER = """
import sys, pathlib, torch
from transformers import AutoModel
arguments = sys.argv[1:]
source, out = arguments[arguments.index("--model") + 1], pathlib.Path(arguments[-1])
model = AutoModel.from_pretrained(source).eval()
class States(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.model = model
    def forward(self, input_ids, attention_mask, token_type_ids):
        return self.model(input_ids, attention_mask, token_type_ids).last_hidden_state
ids = torch.ones(2, 7, dtype=torch.int64)
mask = ids.tril(4)
free = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
out.mkdir()
torch.onnx.export(
    States().eval(), (ids, mask, ids - 1), out / "model.onnx", dynamo=True, external_data=False,
    input_names=["input_ids", "attention_mask", "token_type_ids"],
    output_names=["last_hidden_state"], dynamic_shapes=(free, free, free),
)
"""


def make_bert(folder: Path) -> Path:
    """A BERT of random weights with a word-piece tokenizer, laid out like a sentence model."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    vocabulary = {word: number for number, word in enumerate([*special, *WORDS, "##s"])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.enable_padding(length=128)  # as MiniLM's own file has it: must not matter
    tokenizer.enable_truncation(max_length=128)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=DIMENSION,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=64,
    )
    BertModel(config).save_pretrained(folder)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
    ).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    layers = ["Transformer", "Pooling", "Normalize"]
    modules = [{"idx": i, "type": f"st.models.{name}"} for i, name in enumerate(layers)]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 48}')
    (folder / "1_Pooling").mkdir()
    pooling = {"word_embedding_dimension": DIMENSION, "pooling_mode_mean_tokens": True}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    return folder


def stand_in(folder: Path) -> ToolEnv:
    """The tool's environment with this Python in it, and an exporter in optimum's place."""
    programs = folder / "bin"
    programs.mkdir(parents=True)
    (folder / "exporter.py").write_text(EXPORTER)
    for name, first in (("python", ""), ("optimum-cli", f" {folder / 'exporter.py'}")):
        file = programs / name
        file.write_text(f'#!/bin/sh\nexec {sys.executable}{first} "$@"\n')
        file.chmod(0o755)
    return ToolEnv(Tool("optimum-onnx", ()), folder, {"optimum": "2.1.0"})
