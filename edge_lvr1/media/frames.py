"""Frames of a recording at given times, at the lowest cost.

Times are seconds of the recording. The frame of a moment is the one showing then: the last
whose time is not later, or the part's first where none is. Never holds more than a few
frames, and closes its files when a generator is dropped half way.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from edge_lvr1.domain import Part, Span
from edge_lvr1.errors import MediaError
from edge_lvr1.media.container import Video, open_video
from edge_lvr1.media.decode import SAME_TIME_S, key_pictures, keyframe_interval_s, pictures


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A picture: uint8 RGB of shape (height, width, 3), upright.

    `time_s` is the moment of the recording that was asked for.
    """

    time_s: float
    image: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Frames that somebody is going to ask `Footage.at` for, in its own terms."""

    times_s: tuple[float, ...]  # ascending
    max_side_px: int | None = None
    tolerance_s: float = 0.0


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


def plan_runs(
    times_s: Sequence[float], keyframe_s: float | None, tolerance_s: float = 0.0
) -> list[Run]:
    """The cheapest way to frames at those times (ascending).

    Keyframes alone where they are close enough to do. Else one pass over times that are no
    further apart than keyframes, since a seek would only go back; and a seek to each of the
    others. A file without times (`keyframe_s` None) can only be read through.
    """
    if not times_s:
        return []
    if keyframe_s is None:
        return [Run(Route.PASS, tuple(times_s))]
    if keyframe_s <= tolerance_s:
        return [Run(Route.SNAP, tuple(times_s))]
    groups: list[list[float]] = []
    for time_s in times_s:
        if groups and time_s - groups[-1][-1] <= keyframe_s:
            groups[-1].append(time_s)
        else:
            groups.append([time_s])
    return [Run(Route.PASS if len(group) > 1 else Route.SEEK, tuple(group)) for group in groups]


class Footage:
    """The parts of a recording as one run of frames."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = tuple(sorted(parts, key=lambda part: part.offset_s))
        self._keyframe_s: dict[str, float | None] = {}

    @property
    def duration_s(self) -> float:
        """Seconds from the recording's start to the end of its last part."""
        return max((part.offset_s + part.duration_s for part in self.parts), default=0.0)

    def at(
        self, times_s: Sequence[float], max_side_px: int | None = None, tolerance_s: float = 0.0
    ) -> Generator[Frame, None, None]:
        """One frame for each time, ascending: the one showing then.

        With a tolerance, a keyframe that is at most so much older will do. Raises MediaError.
        """
        for part, times in self._by_part(sorted(times_s)):
            yield from self._part_frames(part, times, max_side_px, tolerance_s)

    def every(
        self, step_s: float, span: Span, max_side_px: int | None = None
    ) -> Generator[Frame, None, None]:
        """The frames showing at each multiple of `step_s` within the span.

        Which frames these are does not depend on where the span begins. Raises MediaError.
        """
        if not step_s > 0:
            raise ValueError(f"a step must be longer than nothing, not {step_s}")
        start = math.ceil(max(0.0, span.start_s) / step_s - 1e-9)
        end = math.ceil(min(span.end_s, self.duration_s) / step_s - 1e-9)
        for part, times in self._by_part([index * step_s for index in range(start, end)]):
            yield from self._part_frames(part, times, max_side_px, 0.0)

    def shown(self, span: Span, max_side_px: int | None = None) -> Generator[Frame, None, None]:
        """Every frame that begins within the span, at its own time. Raises MediaError."""
        for index, part in enumerate(self.parts):
            start_s, end_s = max(span.start_s, part.offset_s), min(span.end_s, self._end_s(index))
            if start_s >= end_s:
                continue
            convert = _Converter(max_side_px)
            with (
                open_video(Path(part.path)) as video,
                closing(pictures(video, start_s - part.offset_s)) as run,
            ):
                for shown_s, picture in run:
                    time_s = part.offset_s + shown_s
                    if time_s >= end_s:
                        break
                    if time_s >= start_s:
                        yield Frame(time_s, convert(picture))

    def _end_s(self, index: int) -> float:
        following = self.parts[index + 1 : index + 2]
        return following[0].offset_s if following else math.inf

    def _by_part(self, times_s: Sequence[float]) -> Iterator[tuple[Part, Sequence[float]]]:
        for index, part in enumerate(self.parts):
            first_s = part.offset_s - SAME_TIME_S if index else -math.inf
            end_s = self._end_s(index) - SAME_TIME_S
            if times := [time_s for time_s in times_s if first_s <= time_s < end_s]:
                yield part, times

    def _part_frames(
        self, part: Part, times_s: Sequence[float], max_side_px: int | None, tolerance_s: float
    ) -> Generator[Frame, None, None]:
        convert = _Converter(max_side_px)
        with open_video(Path(part.path)) as video:
            for run in plan_runs(times_s, self._measured(video), tolerance_s):
                local = [max(0.0, time_s - part.offset_s) for time_s in run.times_s]
                with closing(_reached(video, run.route, local, tolerance_s)) as reached:
                    for time_s, picture in zip(run.times_s, reached, strict=True):
                        yield Frame(time_s, convert(picture))

    def _measured(self, video: Video) -> float | None:
        key = str(video.path)
        if key not in self._keyframe_s:
            self._keyframe_s[key] = keyframe_interval_s(video)
        return self._keyframe_s[key]


def _reached(
    video: Video, route: Route, times_s: Sequence[float], tolerance_s: float
) -> Generator[VideoFrame, None, None]:
    if route is not Route.SNAP:
        yield from _showing(video, times_s)
        return
    done = 0
    for time_s, (key_s, picture) in zip(times_s, key_pictures(video, times_s), strict=False):
        if time_s - key_s > tolerance_s + SAME_TIME_S:
            break  # keyframes are rarer here than they were at the start of the file
        yield picture
        done += 1
    if done < len(times_s):
        yield from _showing(video, times_s[done:])


def _showing(video: Video, times_s: Sequence[float]) -> Generator[VideoFrame, None, None]:
    """The frame showing at each of the times (ascending seconds of the file)."""
    wanted = iter(times_s)
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
    """Turns decoded frames into RGB arrays of at most so many pixels a side, upright."""

    def __init__(self, max_side_px: int | None) -> None:
        self.max_side_px = max_side_px
        self.reformatter = VideoReformatter()  # kept: it caches its scaling tables

    def __call__(self, picture: VideoFrame) -> NDArray[np.uint8]:
        width, height = picture.width, picture.height
        scale = min(1.0, (self.max_side_px or math.inf) / max(width, height))
        rgb = self.reformatter.reformat(
            picture,
            width=max(1, round(width * scale)),
            height=max(1, round(height * scale)),
            format="rgb24",
            interpolation=Interpolation.BILINEAR,  # AREA costs twice as much, and looks no better
        )
        image = np.asarray(rgb.to_ndarray(), dtype=np.uint8)
        # Both count counter-clockwise.
        return np.ascontiguousarray(np.rot90(image, round(picture.rotation / 90) % 4))
