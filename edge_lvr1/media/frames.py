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
from pathlib import Path

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from edge_lvr1.domain import Part, Span
from edge_lvr1.errors import MediaError
from edge_lvr1.media.decode import Video, open_video, pictures

TIME_SLACK_S = 1e-4  # container clocks round times: a frame that close is already showing
JUMP_S = 4.0  # times further apart than this are sought, not decoded up to


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A picture: uint8 RGB of shape (height, width, 3), and the moment it was asked for."""

    time_s: float
    image: NDArray[np.uint8]


class Footage:
    """The parts of a recording as one run of frames."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = tuple(parts)

    @property
    def duration_s(self) -> float:
        """Seconds from the first part's start to the last part's end."""
        return max((part.offset_s + part.duration_s for part in self.parts), default=0.0)

    def at(self, times_s: Sequence[float], max_side_px: int | None = None) -> Iterator[Frame]:
        """One frame for each time (ascending), the one showing then. Raises MediaError."""
        for part, times in self._by_part(sorted(times_s)):
            yield from _part_frames(part, times, max_side_px)

    def every(self, step_s: float, span: Span, max_side_px: int | None = None) -> Iterator[Frame]:
        """The frames showing at each multiple of step_s within the span. Raises MediaError."""
        if step_s <= 0:
            raise ValueError(f"a step must be longer than nothing, not {step_s}")
        start = math.ceil(max(0.0, span.start_s) / step_s - 1e-9)
        end = math.ceil(min(span.end_s, self.duration_s) / step_s - 1e-9)
        for part, times in self._by_part([index * step_s for index in range(start, end)]):
            yield from _part_frames(part, times, max_side_px)

    def _by_part(self, times_s: Sequence[float]) -> Iterator[tuple[Part, Sequence[float]]]:
        for index, part in enumerate(self.parts):
            first = part.offset_s if index else float("-inf")
            last = index == len(self.parts) - 1
            end = float("inf") if last else self.parts[index + 1].offset_s
            if times := [time_s for time_s in times_s if first <= time_s < end]:
                yield part, times


def _part_frames(part: Part, times_s: Sequence[float], max_side_px: int | None) -> Iterator[Frame]:
    convert = _Converter(max_side_px)
    path = Path(part.path)
    with open_video(path) as video:
        for group in _groups(times_s):
            with closing(_showing(video, [time_s - part.offset_s for time_s in group])) as shown:
                for time_s, picture in zip(group, shown, strict=True):
                    yield Frame(time_s, convert(picture))


def _groups(times_s: Sequence[float]) -> Iterator[list[float]]:
    """Runs of times that are close enough to decode in one pass."""
    run: list[float] = []
    for time_s in times_s:
        if run and time_s - run[-1] > JUMP_S:
            yield run
            run = []
        run.append(time_s)
    if run:
        yield run


def _showing(video: Video, times_s: Sequence[float]) -> Generator[VideoFrame, None, None]:
    """The frame showing at each of the times (ascending seconds of the file)."""
    wanted = iter(times_s)
    time_s = next(wanted)
    held: VideoFrame | None = None
    with closing(pictures(video, time_s)) as run:
        for shown_s, picture in run:
            while held is not None and shown_s > time_s + TIME_SLACK_S:
                yield held
                following = next(wanted, None)
                if following is None:
                    return
                time_s = following
            held = picture
    if held is None:
        raise MediaError(f"{video.path} has no frame that decodes at {time_s:.1f} s")
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
            interpolation=Interpolation.AREA if scale < 1 else Interpolation.BILINEAR,
        )
        image = np.asarray(rgb.to_ndarray(), dtype=np.uint8)
        # rotation is counter-clockwise, as numpy turns
        return np.ascontiguousarray(np.rot90(image, round(picture.rotation / 90) % 4))
