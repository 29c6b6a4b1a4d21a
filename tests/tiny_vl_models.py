"""Makers of tiny Qwen2.5-VL and Qwen3-VL checkpoints, of a few hundred kilobytes, for tests.

Weights are random but wide, so that what is generated depends on every part of the model: a
wrong position, a missing deepstack feature or a swapped frame changes the tokens.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import (
    PreTrainedModel,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
)

SPECIALS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
FAMILIES = ("qwen2_5_vl", "qwen3_vl")
_WORDS = (
    "system user assistant You describe footage of a fixed camera. A person-like figure in a red "
    "jacket walks from left to right past the gate, and a white van stops beside it. Write what "
    "happens between 6.3 and 8.7 seconds, in order, in at most 200 words. Nobody is in view."
)
_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""How Qwen's tokenizers split text."""


def train_tokenizer() -> Tokenizer:
    """A byte-level BPE tokenizer of Qwen's kind, trained on two sentences."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=list(SPECIALS),
        show_progress=False,
    )
    tokenizer.train_from_iterator([_WORDS] * 4, trainer)
    return tokenizer


def make_checkpoint(folder: Path, family: str, *, seed: int = 7, **changes: object) -> Path:
    """Write a checkpoint of one of the families. `changes` are of the text part's config."""
    tokenizer = train_tokenizer()
    tied = {"tie_word_embeddings": family == "qwen2_5_vl"}  # as the smaller of the real ones are
    model = make_model(family, tokenizer, seed, **{**tied, **changes})
    model.save_pretrained(folder, max_shard_size="150KB")
    tokenizer.save(str(folder / "tokenizer.json"))
    _write(folder / "tokenizer_config.json", {"tokenizer_class": "Qwen2TokenizerFast"})
    stops = [tokenizer.token_to_id("<|im_end|>"), tokenizer.token_to_id("<|endoftext|>")]
    _write(
        folder / "generation_config.json",
        {"eos_token_id": stops, "do_sample": True, "temperature": 0.7, "top_p": 0.8, "top_k": 20},
    )
    half = family == "qwen3_vl"
    _write(
        folder / "preprocessor_config.json",
        {
            "image_processor_type": "Qwen2VLImageProcessor",
            "patch_size": 16 if half else 14,
            "image_mean": [0.5] * 3 if half else [0.48145466, 0.4578275, 0.40821073],
            "image_std": [0.5] * 3 if half else [0.26862954, 0.26130258, 0.27577711],
        },
    )
    return folder


def make_model(family: str, tokenizer: Tokenizer, seed: int, **changes: object) -> PreTrainedModel:
    """A model in fp32 with random weights."""
    torch.manual_seed(seed)
    if family == "qwen2_5_vl":
        model: PreTrainedModel = Qwen2_5_VLForConditionalGeneration(
            _qwen2_5_config(tokenizer, changes)
        )
    else:
        model = Qwen3VLForConditionalGeneration(_qwen3_config(tokenizer, changes))
    for name, weight in model.named_parameters():
        if weight.ndim == 1 and "norm" not in name:
            torch.nn.init.normal_(weight, std=0.1)  # biases would be zero, and hide their loss
    return model.eval()


def _ids(tokenizer: Tokenizer) -> dict[str, int]:
    return {
        f"{name}_token_id": tokenizer.token_to_id(f"<|{token}|>")
        for name, token in (
            ("image", "image_pad"),
            ("video", "video_pad"),
            ("vision_start", "vision_start"),
            ("vision_end", "vision_end"),
        )
    }


def _text(tokenizer: Tokenizer, changes: dict[str, object]) -> dict[str, Any]:
    return {
        "vocab_size": tokenizer.get_vocab_size(),
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 4096,
        "initializer_range": 0.25,
        "eos_token_id": tokenizer.token_to_id("<|im_end|>"),
        "bos_token_id": tokenizer.token_to_id("<|endoftext|>"),
        **changes,
    }


def _qwen2_5_config(tokenizer: Tokenizer, changes: dict[str, object]) -> Qwen2_5_VLConfig:
    rope = {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 10000.0}
    return Qwen2_5_VLConfig(
        text_config={
            **_text(tokenizer, {"num_hidden_layers": 2, **changes}),
            "rope_parameters": rope,
        },
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_heads": 2,
            "out_hidden_size": 64,
            "fullatt_block_indexes": [1],
            "window_size": 56,
            "initializer_range": 0.25,
        },
        tie_word_embeddings=changes.get("tie_word_embeddings", False),
        **_ids(tokenizer),
    )


def _qwen3_config(tokenizer: Tokenizer, changes: dict[str, object]) -> Qwen3VLConfig:
    rope = {
        "rope_type": "default",
        "mrope_section": [6, 5, 5],
        "mrope_interleaved": True,
        "rope_theta": 10000.0,
    }
    return Qwen3VLConfig(
        text_config={
            **_text(tokenizer, {"num_hidden_layers": 3, "head_dim": 32, **changes}),
            "rope_parameters": rope,
        },
        vision_config={
            "depth": 3,
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_heads": 2,
            "out_hidden_size": 64,
            "num_position_embeddings": 36,
            "deepstack_visual_indexes": [0, 1],
            "initializer_range": 0.12,
        },
        tie_word_embeddings=changes.get("tie_word_embeddings", False),
        **_ids(tokenizer),
    )


def pictures(count: int, height_px: int, width_px: int, seed: int = 0) -> list[NDArray[np.uint8]]:
    """Pictures with a bright square that moves over a coarse random ground: RGB."""
    rng = np.random.default_rng(seed)
    ground = rng.integers(0, 255, (6, 8, 3), dtype=np.uint8)
    rows = np.linspace(0, 5.99, height_px).astype(int)
    columns = np.linspace(0, 7.99, width_px).astype(int)
    frames = []
    for index in range(count):
        frame = ground[rows][:, columns].copy()
        left = int((width_px - width_px // 4) * index / max(1, count - 1))
        frame[height_px // 3 : height_px // 2, left : left + width_px // 4] = (250, 240, 30)
        frames.append(frame)
    return frames


def _write(file: Path, value: dict[str, Any]) -> None:
    file.write_text(json.dumps(value), "utf-8")
