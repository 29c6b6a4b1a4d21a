"""What the picture looks like with nobody in it, kept true while light and scenery change.

The model is one picture and, for each pixel, how much it flickers. A frame is compared with
the model after the light has been fitted (one gain and offset a channel, robustly), so that
a camera's automatic exposure is no foreground. Where a subject stands nothing is learned:
somebody who stands still for a minute does not fade into the wall. What is a subject and
what is a hole in the model is decided elsewhere, a whole blob at a time.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Mask = NDArray[np.uint8]  # 0 or 255

LEARN = 0.05
"""Share of the difference taken over each frame: 4 s at 5 frames a second."""

FLICKER_LEARN = 0.02
FLICKER_CLIP = 40
LEAST_DIFFERENCE = 13.0
"""Grey levels; H.264 at usual qualities leaves 2 to 5 after scaling down."""

_FIT_STRIDE = 6
_RELIT_PX = 61
_FIT_ROUNDS = 2


@dataclass(frozen=True, slots=True)
class Light:
    """Gain and offset of each channel that turn the model into the frame's light."""

    gain: NDArray[np.float32] = field(default_factory=lambda: np.ones(3, np.float32))
    offset: NDArray[np.float32] = field(default_factory=lambda: np.zeros(3, np.float32))


@dataclass(slots=True)
class Background:
    """The empty scene: float32 RGB (h, w, 3), and its flicker in grey levels, float32 (h, w)."""

    picture: NDArray[np.float32]
    flicker: NDArray[np.float32]

    @classmethod
    def of(cls, image: Image) -> Background:
        """A model that takes a first frame for the empty scene."""
        return cls(image.astype(np.float32), np.full(image.shape[:2], 2.0, np.float32))

    def copy(self) -> Background:
        """The model as it is now."""
        return Background(self.picture.copy(), self.flicker.copy())

    def fit(self, image: Image, subjects: NDArray[np.bool_]) -> Light:
        """The light of a frame, from pixels outside `subjects` (bool, (h, w)).

        Repeated least squares on the pixels that agree: up to a third of the picture may be
        covered by a newcomer that `subjects` does not know of yet.
        """
        s = _FIT_STRIDE
        free = ~subjects[::s, ::s].ravel()
        if free.sum() < 0.1 * free.size:
            free[:] = True
        was = self.picture[::s, ::s].reshape(-1, 3)[free]
        now = image[::s, ::s].reshape(-1, 3)[free].astype(np.float32)
        lit = [_fit_channel(was[:, c], now[:, c]) for c in range(3)]
        return Light(
            np.array([gain for gain, _ in lit], np.float32),
            np.array([offset for _, offset in lit], np.float32),
        )

    def under(self, light: Light) -> Image:
        """The empty scene as it would look in that light, uint8 RGB."""
        lit = cv2.transform(self.picture, np.column_stack([np.diag(light.gain), light.offset]))
        return np.asarray(cv2.convertScaleAbs(np.maximum(lit, 0)), np.uint8)

    def differs(self, difference: Image) -> Mask:
        """Where a difference in grey levels (uint8 (h, w)) is more than the pixel's flicker."""
        limit = np.maximum(LEAST_DIFFERENCE, 6.0 + 3.0 * self.flicker)
        return np.where(difference > limit, np.uint8(255), np.uint8(0))

    def learn(
        self,
        image: Image,
        lit: Image,
        light: Light,
        difference: Image,
        keep: NDArray[np.bool_],
        share: float = LEARN,
    ) -> None:
        """Follow the frame outside `keep` (bool, (h, w)), where subjects are.

        `share` of the difference is taken over.
        """
        free = (~keep).astype(np.uint8)
        # From the lit scene, which is clipped like the frame: what both show as white stays.
        step = cv2.subtract(image, lit, dtype=cv2.CV_32F)
        step = cv2.transform(step, np.diag(share / np.maximum(light.gain, 0.2)))
        cv2.add(self.picture, step, dst=self.picture, mask=free)
        seen = np.minimum(difference, np.uint8(FLICKER_CLIP))
        cv2.accumulateWeighted(seen, self.flicker, FLICKER_LEARN, mask=free)

    def replace(self, image: Image, light: Light, where: NDArray[np.bool_]) -> None:
        """Take the frame as the empty scene there: a hole in the model is healed."""
        lit = (image.astype(np.float32) - light.offset) / np.maximum(light.gain, 0.2)
        self.picture[where] = np.clip(lit[where], 0, 255)
        self.flicker[where] = np.minimum(self.flicker[where], 4.0)

    def relight(self, image: Image, lit: Image, subjects: NDArray[np.bool_]) -> None:
        """Take over light that fell otherwise on each place, all at once.

        Behind `subjects` (bool, (h, w)) the scene changes as what is around them did.
        """
        free = (~subjects).astype(np.float32)[..., None]
        size = (_RELIT_PX, _RELIT_PX)
        now, was = (cv2.blur((each + 1.0) * free, size) for each in (image, lit))
        behind = np.where(was > 0, (lit + 1.0) * now / np.maximum(was, 1e-3) - 1.0, lit)
        self.picture = np.where(subjects[..., None], behind, image).astype(np.float32)
        np.clip(self.picture, 0, 255, out=self.picture)

    def shift(self, dx: int, dy: int, image: Image, light: Light) -> None:
        """Move the model with the camera; what comes into the picture is taken from the frame."""
        height, width = self.flicker.shape
        by = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
        inside = np.full((height, width), 255, np.uint8)
        size = (width, height)
        self.picture = cv2.warpAffine(self.picture, by, size).astype(np.float32)
        self.flicker = cv2.warpAffine(self.flicker, by, size, borderValue=4.0).astype(np.float32)
        self.replace(image, light, cv2.warpAffine(inside, by, size) < 255)


def _fit_channel(
    was: NDArray[np.float32], now: NDArray[np.float32]
) -> tuple[np.float32, np.float32]:
    inner = (was > 8) & (was < 247) & (now > 3) & (now < 252)  # clipped pixels tell no gain
    if inner.sum() < 50:
        return np.float32(1), np.float32(np.median(now - was))
    x, y = was[inner].astype(np.float64), now[inner].astype(np.float64)
    gain, offset = float(np.median(y / x)), 0.0
    for _ in range(_FIT_ROUNDS):
        off = np.abs(y - gain * x - offset)
        near = off <= max(4.0, 2.5 * float(np.median(off)))
        px, py = x[near], y[near]
        mx, my = float(px.mean()), float(py.mean())
        # Drawn towards a pure gain: a nearly even picture cannot tell gain from offset.
        hold = 100.0
        cov = float(((px - mx) * (py - my)).mean())
        var = float(((px - mx) ** 2).mean())
        gain = (cov + hold * my / max(mx, 1.0)) / (var + hold)
        offset = my - gain * mx
    return np.float32(gain), np.float32(offset)
