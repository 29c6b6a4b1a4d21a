"""Pictures of one open media file, in the order in which they are shown.

Decodes with PyAV. A packet that does not decode is skipped, up to a named number in a row.
Knows nothing of recordings: times are seconds after the file's first picture.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from edge_lvr1.errors import MediaError, NoVideoError

logger = logging.getLogger(__name__)

MAX_BAD_PACKETS = 250  # in a row: ten seconds of a 25 fps camera
FALLBACK_FPS = 25.0  # what FFmpeg assumes of a raw stream that states no rate
FIRST_STEP_BACK_S = 2.0


@dataclass(frozen=True, slots=True)
class Video:
    """An open container and its picture track. `first_pts_s` is the time of its start."""

    path: Path
    container: InputContainer
    stream: VideoStream
    first_pts_s: float
    fps: float

    @property
    def timed(self) -> bool:
        """Whether packets carry times. Raw H.264 does not: its frames can only be counted."""
        return self.stream.start_time is not None


@contextmanager
def open_video(path: Path) -> Iterator[Video]:
    """Open a file's first picture track, and close it whatever happens.

    Raises MediaError where the file cannot be opened, NoVideoError where it has no pictures.
    """
    try:
        container = av.open(str(path))
    except (FFmpegError, OSError) as error:
        raise MediaError(f"{path} cannot be read as video: {error}") from error
    try:
        if not container.streams.video:
            raise NoVideoError(f"{path} holds no picture track")
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        first = float((stream.start_time or 0) * (stream.time_base or 0))
        fps = float(stream.average_rate or stream.guessed_rate or FALLBACK_FPS)
        yield Video(path, container, stream, first, fps)
    finally:
        container.close()


def pictures(video: Video, from_s: float = 0.0) -> Generator[tuple[float, VideoFrame], None, None]:
    """Frames with their times (seconds after the file's start), ascending.

    The first is a frame at or before `from_s` wherever the file has one there. Raises
    MediaError where too many packets in a row do not decode.
    """
    packets = _packets_from(video, from_s)
    last_s = float("-inf")
    for counted, frame in enumerate(_decoded(video, packets)):
        if frame.pts is None or frame.time_base is None:
            time_s = counted / video.fps
        else:
            time_s = float(frame.pts * frame.time_base) - video.first_pts_s
        if time_s > last_s:
            last_s = time_s
            yield time_s, frame


def _packets_from(video: Video, from_s: float) -> Iterator[Packet[VideoStream]]:
    """Packets from the last keyframe at or before a time; from the start where none is."""
    if not video.timed or from_s <= 0:
        return _from_start(video)
    back_s = 0.0
    while back_s < from_s:
        packets = _sought(video, from_s - back_s)
        key = next((packet for packet in packets if packet.is_keyframe), None)
        if key is not None and key.pts is not None and _time_s(video, key.pts) <= from_s:
            return chain((key,), packets)
        back_s = max(FIRST_STEP_BACK_S, back_s * 2)
    return _from_start(video)


def _from_start(video: Video) -> Iterator[Packet[VideoStream]]:
    if video.timed:
        return _sought(video, 0.0)
    return _demuxed(video)


def _sought(video: Video, time_s: float) -> Iterator[Packet[VideoStream]]:
    stream = video.stream
    assert stream.time_base is not None
    offset = int((time_s + video.first_pts_s) / stream.time_base)
    try:
        video.container.seek(offset, stream=stream)
    except FFmpegError as error:
        logger.debug("%s: seek to %.1f s failed: %s", video.path, time_s, error)
    return _demuxed(video)


def _demuxed(video: Video) -> Iterator[Packet[VideoStream]]:
    try:
        yield from video.container.demux(video.stream)
    except FFmpegError as error:  # the file ends or breaks off here
        logger.debug("%s: reading stopped: %s", video.path, error)


def _decoded(video: Video, packets: Iterator[Packet[VideoStream]]) -> Iterator[VideoFrame]:
    bad = 0
    for packet in packets:
        try:
            frames = packet.decode()
        except FFmpegError as error:
            bad += 1
            if bad > MAX_BAD_PACKETS:
                raise MediaError(
                    f"{video.path} is damaged: {bad} packets in a row do not decode"
                ) from error
            continue
        bad = 0
        yield from frames


def _time_s(video: Video, pts: int) -> float:
    assert video.stream.time_base is not None
    return float(pts * video.stream.time_base) - video.first_pts_s
