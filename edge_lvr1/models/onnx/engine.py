"""A TensorRT engine, used like an onnxruntime session.

Unrun: written against the documented Python API of TensorRT 10 and of cuda-python, since there
was no TensorRT to run it on. One thread at a time.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edge_lvr1.bundle import Bundle
from edge_lvr1.errors import ModelError
from edge_lvr1.models.onnx.device import find_device, fits

Foreign: TypeAlias = Any


@dataclass(frozen=True, slots=True)
class Tensor:
    """A named input or output."""

    name: str


def engine_file(bundle: Bundle, graph: str) -> Path | None:
    """The engine that stands for a graph of a bundle, None where it has none.

    Raises ModelError where it was built for another device than this.
    """
    engines = bundle.manifest.extra.get("engines")
    if not isinstance(engines, Mapping) or engines.get("route") != "tensorrt":
        return None
    why = fits(engines["device"], find_device())
    if why is not None:
        raise ModelError(f"{bundle.path} cannot run here: {why}; build it again on this device")
    for built in engines["built"]:
        if built["graph"] == graph:
            return bundle.path / str(built["file"])
    return None


class Engine:
    """An engine in memory. Raises ModelError where TensorRT or CUDA refuse."""

    def __init__(self, file: Path) -> None:
        self.trt: Foreign = importlib.import_module("tensorrt")
        self.cuda: Foreign = importlib.import_module("cuda.bindings.runtime")
        runtime = self.trt.Runtime(self.trt.Logger(self.trt.Logger.WARNING))
        self.engine = runtime.deserialize_cuda_engine(file.read_bytes())
        if self.engine is None:
            raise ModelError(f"TensorRT cannot load {file}: build it again on this device")
        self.context = self.engine.create_execution_context()
        self.stream = self._checked(self.cuda.cudaStreamCreate())

    def get_inputs(self) -> list[Tensor]:
        """The inputs, in order."""
        return self._tensors(self.trt.TensorIOMode.INPUT)

    def get_outputs(self) -> list[Tensor]:
        """The outputs, in order."""
        return self._tensors(self.trt.TensorIOMode.OUTPUT)

    def run(
        self, names: Sequence[str] | None, given: Mapping[str, NDArray[Any]]
    ) -> list[NDArray[Any]]:
        """Outputs by name (all where None is given) of named inputs."""
        held: list[int] = []
        try:
            for entry in self.get_inputs():
                self._give(entry.name, np.ascontiguousarray(given[entry.name]), held)
            outputs = {entry.name: self._room(entry.name, held) for entry in self.get_outputs()}
            if not self.context.execute_async_v3(self.stream):
                raise ModelError("TensorRT refused to run the engine: see its log above")
            self._checked(self.cuda.cudaStreamSynchronize(self.stream))
            kind = self.cuda.cudaMemcpyKind.cudaMemcpyDeviceToHost
            for values, place in outputs.values():
                self._checked(self.cuda.cudaMemcpy(values.ctypes.data, place, values.nbytes, kind))
            return [outputs[name][0] for name in names or outputs]
        finally:
            for place in held:
                self.cuda.cudaFree(place)

    def _give(self, name: str, values: NDArray[Any], held: list[int]) -> None:
        self.context.set_input_shape(name, values.shape)
        place = self._allocate(values.nbytes, held)
        kind = self.cuda.cudaMemcpyKind.cudaMemcpyHostToDevice
        self._checked(self.cuda.cudaMemcpy(place, values.ctypes.data, values.nbytes, kind))
        self.context.set_tensor_address(name, place)

    def _room(self, name: str, held: list[int]) -> tuple[NDArray[Any], int]:
        shape = tuple(self.context.get_tensor_shape(name))
        values = np.empty(shape, self.trt.nptype(self.engine.get_tensor_dtype(name)))
        place = self._allocate(values.nbytes, held)
        self.context.set_tensor_address(name, place)
        return values, place

    def _allocate(self, size_bytes: int, held: list[int]) -> int:
        place: int = self._checked(self.cuda.cudaMalloc(max(1, size_bytes)))
        held.append(place)
        return place

    def _tensors(self, mode: Foreign) -> list[Tensor]:
        names = [self.engine.get_tensor_name(i) for i in range(self.engine.num_io_tensors)]
        return [Tensor(name) for name in names if self.engine.get_tensor_mode(name) == mode]

    def _checked(self, answer: tuple[Any, ...]) -> Foreign:
        error, *rest = answer
        if error != self.cuda.cudaError_t.cudaSuccess:
            raise ModelError(f"CUDA failed ({error}): see whether the GPU has memory left")
        return rest[0] if rest else None
