"""What every export writes into its manifest the same way: versions and memory."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

PACKAGES = (
    "edge-lvr1",
    "torch",
    "transformers",
    "tokenizers",
    "peft",
    "onnx",
    "onnx-ir",
    "onnxruntime",
    "onnxruntime-gpu",
    "onnxruntime-genai",
    "onnxruntime-genai-cuda",
)
_MIB = 1 << 20
_RUNTIME_MB = 150  # an ONNX Runtime session with no weights, as measured on a CPU


def versions(packages: Iterable[str] = PACKAGES) -> dict[str, str]:
    """Versions of the packages that are installed here, by name."""
    found = {}
    for name in packages:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def memory_estimate_mb(folder: Path, cache_bytes: int = 0) -> int:
    """Memory that a bundle's files need when loaded, with a full key-value cache, in MiB."""
    weights = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return _RUNTIME_MB + (weights + cache_bytes + _MIB - 1) // _MIB
