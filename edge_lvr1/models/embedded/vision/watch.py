"""One pass over a recording: from frames to records of subjects and events.

Each frame goes through the same stations: light fitted, foreground found, blobs measured,
tracks followed, tracks looked at (person? colours?), the background taught. `Watcher` holds
what passes from frame to frame; everything that passes from window to window is in `notes`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge_lvr1.media.frames import Frame
from edge_lvr1.models.embedded.vision import blobs, measure, records, scene
from edge_lvr1.models.embedded.vision.background import LEARN, Background, Image, Light
from edge_lvr1.models.embedded.vision.blobs import Blob, Box, Scene
from edge_lvr1.models.embedded.vision.person import PersonLook, upright
from edge_lvr1.models.embedded.vision.scene import LightWatch
from edge_lvr1.models.embedded.vision.track import OUTLINE, Track
from edge_lvr1.models.embedded.vision.tracker import Tracker
from edge_lvr1.models.embedded.wording import Kind

_GAP_S = 1.0
"""Frames further apart than this say nothing of motion."""

_GLANCE_LEARN = 0.2
_LIGHT_OFF = 0.08  # log level at a glance that is worth finding the moment of
_MOST_PASSED = 30  # glances: five minutes
_GHOST_S = 1.0
_STAIN_S = 3.0
_LEFT_S = 12.0
_FOREVER_S = 1800.0
_MOST_LOOKS = 48
_LOOK_EVERY_S = 0.35
_MOST_SAMPLES = 40
_UPSET, _UPSET_MORE = 0.12, 0.08  # shares of the picture: at all, and beside the subjects
_LIT, _LIT_THROUGH = 0.25, 0.6  # share of the picture, and how far the scene is seen in it
_LIT_EDGE = 0.05
_STRIDES = (0.012, 0.4)  # heights between two frames: slower is standing, faster is a jump
_KEEP = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (9, 9))


@dataclass(slots=True)
class Watcher:
    """What is known so far; `step` takes it one frame further.

    One that does not look only learns the empty scene: it judges no shape and tells nothing.
    """

    background: Background
    tracker: Tracker
    light: LightWatch = field(default_factory=LightWatch)
    records: list[dict[str, Any]] = field(default_factory=list)
    events: list[list[Any]] = field(default_factory=list)
    covered: float = 0.0
    seen_s: float = 0.0  # when it looked last
    fruitless: int = 0  # surprises that came to nothing, since one that did not
    passing: int = 0  # glances yet to come that do not surprise
    full_s: float | None = None  # from when on subjects were too many to be kept
    relit: bool = False  # whether light fell otherwise on the scene; not kept between windows
    looks: bool = True
    last: Image | None = None  # not kept between windows
    look: PersonLook = field(default_factory=PersonLook.new)

    @classmethod
    def of(cls, frame: Frame, *, looks: bool = True) -> Watcher:
        """A watcher that takes a first frame for the empty scene."""
        height, width = frame.image.shape[:2]
        tracker = Tracker(width, height)
        return cls(Background.of(frame.image), tracker, seen_s=frame.time_s, looks=looks)

    def step(self, frame: Frame) -> None:
        """Take in the next frame."""
        image, after_s = frame.image, frame.time_s - self.seen_s
        self.seen_s = frame.time_s
        if after_s > _GAP_S:
            self.last = None
        if image.shape != self.background.picture.shape:  # a part from another camera mode
            self._cut(image, frame.time_s)
            self.tracker.height, self.tracker.width = image.shape[:2]
            self.last = None
            return
        light = self.background.fit(image, self._occupied(frame.time_s))
        seen = _compare(self.background, image, light, self.last)
        mask = self.background.differs(seen.difference)
        self.last = image
        if self._upset(seen, mask, light, frame.time_s):
            return
        found = blobs.find(mask, seen)
        self.covered = sum(blob.area for blob in found) / mask.size
        # Exposure answers to subjects; light that falls on a part of the scene is none.
        subjects = sum(blob.area for blob in found if blob.edge > _LIT_EDGE) / mask.size
        event = self.light.see(frame.time_s, scene.light_level(seen.lit), subjects)
        if event:
            self.events.append([round(event[0], 2), event[1]])
        for track in self.tracker.update(found, frame.time_s):
            self._finish(track)
        healed = self._settle_tracks(seen, light, frame.time_s)
        for track in self.tracker.tracks if self.looks else ():
            if track.seen and track.last_s == frame.time_s:
                self._look(track, seen, frame.time_s)
        keep = _protected(found, mask.shape) & ~healed
        share = LEARN if after_s <= _GAP_S else _GLANCE_LEARN
        self.background.learn(image, seen.lit, light, seen.difference, keep, share)

    def surprised(self, frame: Frame) -> bool:
        """Whether a glance shows what the last look would not have led to expect."""
        if self.passing > 0:
            self.passing -= 1
            return False
        if frame.image.shape != self.background.picture.shape:
            return True
        light = self.background.fit(frame.image, self._occupied(frame.time_s))
        seen = _compare(self.background, frame.image, light, None)
        mask = self.background.differs(seen.difference)
        if float((mask > 0).mean()) > max(_UPSET, self.covered + _UPSET_MORE):
            return True
        if self.light.off(scene.light_level(seen.lit)) > _LIGHT_OFF:
            return True
        found = [blob for blob in blobs.find(mask, seen) if blob.edge > OUTLINE]
        there = [t for t in self.tracker.tracks if t.confirmed and t.last_s == self.seen_s]
        return not all(
            any(track.box.overlap(blob.box) > 0 for track in self.tracker.tracks) for blob in found
        ) or not all(any(track.box.overlap(blob.box) > 0 for blob in found) for track in there)

    def known(self) -> int:
        """How much has been told: grows with every subject that goes, and every event."""
        return len(self.records) + len(self.events)

    def mind(self, before: int) -> None:
        """After a surprise was looked into: where it came to nothing, the next have to wait.

        Trees in the wind surprise at every glance, and would have all be looked at closely.
        """
        in_view = any(kind_of(track, self.tracker) for track in self.tracker.tracks)
        self.fruitless = 0 if in_view or self.known() > before else self.fruitless + 1
        self.passing = min(2**self.fruitless - 1, _MOST_PASSED)

    def end(self, time_s: float) -> None:
        """At the end of the recording: what is in view still is told too."""
        event = self.light.end(time_s)
        if event:
            self.events.append([round(event[0], 2), event[1]])
        for track in self.tracker.tracks:
            stays = min(track.alive_s, track.last_s) > self.seen_s - 0.5
            if stays:
                track.last_s = time_s
            self._finish(track, stays=stays)
        self.tracker.tracks = []

    def _finish(self, track: Track, *, rests: bool = False, stays: bool = False) -> None:
        if track.alive_s < track.last_s - 1.0:
            track.last_s = max(track.first_s, track.alive_s)  # after that: light, or a hole
            track.path = [p for p in track.path if p[0] <= track.last_s] or track.path[:1]
        size = self.tracker.width, self.tracker.height
        record = records.judge(track, *size, rests=rests, stays=stays)
        if record is None:
            return
        if len(self.records) < records.MOST_KEPT:
            brief = len(self.records) >= records.MOST_DETAILED
            self.records.append(records.brief(record) if brief else record)
        elif self.full_s is None or record["from_s"] < self.full_s:
            self.full_s = record["from_s"]

    def _occupied(self, time_s: float) -> NDArray[np.bool_]:
        occupied = np.zeros(self.background.flicker.shape, bool)
        for track in self.tracker.tracks:
            if track.confirmed:
                box = track.predicted(time_s).grown(4)
                occupied[box.within(occupied.shape)] = True
        return occupied

    def _upset(self, seen: Scene, mask: NDArray[np.uint8], light: Light, time_s: float) -> bool:
        """Whether the whole picture changed: a moved camera or a cut; the model is made new."""
        share = float((mask > 0).mean())
        if share < _UPSET or share < self.covered + _UPSET_MORE:
            return False
        dx, dy, sure = scene.displacement(seen.edges, seen.lit_edges)
        if max(abs(dx), abs(dy)) >= 1 and sure > 0.05:
            moved = np.roll(seen.lit, (dy, dx), axis=(0, 1))
            still_off = float((blobs.difference(seen.image, moved) > 24).mean())
            if still_off < 0.5 * float((seen.difference > 24).mean()):
                self._camera(dx, dy, seen, light, time_s)
                return True
        sudden = share > 0.5 and float((seen.changed > 24).mean()) > 0.4
        if sudden and scene.another(seen.edges, seen.lit_edges):
            self._cut(seen.image, time_s)
            return True
        if sudden or (share > _LIT and scene.through(*_within(mask, seen)) > _LIT_THROUGH):
            self._relight(seen, time_s)
            return True
        return False

    def _relight(self, seen: Scene, time_s: float) -> None:
        """One lamp of several, a blind, a cloud: no gain for the whole picture explains it."""
        self.background.relight(seen.image, seen.lit, self._occupied(time_s))
        self.relit = True
        for track in self.tracker.tracks:
            track.last_s = time_s

    def _camera(self, dx: int, dy: int, seen: Scene, light: Light, time_s: float) -> None:
        if not any(what == "camera" and time_s - when < 5.0 for when, what in self.events):
            self.events.append([round(time_s, 2), "camera"])
        self.background.shift(dx, dy, seen.image, light)
        for track in self.tracker.tracks:
            track.box = track.box.moved(dx, dy)
            track.x, track.y, track.last_s = track.x + dx, track.y + dy, time_s
            track.path = [[when, x + dx, y + dy, *size] for when, x, y, *size in track.path]

    def _cut(self, image: Image, time_s: float) -> None:
        self.events.append([round(time_s, 2), "cut"])
        for track in self.tracker.tracks:
            self._finish(track)
        self.tracker.tracks = []
        self.background = Background.of(image)
        self.light = LightWatch()
        self.covered = 0.0

    def _settle_tracks(self, seen: Scene, light: Light, time_s: float) -> NDArray[np.bool_]:
        """Heal the model where a still blob is no subject; returns where it was healed."""
        healed = np.zeros(self.background.flicker.shape, bool)
        kept = []
        for track in self.tracker.tracks:
            fate = None
            if track.last_s == time_s and not track.shared:
                fate = _fate(track, time_s, self.tracker)
            if fate is None or (fate == "left" and not self.looks):
                kept.append(track)
                continue
            healed |= _footprint(track, healed.shape)
            self._finish(track, rests=fate == "left")
        self.tracker.tracks = kept
        if healed.any():
            self.background.replace(seen.image, light, healed)
        return healed

    def _look(self, track: Track, seen: Scene, time_s: float) -> None:
        """Vote, sample colours and measure the shape of a track in this frame."""
        height, width = seen.image.shape[:2]
        box = track.box
        sides = [box.x0 <= 1, box.x1 >= width - 1, box.y0 <= 1, box.y1 >= height - 1]
        track.touched = [
            *(t for t in track.touched if t[0] <= track.first_s + 0.8 or t[0] > time_s - 1.0),
            [time_s, *(float(side) for side in sides)],
        ]
        moving = time_s - track.static_since_s < 0.01 and not track.shared
        if moving and track.edge > OUTLINE:
            track.real_hits += 1
            track.clear_hits += not any(sides)
        measure.outline(track, sum(sides), time_s)
        if moving:
            measure.inner_edges(track, seen)
        self._vote(track, seen.image, moving, sides, time_s)
        if track.mask is not None and track.samples < _MOST_SAMPLES and track.hits % 2 == 0:
            measure.sample(track, seen, whole=not any(sides))

    def _vote(
        self, track: Track, image: Image, moving: bool, sides: list[bool], time_s: float
    ) -> None:
        figure = track.figure
        if figure is None or track.shared or not track.confirmed or not upright(figure):
            return
        if track.area < 60 or track.edge < OUTLINE or not _steady(track, figure, time_s):
            return
        if sides[2] and _came_from_above(track):
            return
        # Its own steps count, not a shadow that crosses it or a hand that jumps to it.
        moving = moving and _STRIDES[0] <= track.stride <= _STRIDES[1]
        done = track.moving_looks if moving else track.looks - track.moving_looks
        if done >= _MOST_LOOKS or time_s - track.voted_s < (_LOOK_EVERY_S if not moving else 0.0):
            return
        track.voted_s = time_s
        agreed = self.look.score(image, figure) >= 0.6
        track.looks += 1
        track.votes += agreed
        track.moving_looks += moving
        track.moving_votes += moving and agreed


def _steady(track: Track, figure: Box, time_s: float) -> bool:
    """Whether the figure has kept its height: not when it just met or let go of something."""
    track.tall = [entry for entry in track.tall if entry[0] > time_s - 0.7]
    heights = [tall for _, tall in track.tall]
    track.tall.append([time_s, figure.height])
    return all(0.8 < tall / figure.height < 1.25 for tall in heights)


def _came_from_above(track: Track) -> bool:
    """Whether it came in over the top edge, and not over the bottom one.

    Until such a shape has come away from the edge it may be an arm with something in hand:
    people stand on the ground.
    """
    first = [entry for entry in track.touched if entry[0] <= track.first_s + 0.5]
    early = [point for point in track.path if point[0] <= track.first_s + 1.0]
    came = abs(early[-1][2] - early[0][2]) > 0.1 * early[-1][4]  # and did not stand there
    return came and any(entry[3] for entry in first) and not any(entry[4] for entry in first)


def _compare(background: Background, image: Image, light: Light, last: Image | None) -> Scene:
    lit = background.under(light)
    return Scene(
        image=image,
        lit=lit,
        difference=blobs.difference(image, lit),
        changed=blobs.difference(image, image if last is None else last),
        edges=blobs.edges(image),
        lit_edges=blobs.edges(lit),
        gain=light.gain,
    )


def _fate(track: Track, time_s: float, tracker: Tracker) -> str | None:
    """What a blob that stands still is, when it is no subject: ghost, stain or left thing."""
    still_s = time_s - track.static_since_s
    if still_s >= _GHOST_S and track.edge < -0.15:
        return "ghost"
    if still_s >= _STAIN_S and track.edge < 0.15:
        return "stain"
    if still_s < _LEFT_S:
        return None
    # People stand and vehicles park for long; other things have been put down.
    kind = kind_of(track, tracker)
    figure = kind in (Kind.PERSON, Kind.VEHICLE) or track.votes >= 3
    return None if figure and still_s < _FOREVER_S else "left"


def kind_of(track: Track, tracker: Tracker) -> Kind | None:
    """What a track looks like so far."""
    return records.kind_of(track, tracker.width, tracker.height)


def _protected(found: list[Blob], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    keep = np.zeros(shape[:2], np.uint8)
    for blob in found:
        keep[blob.box.within(keep.shape)] |= blob.mask.astype(np.uint8)
    return cv2.dilate(keep, _KEEP) > 0


def _within(mask: NDArray[np.uint8], seen: Scene) -> tuple[NDArray[np.float32], ...]:
    there = cv2.erode(mask, _KEEP) > 0  # not the line that a shadow draws around itself
    return seen.edges[there], seen.lit_edges[there]


def _footprint(track: Track, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    where = np.zeros(shape[:2], np.uint8)
    where[track.box.within(shape)] = 1 if track.mask is None else track.mask.astype(np.uint8)
    return cv2.dilate(where, _KEEP) > 0
