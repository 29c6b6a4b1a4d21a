"""The vision encoder of Qwen2.5-VL and Qwen3-VL as a graph of standard operators.

Attention stays within a temporal slice (two frames), so slices are a batch: patches come as
[slices, patches, values], and both counts are free. What depends on the frame size alone
(rotations, position embeddings, which patches share a window) are inputs too, computed here
once for each frame size and stored beside the graph. So one session, with one copy of the
weights, serves every frame size; `bake` makes a graph of one frame size of it, for runtimes
that want constants.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from edge_lvr1.export.graphs import write_graph
from edge_lvr1.models.onnx.providers import Foreign
from edge_lvr1.models.onnx.vl_facts import (
    DEEPSTACK,
    FEATURES,
    PATCHES,
    VISION,
    constants_file,
)

if TYPE_CHECKING:
    import onnx

COS, SIN, POSITIONS, WINDOWS = "rotation_cos", "rotation_sin", "position_embeddings", "windows"


class VisionGraph(nn.Module):
    """patches float32 [T, N, values] -> features float32 [T * N / 4, width], and deepstack
    features [levels, T * N / 4, width] where the family has them.

    N are the patches of a slice in the order of the reference image processor: the four that
    are merged into one token stand together. `visual` is the checkpoint's own encoder.
    """

    def __init__(self, visual: Foreign) -> None:
        super().__init__()
        self.visual = visual
        kernel = visual.patch_embed.proj
        self.embedding = nn.Parameter(kernel.weight.flatten(1), requires_grad=False)
        self.bias = kernel.bias
        whole = getattr(visual, "fullatt_block_indexes", None)
        self.has_windows = whole is not None
        blocks = range(len(visual.blocks)) if whole is not None else ()
        self.windowed = frozenset(blocks) - frozenset(whole or ())
        self.deepstack = tuple(getattr(visual, "deepstack_visual_indexes", ()))

    @property
    def constants(self) -> tuple[str, ...]:
        """Names of the inputs that depend on the frame size alone, in order."""
        return (COS, SIN, WINDOWS if self.has_windows else POSITIONS)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the outputs, in order."""
        return (FEATURES, DEEPSTACK) if self.deepstack else (FEATURES,)

    def forward(
        self, patches: Tensor, cos: Tensor, sin: Tensor, placing: Tensor
    ) -> tuple[Tensor, ...]:
        """Encode slices. `placing` is what `constants` names third."""
        hidden = functional.linear(patches.to(self.embedding.dtype), self.embedding, self.bias)
        if not self.has_windows:
            hidden = hidden + placing.to(hidden.dtype)
        levels = []
        for index, block in enumerate(self.visual.blocks):
            mask = placing if index in self.windowed else None
            hidden = hidden + _attend(block.attn, block.norm1(hidden), cos, sin, mask)
            hidden = hidden + block.mlp(block.norm2(hidden))
            if index in self.deepstack:
                merger = self.visual.deepstack_merger_list[self.deepstack.index(index)]
                levels.append(merger(hidden).float())
        features = self.visual.merger(hidden).float()
        return (features, torch.stack(levels)) if levels else (features,)


def _attend(
    attention: Foreign, hidden: Tensor, cos: Tensor, sin: Tensor, mask: Tensor | None
) -> Tensor:
    """Attention of each slice over itself; `mask` [N, N] is true where patches share a window."""
    slices, patches, width = hidden.shape
    qkv = attention.qkv(hidden).reshape(slices, patches, 3, attention.num_heads, -1)
    query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
    query = rotate(query.float(), cos, sin).to(value.dtype)
    key = rotate(key.float(), cos, sin).to(value.dtype)
    scores = torch.matmul(query * attention.scaling, key.transpose(2, 3)).float()
    if mask is not None:
        scores = torch.where(mask, scores, torch.finfo(torch.float32).min)
    weights = torch.softmax(scores, dim=-1).to(value.dtype)
    attended = torch.matmul(weights, value).transpose(1, 2).reshape(slices, patches, width)
    mixed: Tensor = attention.proj(attended)
    return mixed


def rotate(states: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary embedding of [..., positions, head_dim] by angles [positions, head_dim]."""
    half = states.shape[-1] // 2
    turned = torch.cat((-states[..., half:], states[..., :half]), dim=-1)
    return states * cos + turned * sin


def frame_constants(graph: VisionGraph, height_px: int, width_px: int) -> dict[str, NDArray[Any]]:
    """What the graph needs to know of a frame size, by the names of its inputs.

    Rotations [N, head_dim] and position embeddings [N, width] are float32, windows bool
    [N, N]. From transformers' own functions, for one slice.
    """
    from transformers.vision_utils import (
        get_vision_interpolation_indices_and_weights,
        get_vision_position_ids,
    )

    visual = graph.visual
    grid = torch.tensor([[1, height_px // visual.patch_size, width_px // visual.patch_size]])
    places = get_vision_position_ids(grid, visual.spatial_merge_size)
    cos, sin = visual.rotary_pos_emb(graph.embedding, places)
    constants: dict[str, Any] = {COS: cos.float().numpy(), SIN: sin.float().numpy()}
    if graph.has_windows:
        constants[WINDOWS] = _shared_windows(visual, grid)
        return constants
    indices, weights = get_vision_interpolation_indices_and_weights(
        grid,
        num_grid_per_side=visual.num_grid_per_side,
        mode=visual.interpolation_mode,
        align_corners=visual.interpolation_align_corners,
        spatial_merge_size=visual.spatial_merge_size,
    )
    table = visual.pos_embed(indices) * weights[:, :, None]
    constants[POSITIONS] = table.sum(1).float().detach().numpy()
    return constants


def _shared_windows(visual: Foreign, grid: Tensor) -> NDArray[np.bool_]:
    """Which patches see each other in the blocks with window attention: [N, N]."""
    from transformers.vision_utils import get_vision_window_index

    order, ends = get_vision_window_index(
        grid,
        spatial_merge_size=visual.spatial_merge_size,
        window_size=visual.window_size,
        patch_size=visual.patch_size,
    )
    unit = visual.spatial_merge_unit
    window = np.empty(len(order) * unit, np.int64)
    for number, (start, end) in enumerate(zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)):
        merged = order[start // unit : end // unit].numpy()
        window[(merged[:, None] * unit + np.arange(unit)).ravel()] = number
    same: NDArray[np.bool_] = window[:, None] == window[None, :]
    return same


def bake(graph: onnx.ModelProto, constants: Mapping[str, NDArray[Any]]) -> onnx.ModelProto:
    """The graph for one frame size: its constants inside, only the count of slices free.

    Changes and returns `graph`, which may be loaded without its weights.
    """
    from onnx import numpy_helper

    for name, value in constants.items():
        graph.graph.initializer.append(numpy_helper.from_array(value, name))
    kept = [entry for entry in graph.graph.input if entry.name not in constants]
    del graph.graph.input[:]
    graph.graph.input.extend(kept)  # copies them
    patches = next(entry for entry in graph.graph.input if entry.name == PATCHES)
    patches.type.tensor_type.shape.dim[1].dim_value = len(constants[COS])
    return graph


def write_vision(graph: VisionGraph, sizes: Sequence[tuple[int, int]], folder: Path) -> None:
    """Write the graph, and the constants of each frame size (height, width), into a folder."""
    free = torch.export.Dim.DYNAMIC
    of_size = [frame_constants(graph, *size) for size in sizes]
    for size, constants in zip(sizes, of_size, strict=True):
        np.savez(folder / constants_file(*size), allow_pickle=False, **constants)
    example = [torch.from_numpy(of_size[0][name]) for name in graph.constants]
    values = torch.zeros(2, len(example[0]), graph.embedding.shape[1])
    write_graph(
        graph,
        (values, *example),
        folder / VISION,
        inputs=(PATCHES, *graph.constants),
        outputs=graph.outputs,
        dynamic_shapes=(
            {0: free, 1: free},
            {0: free},
            {0: free},
            {0: free, 1: free} if graph.constants[2] == WINDOWS else {0: free},
        ),
    )
