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
from edge_lvr1.models.embedded.vision.track import Track, hit, meet, move

LOST_S = 1.8
"""A subject out of sight this long has gone; feet and shadows at the edge come back sooner."""

HIDDEN_S = 8.0
"""A subject quite hidden by another for this long is given up."""

_YOUNG_S = 1.6
_APIECE_S = 1.0  # head and legs that go the same way for so long are one figure
_STUMBLE_S = 0.7
_SHRUNK = 0.5  # of its area: what is left beside a blob that took the rest
_LIKE = 0.6  # colours in common of one who was hidden and who comes out
_KEPT_PACE = 0.95  # of a frame, in a meeting
_COLOUR_SAYS = 0.5  # half sizes that a pixel's colour weighs against its place
_FAR = 1e6


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
        owner = self._assign(blobs, boxes, time_s)
        shared = self._meetings(blobs, boxes, owner)
        # What sticks out of a meeting, a head above it, is nobody's for as long.
        spare = {owner.pop(i) for i, j in shared.items() if i in owner and owner[i] != j}
        pieces = self._pieces(blobs, boxes, owner)
        for index, track in enumerate(self.tracks):
            track.seen = track.shared = False  # (the meetings above asked how it was before)
            if index in shared:
                self._share(track, index, blobs[shared[index]], boxes, shared, time_s)
            elif index in pieces:
                hit(track, [blobs[j] for j in pieces[index]], time_s)
        taken = {j for parts in pieces.values() for j in parts} | set(shared.values()) | spare
        self._remember(shared)
        fresh = [blob for j, blob in enumerate(blobs) if j not in taken]
        fresh = [blob for blob in fresh if not self._comes_out(blob, time_s)]
        gone = self._retire(time_s)
        for blob in fresh:
            self._start(blob, time_s)
        self._unite(time_s)
        return gone

    def _assign(self, blobs: Sequence[Blob], boxes: Sequence[Box], time_s: float) -> dict[int, int]:
        """Track index -> blob index, at the least total cost."""
        if not blobs or not self.tracks:
            return {}
        costs = np.full((len(self.tracks), len(blobs)), _FAR)
        for i, track in enumerate(self.tracks):
            for j, blob in enumerate(blobs):
                costs[i, j] = _cost(track, boxes[i], blob, away=time_s - track.last_s > LOST_S)
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
            shrunk = i in owner and blobs[owner[i]].area < _SHRUNK * track.area
            if not track.confirmed or (i in owner and not shrunk):
                continue
            for j, blob in enumerate(blobs):
                k = holder.get(j)
                if k is None or k == i or not self.tracks[k].confirmed:
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
        for a, b in ((a, b) for a in self.tracks for b in self.tracks):
            if (a.id, b.id) in self.apiece and a.shared and a.mate == b.id and b.mate == a.id:
                self.apiece[a.id, b.id][1] = time_s  # seen as one: so far it fits
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
            part = younger.area / (older.area + younger.area)
            older.x += part * (younger.x - older.x)
            older.y += part * (younger.y - older.y)
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


def _cost(track: Track, box: Box, blob: Blob, *, away: bool) -> float:
    """How ill a blob suits a track; one who was away must look like himself, wherever he is."""
    (x, y), (bx, by) = box.centre, blob.box.centre
    distance = math.hypot(bx - x, by - y)
    size = 0.5 * (math.hypot(box.width, box.height) + math.hypot(blob.box.width, blob.box.height))
    touching = box.overlap(blob.box) > 0
    if distance > max(20.0, (0.9 if touching else 0.55) * size):
        return _FAR
    apart = 1.0 - float(np.sqrt(track.colours * blob.colours).sum())
    ratio = abs(math.log(max(blob.area, 1) / max(track.area, 1.0)))
    if (away or not touching) and (apart > 0.6 or ratio > 2.5):
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
    if one.y1 - two.y0 > 0.35 * min(one.height, two.height):
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
