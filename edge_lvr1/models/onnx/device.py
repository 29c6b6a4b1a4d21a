"""What this machine has to build and run TensorRT engines with, and what is missing.

An engine runs only on the kind of GPU and with the TensorRT version that it was built for,
so both are part of its name. Nothing here builds anything.
"""

from __future__ import annotations

import hashlib
import importlib
import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

TENSORRT_MAJOR = 10
"""onnxruntime's TensorRT provider is linked against this one."""

EDGELLM_CAPABILITIES = ("8.0", "8.6", "8.7", "10.0", "10.1", "10.3", "11.0", "12.0", "12.1")
"""Compute capabilities that TensorRT Edge-LLM's wheels bring a runtime for (8.7: Jetson Orin,
10.1 and 11.0: Jetson Thor); there is none for 9.0."""

_QUERY = ("nvidia-smi", "--query-gpu=name,compute_cap", "--format=csv,noheader")
_DEVICE_TREE = Path("/proc/device-tree/model")
_JETSONS = {"orin": "8.7", "thor": "11.0"}
_CAPABILITY = re.compile(r"\d+\.\d+")


@dataclass(frozen=True, slots=True)
class Device:
    """What engines are built for: GPU, compute capability, TensorRT version."""

    gpu: str
    compute_capability: str
    tensorrt: str

    def as_extra(self) -> dict[str, str]:
        """As part of a manifest's `extra`."""
        return asdict(self)

    def key(self) -> str:
        """What tells engines of this device from all others, in 12 hexadecimal digits."""
        facts = f"{self.gpu}\n{self.compute_capability}\n{self.tensorrt}"
        return hashlib.sha256(facts.encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Found:
    """A device as far as it was found; what is missing is empty."""

    gpu: str = ""
    compute_capability: str = ""
    tensorrt: str = ""

    def missing(self) -> tuple[str, ...]:
        """What is not there to build engines with, a clause each."""
        wants = []
        if not self.gpu:
            wants.append("no NVIDIA GPU answers (nvidia-smi finds none)")
        if not self.tensorrt:
            wants.append("the package tensorrt cannot be loaded")
        elif int(self.tensorrt.partition(".")[0]) != TENSORRT_MAJOR:
            wants.append(f"TensorRT {self.tensorrt} is installed and {TENSORRT_MAJOR} is needed")
        return tuple(wants)

    def device(self) -> Device | None:
        """The device, where nothing is missing."""
        if self.missing():
            return None
        return Device(self.gpu, self.compute_capability, self.tensorrt)


def find_device(
    ask: Callable[[tuple[str, ...]], str] | None = None,
    tensorrt_version: Callable[[], str] | None = None,
    device_tree: Path = _DEVICE_TREE,
) -> Found:
    """What this machine has: its first GPU, and TensorRT."""
    gpu, capability = _gpu((ask or _printed)(_QUERY))
    if not gpu:
        gpu, capability = _jetson(device_tree)
    return Found(gpu, capability, (tensorrt_version or _tensorrt)())


def engine_name(graph_sha256: str, precision: str, device: Device) -> str:
    """File name of an engine: graph, precision and device, so that no other is taken for it."""
    return f"{graph_sha256[:12]}-{precision}-{device.key()}.engine"


def fits(extra: Mapping[str, object], found: Found) -> str | None:
    """Why engines built for the device in `extra` cannot run here; None where they can."""
    device = found.device()
    if device is None:
        return "; ".join(found.missing())
    for name, here in device.as_extra().items():
        built = extra.get(name)
        if built != here:
            return f"the engines were built for {name} {built} and here it is {here}"
    return None


def _gpu(printed: str) -> tuple[str, str]:
    first = printed.strip().splitlines()[0] if printed.strip() else ""
    name, _, capability = first.rpartition(",")
    found = _CAPABILITY.fullmatch(capability.strip())
    return (name.strip(), found[0]) if found and name.strip() else ("", "")


def _jetson(device_tree: Path) -> tuple[str, str]:
    """A Jetson by its board's name: some have no nvidia-smi."""
    try:
        board = device_tree.read_text("utf-8", "replace").strip("\0\n ")
    except OSError:
        return "", ""
    for word, capability in _JETSONS.items():
        if "jetson" in board.lower() and word in board.lower():
            return board, capability
    return "", ""


def _printed(command: tuple[str, ...]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def _tensorrt() -> str:
    try:
        return str(importlib.import_module("tensorrt").__version__)
    except (ImportError, OSError, AttributeError):
        return ""
