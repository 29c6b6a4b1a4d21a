"""What a captioner bundle's files are called, and the facts of its model.

The export writes them into the manifest, the runtime reads them: so neither needs the
checkpoint's own configuration. Nothing here opens a model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from edge_lvr1.bundle import Bundle
from edge_lvr1.errors import BundleError

FAMILIES = ("qwen2_5_vl", "qwen3_vl")
RUNTIME = "onnxruntime"
VISION, DECODER = "vision.onnx", "decoder.onnx"
EMBEDDINGS, TOKENIZER = "embed_tokens.npy", "tokenizer.json"

PATCHES, FEATURES, DEEPSTACK = "patches", "features", "deepstack"
EMBEDS, POSITIONS, LOGITS = "inputs_embeds", "position_ids", "logits"
"""Names of the graphs' inputs and outputs."""

MARKS = ("im_start", "im_end", "vision_start", "vision_end", "video_pad")
"""Tokens that a prompt is built of."""

AFTER_GRID, AFTER_MAX = "grid", "max"
"""Where text after a clip goes on counting positions: past the larger side of the grid, or
past the largest position in the clip, its time included."""


def constants_file(height_px: int, width_px: int) -> str:
    """The file with what the vision graph needs to know of a frame size."""
    return f"frames-{height_px}x{width_px}.npz"


def cache_names(layers: int, prefix: str) -> list[str]:
    """Names of the cache's tensors, in order: "past" for what goes in, "present" for out."""
    return [f"{prefix}.{layer}.{part}" for layer in range(layers) for part in ("key", "value")]


@dataclass(frozen=True, slots=True)
class VlFacts:
    """Facts of a vision-language model.

    `patch_px` is the side of a patch, `merge` how many patches a side make one token,
    `frames_per_slice` how many frames; `mean` and `std` normalise RGB from 0 to 1.
    `cache_dtype` is numpy's name. `marks` maps MARKS to token ids, `stops` end a reply.
    `tokens_per_second` spaces positions in time; 0 where times are written out as text.
    """

    family: str
    patch_px: int
    merge: int
    frames_per_slice: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    width: int
    layers: int
    kv_heads: int
    head_dim: int
    cache_dtype: str
    deepstack_levels: int
    marks: Mapping[str, int]
    stops: tuple[int, ...]
    tokens_per_second: float
    text_after: str

    def as_extra(self) -> dict[str, Any]:
        """As the manifest's `extra`."""
        return asdict(self)

    @property
    def side_px(self) -> int:
        """What a frame's sides are multiples of."""
        return self.patch_px * self.merge


def facts_of(bundle: Bundle) -> VlFacts:
    """The facts in a captioner bundle's manifest. Raises BundleError."""
    if bundle.runtime != RUNTIME or bundle.family not in FAMILIES:
        raise BundleError(
            f"{bundle.path} holds a {bundle.family} for {bundle.runtime}; this captioner runs "
            f"{' and '.join(FAMILIES)} on {RUNTIME}: export it for a target of that kind"
        )
    extra = bundle.manifest.extra
    known: dict[str, Any] = {entry.name: extra.get(entry.name) for entry in fields(VlFacts)}
    for name, value in known.items():
        if not _right(name, value):
            raise BundleError(f"{bundle.path} does not say its {name}: export it again")
    known |= {name: tuple(known[name]) for name in _LISTS}
    if not bundle.manifest.frame_sizes:
        raise BundleError(f"{bundle.path} has no frame size: export it again with at least one")
    return VlFacts(**known)


_LISTS = ("mean", "std", "stops")
_TEXTS = ("family", "cache_dtype", "text_after")


def _right(name: str, value: object) -> bool:
    if name in _TEXTS:
        return isinstance(value, str)
    if name == "marks":
        return isinstance(value, dict) and all(isinstance(value.get(m), int) for m in MARKS)
    if name in _LISTS:
        return isinstance(value, (list, tuple)) and all(map(_is_number, value)) and bool(value)
    return _is_number(value)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0
