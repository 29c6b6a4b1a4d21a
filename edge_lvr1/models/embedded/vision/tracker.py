"""Which blob of this frame is which subject of the last one.

A small tracker: constant velocity, one optimal assignment a frame (Hungarian, by distance,
size and colour), fragments joined to the track whose place they are in, and one blob shared
out between the tracks that meet in it. It knows nothing of persons or of what is told.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from edge_lvr1.models.embedded.vision.blobs import Blob, Box

BIRTH_HITS = 3
LOST_S = 1.8
"""A subject out of sight this long has gone; feet and shadows at the edge come back sooner."""

MOVING = 0.06
"""Share of a blob that changes between frames when its subject moves."""

OUTLINE = 0.1
"""Edge from which a blob has an outline of its own in the frame."""

HIDDEN_S = 8.0
"""A subject quite hidden by another for this long is given up."""

_YOUNG_S = 1.6
_APIECE_S = 1.0  # head and legs that go the same way for so long are one figure
_STUMBLE_S = 0.7
_PATH_MOST = 240
_LIKE = 0.6  # colours in common of one who was hidden and who comes out
_KEPT_PACE = 0.95  # of a frame, in a meeting
_COLOUR_SAYS = 0.5  # half sizes that a pixel's colour weighs against its place
_FAR = 1e6


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


@dataclass(slots=True)
class Tracker:
    """All subjects in view."""

    width: int
    height: int
    tracks: list[Track] = field(default_factory=list)
    next_id: int = 1
    apiece: dict[tuple[int, int], list[float]] = field(default_factory=dict)
    """Pairs of tracks that may be parts of one figure: since when and until when together."""

    def update(self, blobs: Sequence[Blob], time_s: float) -> list[Track]:
        """Follow the subjects into a frame; returns those that have gone."""
        boxes = [track.predicted(time_s) for track in self.tracks]
        owner = self._assign(blobs, boxes)
        shared = self._meetings(blobs, boxes, owner)
        pieces = self._pieces(blobs, boxes, owner)
        for index, track in enumerate(self.tracks):
            track.seen = track.shared = False  # (the meetings above asked how it was before)
            if index in shared:
                self._share(track, index, blobs[shared[index]], boxes, shared, time_s)
            elif index in pieces:
                hit(track, [blobs[j] for j in pieces[index]], time_s)
        taken = {j for parts in pieces.values() for j in parts} | set(shared.values())
        self._remember(shared)
        fresh = [blob for j, blob in enumerate(blobs) if j not in taken]
        fresh = [blob for blob in fresh if not self._comes_out(blob, time_s)]
        gone = self._retire(time_s)
        for blob in fresh:
            self._start(blob, time_s)
        self._unite(time_s)
        return gone

    def _assign(self, blobs: Sequence[Blob], boxes: Sequence[Box]) -> dict[int, int]:
        """Track index -> blob index, at the least total cost."""
        if not blobs or not self.tracks:
            return {}
        costs = np.full((len(self.tracks), len(blobs)), _FAR)
        for i, track in enumerate(self.tracks):
            for j, blob in enumerate(blobs):
                costs[i, j] = _cost(track, boxes[i], blob)
        rows, columns = linear_sum_assignment(costs)
        pairs = zip(rows.tolist(), columns.tolist(), strict=True)
        return {i: j for i, j in pairs if costs[i, j] < _FAR}

    def _meetings(
        self, blobs: Sequence[Blob], boxes: Sequence[Box], owner: dict[int, int]
    ) -> dict[int, int]:
        """Tracks that stand in one blob together: track index -> blob index."""
        shared: dict[int, int] = {}
        holder = {j: i for i, j in owner.items()}
        for i, track in enumerate(self.tracks):
            if i in owner or not track.confirmed:
                continue
            for j, blob in enumerate(blobs):
                k = holder.get(j)
                if k is None or not self.tracks[k].confirmed:
                    continue
                least = 0.3 if track.shared else 0.5
                if _covered(boxes[i], blob.box) > least and _covered(boxes[k], blob.box) > 0.3:
                    shared[i] = shared[k] = j
        return shared

    def _pieces(
        self, blobs: Sequence[Blob], boxes: Sequence[Box], owner: dict[int, int]
    ) -> dict[int, list[int]]:
        """Each track's own blob and the fragments that lie where it should be."""
        pieces = {i: [j] for i, j in owner.items()}
        held = set(owner.values())
        for j, blob in enumerate(blobs):
            if j in held:
                continue
            best, where = 0.6, -1
            for i in owner:
                if not self.tracks[i].confirmed or _stands_alone(blob, blobs[owner[i]]):
                    continue
                around = boxes[i].grown(0.06 * max(boxes[i].width, boxes[i].height))
                inside = _covered(blob.box, around)
                if inside > best:
                    best, where = inside, i
            if where >= 0:
                pieces[where].append(j)
        return pieces

    def _share(
        self,
        track: Track,
        index: int,
        blob: Blob,
        boxes: Sequence[Box],
        shared: dict[int, int],
        time_s: float,
    ) -> None:
        """Give a track its pixels of a blob in which it meets others."""
        mates = [i for i, j in shared.items() if j == shared[index]]
        rows, columns = np.nonzero(blob.mask)
        x, y = columns + blob.box.x0, rows + blob.box.y0
        unlike = [-np.log(self.tracks[i].colours + 0.02)[blob.codes] for i in mates]
        far = np.stack([_reach(boxes[i], x, y) for i in mates]) + _COLOUR_SAYS * np.stack(unlike)
        mine = far.argmin(axis=0) == mates.index(index)
        if mine.sum() < 0.2 * max(track.area, 1.0):
            meet(track, boxes[index], blob.box, time_s)  # hidden behind the other
            return
        x, y = x[mine], y[mine]
        velocity = track.vx, track.vy
        box = Box(float(x.min()), float(y.min()), float(x.max()) + 1, float(y.max()) + 1)
        move(track, box, float(x.mean()), float(y.mean()), time_s)
        # Its share's middle jumps about: it goes on as it came, and sooner or later stops.
        track.vx, track.vy = _KEPT_PACE * velocity[0], _KEPT_PACE * velocity[1]
        track.hits += 1
        track.shared, track.alive_s = True, time_s
        track.figure = None
        track.mask = np.zeros((round(box.height), round(box.width)), bool)
        track.mask[(y - box.y0).astype(np.intp), (x - box.x0).astype(np.intp)] = True

    def _remember(self, shared: dict[int, int]) -> None:
        """Keep in mind who met whom, until they are seen apart."""
        for i, track in enumerate(self.tracks):
            if i in shared:
                track.mate = next(
                    (self.tracks[k].id for k, j in shared.items() if k != i and j == shared[i]),
                    track.mate,
                )
            elif track.seen:
                track.mate = 0

    def _comes_out(self, blob: Blob, time_s: float) -> bool:
        """Whether a new piece is somebody who was hidden by a mate beside it."""
        best, found = _LIKE, None
        for track in self.tracks:
            mate = self._hidden_by(track, time_s)
            if mate is None or not 0.3 < blob.area / max(track.area, 1.0) < 3.0:
                continue
            near = mate.box.grown(0.5 * mate.box.height).overlap(blob.box) > 0
            like = float(np.sqrt(track.colours * blob.colours).sum())
            if near and like > best:
                best, found = like, track
        if found is not None:
            found.vx = found.vy = 0.0
            hit(found, [blob], time_s)
            found.mate = 0
        return found is not None

    def _hidden_by(self, track: Track, time_s: float) -> Track | None:
        """The mate that an unseen track was lost with; None where it has none in view."""
        if track.seen or not track.mate or time_s - track.last_s > HIDDEN_S:
            return None
        return next((t for t in self.tracks if t.id == track.mate and t.seen), None)

    def _retire(self, time_s: float) -> list[Track]:
        """Take out what has been lost too long, and fragments that joined another track."""
        gone, kept = [], []
        for track in self.tracks:
            lost_s = LOST_S if track.confirmed else 0.5
            hidden = track.shared and time_s - track.alive_s > HIDDEN_S
            lost = time_s - track.last_s > lost_s and self._hidden_by(track, time_s) is None
            if hidden or lost:
                gone.append(track)
            elif not self._swallowed(track, time_s):
                kept.append(track)
        self.tracks = kept
        return gone

    def _swallowed(self, track: Track, time_s: float) -> bool:
        """A young track that proves to be a limb of an older, larger one."""
        if not track.shared or time_s - track.first_s > _YOUNG_S:
            return False
        return any(
            other.shared
            and other is not track
            and other.first_s < track.first_s
            and other.area > 1.5 * track.area
            and _covered(track.box, other.box.grown(0.1 * other.box.height)) > 0.6
            for other in self.tracks
        )

    def _unite(self, time_s: float) -> None:
        """Make one of head and legs whose middle looks like the wall behind."""
        seen = [t for t in self.tracks if t.confirmed and t.last_s == time_s and not t.shared]
        pairs = [(a, b) for a in seen for b in seen if a.y < b.y and _of_one_figure(a, b)]
        self.apiece = {pair: s for pair, s in self.apiece.items() if s[1] > time_s - _STUMBLE_S}
        for a, b in pairs:
            together = self.apiece.setdefault((a.id, b.id), [time_s, time_s])
            together[1] = time_s
            if time_s - together[0] < _APIECE_S - 0.01:
                continue
            if a not in self.tracks or b not in self.tracks:
                continue
            older, younger = (a, b) if a.first_s <= b.first_s else (b, a)
            older.box = older.box.union(younger.box)
            older.area += younger.area
            older.mask = older.figure = older.shape = None
            older.tall = []
            self.tracks.remove(younger)

    def _start(self, blob: Blob, time_s: float) -> None:
        track = Track(self.next_id, time_s, time_s, blob.box, blob.colours)
        track.static_since_s = time_s
        self.next_id += 1
        hit(track, [blob], time_s)
        self.tracks.append(track)


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


def _cost(track: Track, box: Box, blob: Blob) -> float:
    (x, y), (bx, by) = box.centre, blob.box.centre
    distance = math.hypot(bx - x, by - y)
    size = 0.5 * (math.hypot(box.width, box.height) + math.hypot(blob.box.width, blob.box.height))
    touching = box.overlap(blob.box) > 0
    if distance > max(20.0, (0.9 if touching else 0.55) * size):
        return _FAR
    apart = 1.0 - float(np.sqrt(track.colours * blob.colours).sum())
    ratio = abs(math.log(max(blob.area, 1) / max(track.area, 1.0)))
    if not touching and (apart > 0.6 or ratio > 2.5):
        return _FAR
    newcomer = 0.0 if track.confirmed else 0.5
    return distance / size + 0.8 * apart + 0.15 * min(ratio, 3.0) + newcomer


def _of_one_figure(upper: Track, lower: Track) -> bool:
    """Whether two tracks look like parts of one walker: one above the other, going together."""
    one, two = upper.box, lower.box
    both = one.union(two)
    shared = min(one.x1, two.x1) - max(one.x0, two.x0)
    if shared < 0.6 * min(one.width, two.width) or not 1.6 <= both.height / both.width <= 5.0:
        return False
    if two.y0 - one.y1 > 0.5 * both.height or upper.area > 0.8 * lower.area:
        return False
    # Walkers cross the picture; what goes up or down it in a row are vehicles.
    speed = abs(upper.vx) + abs(lower.vx)
    across = speed > 0.2 * both.height and speed > abs(upper.vy) + abs(lower.vy)
    return across and upper.vx * lower.vx > 0 and abs(upper.x - lower.x) < 0.4 * both.width


def _stands_alone(blob: Blob, main: Blob) -> bool:
    """Whether a piece is a figure beside the main one, and not a part of it."""
    one, two = blob.box, main.box
    shared = min(one.x1, two.x1) - max(one.x0, two.x0)
    beside = shared < 0.3 * min(one.width, two.width)
    return beside and one.height > 1.4 * one.width and one.height > 0.6 * two.height


def _covered(box: Box, by: Box) -> float:
    """Share of a box that another covers."""
    return box.overlap(by) / box.area if box.area else 0.0


def _reach(
    box: Box, x: NDArray[np.floating[Any]], y: NDArray[np.floating[Any]]
) -> NDArray[np.float64]:
    """How far pixels are from a box's middle, in its half sizes."""
    cx, cy = box.centre
    across = np.abs(x - cx) / max(box.width / 2, 1.0)
    return np.asarray(np.maximum(across, np.abs(y - cy) / max(box.height / 2, 1.0)))
