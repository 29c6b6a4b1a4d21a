"""What a look at a track in one frame adds to what is known of it: outline, edges, colours."""

from __future__ import annotations

import cv2
import numpy as np

from edge_lvr1.models.embedded.vision import colours, person, scene
from edge_lvr1.models.embedded.vision.blobs import Scene
from edge_lvr1.models.embedded.vision.track import Track

_SHAPE_PX = (32, 32)
_TORSO, _TORSO_SAYS = (0.18, 0.5), 0.25  # parts of a figure's height, and of its colours
_ERODE = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
_INNER = cv2.getStructuringElement(cv2.MORPH_RECT, (5, 5))
_INNER_LEAST = 40


def outline(track: Track, sides: int, time_s: float) -> None:
    """Add how solid the outline is, and how like its last one."""
    before, track.shape = track.shape, None
    if track.mask is None or track.shared or sides > 1:
        return
    mask = track.mask.astype(np.uint8)
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    hull = cv2.contourArea(cv2.convexHull(np.vstack(contours)))
    track.solid_sum += min(1.0, float(mask.sum()) / max(hull, 1.0))
    track.solid_count += 1
    shape = np.asarray(cv2.resize(mask * 255, _SHAPE_PX, interpolation=cv2.INTER_AREA), np.uint8)
    track.shape = shape
    if before is not None and time_s == track.static_since_s:
        both = np.minimum(before, shape).sum(dtype=np.int64)
        either = np.maximum(before, shape).sum(dtype=np.int64)
        track.rigid_sum += float(both / max(either, 1))
        track.rigid_count += 1


def inner_edges(track: Track, seen: Scene) -> None:
    """Add how far the edges within a track are those that the empty scene has there."""
    if track.mask is None:
        return
    inner = cv2.erode(track.mask.astype(np.uint8), _INNER, borderValue=0) > 0
    if inner.sum() < _INNER_LEAST:
        return
    here = track.box.within(seen.image.shape)
    track.through_sum += scene.through(seen.edges[here][inner], seen.lit_edges[here][inner])
    track.through_count += 1


def sample(track: Track, seen: Scene, *, whole: bool) -> None:
    """Add the colours of a track's pixels; `whole`: all of it is in the picture."""
    assert track.mask is not None
    inner = cv2.erode(track.mask.astype(np.uint8), _ERODE, borderValue=0) > 0
    inner[int(0.93 * inner.shape[0]) :] = False  # the shadow at its feet
    image = seen.image[track.box.within(seen.image.shape)]
    if inner.sum() < 20:
        return
    shares = colours.count(image[inner], seen.gain)
    if person.upright(track.box):  # what somebody wears is told by his jacket first
        top, bottom = (int(part * inner.shape[0]) for part in _TORSO)
        torso = image[top:bottom][inner[top:bottom]]
        if len(torso) >= 20:
            shares = (1 - _TORSO_SAYS) * shares + _TORSO_SAYS * colours.count(torso, seen.gain)
    tally = track.whole if whole else track.partly
    for name, share in zip(colours.NAMES, shares.tolist(), strict=True):
        if share > 0.02:
            tally[name] = tally.get(name, 0.0) + share
    track.samples += whole
