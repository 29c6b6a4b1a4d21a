"""Modules to ONNX files: standard operators, weights beside the graph, int4 where asked.

It does not know what the modules are.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_lvr1.models.onnx.providers import Foreign

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)

OPSET = 20
_LOUD = (None, "onnx_ir", "onnxscript", "torch.onnx", "onnxruntime.quantization")
INT4_BLOCK = 32
"""Weights that share a scale, along the inner dimension."""


def write_graph(
    module: torch.nn.Module,
    example: tuple[Any, ...],
    file: Path,
    *,
    inputs: Sequence[str],
    outputs: Sequence[str],
    dynamic_shapes: Foreign,
) -> None:
    """Export a module to `file`, with its weights in `file`.data. Needs no forward pass."""
    import torch
    from onnx_ir.passes.common import ClearMetadataAndDocStringPass

    with _quietly():
        program = torch.onnx.export(
            module,
            example,
            dynamo=True,
            opset_version=OPSET,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_shapes=dynamic_shapes,
            verbose=False,
        )
        assert program is not None
        ClearMetadataAndDocStringPass()(program.model)  # it holds paths of the exporting machine
        program.save(str(file), external_data=True)
    log.info("wrote %s", file.name)


def quantize(file: Path, accuracy: int) -> None:
    """Put the weights of a graph's matrix products into 4 bits, in place.

    Symmetric, a scale for each INT4_BLOCK weights, without calibration (onnxruntime's
    MatMulNBits, an operator of its own). `accuracy` is the operator's accuracy level: 4
    multiplies in 8 bits, as CPUs do fast; 0 leaves it to the provider.
    """
    import onnx

    with _quietly():
        from onnxruntime.quantization.matmul_nbits_quantizer import (  # type: ignore[import-untyped]
            MatMulNBitsQuantizer,
        )

        quantizer = MatMulNBitsQuantizer(
            onnx.load(file), block_size=INT4_BLOCK, is_symmetric=True, accuracy_level=accuracy
        )
        quantizer.process()
    for old in (file, data_file(file)):
        old.unlink()
    onnx.save(
        quantizer.model.model,
        file,
        save_as_external_data=True,
        location=data_file(file).name,
        size_threshold=1024,
    )
    data_file(file).chmod(0o644)  # onnx makes it private, and the daemon may be another user
    log.info("put the weights of %s into 4 bits", file.name)


def data_file(file: Path) -> Path:
    """Where a graph's weights stand."""
    return file.with_name(file.name + ".data")


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Exporters warn of their own internals and tell their steps; neither is for a user.

    One even sets up logging for the whole process when it is imported, which is undone.
    """
    loggers = [logging.getLogger(name) for name in _LOUD]
    levels = [logger.level for logger in loggers]
    handlers = list(logging.getLogger().handlers)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        for logger in loggers[1:]:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
            logging.getLogger().handlers[:] = handlers
