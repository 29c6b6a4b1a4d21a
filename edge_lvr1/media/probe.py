"""What a media file is: length, size, rate, codec, start, tracks.

A file's own word on its length is not taken: the duration is that of the pictures that decode,
found by decoding the file's last few seconds. Knows nothing of cameras or wall clocks.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from av.video.frame import VideoFrame

from edge_lvr1.errors import MediaError
from edge_lvr1.media.container import Video, check_size, open_video
from edge_lvr1.media.decode import LEAP_S, demuxed, keyframe_interval_s, packets_from, pictures
from edge_lvr1.media.opening import Opens, opened

logger = logging.getLogger(__name__)

TAIL_KEYFRAMES = 32  # so many GOPs at the end are tried before the whole file is decoded
EARLIEST_YEAR = 1980  # writers without a clock say 1904 or 1970


@dataclass(frozen=True, slots=True)
class Probe:
    """What a file is. Sizes are those of the upright picture; times are seconds.

    `rotation` is what the file asks for, in degrees counter-clockwise. `first_pts_s` is the
    container's time of the first picture, from which all other times are counted.
    `keyframe_s` is the mean distance of keyframes, None where the file carries no times.
    """

    path: Path
    container: str
    codec: str
    width_px: int
    height_px: int
    rotation: int
    fps: float
    duration_s: float
    first_pts_s: float
    keyframe_s: float | None
    created_at: datetime | None
    audio_tracks: int
    subtitle_tracks: int


def probe(path: Path, opens: Opens = opened) -> Probe:
    """Look into a media file.

    Raises MediaError where it cannot be read or none of its pictures decodes, NoVideoError
    where it has no moving picture; the message says what is wrong and what to do.
    """
    with open_video(path, opens, threads="SLICE") as video:
        first = _first_picture(video)
        keyframe_s = keyframe_interval_s(video)
        duration_s = _duration_s(video)
        on_side = round(first.rotation / 90) % 2 == 1
        size = (first.height, first.width) if on_side else (first.width, first.height)
        streams = video.container.streams
        return Probe(
            path=path,
            container=video.container.format.name,
            codec=video.stream.codec_context.name,
            width_px=size[0],
            height_px=size[1],
            rotation=first.rotation % 360,
            fps=video.fps,
            duration_s=duration_s,
            first_pts_s=video.first_pts_s,
            keyframe_s=keyframe_s,
            created_at=_created_at(video),
            audio_tracks=len(streams.audio),
            subtitle_tracks=len(streams.subtitles),
        )


def _first_picture(video: Video) -> VideoFrame:
    for _, frame in pictures(video):
        check_size(video.path, frame.width, frame.height)
        return frame
    raise MediaError(f"{video.path} has no picture that decodes; copy it again")


def _duration_s(video: Video) -> float:
    if not video.timed:
        return _counted_s(video)
    claimed_s = _claimed_s(video)
    for start_s in (claimed_s, 0.0) if claimed_s > 0 else (0.0,):
        for key_s in _last_keys(video, start_s):
            if end_s := _decoded_until(video, key_s):
                if claimed_s - end_s > max(1.0, 0.01 * claimed_s):
                    logger.info(
                        "%s claims %.1f s, its pictures end at %.1f s",
                        video.path,
                        claimed_s,
                        end_s,
                    )
                return end_s
    end_s = _decoded_until(video, 0.0)
    if end_s is None:
        raise MediaError(f"{video.path} has no picture that decodes; copy it again")
    return end_s


def _counted_s(video: Video) -> float:
    """Length of a stream without times: its packets, each a picture, at its rate."""
    with open_video(video.path, video.opens) as again:  # such a file cannot be wound back
        return sum(packet.size > 0 for packet in demuxed(again)) / video.fps


def _claimed_s(video: Video) -> float:
    if video.stream.duration and video.stream.time_base:
        return float(video.stream.duration * video.stream.time_base)
    return (video.container.duration or 0) / 1_000_000


def _last_keys(video: Video, from_s: float) -> list[float]:
    """Times of the last keyframes that can be read from a moment on, latest first.

    A keyframe whose time lies far from those of both its neighbours is rot, not the end.
    """
    keys: deque[float] = deque(maxlen=TAIL_KEYFRAMES)
    before_s, alone_s = -math.inf, None
    for packet in packets_from(video, from_s):
        if packet.pts is None:
            continue
        time_s = video.time_s(packet.pts)
        if alone_s is not None and abs(time_s - alone_s) <= LEAP_S:
            keys.append(alone_s)
        alone_s = None
        if packet.is_keyframe and abs(time_s - before_s) <= LEAP_S:
            keys.append(time_s)
        elif packet.is_keyframe:
            alone_s = time_s
        before_s = time_s
    if alone_s is not None and not keys:
        keys.append(alone_s)
    return sorted(keys, reverse=True)


def _decoded_until(video: Video, from_s: float) -> float | None:
    """End of the last picture that decodes from a keyframe on; None where none does."""
    end_s = None
    before_s = from_s - 1 / video.fps
    for time_s, frame in pictures(video, from_s):
        if time_s >= from_s:
            # Of a variable rate FFmpeg states the mean, which may be seconds.
            stated_s = float((frame.duration or 0) * (frame.time_base or 0))
            end_s = time_s + min(stated_s or 1 / video.fps, time_s - before_s)
        before_s = time_s
    return end_s


def _created_at(video: Video) -> datetime | None:
    """When the container says that it was made; None where it does not, or cannot know."""
    for metadata in (video.container.metadata, video.stream.metadata):
        for key, text in metadata.items():
            if key.lower() in ("creation_time", "com.apple.quicktime.creationdate"):
                made_at = _parsed(text)
                if made_at is not None and made_at.year >= EARLIEST_YEAR:
                    return made_at
    return None


def _parsed(text: str) -> datetime | None:
    text = text.strip().replace("Z", "+00:00")
    if len(text) > 5 and text[-5] in "+-" and text[-3] != ":":  # +0100, as Apple writes it
        text = f"{text[:-2]}:{text[-2:]}"
    try:
        made_at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return made_at if made_at.tzinfo else made_at.replace(tzinfo=timezone.utc)
