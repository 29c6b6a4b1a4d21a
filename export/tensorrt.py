"""`export tensorrt`: what is given decides the way.

A checkpoint of an agent or a captioner goes through TensorRT Edge-LLM; a bundle of a
captioner or an embedder gets engines of its graphs.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from edge_lvr1.bundle import MANIFEST
from edge_lvr1.errors import BundleError
from edge_lvr1.export.edgellm import EdgeLlmOptions, export_edgellm
from edge_lvr1.export.engines import EngineOptions, export_engines
from edge_lvr1.export.tool_env import cache_dir
from edge_lvr1.models.onnx.device import Found

log = logging.getLogger(__name__)

Report: TypeAlias = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class TensorrtOptions:
    """What to export and where. `model` is a checkpoint (folder or hub id) or a bundle.

    `route`, `fp16` are for bundles; the rest from `quantize` on for checkpoints.
    """

    model: str
    out: Path
    route: str = "tensorrt"
    fp16: bool = True
    quantize: str | None = None
    build: bool = False
    keep_checkpoint: bool = False
    adapter: Path | None = None
    system_prompt: Path | None = None
    context_tokens: int = 16384
    revision: str | None = None
    download: bool = False
    overwrite: bool = False
    cache: Path = field(default_factory=cache_dir)
    found: Found | None = None


def export_tensorrt(options: TensorrtOptions, on_progress: Report = log.info) -> Path:
    """Write the bundle and return its place. Raises BundleError, ModelError."""
    folder = Path(options.model).expanduser()
    if (folder / MANIFEST).is_file():
        if options.quantize or options.build or options.adapter or options.system_prompt:
            raise BundleError(
                f"{folder} is a bundle: quantizing, building, adapters and system prompts are "
                f"for checkpoints; name the checkpoint's folder"
            )
        return export_engines(
            EngineOptions(
                bundle=folder,
                out=options.out,
                route=options.route,
                fp16=options.fp16,
                overwrite=options.overwrite,
                found=options.found,
            ),
            on_progress,
        )
    return export_edgellm(
        EdgeLlmOptions(
            model=options.model,
            out=options.out,
            quantize=options.quantize,
            build=options.build,
            keep_checkpoint=options.keep_checkpoint,
            adapter=options.adapter,
            system_prompt=options.system_prompt,
            context_tokens=options.context_tokens,
            revision=options.revision,
            download=options.download,
            overwrite=options.overwrite,
            cache=options.cache,
            found=options.found,
        ),
        on_progress,
    )
