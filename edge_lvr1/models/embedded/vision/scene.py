"""What happens to the picture as a whole: its light, a moved camera, another scene.

A camera's exposure answers to a large bright or dark subject and comes back after it; that
is no event. A change of light is told when it has lasted, at the moment it began.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_lvr1.models.embedded.vision.background import Image

_NOTABLE = 0.12  # change of the log level; below it exposure control hunts
_AWAY = 0.04
_STEADY = 0.05
_HOLD_S = 2.5
_HOLD_BUSY_S = 60.0
_AFTER_S = 3.0  # exposure takes its time to come back
_BUSY = 0.02  # share of the picture that subjects cover
_LEAST_EDGE = 25.0
_LEAST_STRONG = 0.004  # share of the picture
_FOLLOW = 0.005  # a frame: dusk is followed, not told


@dataclass(slots=True)
class LightWatch:
    """Tells a lasting change of the scene's light from exposure and flicker."""

    base: float | None = None
    unsure: bool = False  # the base was taken with a subject in view
    left_s: float | None = None  # when the level left the base
    last_busy_s: float = -math.inf
    recent: list[list[float]] = field(default_factory=list)  # [time, level], the last 2 s

    def see(self, time_s: float, level: float, covered: float) -> tuple[float, str] | None:
        """Take the log light level of a frame; returns (time, event) when one is certain."""
        self.recent = [entry for entry in self.recent if entry[0] > time_s - 2.0]
        self.recent.append([time_s, level])
        if covered > _BUSY:
            self.last_busy_s = time_s
        if self.base is None:
            self.base, self.unsure = level, covered > _BUSY
            return None
        away = level - self.base
        if abs(away) < _AWAY:
            self.base += _FOLLOW * away
            self.left_s = None
            return None
        if self.left_s is None:
            self.left_s = time_s
        return self._settle(time_s, _HOLD_BUSY_S if self._busy(time_s) else _HOLD_S)

    def off(self, level: float) -> float:
        """How far a level is from what it has been."""
        return 0.0 if self.base is None else abs(level - self.base)

    def end(self, time_s: float) -> tuple[float, str] | None:
        """At the end of the recording: a change that there was no more time to confirm."""
        if self.left_s is None or self._busy(time_s):
            return None
        return self._settle(time_s, 1.0)

    def _busy(self, time_s: float) -> bool:
        """Whether a subject is in view, or has been just now: exposure may answer to it."""
        return self.last_busy_s > time_s - _AFTER_S

    def _settle(self, time_s: float, hold_s: float) -> tuple[float, str] | None:
        if self.base is None or self.left_s is None:
            return None
        last_s, latest = self.recent[-1]
        since_s = min(time_s, last_s) - min(hold_s, 1.5)
        levels = [level for when, level in self.recent if when > since_s]
        steady = max(levels) - min(levels) < _STEADY
        away = latest - self.base
        if not steady or time_s - self.left_s < hold_s:
            return None
        event = (self.left_s, "dims" if away < 0 else "brightens")
        told = abs(away) >= _NOTABLE and not self.unsure
        self.base, self.left_s = latest, None
        self.unsure = self._busy(time_s)
        return event if told else None


def light_level(lit: Image) -> float:
    """Log brightness of the scene without its subjects."""
    return math.log(float(lit[::4, ::4].mean()) + 4.0)


def likeness(edges: NDArray[np.float32], lit_edges: NDArray[np.float32]) -> float:
    """Correlation of two edge pictures: a change of light keeps it high, a cut does not."""
    one = cv2.GaussianBlur(np.minimum(edges, 200), (5, 5), 0)[::2, ::2].ravel()
    two = cv2.GaussianBlur(np.minimum(lit_edges, 200), (5, 5), 0)[::2, ::2].ravel()
    one, two = one - one.mean(), two - two.mean()
    scale = float(np.sqrt((one @ one) * (two @ two)))
    return float(one @ two) / scale if scale > 0 else 0.0


def agreement(edges: NDArray[np.float32], lit_edges: NDArray[np.float32]) -> float:
    """How far the strong edges of a frame are where the scene has edges: 0 by chance, 1 all.

    1 also where the frame has hardly any: darkness and a covered lens are no other scene.
    """
    now, was = (cv2.GaussianBlur(each, (5, 5), 0) for each in (edges, lit_edges))
    strong = now > np.maximum(_LEAST_EDGE, 3.0 * np.median(now))
    if strong.mean() < _LEAST_STRONG:
        return 1.0
    known = was > np.maximum(0.5 * _LEAST_EDGE, 2.5 * np.median(was))
    known = cv2.dilate(known.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    chance = float(known.mean())
    return (float(known[strong].mean()) - chance) / max(0.05, 1.0 - chance)


def another(edges: NDArray[np.float32], lit_edges: NDArray[np.float32]) -> bool:
    """Whether a frame shows another scene, and not this one in another light.

    Over cuts among nine scenes likeness stayed below 0.22 and its sum with agreement below
    0.71; where light changed most of a picture, likeness was above 0.4 or the sum above 0.9.
    """
    like = likeness(edges, lit_edges)
    return like < 0.4 and like + agreement(edges, lit_edges) < 0.8


def through(edges: NDArray[np.float32], lit_edges: NDArray[np.float32]) -> float:
    """Correlation of the edges at the same pixels: high where the scene itself is seen."""
    if edges.size == 0:
        return 0.0
    now, empty = edges - edges.mean(), lit_edges - lit_edges.mean()
    scale = float(np.sqrt((now @ now) * (empty @ empty)))
    return float(now @ empty) / scale if scale > 0 else 0.0


def displacement(
    edges: NDArray[np.float32], lit_edges: NDArray[np.float32]
) -> tuple[int, int, float]:
    """How far the picture has moved, in whole pixels, and how sure that is (0 to 1)."""
    window = cv2.createHanningWindow((edges.shape[1], edges.shape[0]), cv2.CV_32F)
    (dx, dy), sure = cv2.phaseCorrelate(np.minimum(lit_edges, 200), np.minimum(edges, 200), window)
    return round(dx), round(dy), float(sure)
