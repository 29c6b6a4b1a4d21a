"""Tests that need an NVIDIA GPU are skipped where there is none, or no onnxruntime for it.

Where both are there, nothing is skipped: a GPU that cannot be used is a failure.
"""

from __future__ import annotations

import functools
import importlib.util

import pytest

from edge_lvr1.models.onnx.device import find_device


@functools.cache
def missing() -> str:
    """What is not there to run on a GPU with; nothing where all is."""
    if not find_device().gpu:
        return "no NVIDIA GPU answers here"
    for name in ("torch", "transformers", "onnxruntime", "onnxruntime_genai"):
        if importlib.util.find_spec(name) is None:
            return f"needs {name}: install the extras gpu and export"
    import onnxruntime

    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        return "this onnxruntime is built without CUDA: install the extra gpu in cpu's place"
    return ""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("gpu") and (reason := missing()):
            item.add_marker(pytest.mark.skip(reason=reason))
