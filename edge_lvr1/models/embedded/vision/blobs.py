"""Connected pieces of foreground, with what can be measured on each one alone."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_lvr1.models.embedded.vision.background import Image, Mask

LEAST_AREA = 0.0009
"""Share of the picture; smaller pieces are noise (about 50 pixels of 320 x 180)."""

MOST_BLOBS = 40
"""In rain or snow the largest are followed; the time a frame takes stays bounded."""

_CLOSE = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 9))  # heads and legs join upright
_OPEN = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
_STRONG = 24.0  # grey levels that the strongest tenth of a real blob differs by
_WHOLE = 128  # a ratio of 1 in eight bits


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels, right and bottom exclusive."""

    x0: float
    y0: float
    x1: float
    y1: float

    @property
    def width(self) -> float:
        """Width in pixels."""
        return self.x1 - self.x0

    @property
    def height(self) -> float:
        """Height in pixels."""
        return self.y1 - self.y0

    @property
    def centre(self) -> tuple[float, float]:
        """Middle in pixels."""
        return (self.x0 + self.x1) / 2, (self.y0 + self.y1) / 2

    @property
    def area(self) -> float:
        """Area in square pixels."""
        return max(0.0, self.width) * max(0.0, self.height)

    def union(self, other: Box) -> Box:
        """The smallest box around both."""
        return Box(
            min(self.x0, other.x0),
            min(self.y0, other.y0),
            max(self.x1, other.x1),
            max(self.y1, other.y1),
        )

    def overlap(self, other: Box) -> float:
        """Area that both cover, in square pixels."""
        width = min(self.x1, other.x1) - max(self.x0, other.x0)
        height = min(self.y1, other.y1) - max(self.y0, other.y0)
        return max(0.0, width) * max(0.0, height)

    def moved(self, dx: float, dy: float) -> Box:
        """The box displaced."""
        return Box(self.x0 + dx, self.y0 + dy, self.x1 + dx, self.y1 + dy)

    def grown(self, by: float) -> Box:
        """The box with `by` pixels more on every side."""
        return Box(self.x0 - by, self.y0 - by, self.x1 + by, self.y1 + by)

    def within(self, shape: tuple[int, ...]) -> tuple[slice, slice]:
        """Its rows and columns in a picture of that shape."""
        return (
            slice(max(0, int(self.y0)), max(0, min(shape[0], int(self.y1)))),
            slice(max(0, int(self.x0)), max(0, min(shape[1], int(self.x1)))),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Blob:
    """A piece of foreground.

    `mask` is bool over the box. `edge` says whose outline it is: towards 1 the frame shows
    an edge all around (a thing stands there), towards -1 only the background does (a thing
    of the background is gone), about 0 neither (light and shadow). `moving` is the share of
    it that changed since the last frame; `shadow` the share that is the background, only
    darker. `core` is the mask without that shadow. `codes` are the coarse colours (0 to 63)
    of the mask's pixels, row by row, and `colours` their histogram, summing to 1.
    """

    box: Box
    area: int
    mask: NDArray[np.bool_]
    core: NDArray[np.bool_]
    edge: float
    moving: float
    shadow: float
    codes: NDArray[np.uint8]
    colours: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """A frame beside the empty scene in the same light, and what was derived from both."""

    image: Image
    lit: Image
    difference: Image
    changed: Image  # grey-level change since the last frame
    edges: NDArray[np.float32]
    lit_edges: NDArray[np.float32]
    gain: NDArray[np.float32]


def difference(one: Image, other: Image) -> Image:
    """The largest difference of any channel, uint8 (h, w)."""
    parts = cv2.split(cv2.absdiff(one, other))
    return np.asarray(cv2.max(cv2.max(parts[0], parts[1]), parts[2]), np.uint8)


def edges(image: Image) -> NDArray[np.float32]:
    """Strength of the brightness edges, float32 (h, w)."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    across = cv2.Sobel(grey, cv2.CV_32F, 1, 0)
    down = cv2.Sobel(grey, cv2.CV_32F, 0, 1)
    return np.asarray(cv2.magnitude(across, down), np.float32)


def find(mask: Mask, scene: Scene) -> list[Blob]:
    """The blobs of a foreground mask, largest first."""
    joined = cv2.morphologyEx(mask, cv2.MORPH_OPEN, _OPEN)
    joined = cv2.morphologyEx(joined, cv2.MORPH_CLOSE, _CLOSE)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(joined, connectivity=8)
    areas = stats[1:, cv2.CC_STAT_AREA]
    large = np.flatnonzero(areas >= LEAST_AREA * mask.size)
    blobs = []
    for index in 1 + large[np.argsort(-areas[large], kind="stable")][:MOST_BLOBS]:
        x, y, width, height, _ = (int(v) for v in stats[index])
        inside = labels[y : y + height, x : x + width] == index
        blob = _measure(scene, inside, x, y)
        if blob is not None:
            blobs.append(blob)
    return blobs


def _measure(scene: Scene, inside: NDArray[np.bool_], x: int, y: int) -> Blob | None:
    height, width = inside.shape
    here = (slice(y, y + height), slice(x, x + width))
    strength = scene.difference[here][inside]
    if float(np.percentile(strength, 90)) < _STRONG:
        return None
    codes = coarse(scene.image[here][inside], scene.gain)
    shadow = _shadow(scene.image[here], scene.lit[here]) & inside
    return Blob(
        box=Box(x, y, x + width, y + height),
        area=int(inside.sum()),
        mask=inside,
        core=inside & ~shadow,
        edge=_edge(scene, inside, x, y),
        moving=float((scene.changed[here][inside] > 18).mean()),
        shadow=float(shadow.sum() / inside.sum()),
        codes=codes,
        colours=histogram(codes),
    )


def _edge(scene: Scene, inside: NDArray[np.bool_], x: int, y: int) -> float:
    rows, columns = scene.image.shape[:2]
    top, left = max(0, y - 2), max(0, x - 2)
    bottom, right = min(rows, y + inside.shape[0] + 2), min(columns, x + inside.shape[1] + 2)
    patch = np.zeros((bottom - top, right - left), np.uint8)
    patch[y - top : y - top + inside.shape[0], x - left : x - left + inside.shape[1]] = inside
    ring = cv2.dilate(patch, _OPEN, iterations=2) - cv2.erode(patch, _OPEN, iterations=2)
    here = (slice(top, bottom), slice(left, right))
    around = ring > 0
    now = float(scene.edges[here][around].mean()) if around.any() else 0.0
    empty = float(scene.lit_edges[here][around].mean()) if around.any() else 0.0
    return (now - empty) / (now + empty + 8.0)


def _shadow(image: Image, lit: Image) -> NDArray[np.bool_]:
    """Pixels that are the empty scene at 45 to 97 % of its light, in its own hue."""
    ratio = cv2.split(cv2.divide(image, lit, scale=_WHOLE))
    low = cv2.min(cv2.min(ratio[0], ratio[1]), ratio[2])
    high = cv2.max(cv2.max(ratio[0], ratio[1]), ratio[2])
    dimmed = (low > 0.45 * _WHOLE) & (high < 0.97 * _WHOLE)
    return np.asarray(dimmed & (cv2.subtract(high, low) < 0.12 * _WHOLE), np.bool_)


def coarse(pixels: NDArray[np.uint8], gain: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Each pixel's place among 64 coarse colours, after the light was taken out."""
    level = np.clip(pixels / np.maximum(gain, 0.2), 0, 255).astype(np.uint8) >> 6
    return np.asarray(level[:, 0] * 16 + level[:, 1] * 4 + level[:, 2], np.uint8)


def histogram(codes: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The share of each coarse colour."""
    counts = np.bincount(codes, minlength=64).astype(np.float32)
    return counts / max(1.0, float(counts.sum()))
