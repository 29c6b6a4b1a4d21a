"""Plain colour words for the pixels of a figure.

Each pixel is named by hue, saturation and value after the frame's light has been taken out;
a figure's colour is what most of it is called. Dark glass, tyres and shadow are part of a
vehicle of any colour, so there black and dark grey stand back behind a paint.
"""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

NAMES = (
    "black",
    "grey",
    "white",
    "red",
    "orange",
    "yellow",
    "green",
    "light blue",
    "blue",
    "dark blue",
    "purple",
    "pink",
    "brown",
    "bluish grey",  # told as light blue of a vehicle's paint, as grey of clothes
    "bluish white",
)
_CODE = {name: code for code, name in enumerate(NAMES)}
_NEUTRAL_DARK = ("black", "grey", "dark blue")

_CLIPPED = 250
_CLIPPED_WEIGHT = 0.4  # an overexposed pixel looks white whatever it is

_STRONG, _STRONG_CHROMA = 150, 26

_SECOND = 0.28
"""Share of a person's pixels from which a second colour is told."""


def count(pixels: NDArray[np.uint8], gain: NDArray[np.float32]) -> NDArray[np.float64]:
    """Share of RGB pixels (n, 3) of each colour in NAMES."""
    if len(pixels) == 0:
        return np.zeros(len(NAMES))
    level = np.clip(pixels / np.maximum(gain, 0.2), 0, 255).astype(np.uint8)
    weights = np.where(pixels.max(axis=1) >= _CLIPPED, _CLIPPED_WEIGHT, 1.0)
    counts = np.bincount(name_pixels(level), weights=weights, minlength=len(NAMES))
    return np.asarray(counts / weights.sum(), np.float64)


def name_pixels(pixels: NDArray[np.uint8]) -> NDArray[np.intp]:
    """The colour of each RGB pixel (n, 3), as an index into NAMES."""
    hsv = cv2.cvtColor(pixels.reshape(1, -1, 3), cv2.COLOR_RGB2HSV)[0].astype(np.int32)
    hue, saturation, value = hsv[:, 0] * 2, hsv[:, 1], hsv[:, 2]
    chroma = saturation * value // 255
    names = np.full(len(hue), _CODE["grey"], np.intp)

    def call(name: str, where: NDArray[np.bool_]) -> None:
        names[where] = _CODE[name]

    call("white", value >= 185)
    tinted = (hue >= 160) & (hue < 255) & (saturation >= 18) & (value >= 110)
    call("bluish grey", tinted & (value < 185))
    call("bluish white", tinted & (value >= 185))
    # Below this chroma a hue is noise or the tint of the light; bluish greys of daylight
    # shade reach further.
    bluish = (hue >= 165) & (hue < 270)
    vivid = (chroma >= 38) | (bluish & (chroma >= 26) & (value >= 90))
    call("red", vivid & ((hue < 14) | (hue >= 340)))
    call("orange", vivid & (hue >= 14) & (hue < 42))
    call("brown", vivid & (hue < 48) & (value < 170) & (saturation < 200) & (hue >= 10))
    call("yellow", vivid & (hue >= 42) & (hue < 68))
    call("green", vivid & (hue >= 68) & (hue < 165))
    call("blue", vivid & bluish)
    call("light blue", vivid & bluish & (value >= 130) & (saturation < 130))
    call("dark blue", vivid & bluish & (value < 100))
    call("purple", vivid & (hue >= 270) & (hue < 312))
    call("pink", vivid & (hue >= 312) & (hue < 340))
    call("pink", vivid & ((hue < 14) | (hue >= 340)) & (value > 190) & (saturation < 90))
    # In deep shade a strong hue is the cloth's still; a weak one is the light's, or noise.
    strong = (saturation >= _STRONG) & (chroma >= _STRONG_CHROMA) & ~bluish
    call("black", (value < 62) & ~(vivid & (chroma >= 38)) & ~strong)
    call("red", strong & (value < 62) & ((hue < 14) | (hue >= 340)))
    call("green", strong & (value < 62) & (hue >= 68) & (hue < 165))
    return names


def of_person(shares: Mapping[str, float]) -> tuple[str, ...]:
    """At most two colours: the clothes that cover most of a figure.

    A weak tint is the light of the room, not the cloth.
    """
    ranked = _ranked(_as(shares, {"bluish grey": "grey", "bluish white": "white"}))
    if not ranked:
        return ()
    told = [ranked[0][0]]
    told += [name for name, share in ranked[1:2] if share >= _SECOND]
    return tuple(told)


def of_vehicle(shares: Mapping[str, float]) -> tuple[str, ...]:
    """The paint: the commonest colour, where glass and tyres do not count against it.

    Paint reflects the sky, so a pale blue shows as a tint where it is not overexposed.
    """
    ranked = _ranked(_as(shares, {"bluish grey": "light blue", "bluish white": "light blue"}))
    paints = [(name, share) for name, share in ranked if name not in _NEUTRAL_DARK]
    if paints and paints[0][1] >= 0.2:
        return (paints[0][0],)
    return tuple(name for name, _ in ranked[:1])


def _as(shares: Mapping[str, float], told: Mapping[str, str]) -> dict[str, float]:
    summed: dict[str, float] = {}
    for name, share in shares.items():
        summed[told.get(name, name)] = summed.get(told.get(name, name), 0.0) + share
    return summed


def _ranked(shares: Mapping[str, float]) -> list[tuple[str, float]]:
    total = sum(shares.values())
    if total <= 0:
        return []
    order = sorted(shares, key=lambda name: (-shares[name], NAMES.index(name)))
    return [(name, shares[name] / total) for name in order if shares[name] > 0]
