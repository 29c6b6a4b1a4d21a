"""Small pictures to know a span by: their files, and hashes that tell whether two look alike."""

from __future__ import annotations

import io
import math

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE_PX = 320
_QUALITY = 70
_HASHED_PX = 32
_COEFFICIENTS = 8


def webp(image: NDArray[np.uint8]) -> bytes:
    """A picture (height, width, 3) of uint8 RGB as a WebP file."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "WEBP", quality=_QUALITY, method=2)
    return file.getvalue()


def looks_like(image: NDArray[np.uint8]) -> int:
    """64 bits that pictures which look alike share, whatever their size and light.

    The signs of the picture's lowest frequencies against their median, but for the mean
    (pHash: Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010).
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    size = (_HASHED_PX, _HASHED_PX)
    small = cv2.resize(grey, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    waves = np.asarray(cv2.dct(small))[: _COEFFICIENTS + 1, : _COEFFICIENTS + 1]
    low = waves[:_COEFFICIENTS, :_COEFFICIENTS].ravel().copy()
    low[0] = waves[_COEFFICIENTS, _COEFFICIENTS]  # in place of the mean
    bits = low > np.median(low)
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def apart(one: int, other: int) -> int:
    """The number of bits in which two hashes differ."""
    return (one ^ other).bit_count()


def fitted(width_px: int, height_px: int, side_px: int = SIDE_PX) -> tuple[int, int]:
    """Width and height with a longer side of at most so many pixels."""
    scale = min(1.0, side_px / max(width_px, height_px))
    return max(1, math.floor(width_px * scale + 0.5)), max(1, math.floor(height_px * scale + 0.5))
