"""Reading a Qwen-VL checkpoint: the model in torch, and the facts that its bundle needs."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from edge_lvr1.errors import BundleError
from edge_lvr1.export.checkpoint import Checkpoint
from edge_lvr1.models.onnx.providers import Foreign
from edge_lvr1.models.onnx.vl_facts import AFTER_GRID, AFTER_MAX, MARKS, TOKENIZER, VlFacts

log = logging.getLogger(__name__)

FAMILIES = {
    "Qwen2_5_VLForConditionalGeneration": "qwen2_5_vl",
    "Qwen3VLForConditionalGeneration": "qwen3_vl",
}
_NORMAL_OF = {
    "qwen2_5_vl": ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
    "qwen3_vl": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
}
"""Mean and deviation of the families' own processors, for a checkpoint without that file."""


def load_model(folder: Path, dtype: str) -> Foreign:
    """The checkpoint as transformers' model, on the CPU. Raises BundleError.

    `dtype` is torch's name, or "auto" for the checkpoint's own.
    """
    from transformers import AutoModelForImageTextToText

    try:
        model: Foreign = AutoModelForImageTextToText.from_pretrained(
            folder, dtype=dtype, local_files_only=True
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise BundleError(f"{folder} cannot be read: {error}") from error
    return model.eval()


def read_facts(model: Foreign, checkpoint: Checkpoint, text_after: str | None) -> VlFacts:
    """What the runtime must know of the model. Raises BundleError.

    `text_after` of None takes the rule of the installed transformers.
    """
    text, vision = model.config.text_config, model.config.vision_config
    family = FAMILIES[checkpoint.architecture]
    mean, std = _normal(checkpoint.path, family)
    marks, stops = _tokens(checkpoint, model)
    rope = model.model.language_model.rotary_emb.rope_type
    if rope in ("dynamic", "longrope"):
        raise BundleError(
            f"{checkpoint.source} stretches positions by {rope!r}, which changes with the length "
            f"of the text and cannot be exported: set rope_scaling to 'default' or 'yarn'"
        )
    return VlFacts(
        family=family,
        patch_px=vision.patch_size,
        merge=vision.spatial_merge_size,
        frames_per_slice=vision.temporal_patch_size,
        mean=mean,
        std=std,
        width=text.hidden_size,
        layers=text.num_hidden_layers,
        kv_heads=text.num_key_value_heads,
        head_dim=model.model.language_model.layers[0].self_attn.head_dim,
        cache_dtype=str(model.lm_head.weight.dtype).removeprefix("torch."),
        deepstack_levels=len(getattr(vision, "deepstack_visual_indexes", ())),
        marks=marks,
        stops=stops,
        tokens_per_second=getattr(vision, "tokens_per_second", 0),
        text_after=text_after or text_rule(model),
    )


def text_rule(model: Foreign) -> str:
    """Where the installed transformers goes on counting after a clip.

    Qwen2.5-VL was trained to count on from the largest position in the clip, its time
    included; transformers 5 counts on from the larger side of the grid. So it is asked, with
    a clip of two slices of one token and a token after it.
    """
    import torch

    vision = model.config.vision_config
    if not getattr(vision, "tokens_per_second", 0):
        return AFTER_GRID
    placed, _ = model.model.get_rope_index(
        torch.tensor([[model.config.video_token_id] * 2 + [0]]),
        mm_token_type_ids=torch.tensor([[2, 2, 0]]),
        video_grid_thw=torch.tensor([[2, vision.spatial_merge_size, vision.spatial_merge_size]]),
        second_per_grid_ts=[10.0],
    )
    return AFTER_GRID if int(placed[0, 0, -1]) == 1 else AFTER_MAX


def _tokens(checkpoint: Checkpoint, model: Foreign) -> tuple[dict[str, int], tuple[int, ...]]:
    """Ids of the marks that a prompt is built of, and of the tokens that end a reply."""
    from tokenizers import Tokenizer

    file = checkpoint.path / TOKENIZER
    if not file.is_file():
        raise BundleError(
            f"{checkpoint.source} has no {TOKENIZER}: save its fast tokenizer beside the weights"
        )
    tokenizer = Tokenizer.from_file(str(file))
    ids = {name: tokenizer.token_to_id(f"<|{name}|>") for name in MARKS}
    marks = {name: token for name, token in ids.items() if token is not None}
    if missing := sorted(set(MARKS) - set(marks)):
        raise BundleError(f"the tokenizer of {checkpoint.source} has no <|{missing[0]}|>")
    ends = model.generation_config.eos_token_id
    stops = {marks["im_end"], *([ends] if isinstance(ends, int) else ends or ())}
    if (end_of_text := tokenizer.token_to_id("<|endoftext|>")) is not None:
        stops.add(end_of_text)
    return marks, tuple(sorted(stops))


def _normal(folder: Path, family: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    for name in ("video_preprocessor_config.json", "preprocessor_config.json"):
        file = folder / name
        if not file.is_file():
            continue
        try:
            config = json.loads(file.read_text("utf-8"))
            if "image_mean" in config and "image_std" in config:
                mean, std = map(float, config["image_mean"]), map(float, config["image_std"])
                return tuple(mean), tuple(std)
        except (OSError, ValueError, TypeError) as error:
            raise BundleError(f"{file} cannot be read ({error}): fetch it again") from error
    log.warning("the checkpoint does not say how pictures are normalised; as %s does", family)
    return _NORMAL_OF[family]
