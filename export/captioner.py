"""`export captioner`: a Qwen2.5-VL or Qwen3-VL checkpoint becomes a bundle for onnxruntime.

The bundle holds a vision encoder for a choice of frame sizes, the decoder, the embeddings as
an array that stays on disk, the tokenizer, and the prompts.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np

from edge_lvr1.bundle import Manifest, write_bundle
from edge_lvr1.errors import BundleError
from edge_lvr1.export import checkpoint as checkpoints
from edge_lvr1.export.agent import sampling_defaults
from edge_lvr1.export.checkpoint import Checkpoint
from edge_lvr1.export.manifest import memory_estimate_mb, versions
from edge_lvr1.export.vl_checkpoint import FAMILIES, load_model, read_facts
from edge_lvr1.models import looking
from edge_lvr1.models.onnx import vl_facts as names
from edge_lvr1.models.onnx.captioner import CAPTION, QUERY, SYSTEM
from edge_lvr1.models.onnx.providers import Foreign
from edge_lvr1.models.onnx.vl_facts import AFTER_GRID, AFTER_MAX, VlFacts

log = logging.getLogger(__name__)

PRECISIONS = ("fp32", "fp16", "int4")
TARGETS = ("cpu", "cuda")
SIDES_PX = tuple(sorted({look.max_side_px for look in looking.LOOKS.values()}, reverse=True))
SHAPES = ("16:9", "4:3", "9:16")
CONTEXT_TOKENS = 8192

Report: TypeAlias = Callable[[str], None]
"""Takes one line of progress."""

_MOST_SHAPE = 10.0  # Qwen-VL's processors refuse more only at 200, but no camera has it
_SPARE_BYTES = 256 << 20
_TIMES = "before each frame stands its time"
_TIMES_OF = {
    "qwen2_5_vl": "they are evenly spaced in it",
    "qwen3_vl": "before each two frames stands their time",
}
_SYSTEM_OF = {"qwen2_5_vl": "You are a helpful assistant.", "qwen3_vl": ""}
"""What the families' own chat templates begin with."""


@dataclass(frozen=True, slots=True)
class CaptionerOptions:
    """What to export, how and where.

    `shapes` are width:height, `sides_px` the longer sides of frames; each pair is a frame
    size. `prompts` replace ours by name (system, caption, query). `text_after` is AFTER_GRID
    or AFTER_MAX; None takes what the installed transformers does (see `text_rule`).
    """

    model: str
    out: Path
    precision: str = "int4"
    target: str = "cpu"
    shapes: tuple[str, ...] = SHAPES
    sides_px: tuple[int, ...] = SIDES_PX
    context_tokens: int = CONTEXT_TOKENS
    prompts: Mapping[str, str] = field(default_factory=dict)
    text_after: str | None = None
    revision: str | None = None
    download: bool = False
    overwrite: bool = False
    room: checkpoints.Room | None = field(default=None)


def export_captioner(options: CaptionerOptions, on_progress: Report = log.info) -> Path:
    """Write the bundle and return its place. Raises BundleError."""
    _check_options(options)
    folder = checkpoints.find(options.model, revision=options.revision, download=options.download)
    checkpoint = checkpoints.read(folder, checkpoints.label(options.model))
    checkpoints.check_architecture(checkpoint, tuple(FAMILIES), "a captioner")
    _check_room(options, checkpoint)
    fill = partial(_fill, options, checkpoint, on_progress)
    return write_bundle(options.out, fill, overwrite=options.overwrite).path


def frame_sizes(
    shapes: tuple[str, ...], sides_px: tuple[int, ...], multiple_px: int
) -> tuple[tuple[int, int], ...]:
    """(height, width) for each shape and longer side, sides rounded to the multiple."""
    sizes = []
    for shape in shapes:
        wide, high = _shape(shape)
        for side_px in sides_px:
            scale = side_px / max(wide, high) / multiple_px
            height, width = (max(1, round(part * scale)) * multiple_px for part in (high, wide))
            sizes.append((height, width))
    return tuple(dict.fromkeys(sizes))


def default_prompts(family: str) -> dict[str, str]:
    """Our wording, which tells how the family is shown the frames' times."""
    return {
        SYSTEM: _SYSTEM_OF[family],
        CAPTION: looking.CAPTION.replace(_TIMES, _TIMES_OF[family]),
        QUERY: looking.QUERY.replace(_TIMES, _TIMES_OF[family]),
    }


def _check_options(options: CaptionerOptions) -> None:
    for what, value, known in (
        ("precision", options.precision, PRECISIONS),
        ("target", options.target, TARGETS),
        ("rule for text after a clip", options.text_after or AFTER_GRID, (AFTER_GRID, AFTER_MAX)),
    ):
        if value not in known:
            raise BundleError(
                f"there is no {what} {value!r} for a captioner; known: {', '.join(known)}"
            )
    if unknown := sorted(set(options.prompts) - {SYSTEM, CAPTION, QUERY}):
        raise BundleError(f"there is no prompt {unknown[0]!r}: {SYSTEM}, {CAPTION}, {QUERY}")
    if not options.shapes or not options.sides_px or min(options.sides_px) < 1:
        raise BundleError("frames need at least one shape and one longer side in pixels")
    for shape in options.shapes:
        _shape(shape)


def _shape(text: str) -> tuple[float, float]:
    try:
        wide, high = (float(part) for part in text.split(":"))
    except ValueError:
        wide = high = 0.0
    if not (wide > 0 and high > 0 and max(wide, high) <= _MOST_SHAPE * min(wide, high)):
        raise BundleError(f"{text!r} is not a frame's shape: write width:height, like 16:9")
    return wide, high


def _check_room(options: CaptionerOptions, checkpoint: Checkpoint) -> None:
    """Disk: the bundle, and the decoder whole before it goes into 4 bits. Memory: the weights
    as loaded, turned for the graph, and once more where they go into 4 bits."""
    loaded = checkpoint.parameters * (4 if _dtype(options) == "float32" else 2)
    copies = 3 if options.precision == "int4" else 2
    checkpoints.check_room(
        options.room or checkpoints.room_at(options.out),
        disk_bytes=loaded + loaded // 4 + _SPARE_BYTES,
        memory_bytes=copies * loaded + _SPARE_BYTES,
        out=options.out,
    )


def _dtype(options: CaptionerOptions) -> str:
    """What is computed in. On a CPU, products of 4-bit weights are fastest beside float32."""
    whole = options.precision == "fp32" or (options.precision, options.target) == ("int4", "cpu")
    return "float32" if whole else "float16"


def _fill(
    options: CaptionerOptions, checkpoint: Checkpoint, on_progress: Report, out: Path
) -> Manifest:
    """Write a bundle's files into a folder."""
    on_progress("reading the checkpoint")
    model = load_model(checkpoint.path, _dtype(options))
    facts = read_facts(model, checkpoint, options.text_after)
    sizes = frame_sizes(options.shapes, options.sides_px, facts.side_px)
    _write_graphs(options, model, sizes, out, on_progress)
    shutil.copyfile(checkpoint.path / names.TOKENIZER, out / names.TOKENIZER)
    longest = int(model.config.text_config.max_position_embeddings)
    context = min(options.context_tokens, longest)
    return Manifest(
        role="captioner",
        family=facts.family,
        runtime=names.RUNTIME,
        source=checkpoint.source,
        revision=checkpoint.revision,
        precision=options.precision,
        target=options.target,
        context_tokens=context,
        frame_sizes=sizes,
        chat="qwen-vl",
        prompts={**default_prompts(facts.family), **options.prompts},
        sampling=sampling_defaults(checkpoint.generation),
        versions=versions(),
        memory_estimate_mb=memory_estimate_mb(out, _cache_bytes(facts, context)),
        extra={**facts.as_extra(), "parameters": checkpoint.parameters},
    )


def _write_graphs(
    options: CaptionerOptions,
    model: Foreign,
    sizes: tuple[tuple[int, int], ...],
    out: Path,
    on_progress: Report,
) -> None:
    import torch

    from edge_lvr1.export.decoder import DecoderGraph, write_decoder
    from edge_lvr1.export.vision import VisionGraph, write_vision

    with torch.no_grad():
        on_progress(f"writing the vision encoder for {len(sizes)} frame sizes")
        write_vision(VisionGraph(model.model.visual), sizes, out)
        on_progress(f"writing the decoder in {options.precision} for {options.target}")
        accuracy = 4 if options.target == "cpu" else 0
        write_decoder(DecoderGraph(model), out, int4=options.precision == "int4", accuracy=accuracy)
        on_progress("writing the embeddings")
        _write_embeddings(model, out / names.EMBEDDINGS, whole=options.precision == "fp32")


def _write_embeddings(model: Foreign, file: Path, *, whole: bool) -> None:
    table = model.get_input_embeddings().weight.detach()
    stored = np.lib.format.open_memmap(
        file, mode="w+", dtype=np.float32 if whole else np.float16, shape=tuple(table.shape)
    )
    stored[:] = table.numpy()
    stored.flush()


def _cache_bytes(facts: VlFacts, tokens: int) -> int:
    size = np.dtype(facts.cache_dtype).itemsize
    return 2 * facts.layers * facts.kv_heads * facts.head_dim * tokens * size
