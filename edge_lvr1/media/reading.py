"""Frames out of the parts of a recording, in this process, at the lowest cost.

All frames that many requests want come from one plan: a sequential pass, keyframes or seeks,
whichever is cheapest over all their times. Never holds more than a few frames, and closes its
files when a generator is dropped half way. Times are seconds of the recording.
"""

from __future__ import annotations

import logging
import math
from bisect import bisect_right
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from enum import Enum
from itertools import groupby
from pathlib import Path

import cv2
import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from edge_lvr1.domain import Part, Span
from edge_lvr1.errors import MediaError
from edge_lvr1.media.container import Video, open_video
from edge_lvr1.media.decode import SAME_TIME_S, key_pictures, keyframe_interval_s, pictures
from edge_lvr1.media.opening import Opens, opened

logger = logging.getLogger(__name__)

REMEMBERED_FILES = 1024
MOST_SIZES = 16
SCALING = Interpolation.BILINEAR  # AREA costs twice as much, and looks no better
# To scale, then to change colours, costs half of both at once (libswscale 9).
SCALED_AS = {"yuv420p": "yuv422p", "nv12": "yuv422p", "yuvj420p": "yuvj422p"}


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A picture: uint8 RGB of shape (height, width, 3), upright.

    `time_s` is the moment of the recording that was asked for. Frames may share an image.
    """

    time_s: float
    image: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Frames that somebody is going to ask `Footage.at` for, in its own terms."""

    times_s: tuple[float, ...]  # ascending
    max_side_px: int | None = None
    tolerance_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Look:
    """A moment that the request of that number wants a frame of."""

    time_s: float
    request: int
    max_side_px: int | None
    tolerance_s: float


class Route(str, Enum):
    """A way to reach frames."""

    PASS = "sequential pass"
    SEEK = "exact seek"
    SNAP = "keyframe snap"


@dataclass(frozen=True, slots=True)
class Run:
    """Times that are reached in one go."""

    route: Route
    times_s: tuple[float, ...]


def looks(wanted: Sequence[Wanted]) -> list[Look]:
    """All moments of many requests, in order of time: the order in which frames are given."""
    found = [
        Look(time_s, number, one.max_side_px, one.tolerance_s)
        for number, one in enumerate(wanted)
        for time_s in one.times_s
    ]
    return sorted(found, key=lambda look: (look.time_s, look.request))


def plan_runs(
    times_s: Sequence[float], keyframe_s: float | None, tolerances_s: Sequence[float]
) -> list[Run]:
    """The cheapest way to frames at those times (ascending), each with its tolerance.

    Keyframes alone where they are close enough to do. Else one pass over times that are no
    further apart than keyframes, since a seek would only go back, and a seek to each of the
    others; what such a pass goes by comes from it too. A file without times (`keyframe_s`
    None) can only be read through.
    """
    if not times_s:
        return []
    if keyframe_s is None:
        return [Run(Route.PASS, tuple(times_s))]
    exact = [t for t, near in zip(times_s, tolerances_s, strict=True) if near < keyframe_s]
    passes = _close_together(exact, keyframe_s)
    starts = [group[0] for group in passes]
    groups: list[tuple[int, list[float]]] = []  # number of the pass, -1 for keyframes
    for time_s in times_s:
        number = bisect_right(starts, time_s) - 1
        if number >= 0 and time_s > passes[number][-1]:
            number = -1
        if groups and groups[-1][0] == number:
            groups[-1][1].append(time_s)
        else:
            groups.append((number, [time_s]))
    return [Run(_route(number, group), tuple(group)) for number, group in groups]


def _close_together(times_s: Sequence[float], gap_s: float) -> list[list[float]]:
    groups: list[list[float]] = []
    for time_s in times_s:
        if groups and time_s - groups[-1][-1] <= gap_s:
            groups[-1].append(time_s)
        else:
            groups.append([time_s])
    return groups


def _route(number: int, times_s: Sequence[float]) -> Route:
    if number < 0:
        return Route.SNAP
    return Route.PASS if len(times_s) > 1 else Route.SEEK


class Reader:
    """Reads parts; remembers how far keyframes are apart in the files that it read last.

    `opens` opens each file.
    """

    def __init__(self, opens: Opens = opened) -> None:
        self._opens = opens
        self._keyframe_s: dict[tuple[str, int, int], float | None] = {}

    def gather(
        self, parts: Sequence[Part], wanted: Sequence[Wanted]
    ) -> Generator[NDArray[np.uint8], None, None]:
        """The image for each of the `looks` at the parts, in their order.

        Where one of several parts cannot be read any more, what was shown before it stands for
        it, as it does in a gap. Raises MediaError where nothing can be read.
        """
        ordered = in_order(parts)
        starts = [part.offset_s for part in ordered]
        still = _Still()
        for index, group in groupby(looks(wanted), lambda look: _part_at(starts, look.time_s)):
            if index < 0:
                continue
            own = list(group)
            done = 0
            try:
                with closing(self._from_part(ordered[index], own)) as images:
                    for image in images:
                        yield from still.shown(image)
                        done += 1
            except MediaError as error:
                if len(ordered) == 1:
                    raise
                logger.warning("passed over: %s", error)
                yield from still.instead(own[done:], error)
        still.end()

    def shown(
        self, parts: Sequence[Part], span: Span, max_side_px: int | None
    ) -> Generator[Frame, None, None]:
        """Every frame that begins within the span, at its own time. Raises MediaError."""
        ordered = in_order(parts)
        for index, part in enumerate(ordered):
            start_s, end_s = max(span.start_s, part.offset_s), span.end_s
            if index + 1 < len(ordered):
                end_s = min(end_s, ordered[index + 1].offset_s)
            if start_s >= end_s:
                continue
            convert = _Converter()
            with (
                open_video(Path(part.path), self._opens) as video,
                closing(pictures(video, start_s - part.offset_s)) as run,
            ):
                for shown_s, picture in run:
                    time_s = part.offset_s + shown_s
                    if time_s >= end_s:
                        break
                    if time_s >= start_s:
                        yield Frame(time_s, convert(picture, max_side_px))

    def _from_part(
        self, part: Part, looks: Sequence[Look]
    ) -> Generator[NDArray[np.uint8], None, None]:
        convert = _Converter()
        with open_video(Path(part.path), self._opens) as video:
            following = iter(looks)
            for run in self._runs(video, part, looks):
                own = [next(following) for _ in run.times_s]
                local = [max(0.0, look.time_s - part.offset_s) for look in own]
                near = [look.tolerance_s for look in own]
                with closing(_reached(video, run.route, local, near)) as reached:
                    for look, picture in zip(own, reached, strict=True):
                        yield convert(picture, look.max_side_px)

    def _runs(self, video: Video, part: Part, looks: Sequence[Look]) -> list[Run]:
        times_s = [look.time_s for look in looks]
        if len(looks) == 1 and not looks[0].tolerance_s:
            return [Run(Route.SEEK, tuple(times_s))]
        return plan_runs(times_s, self._measured(video), [look.tolerance_s for look in looks])

    def _measured(self, video: Video) -> float | None:
        key = (str(video.path), video.status.st_size, video.status.st_mtime_ns)
        if key not in self._keyframe_s:
            while len(self._keyframe_s) >= REMEMBERED_FILES:
                self._keyframe_s.pop(next(iter(self._keyframe_s)), None)
            self._keyframe_s[key] = keyframe_interval_s(video)
        return self._keyframe_s[key]


class _Still:
    """Images that stand in for what cannot be read: the last before it, else the first after."""

    def __init__(self) -> None:
        self._last: NDArray[np.uint8] | None = None
        self._owed: list[Look] = []
        self._error: MediaError | None = None

    def shown(self, image: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
        """An image that was read, after those that are owed for moments before it."""
        self._last = image
        owed, self._owed = self._owed, []
        for look in owed:
            yield _fitted(image, look.max_side_px)
        yield image

    def instead(self, looks: Sequence[Look], error: MediaError) -> Iterator[NDArray[np.uint8]]:
        """Images for moments that could not be read; owed where there is none yet."""
        self._error = error
        for look in looks:
            if self._last is None:
                self._owed.append(look)
            else:
                yield _fitted(self._last, look.max_side_px)

    def end(self) -> None:
        """At the end: raise MediaError where images are owed still."""
        if self._owed and self._error is not None:
            raise self._error


def _fitted(image: NDArray[np.uint8], max_side_px: int | None) -> NDArray[np.uint8]:
    """An image with at most so many pixels a side: requests of other sizes ask for it too."""
    height, width = image.shape[:2]
    scale = min(1.0, (max_side_px or math.inf) / max(width, height))
    if scale == 1.0:
        return image
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def in_order(parts: Sequence[Part]) -> list[Part]:
    """The parts as they follow each other in time."""
    return sorted(parts, key=lambda part: part.offset_s)


def _part_at(starts_s: Sequence[float], time_s: float) -> int:
    """The part that shows a moment: the first for all before it, -1 where there is none."""
    return max(bisect_right(starts_s, time_s + SAME_TIME_S) - 1, min(len(starts_s), 1) - 1)


def _reached(
    video: Video, route: Route, times_s: Sequence[float], tolerances_s: Sequence[float]
) -> Generator[VideoFrame, None, None]:
    if route is not Route.SNAP:
        yield from _showing(video, times_s)
        return
    done = 0
    keys = key_pictures(video, times_s)
    for time_s, near_s, (key_s, picture) in zip(times_s, tolerances_s, keys, strict=False):
        if time_s - key_s > near_s + SAME_TIME_S:
            break  # keyframes are rarer here than they were at the start of the file
        yield picture
        done += 1
    if done < len(times_s):
        yield from _showing(video, times_s[done:])


def _showing(video: Video, times_s: Sequence[float]) -> Generator[VideoFrame, None, None]:
    """The frame showing at each of the times (ascending seconds of the file)."""
    wanted: Iterator[float] = iter(times_s)
    time_s = next(wanted)
    held: VideoFrame | None = None
    with closing(pictures(video, time_s)) as run:
        for shown_s, picture in run:
            while held is not None and shown_s > time_s + SAME_TIME_S:
                yield held
                following = next(wanted, None)
                if following is None:
                    return
                time_s = following
            held = picture
    if held is None:
        raise MediaError(f"{video.path} has no picture that decodes at {time_s:.1f} s")
    yield held
    for _ in wanted:
        yield held


class _Converter:
    """Turns decoded frames into RGB arrays of at most so many pixels a side, upright.

    A picture that is asked for again in the same size gives the same array.
    """

    def __init__(self) -> None:
        self._reformatters: dict[tuple[int, int], tuple[VideoReformatter, VideoReformatter]] = {}
        self._picture: VideoFrame | None = None
        self._made: dict[tuple[int, int], NDArray[np.uint8]] = {}

    def __call__(self, picture: VideoFrame, max_side_px: int | None) -> NDArray[np.uint8]:
        if picture is not self._picture:
            self._picture, self._made = picture, {}
        width, height = picture.width, picture.height
        scale = min(1.0, (max_side_px or math.inf) / max(width, height))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        if size not in self._made:
            self._made[size] = self._converted(picture, *size)
        return self._made[size]

    def _converted(self, picture: VideoFrame, width: int, height: int) -> NDArray[np.uint8]:
        quarters = round(picture.rotation / 90) % 4
        if len(self._reformatters) >= MOST_SIZES:  # a damaged file may change its size at will
            self._reformatters.clear()
        # Kept, two a size: they cache their scaling tables.
        scaler, colours = self._reformatters.setdefault(
            (width, height), (VideoReformatter(), VideoReformatter())
        )
        between = SCALED_AS.get(picture.format.name)
        if between is not None and (width, height) != (picture.width, picture.height):
            picture = scaler.reformat(picture, width, height, between, interpolation=SCALING)
        rgb = colours.reformat(picture, width, height, "rgb24", interpolation=SCALING)
        image = np.asarray(rgb.to_ndarray(), dtype=np.uint8)
        # Both count counter-clockwise.
        return np.ascontiguousarray(np.rot90(image, quarters))
