"""Tiny Qwen-VL checkpoints and what was exported of them: made once in a test process.

An export takes about ten seconds even of a tiny model, so tests share them, and copy before
they change one.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

from edge_lvr1 import bundle
from edge_lvr1.bundle import Bundle
from edge_lvr1.export.captioner import CaptionerOptions, export_captioner
from edge_lvr1.models.onnx.captioner import OnnxCaptioner
from edge_lvr1.models.onnx.sampling import Sampling
from edge_lvr1.models.onnx.vl_facts import AFTER_MAX
from tests.tiny_vl_models import make_checkpoint
from tests.vl_reference import Reference

SIDES_PX = {"qwen2_5_vl": (112, 168), "qwen3_vl": (128, 192)}
TEXT_AFTER = {"fp16": AFTER_MAX}
"""The fp16 bundle counts positions by the other rule, so that it is tried too."""


@cache
def folder() -> Path:
    """Where they are, until the process ends."""
    made = Path(tempfile.mkdtemp(prefix="tiny-vl-"))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


@cache
def checkpoint(family: str) -> Path:
    """The folder of a tiny checkpoint."""
    return make_checkpoint(folder() / family, family)


def exported(family: str, precision: str = "fp32") -> Bundle:
    """A bundle for the CPU, with frames of three shapes and two sizes."""
    return _exported(family, precision)


@cache
def _exported(family: str, precision: str) -> Bundle:
    options = CaptionerOptions(
        model=str(checkpoint(family)),
        out=folder() / f"{family}-{precision}",
        precision=precision,
        sides_px=SIDES_PX[family],
        text_after=TEXT_AFTER.get(precision),
    )
    return bundle.load(export_captioner(options), "captioner")


def captioner(family: str, precision: str = "fp32") -> OnnxCaptioner:
    """A greedy captioner on such a bundle."""
    return OnnxCaptioner(exported(family, precision), sampling=Sampling(), threads=2)


def reference(family: str) -> Reference:
    """The same checkpoint in transformers."""
    facts = captioner(family).facts
    return Reference(family, checkpoint(family), facts.patch_px, facts.mean, facts.std)
