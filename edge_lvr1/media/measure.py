"""What a look at a fixed camera's picture tells of motion, presence and light. No files here.

Each small grey picture is compared, under the light of the moment, with the look before it and
with a slow background; what differs is told block by block. Who stands still goes on being
told apart from the background until he has not stirred for `ABSORB_S`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

WIDTH_PX, HEIGHT_PX = 160, 90
COLUMNS, ROWS = 20, 10
BLOCKS = COLUMNS * ROWS
GREY_STEP = 1 / 8
"""Of the differences in a sample, in grey levels of 0 to 255."""

ABSORB_S = 60.0
"""What differs from the background and does not stir is part of it after this long."""

_LEARN_S = 30.0
_CROWDED = 0.4  # share of the blocks: with so much in the way nothing is learned of the scene
_ALONE = 0.05  # share of the blocks: as good as nobody is in the picture
_CALM = 0.02  # share of the blocks: as good as nothing moved
_FIRST = 10  # looks: the level of noise is learned from them
_ASKED_EVERY = 10  # looks: how alike calm pictures are
_CHANGED = 0.5  # share of the blocks: from here on the picture as a whole has changed
_CUT_ALIKE = 0.15  # so little in common (scenes of different places have 0), and it is a cut
_RELIT_ALIKE = 0.85  # so much in common, and only the light is another
_LIGHT_STEP = 0.04  # share by which light changes from one look to the next when it is switched
_NEAR = 6.0  # grey levels: pixels that the light of the last look explains
_MOST = 0.6  # share of the pixels: where it explains so many, the light is much as it was
_FAR_OFF = 10.0  # grey levels: how much further a pixel is off says nothing of the light

Grey: TypeAlias = NDArray[np.float32]
"""A picture, or a value for each block, as float32."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What one look at the picture told.

    `blocks` are BLOCKS bytes of motion against the look before, then BLOCKS bytes of presence
    against the background, row by row: mean absolute differences in units of GREY_STEP, light
    taken out. `light` is the mean grey level of the scene without what is new in it. `changed`
    is the share of blocks that moved; where that is most, `alike` is how far the edges are where
    they were (1: all). `cut`: it is another scene than before.
    """

    time_s: float
    light: float
    changed: float
    alike: float
    cut: bool
    blocks: bytes


@dataclass(slots=True)
class Measure:
    """Looks at one picture after the other, in order of time, and remembers the scene."""

    background: Grey | None = None
    last: Grey | None = None
    last_s: float = 0.0
    light: tuple[float, float] = (1.0, 0.0)
    looks: int = 0
    usual_alike: float = 1.0
    # Per block, in grey levels: what is common there when nothing happens.
    quiet_motion: Grey = field(default_factory=lambda: np.zeros((ROWS, COLUMNS), np.float32))
    quiet_presence: Grey = field(default_factory=lambda: np.zeros((ROWS, COLUMNS), np.float32))
    # Per block, in seconds: how long something that is not of the scene has not stirred.
    unstirred_s: Grey = field(default_factory=lambda: np.zeros((ROWS, COLUMNS), np.float32))
    held: NDArray[np.bool_] = field(default_factory=lambda: np.zeros((ROWS, COLUMNS), np.bool_))

    def look(self, time_s: float, picture: NDArray[np.uint8]) -> tuple[Sample, float]:
        """The sample of a grey picture (HEIGHT_PX, WIDTH_PX), and how lively it is.

        Liveliness is 0 where nothing stands out, and grows with how much differs how far.
        """
        grey = picture.astype(np.float32)
        if self.background is None or self.last is None:
            self.background, self.last, self.last_s = grey.copy(), grey, time_s
            light = float(grey.mean())
            return Sample(time_s, light, 0.0, 1.0, False, bytes(2 * BLOCKS)), 0.0
        light_before = self.light
        self.light = _light(self.background, grey, light_before)
        off = grey - _lit(self.background, self.light)
        off_before = self.last - _lit(self.background, light_before)
        # A background of few looks adds its own noise.
        presence = _by_block(off) / np.float32(math.sqrt(1 + 1 / (self.looks + 1)))
        motion = _by_block(off - off_before)
        changed = float(np.mean(motion > 2 * self.quiet_motion + 3))
        whole = changed > _CHANGED
        usual = changed < _CALM and self.looks % _ASKED_EVERY == 0
        alike = _alike(self.last, grey) if whole or usual else 1.0
        if usual:
            self.usual_alike += 0.3 * (alike - self.usual_alike)
        cut = whole and alike < _CUT_ALIKE
        mean = float(self.background.mean())
        light = self.light[0] * mean + self.light[1]
        step = abs(light - (light_before[0] * mean + light_before[1])) / max(light, 1.0)
        # Who leaves changes much of the picture too: but he was in it before.
        relit = self.held.mean() < _ALONE and (
            (step > _LIGHT_STEP and changed < _ALONE)
            or (whole and _alike(self.background, grey) > _RELIT_ALIKE * self.usual_alike)
        )
        step_s, self.last, self.last_s = time_s - self.last_s, grey, time_s
        self.looks += 1
        lively = self._learn(grey, motion, presence, step_s, cut=cut, relit=relit)
        blocks = np.stack([motion, presence]) / GREY_STEP
        told = np.clip(np.round(blocks), 0, 255).astype(np.uint8).tobytes()
        return Sample(time_s, light, changed, alike, cut, told), lively

    def _learn(
        self, grey: Grey, motion: Grey, presence: Grey, step_s: float, *, cut: bool, relit: bool
    ) -> float:
        assert self.background is not None
        if cut:
            self.background, self.light, self.looks = grey.copy(), (1.0, 0.0), 0
            self.unstirred_s[:], self.held[:] = 0, False
            return float(motion.mean())
        _settle(self.quiet_motion, motion, self.looks)
        _settle(self.quiet_presence, presence, self.looks)
        stirs = motion - _limit(self.quiet_motion)
        stands = presence - _limit(self.quiet_presence)
        held = stands > 0
        self.unstirred_s = np.where(held & (stirs <= 0), self.unstirred_s + step_s, 0.0).astype(
            np.float32
        )
        scene = (grey - self.light[1]) / max(self.light[0], 0.05)
        joins = self.unstirred_s >= ABSORB_S
        if relit:  # by a lamp that does not light everything alike; a burnt-in clock never is
            joins = joins | held
        self.held = held
        if joins.any():
            where = _of_blocks(joins)
            self.background[where] = scene[where]
            self.unstirred_s[joins] = 0
        if held.mean() < _CROWDED:
            kept = cv2.dilate(held.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
            rate = max(1 - math.exp(-step_s / _LEARN_S), 1 / (self.looks + 1))
            off = np.where(_of_blocks(kept), 0, scene - self.background)
            self.background += np.float32(rate) * off
        return float(np.maximum(stirs, 0).sum() + np.maximum(stands, 0).sum())


def _limit(quiet: Grey) -> Grey:
    return 2 * quiet + 1


def _settle(quiet: Grey, seen: Grey, looks: int) -> None:
    """Follow down fast, and up slowly but for the first looks: what passes leaves no trace."""
    above = seen - quiet
    rise = 0.02 * np.minimum(above, 0.5) if looks > _FIRST else above / (looks + 1)
    quiet += np.where(above < 0, 0.2 * above, rise)


def _light(background: Grey, grey: Grey, before: tuple[float, float]) -> tuple[float, float]:
    """Gain and offset of the light: a new fit, or those before where they explain more.

    Something large in the picture must not pass for a change of light.
    """
    x, y = background[::3, ::3].ravel(), grey[::3, ::3].ravel()
    fits = np.abs(y - _lit(x, before)) <= _NEAR
    if np.count_nonzero(fits) >= _MOST * len(x):
        return _fit(x[fits], y[fits])
    return min((_fit_anew(x, y), before), key=lambda light: _misfit(x, y, light))


def _misfit(x: Grey, y: Grey, light: tuple[float, float]) -> float:
    return float(np.minimum(np.abs(y - _lit(x, light)), _FAR_OFF).sum())


def _fit_anew(x: Grey, y: Grey) -> tuple[float, float]:
    """Least squares, twice without what does not fit."""
    light = _fit(x, y)
    for _ in range(2):
        off = np.abs(y - _lit(x, light))
        fits = off <= max(1.0, 2.5 * float(np.median(off)))
        x, y = x[fits], y[fits]
        light = _fit(x, y)
    return light


def _fit(x: Grey, y: Grey) -> tuple[float, float]:
    mean_x, mean_y = float(x.mean()), float(y.mean())
    over = x - mean_x
    spread = float(np.dot(over, over))
    # A scene without contrast says nothing of a gain.
    gain = float(np.dot(over, y)) / spread if spread > 25 * len(x) else 1.0
    gain = min(max(gain, 0.1), 10.0)
    return gain, mean_y - gain * mean_x


def _lit(background: Grey, light: tuple[float, float]) -> Grey:
    return background * np.float32(light[0]) + np.float32(light[1])


def _by_block(off: Grey) -> Grey:
    mean = cv2.resize(np.abs(off), (COLUMNS, ROWS), interpolation=cv2.INTER_AREA)
    return np.asarray(mean, np.float32)


def _of_blocks(blocks: NDArray[np.bool_]) -> NDArray[np.bool_]:
    size = (WIDTH_PX, HEIGHT_PX)
    return cv2.resize(blocks.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0


def _alike(one: Grey, two: Grey) -> float:
    """How far the edges of two pictures agree, whatever their light: -1 to 1."""
    over = np.concatenate([np.diff(one, axis=1).ravel(), np.diff(one, axis=0).ravel()])
    under = np.concatenate([np.diff(two, axis=1).ravel(), np.diff(two, axis=0).ravel()])
    scale = math.sqrt(float(np.dot(over, over)) * float(np.dot(under, under)))
    return float(np.dot(over, under)) / scale if scale > 0 else 1.0
