"""Pictures of one open media file, in the order in which they are shown.

A packet that does not decode is skipped, up to a named number in a row. Knows nothing of
recordings: times are seconds after the file's first picture.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Generator, Iterable, Iterator
from itertools import chain
from typing import TypeAlias

from av.error import FFmpegError
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from edge_lvr1.errors import MediaError
from edge_lvr1.media.container import Video, check_size

logger = logging.getLogger(__name__)

MAX_BAD_PACKETS = 250  # in a row: ten seconds of a 25 fps camera
MEASURED_PACKETS = 1000  # looked at to learn how far keyframes are apart
STEP_BACK_S = 2.0  # a seek that came out too late is tried again this much earlier
BEFORE_START_S = 10.0
ROTTEN_S = 30.0  # where a GOP does not decode at all, begin this much earlier
SNAP_SEEK_S = 30.0  # keyframes further ahead than this are sought, nearer ones read up to
LEAP_S = 60.0  # longer gaps between pictures need a second picture to be believed
SAME_TIME_S = 1e-4  # container clocks round: times this close are the same

Packets: TypeAlias = "Iterator[Packet[VideoStream]]"


def pictures(video: Video, from_s: float = 0.0) -> Generator[tuple[float, VideoFrame], None, None]:
    """Frames with their times (seconds after the file's start), ascending.

    The first is a frame at or before `from_s` wherever the file has one there that decodes.
    Raises MediaError where too many packets in a row do not decode.
    """
    for start_s in (from_s, from_s - ROTTEN_S, 0.0):
        run = _timed(video, _decoded(video, packets_from(video, start_s)))
        first = next(run, None)
        if start_s <= 0 or (first is not None and first[0] <= from_s + SAME_TIME_S):
            break
    if first is not None:
        yield first
        yield from run


def key_pictures(video: Video, times_s: Iterable[float]) -> Iterator[tuple[float, VideoFrame]]:
    """For each of the times (ascending) the last keyframe at or before it, with its own time.

    Decodes keyframes only. Ends early where one cannot be found or does not decode.
    """
    keys: Packets = iter(())
    key: Packet[VideoStream] | None = None
    following: Packet[VideoStream] | None = None
    shown: VideoFrame | None = None
    for time_s in times_s:
        far = following is not None and time_s - _at_s(video, following) > SNAP_SEEK_S
        if key is None or far:
            keys = filter(_is_key, packets_from(video, time_s))
            following = next(keys, None)
        while following is not None and _at_s(video, following) <= time_s + SAME_TIME_S:
            key, following, shown = following, next(keys, None), None
        if key is None:
            return
        shown = shown or _decoded_alone(video, key)
        if shown is None:
            return
        yield _at_s(video, key), shown


def packets_from(video: Video, from_s: float) -> Packets:
    """Packets from the last keyframe at or before a time; from the start where none is."""
    if not video.timed or from_s <= 0:
        return _packets_near(video, 0.0)
    for start_s in _ever_earlier(from_s):
        packets = _packets_near(video, start_s)
        key = next(filter(_is_key, packets), None)
        if key is None or _at_s(video, key) > from_s + SAME_TIME_S:
            continue
        if start_s != from_s:  # without an index a seek is a guess: later keyframes may do
            key = _last_key(video, key, packets, from_s)
            packets = _packets_near(video, start_s)
            for packet in packets:
                if packet.pts == key.pts:
                    break
        return _without_leading(key, packets)
    return _packets_near(video, 0.0)


def _ever_earlier(from_s: float) -> Iterator[float]:
    back_s = 0.0
    while back_s < from_s:
        yield from_s - back_s
        back_s = max(STEP_BACK_S, back_s * 2)
    yield 0.0


def _last_key(
    video: Video, key: Packet[VideoStream], packets: Packets, until_s: float
) -> Packet[VideoStream]:
    for packet in packets:
        if packet.dts is not None and video.time_s(packet.dts) > until_s:
            break
        if _is_key(packet) and _at_s(video, packet) <= until_s + SAME_TIME_S:
            key = packet
    return key


def demuxed(video: Video) -> Packets:
    """Packets from where the file stands; ends quietly where the file breaks off."""
    while True:
        try:
            yield from video.container.demux(video.stream)
            return
        except IndexError:
            continue  # PyAV stumbles over a track that began half way; go on behind its packet
        except FFmpegError as error:
            logger.debug("%s: reading stopped: %s", video.path, error)
            return


def keyframe_interval_s(video: Video) -> float | None:
    """Mean seconds between keyframes, from a bounded number of packets at the start.

    With a single keyframe among them, the length that they cover; None without times.
    """
    if not video.timed:
        return None
    keys, last_s = [], 0.0
    for count, packet in enumerate(_packets_near(video, 0.0)):
        if packet.pts is not None:
            last_s = max(last_s, _at_s(video, packet))
            if packet.is_keyframe:
                keys.append(_at_s(video, packet))
        if count >= MEASURED_PACKETS:
            break
    if len(keys) < 2:
        return last_s + 1 / video.fps
    return (keys[-1] - keys[0]) / (len(keys) - 1)


def _timed(
    video: Video, frames: Iterable[VideoFrame]
) -> Generator[tuple[float, VideoFrame], None, None]:
    """Frames with times that rise.

    A clock that was set back while recording is not followed, and a leap ahead only when the
    next frame bears it out: a rotten time must not cost what comes after it.
    """
    last_s = -math.inf
    leapt: tuple[float, VideoFrame] | None = None
    for count, frame in enumerate(frames):
        time_s = count / video.fps if frame.pts is None else video.time_s(frame.pts)
        if time_s <= last_s:
            continue
        if leapt is not None and 0 < time_s - leapt[0] <= LEAP_S:
            yield leapt
        elif -math.inf < last_s < time_s - LEAP_S:
            leapt = (time_s, frame)
            continue
        leapt, last_s = None, time_s
        yield time_s, frame


def _decoded(video: Video, packets: Packets) -> Iterator[VideoFrame]:
    bad = 0
    drained = False
    for packet in packets:
        drained = packet.size == 0
        try:
            frames = packet.decode()
        except FFmpegError as error:
            bad += 1
            if bad > MAX_BAD_PACKETS:
                raise MediaError(
                    f"{video.path} is damaged: {bad} packets in a row do not decode; copy it again"
                ) from error
            continue
        bad = 0
        for frame in frames:
            check_size(video.path, frame.width, frame.height)
            yield frame
    if not drained:  # reading broke off: the decoder still holds the last frames
        yield from _drained(video)


def _decoded_alone(video: Video, key: Packet[VideoStream]) -> VideoFrame | None:
    video.stream.codec_context.flush_buffers()
    try:
        frames = key.decode()
    except FFmpegError:
        return None
    frame = next(iter(frames or _drained(video)), None)
    video.stream.codec_context.flush_buffers()
    return frame


def _drained(video: Video) -> list[VideoFrame]:
    try:
        return video.stream.decode(None)
    except FFmpegError:
        return []


def _packets_near(video: Video, time_s: float) -> Packets:
    if not video.timed:
        return demuxed(video)
    if time_s > 0:
        return _sought(video, time_s) or iter(())
    # A transport stream is sought by decoding times, which begin before the first picture is
    # shown; an AVI refuses a time before its start.
    return _sought(video, -BEFORE_START_S) or _sought(video, 0.0) or demuxed(video)


def _sought(video: Video, time_s: float) -> Packets | None:
    """Packets from about a time on; None where the file cannot go there."""
    try:
        video.container.seek(video.stamp(time_s), stream=video.stream)
    except FFmpegError as error:
        logger.debug("%s: no way to %.1f s: %s", video.path, time_s, error)
        return None
    return demuxed(video)


def _without_leading(key: Packet[VideoStream], packets: Packets) -> Packets:
    """Leave out pictures shown before the keyframe: they rest on the GOP that was skipped."""
    first_pts = key.pts or 0
    rest = (packet for packet in packets if packet.pts is None or packet.pts >= first_pts)
    return chain((key,), rest)


def _is_key(packet: Packet[VideoStream]) -> bool:
    return packet.is_keyframe and packet.pts is not None


def _at_s(video: Video, packet: Packet[VideoStream]) -> float:
    return video.time_s(packet.pts or 0)
