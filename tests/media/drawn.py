"""A fixed camera's small grey pictures, drawn: a textured scene under noise and light."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from edge_lvr1.media.measure import HEIGHT_PX, WIDTH_PX

Image = NDArray[np.uint8]


class Camera:
    """Pictures of a scene of its own; what is in them is given picture by picture."""

    def __init__(self, seed: int = 1, noise: float = 0.6) -> None:
        self.random = np.random.default_rng(seed)
        self.noise = noise
        coarse = self.random.normal(0, 25, (HEIGHT_PX // 6, WIDTH_PX // 8))
        fine = self.random.normal(0, 6, (HEIGHT_PX, WIDTH_PX))
        self.scene = 120 + np.kron(coarse, np.ones((6, 8)))[:HEIGHT_PX, :WIDTH_PX] + fine

    def picture(
        self,
        box: tuple[int, int, int, int] | None = None,
        light: float = 1.0,
        written: bool = False,
    ) -> Image:
        """The scene, with somebody dark in a box (x, y, width, height), and a clock's digits."""
        image = self.scene.copy()
        if box is not None:
            x, y, width, height = box
            image[y : y + height, x : x + width] = 40
        image *= light
        if written:
            image[2:6, 4 : 4 + 40] = 255 * (self.random.random((4, 40)) > 0.5)
        image += self.random.normal(0, self.noise, image.shape)
        return np.clip(np.round(image), 0, 255).astype(np.uint8)

    def still(self, count: int, light: float = 1.0, written: bool = False) -> Iterator[Image]:
        for _ in range(count):
            yield self.picture(light=light, written=written)
