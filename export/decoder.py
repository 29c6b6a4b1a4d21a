"""The language part of Qwen2.5-VL and Qwen3-VL as a graph of standard operators.

It takes embeddings, three rows of positions (M-RoPE) and the key-value cache, and gives the
logits of the last token and the longer cache: the same graph prefills and decodes, any number
of tokens at a time. Written out over the checkpoint's own layers instead of tracing the
model's forward, so that attention is grouped without copying keys for each query head, and
nothing in it but operators that TensorRT takes too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from edge_lvr1.export.graphs import quantize, write_graph
from edge_lvr1.export.vision import rotate
from edge_lvr1.models.onnx.providers import Foreign
from edge_lvr1.models.onnx.vl_facts import (
    DECODER,
    DEEPSTACK,
    EMBEDS,
    LOGITS,
    POSITIONS,
    cache_names,
)


class DecoderGraph(nn.Module):
    """One step of the decoder. `model` is a Qwen2_5_VL or Qwen3VL ForConditionalGeneration."""

    frequencies: Tensor
    rows: Tensor

    def __init__(self, model: Foreign) -> None:
        super().__init__()
        text = model.model.language_model
        self.layers, self.norm, self.lm_head = text.layers, text.norm, model.lm_head
        self.levels = len(getattr(model.config.vision_config, "deepstack_visual_indexes", ()))
        rotary = text.rotary_emb
        self.scaling = float(rotary.attention_scaling)
        self.register_buffer("frequencies", rotary.inv_freq.float(), persistent=False)
        self.register_buffer("rows", _row_of_frequency(rotary), persistent=False)

    def forward(
        self,
        embeds: Tensor,
        positions: Tensor,
        past: list[Tensor],
        deepstack: Tensor | None = None,
    ) -> tuple[Tensor, ...]:
        """Run S tokens after P cached ones.

        embeds float32 [1, S, width]; positions int64 [3, S]; past 2 x layers of
        [1, key-value heads, P, head_dim]; deepstack float32 [levels, S, width], zeros where
        there is no picture. Gives logits float32 [1, 1, words] and the cache of P + S.
        """
        hidden = embeds.to(self.norm.weight.dtype)
        cos, sin = self._rotations(positions)
        mask = _causal(past[0].shape[2], embeds.shape[1])
        cache: list[Tensor] = []
        for index, layer in enumerate(self.layers):
            normed = layer.input_layernorm(hidden)
            mixed, *grown = self._attend(
                layer.self_attn, normed, cos, sin, mask, past[2 * index : 2 * index + 2]
            )
            cache += grown
            hidden = hidden + mixed
            hidden = hidden + layer.mlp(layer.post_attention_layernorm(hidden))
            if deepstack is not None and index < self.levels:
                hidden = hidden + deepstack[index].to(hidden.dtype)
        logits = self.lm_head(self.norm(hidden[:, -1:]))
        return (logits.float(), *cache)

    def _rotations(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        rows = torch.index_select(positions, 0, self.rows).float()
        half = (rows * self.frequencies[:, None]).transpose(0, 1)
        angles = torch.cat((half, half), dim=-1)
        return angles.cos() * self.scaling, angles.sin() * self.scaling

    def _attend(
        self,
        attention: Foreign,
        hidden: Tensor,
        cos: Tensor,
        sin: Tensor,
        mask: Tensor,
        past: list[Tensor],
    ) -> tuple[Tensor, Tensor, Tensor]:
        count, dim = hidden.shape[1], attention.head_dim
        query = _heads(attention.q_proj(hidden), dim, getattr(attention, "q_norm", None))
        key = _heads(attention.k_proj(hidden), dim, getattr(attention, "k_norm", None))
        value = _heads(attention.v_proj(hidden), dim, None)
        cos, sin = cos.to(hidden.dtype), sin.to(hidden.dtype)
        key = torch.cat((past[0], rotate(key, cos, sin)), dim=2)
        value = torch.cat((past[1], value), dim=2)
        groups, shared = key.shape[1], attention.num_key_value_groups
        query = (rotate(query, cos, sin) * attention.scaling).reshape(
            1, groups, shared * count, dim
        )
        scores = torch.matmul(query, key.transpose(2, 3)).float()
        scores = scores.reshape(1, groups, shared, count, -1)
        scores = torch.where(mask, scores, torch.finfo(torch.float32).min)
        weights = torch.softmax(scores, dim=-1).to(value.dtype)
        attended = torch.matmul(weights.reshape(1, groups, shared * count, -1), value)
        attended = attended.reshape(1, groups * shared, count, dim).transpose(1, 2)
        return attention.o_proj(attended.reshape(1, count, -1)), key, value


def _heads(states: Tensor, dim: int, norm: nn.Module | None) -> Tensor:
    """[1, S, heads * dim] -> [1, heads, S, dim]."""
    split = states.reshape(1, states.shape[1], -1, dim)
    return (split if norm is None else norm(split)).transpose(1, 2)


def _causal(past: int, count: int) -> Tensor:
    """[S, P + S]: true where a token may look."""
    own = torch.arange(count) + past
    return torch.arange(past + count)[None, :] <= own[:, None]


def _row_of_frequency(rotary: Foreign) -> Tensor:
    """For each rotary frequency, which row of positions turns it: time, height or width.

    Asked of the model's own arrangement, which the two families do differently.
    """
    rows = torch.arange(3.0)[:, None, None, None].repeat(1, 1, 1, len(rotary.inv_freq))
    arranged: Tensor = rotary.recomposition_frequencies(rows)
    return arranged[0, 0, : len(rotary.inv_freq)].long()


def write_decoder(graph: DecoderGraph, folder: Path, *, int4: bool, accuracy: int) -> None:
    """Write the graph into a folder, with weights of 4 bits where asked (see `quantize`)."""
    free = torch.export.Dim.DYNAMIC
    attention = graph.layers[0].self_attn
    layers, width = len(graph.layers), graph.norm.weight.shape[0]
    heads = attention.k_proj.out_features // attention.head_dim
    kept = torch.zeros(1, heads, 7, attention.head_dim, dtype=graph.norm.weight.dtype)
    example: list[Any] = [
        torch.zeros(1, 5, width),
        torch.zeros(3, 5, dtype=torch.int64),
        [kept.clone() for _ in range(2 * layers)],
    ]
    shapes: list[Any] = [{1: free}, {1: free}, [{2: free}] * (2 * layers)]
    inputs = [EMBEDS, POSITIONS, *cache_names(layers, "past")]
    if graph.levels:
        example.append(torch.zeros(graph.levels, 5, width))
        shapes.append({1: free})
        inputs.append(DEEPSTACK)
    write_graph(
        graph,
        tuple(example),
        folder / DECODER,
        inputs=inputs,
        outputs=[LOGITS, *cache_names(layers, "present")],
        dynamic_shapes=tuple(shapes),
    )
    if int4:
        quantize(folder / DECODER, accuracy)
