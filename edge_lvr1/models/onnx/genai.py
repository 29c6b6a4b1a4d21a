"""onnxruntime-genai, loaded with care: telemetry off, the provider checked, errors as ours.

The package has no type information, so what comes from it is Any here and nowhere else.
"""

from __future__ import annotations

import importlib
import json
import logging
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from edge_lvr1.errors import ModelError
from edge_lvr1.models.onnx.providers import load_cuda, usual_threads

log = logging.getLogger(__name__)

PROVIDERS = {"cpu": "", "cuda": "cuda", "tensorrt-rtx": "NvTensorRtRtx"}
"""Our names of the providers, and the package's."""


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A language model in memory, with its tokenizer and the package that runs it."""

    genai: ModuleType
    model: Any
    tokenizer: Any
    provider: str
    marks: tuple[str, ...] = ()  # texts that the tokenizer takes for tokens of their own kind
    mark_ids: frozenset[int] = frozenset()

    def encode(self, text: str) -> list[int]:
        """Token ids of a text, chat marks included: others' text goes through `without_marks`."""
        return [int(token) for token in self.tokenizer.encode(text)]


def genai() -> ModuleType:
    """The package, with its telemetry off. Raises ModelError where it is not installed."""
    try:
        package = importlib.import_module("onnxruntime_genai")
    except ImportError as error:
        raise ModelError(
            f"the onnx agent needs onnxruntime-genai, which cannot be loaded ({error}): "
            f"install edge-lvr1 with its extra 'cpu' or 'gpu'"
        ) from error
    package.disable_telemetry_events()
    return package


def load_model(
    folder: Path, provider: str, *, seed: int = 0, threads: int | None = None
) -> LoadedModel:
    """Load a model folder onto a provider. Raises ModelError.

    A provider that was asked for and is not used is an error, never a silent run on the CPU.
    Every conversation samples from `seed` anew. `threads` bounds the CPU threads of one
    operation; None takes as many as there are.
    """
    if provider not in PROVIDERS:
        raise ModelError(f"there is no provider {provider!r}; known: {', '.join(PROVIDERS)}")
    if provider == "cuda":
        load_cuda()
    package = genai()
    try:
        config = package.Config(str(folder))
        config.clear_providers()
        if PROVIDERS[provider]:
            config.append_provider(PROVIDERS[provider])
        config.overlay(_overlay(seed, threads))
        model = package.Model(config)
        tokenizer = package.Tokenizer(model)
    except RuntimeError as error:
        raise ModelError(
            f"the agent in {folder} cannot be loaded on {provider}: {error}"
        ) from error
    _check_device(str(model.device_type), provider)
    log.info("loaded the agent in %s on %s", folder, provider)
    marks = marks_of(folder)
    ids = frozenset(marks.values())
    return LoadedModel(package, model, tokenizer, provider, tuple(marks), ids)


def marks_of(folder: Path) -> dict[str, int]:
    """The special tokens of a model folder's tokenizer, the longest first, and their ids; none
    where it does not tell.

    The package's tokenizer takes them for marks wherever they stand, and cannot be told not to.
    """
    try:
        told = json.loads((folder / "tokenizer.json").read_text("utf-8"))
        added = [entry for entry in told["added_tokens"] if entry["special"]]
        found = {str(entry["content"]): int(entry["id"]) for entry in added}
        return {text: found[text] for text in sorted(found, key=len, reverse=True)}
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.warning("the special tokens of %s are not known (%s)", folder, error)
        return {}


def _check_device(device: str, provider: str) -> None:
    if (device.lower() == "cpu") != (provider == "cpu"):
        raise ModelError(
            f"the agent was to run on {provider} but was put on {device}: check the driver and "
            f"the installed runtime, or choose the provider {device.lower()}"
        )


def _overlay(seed: int, threads: int | None) -> str:
    """What is laid over the bundle's genai_config.json."""
    options = {"intra_op_num_threads": threads or usual_threads()}
    return json.dumps(
        {
            "search": {"random_seed": seed},
            "model": {"decoder": {"session_options": options}},
        }
    )
