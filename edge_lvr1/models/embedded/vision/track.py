"""One subject as it is being followed: where it was, and what was seen of it.

A track is moved by whoever decides which blob is which subject; it decides nothing itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edge_lvr1.models.embedded.vision.blobs import Blob, Box

BIRTH_HITS = 3

MOVING = 0.06
"""Share of a blob that changes between frames when its subject moves."""

OUTLINE = 0.1
"""Edge from which a blob has an outline of its own in the frame."""

_PATH_MOST = 240


@dataclass(slots=True)
class Track:
    """A subject as it is being followed. Pixels of the working size; times in seconds."""

    id: int
    first_s: float
    last_s: float
    box: Box
    colours: NDArray[np.float32]
    vx: float = 0.0  # pixels a second
    vy: float = 0.0
    hits: int = 0
    seen: bool = True  # in the last frame
    shared: bool = False  # its blob was shared with another track
    mate: int = 0  # whom it met last, and was not seen apart from since
    static_since_s: float = 0.0
    edge: float = 0.0  # smoothed
    area: float = 0.0  # smoothed
    x: float = 0.0  # centroid
    y: float = 0.0
    path: list[list[float]] = field(default_factory=list)  # [time, x, y, width, height]
    looks: int = 0
    votes: int = 0
    moving_looks: int = 0
    moving_votes: int = 0
    voted_s: float = -1.0
    real_hits: int = 0  # moving, with its own outline in the frame
    clear_hits: int = 0  # moving, away from every side of the picture
    rigid_sum: float = 0.0
    rigid_count: int = 0
    solid_sum: float = 0.0
    solid_count: int = 0
    through_sum: float = 0.0  # how far its inner edges are those of the empty scene
    through_count: int = 0
    whole: dict[str, float] = field(default_factory=dict)
    partly: dict[str, float] = field(default_factory=dict)
    samples: int = 0
    touched: list[list[float]] = field(default_factory=list)  # [time, left, right, top, bottom]
    alive_s: float = 0.0  # when it last moved or had an outline of its own
    tall: list[list[float]] = field(default_factory=list)  # [time, figure height], last 0.8 s
    mask: NDArray[np.bool_] | None = None  # of the last frame; not kept between windows
    figure: Box | None = None  # the mask's box without shadow; likewise
    stride: float = 0.0  # how far that moved since the last frame, in its heights; likewise
    shape: NDArray[np.uint8] | None = None  # the mask at a fixed size; likewise

    @property
    def confirmed(self) -> bool:
        """Seen often enough to be a subject and not a flicker."""
        return self.hits >= BIRTH_HITS

    def predicted(self, time_s: float) -> Box:
        """Where its box should be now."""
        ahead = min(time_s - self.last_s, 1.0)
        return self.box.moved(self.vx * ahead, self.vy * ahead)


def hit(track: Track, pieces: Sequence[Blob], time_s: float) -> None:
    """Follow a track to its blob and fragments."""
    main = pieces[0]
    box = main.box
    for piece in pieces[1:]:
        box = box.union(piece.box)
    area = float(sum(piece.area for piece in pieces))
    mask = np.zeros((round(box.height), round(box.width)), bool)
    for piece in pieces:
        y, x = round(piece.box.y0 - box.y0), round(piece.box.x0 - box.x0)
        mask[y : y + piece.mask.shape[0], x : x + piece.mask.shape[1]] |= piece.mask
    rows, columns = np.nonzero(mask)
    fresh = track.hits == 0
    edge = sum(piece.edge * piece.area for piece in pieces) / area
    moving = sum(piece.moving * piece.area for piece in pieces) / area
    move(track, box, float(columns.mean()) + box.x0, float(rows.mean()) + box.y0, time_s)
    weight = 1.0 if fresh else 0.3
    track.edge += weight * (edge - track.edge)
    track.area += weight * (area - track.area)
    track.colours = (track.colours * 0.9 + main.colours * 0.1).astype(np.float32)
    track.hits += 1
    if moving > MOVING:
        track.static_since_s = time_s
    if edge > OUTLINE or moving > MOVING:
        track.alive_s = time_s
    before, track.mask, track.figure = track.figure, mask, _figure(pieces)
    track.stride = _stride(before, track.figure)


def _stride(before: Box | None, now: Box | None) -> float:
    if before is None or now is None:
        return 0.0
    (x0, y0), (x1, y1) = before.centre, now.centre
    return math.hypot(x1 - x0, y1 - y0) / now.height


def _figure(pieces: Sequence[Blob]) -> Box | None:
    """The box of the pieces' pixels that are no shadow; thin stray parts do not widen it."""
    boxes = []
    for piece in pieces:
        across, down = piece.core.sum(axis=0), piece.core.sum(axis=1)
        columns = np.flatnonzero(across >= 0.12 * max(1, across.max()))
        rows = np.flatnonzero(down >= 0.12 * max(1, down.max()))
        if across.max() > 0:
            core = Box(*(float(v) for v in (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)))
            boxes.append(core.moved(piece.box.x0, piece.box.y0))
    if not boxes:
        return None
    whole = boxes[0]
    for box in boxes[1:]:
        whole = whole.union(box)
    return whole


def move(track: Track, box: Box, x: float, y: float, time_s: float) -> None:
    """Put a track at a new place and learn its velocity."""
    since = time_s - track.last_s
    if since > 0:
        keep = 0.5 if track.hits > 1 else 0.0
        track.vx = keep * track.vx + (1 - keep) * (x - track.x) / since
        track.vy = keep * track.vy + (1 - keep) * (y - track.y) / since
    track.box, track.x, track.y = box, x, y
    track.last_s, track.seen = time_s, True
    note_path(track)


def meet(track: Track, predicted: Box, around: Box, time_s: float) -> None:
    """A hidden track goes on as it went, inside the blob that hides it."""
    dx = min(max(predicted.centre[0], around.x0), around.x1) - predicted.centre[0]
    dy = min(max(predicted.centre[1], around.y0), around.y1) - predicted.centre[1]
    track.vx, track.vy = 0.85 * track.vx, 0.85 * track.vy  # it may have stopped behind there
    before = track.box.centre
    track.box = predicted.moved(dx, dy)
    track.x += track.box.centre[0] - before[0]
    track.y += track.box.centre[1] - before[1]
    track.last_s, track.seen, track.shared = time_s, True, True
    track.mask = track.figure = None
    note_path(track)


def note_path(track: Track) -> None:
    """Keep where a track was; standing still costs a point every two seconds."""
    point = [track.last_s, track.x, track.y, track.box.width, track.box.height]
    path = track.path
    if len(path) >= 2:
        (t0, x0, y0, *_), (_, x1, y1, *_) = path[-2], path[-1]
        near = math.hypot(x1 - x0, y1 - y0) < 2.0 and math.hypot(track.x - x0, track.y - y0) < 2.0
        if near and track.last_s - t0 < 2.0:
            path[-1] = point
            return
    path.append(point)
    if len(path) > _PATH_MOST:
        track.path = [*path[:-1:2], path[-1]]
