"""One cheap look over a whole recording: how it moves, and a picture of each stretch of it.

Keyframes alone where they are close; else frames of one pass, at one a second. The loop
filter stays on: without it decoding is a fifth faster, but pictures drift by a grey level
until the next keyframe, which is as much as what is looked for.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TypeAlias

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from edge_lvr1.domain import Part
from edge_lvr1.errors import MediaError
from edge_lvr1.media.container import Video, open_video
from edge_lvr1.media.decode import SAME_TIME_S, pictures
from edge_lvr1.media.measure import HEIGHT_PX, WIDTH_PX, Measure, Sample
from edge_lvr1.media.opening import Opens, opened
from edge_lvr1.media.pictures import fitted, looks_like, webp

logger = logging.getLogger(__name__)

STEP_S = 1.0
"""Between two looks where frames are decoded one after the other."""

KEY_STEP_S = 2.1
"""Keyframes no further apart are enough by themselves."""

_LIVELIER = 1.1  # by so much a look must be livelier to be worth scaling its picture

Look: TypeAlias = "tuple[float, VideoFrame]"


@dataclass(frozen=True, slots=True)
class Picture:
    """The liveliest picture of a slot: WebP of at most 320 px a side, upright.

    `score` is 0 where nothing stood out; `hash` are 64 bits (see `pictures.looks_like`).
    """

    time_s: float
    score: float
    hash: int
    webp: bytes


def survey(
    parts: Sequence[Part], slot_s: float, step_s: float = STEP_S, opens: Opens = opened
) -> Generator[Sample | Picture, None, None]:
    """Look over a recording, front to back: a sample each look, a picture each slot.

    Slots are the spans of `slot_s` seconds from the start on; one in which no frame decodes
    has no picture. Looks are at most `step_s` apart, or KEY_STEP_S where keyframes are, as far
    as there are frames. Raises MediaError.
    """
    if not slot_s > 0 or not step_s > 0:
        raise ValueError(f"slots and steps last longer than nothing, not {slot_s} and {step_s}")
    measure, scale = Measure(), VideoReformatter()
    best: _Best | None = None
    key_step_s = max(step_s, min(KEY_STEP_S, slot_s))
    for time_s, frame in looks(parts, step_s, key_step_s, opens):
        grey = scale.reformat(
            frame, width=WIDTH_PX, height=HEIGHT_PX, format="gray", interpolation=Interpolation.AREA
        )
        sample, lively = measure.look(time_s, np.asarray(grey.to_ndarray(), np.uint8))
        yield sample
        slot = int(time_s / slot_s + 1e-9)
        if best is not None and best.slot != slot:
            yield best.picture()
            best = None
        if best is None or best.beaten_by(lively, time_s, (slot + 0.5) * slot_s):
            best = _Best(slot, time_s, lively, _thumbnail(scale, frame))
    if best is not None:
        yield best.picture()


@dataclass(frozen=True, slots=True, eq=False)
class _Best:
    """The liveliest look of a slot so far."""

    slot: int
    time_s: float
    lively: float
    image: NDArray[np.uint8]

    def beaten_by(self, lively: float, time_s: float, middle_s: float) -> bool:
        """Whether another look shows more; of two that show nothing, the one in the middle."""
        if lively > 0 or self.lively > 0:
            return lively > _LIVELIER * self.lively
        return abs(time_s - middle_s) < abs(self.time_s - middle_s)

    def picture(self) -> Picture:
        return Picture(self.time_s, self.lively, looks_like(self.image), webp(self.image))


def _thumbnail(scale: VideoReformatter, frame: VideoFrame) -> NDArray[np.uint8]:
    width, height = fitted(frame.width, frame.height)
    small = scale.reformat(
        frame, width=width, height=height, format="rgb24", interpolation=Interpolation.AREA
    )
    image = np.asarray(small.to_ndarray(), np.uint8)
    # Both count counter-clockwise.
    return np.ascontiguousarray(np.rot90(image, round(frame.rotation / 90) % 4))


def looks(
    parts: Sequence[Part], step_s: float, key_step_s: float, opens: Opens = opened
) -> Iterator[Look]:
    """Frames of a recording at times that rise, no closer than needed.

    A part that cannot be read any more is passed over. Raises MediaError where none can.
    """
    ordered = sorted(parts, key=lambda part: part.offset_s)
    after_s = -math.inf
    trouble: MediaError | None = None
    for part, following in pairwise([*ordered, None]):
        assert part is not None
        end_s = part.offset_s + part.duration_s
        if following is not None:
            end_s = min(end_s, following.offset_s)
        try:
            for time_s, frame in _of_part(part, step_s, key_step_s, opens):
                if time_s >= end_s - SAME_TIME_S:
                    break
                if time_s >= 0 and time_s - after_s >= min(step_s, 0.5) - SAME_TIME_S:
                    after_s = time_s
                    yield time_s, frame
        except MediaError as error:
            logger.warning("passed over: %s", error)
            trouble = error
    if after_s == -math.inf and trouble is not None:
        raise trouble


def _of_part(
    part: Part, step_s: float, key_step_s: float, opens: Opens
) -> Generator[Look, None, None]:
    with (
        open_video(Path(part.path), opens) as video,
        closing(_of_file(video, -part.offset_s, part.duration_s, step_s, key_step_s)) as run,
    ):
        for shown_s, frame in run:
            yield part.offset_s + shown_s, frame


def _of_file(
    video: Video, from_s: float, end_s: float, step_s: float, key_step_s: float
) -> Generator[Look, None, None]:
    """Keyframes as long as they are close enough, then what decodes, `step_s` apart."""
    from_s = max(0.0, from_s)
    reached_s, found = from_s, False
    if video.timed:
        with closing(_close_keys(video, from_s, end_s, key_step_s)) as keys:
            for time_s, frame in keys:
                reached_s, found = time_s, True
                yield time_s, frame
        if found and end_s - reached_s <= key_step_s:
            return
        logger.debug("%s: keyframes are far apart from %.1f s on", video.path, reached_s)
    # What no other frame rests on need not be decoded: a third less work where B frames are.
    video.stream.codec_context.skip_frame = "NONREF"
    next_s = before_s = reached_s
    with closing(pictures(video, reached_s)) as run:
        for time_s, frame in run:
            if time_s >= end_s:
                return
            if time_s - before_s > step_s / 2:  # nearly all of them are of that kind
                video.stream.codec_context.skip_frame = "DEFAULT"
            before_s = time_s
            if time_s >= next_s - SAME_TIME_S:
                next_s = max(next_s, time_s) + step_s
                yield time_s, frame


def _close_keys(
    video: Video, from_s: float, end_s: float, key_step_s: float
) -> Generator[Look, None, None]:
    """Keyframes from a time on, up to where the next one is too far away."""
    video.stream.codec_context.skip_frame = "NONKEY"
    last: Look | None = None
    with closing(pictures(video, from_s)) as run:
        for time_s, frame in run:
            if last is not None:
                if time_s - last[0] > key_step_s:
                    return
                if time_s >= end_s:
                    break
                yield last
            last = (time_s, frame)
    if last is not None and end_s - last[0] <= key_step_s:
        yield last
