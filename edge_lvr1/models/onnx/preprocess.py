"""Frames to patches, in numpy: what Qwen-VL's vision encoders read.

The same bits as transformers' Qwen2VLImageProcessor on its PIL backend gives, for frames of
the size that the bundle was exported for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge_lvr1.models.onnx.vl_facts import VlFacts

Picture = NDArray[np.uint8]
MOST_STRETCH = 1.15
"""A frame whose shape differs more than that from the size it is put into keeps its shape."""

_SHAPE_WEIGHT = 3.0
"""The right shape is worth more than the right size, since sizes are a matter of budget."""


def choose_size(
    sizes: Sequence[tuple[int, int]], height_px: int, width_px: int, max_side_px: int
) -> tuple[int, int]:
    """Of the sizes (height, width), the one nearest a frame in shape, and in its longer side
    nearest `max_side_px`."""

    def distance(size: tuple[int, int]) -> tuple[float, int]:
        shape = abs(math.log(size[1] / size[0] * height_px / width_px))
        side = abs(math.log(max(size) / max_side_px))
        return _SHAPE_WEIGHT * shape + side, size[0] * size[1]

    return min(sizes, key=distance)


def fit(picture: Picture, height_px: int, width_px: int) -> Picture:
    """An RGB picture at that size: stretched a little, or whole between grey bars."""
    height, width = picture.shape[:2]
    stretch = (width_px / width) / (height_px / height)
    if max(stretch, 1 / stretch) <= MOST_STRETCH:
        return _resized(picture, height_px, width_px)
    scale = min(height_px / height, width_px / width)
    inner_height = max(1, min(height_px, round(height * scale)))
    inner_width = max(1, min(width_px, round(width * scale)))
    whole = np.full((height_px, width_px, 3), 128, np.uint8)
    top, left = (height_px - inner_height) // 2, (width_px - inner_width) // 2
    inner = _resized(picture, inner_height, inner_width)
    whole[top : top + inner_height, left : left + inner_width] = inner
    return whole


def _resized(picture: Picture, height_px: int, width_px: int) -> Picture:
    if picture.shape[:2] == (height_px, width_px):
        return picture
    image = Image.fromarray(picture).resize((width_px, height_px), Image.Resampling.BICUBIC)
    return np.asarray(image)


def patches(pictures: Sequence[Picture], facts: VlFacts) -> NDArray[np.float32]:
    """Pictures of one size to float32 [slices, patches, values].

    The last picture stands in for what is missing of its slice. Patches that are merged into
    one token stand together; a patch's values are ordered channel, frame, row, column.
    """
    stacked = np.stack(pictures)
    if missing := -len(stacked) % facts.frames_per_slice:
        stacked = np.concatenate([stacked, np.repeat(stacked[-1:], missing, axis=0)])
    count, height, width, channels = stacked.shape
    side, merge, frames = facts.patch_px, facts.merge, facts.frames_per_slice
    split = stacked.reshape(
        count // frames,
        frames,
        height // (merge * side),
        merge,
        side,
        width // (merge * side),
        merge,
        side,
        channels,
    )
    ordered = split.transpose(0, 2, 5, 3, 6, 8, 1, 4, 7)
    table = _normalised(facts)
    values = np.empty(ordered.shape, np.float32)
    for channel in range(channels):
        values[:, :, :, :, :, channel] = table[channel][ordered[:, :, :, :, :, channel]]
    return values.reshape(count // frames, -1, channels * frames * side * side)


def _normalised(facts: VlFacts) -> NDArray[np.float32]:
    """What each of the 256 values becomes, for each channel, rounded where the reference does."""
    scaled = (np.arange(256, dtype=np.float64) * (1 / 255)).astype(np.float32)
    mean = np.array(facts.mean, np.float32)[:, None]
    std = np.array(facts.std, np.float32)[:, None]
    table: NDArray[np.float32] = (scaled[None, :] - mean) / std
    return table
