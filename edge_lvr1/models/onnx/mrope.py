"""M-RoPE: where the tokens of text and pictures stand, in time, height and width.

Text counts on in all three rows alike; the tokens of a clip take time, row and column from
where the text before it ended (Qwen2-VL, arXiv 2409.12191). While decoding, text goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from edge_lvr1.models.onnx.vl_facts import AFTER_MAX


@dataclass(frozen=True, slots=True)
class Text:
    """Tokens of text."""

    ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Pictures:
    """The tokens of slices: rows x columns each, `step` positions apart in time."""

    slices: int
    rows: int
    columns: int
    step: float = 1.0

    @property
    def tokens(self) -> int:
        """How many tokens they are."""
        return self.slices * self.rows * self.columns


Piece: TypeAlias = Text | Pictures


def positions(pieces: Sequence[Piece], text_after: str) -> tuple[NDArray[np.int64], int]:
    """Positions int64 [3, tokens] of a prompt, and the position of the token after it.

    `text_after` is AFTER_GRID or AFTER_MAX.
    """
    placed: list[NDArray[np.int64]] = []
    start = 0
    for piece in pieces:
        if isinstance(piece, Text):
            placed.append(np.tile(np.arange(start, start + len(piece.ids)), (3, 1)))
            start += len(piece.ids)
            continue
        grid = _grid(piece) + start
        placed.append(grid)
        largest = int(grid.max()) + 1
        start = largest if text_after == AFTER_MAX else start + max(piece.rows, piece.columns)
    return np.concatenate(placed, axis=1), start


def _grid(pictures: Pictures) -> NDArray[np.int64]:
    # In float32, as the reference rounds.
    times = (np.arange(pictures.slices, dtype=np.float32) * np.float32(pictures.step)).astype(int)
    axes = np.meshgrid(times, np.arange(pictures.rows), np.arange(pictures.columns), indexing="ij")
    grid: NDArray[np.int64] = np.stack(axes).reshape(3, -1).astype(np.int64)
    return grid
