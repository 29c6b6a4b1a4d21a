"""Sessions of onnxruntime on the provider that was asked for, or an error.

onnxruntime falls back to the CPU with no more than a log line when a provider does not load,
and lists providers that it was compiled with, not those that work. So each session is
asked, once it is open, where it runs.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import os
from pathlib import Path
from typing import Any, TypeAlias

from edge_lvr1.errors import ModelError

log = logging.getLogger(__name__)

Foreign: TypeAlias = Any
"""Something of a package that has no types."""

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "tensorrt-rtx": "NvTensorRTRTXExecutionProvider",
}
"""Our names of the providers, and onnxruntime's."""

_FALLBACKS = {"tensorrt": ("cuda", "cpu"), "tensorrt-rtx": ("cpu",), "cuda": ("cpu",), "cpu": ()}
"""Where single operators may go that a provider does not have; shapes are computed there."""

_ON_CUDA = ("cuda", "tensorrt")

CUDA_OPTIONS = {
    # A bundle in fp32 is for whoever wants fp32: by default products are rounded to 10 bits.
    "use_tf32": "0",
    # By default memory is taken in powers of two, up to twice what is needed.
    "arena_extend_strategy": "kSameAsRequested",
}
"""What onnxruntime's CUDA provider is told."""


def onnxruntime() -> Foreign:
    """The package. Raises ModelError where it is not installed."""
    try:
        return importlib.import_module("onnxruntime")
    except ImportError as error:
        raise ModelError(
            f"onnx models need onnxruntime, which cannot be loaded ({error}): install edge-lvr1 "
            f"with its extra 'cpu' or 'gpu'"
        ) from error


def runtime_errors() -> tuple[type[Exception], ...]:
    """What onnxruntime raises: classes of its own, with no common base."""
    onnxruntime()
    state = vars(importlib.import_module("onnxruntime.capi.onnxruntime_pybind11_state"))
    own = [kind for kind in state.values() if isinstance(kind, type)]
    return (RuntimeError, *(kind for kind in own if issubclass(kind, Exception)))


def load_cuda() -> None:
    """Load CUDA's and cuDNN's libraries from the packages that pip installed, where there are
    any; else the loader looks for the system's own.

    Before onnxruntime's CUDA provider is, since it reads how to attend from the environment.
    """
    # cuDNN's attention is compiled anew for each length of a prompt, which took 0.3 s and more
    # of an H100; the flash attention in its place takes milliseconds.
    os.environ.setdefault("ORT_ENABLE_CUDNN_FLASH_ATTENTION", "0")
    preload = getattr(onnxruntime(), "preload_dlls", None)
    if preload is None:
        return
    said = io.StringIO()
    with contextlib.redirect_stdout(said):  # it prints what it does not find
        preload()
    if said.getvalue():
        log.debug("%s", said.getvalue().strip())


def usual_threads() -> int:
    """As many threads as this process may use CPUs.

    onnxruntime's own choice is a thread for each physical core, which on a virtual machine
    whose CPUs are siblings leaves half of them idle: int4 decoding was 1.9 times faster so.
    """
    return len(os.sched_getaffinity(0))


def open_session(file: Path, provider: str, threads: int | None = None) -> Foreign:
    """An onnxruntime session of a graph, on that provider. Raises ModelError.

    `threads` bounds the CPU threads of one operation; None takes `usual_threads`.
    """
    package = onnxruntime()
    if provider not in PROVIDERS:
        raise ModelError(f"there is no provider {provider!r}; known: {', '.join(PROVIDERS)}")
    wanted = PROVIDERS[provider]
    compiled = package.get_available_providers()
    if wanted not in compiled:
        raise ModelError(
            f"this onnxruntime has no {provider} (it has {', '.join(compiled)}): install "
            f"edge-lvr1 with its extra 'gpu', or choose the provider cpu"
        )
    if provider in _ON_CUDA:
        load_cuda()
    options = package.SessionOptions()
    options.intra_op_num_threads = threads or usual_threads()
    allowed = [wanted, *(PROVIDERS[name] for name in _FALLBACKS[provider])]
    allowed = [name for name in allowed if name in compiled]
    try:
        told = [(name, CUDA_OPTIONS) if name == PROVIDERS["cuda"] else name for name in allowed]
        session = package.InferenceSession(str(file), options, providers=told)
    except runtime_errors() as error:
        raise ModelError(f"{file} cannot be loaded on {provider}: {error}") from error
    used = session.get_providers()
    if used[0] != wanted:
        raise ModelError(
            f"{file.name} was to run on {provider} but was put on {used[0]}: check the driver "
            f"and the runtime's libraries, or choose the provider cpu"
        )
    log.info("loaded %s on %s", file.name, provider)
    return session
