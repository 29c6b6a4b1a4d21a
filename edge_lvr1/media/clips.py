"""Cutting a clip out of a recording: copied at keyframes, or encoded anew to the frame.

Pictures only, no sound. Packets and frames pass through one at a time, and the clip appears
under its name only once it is whole.
"""

from __future__ import annotations

import logging
import uuid
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import numpy as np
from av.container import OutputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from edge_lvr1.domain import Part, Span
from edge_lvr1.errors import MediaError
from edge_lvr1.media.container import Video, open_video
from edge_lvr1.media.decode import SAME_TIME_S, Packets, packets_from
from edge_lvr1.media.opening import Opens, opened
from edge_lvr1.media.reading import Frame, Reader, Wanted, in_order

logger = logging.getLogger(__name__)

FORMATS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska"}
CLOCK = Fraction(1, 90000)
NOMINAL_FPS = 25  # a hint for the encoder; pictures carry their own times
MOST_REORDERED = 16  # pictures that H.264 and HEVC may hold back at most
QUALITY = {"crf": "20", "preset": "veryfast"}


class _Uncopyable(Exception):  # noqa: N818 (a finding, not a failure: the clip is encoded)
    """Packets that cannot be put into one clip as they are, and why."""


@dataclass(frozen=True, slots=True)
class _Dated:
    packet: Packet[VideoStream]
    shown_s: float
    decoded_s: float


def cut(
    parts: Sequence[Part],
    span: Span,
    out: Path,
    exact: bool = False,
    opens: Opens = opened,
) -> None:
    """Write the span of a recording to `out` (.mp4, .mov or .mkv), replacing what is there.

    Copied without loss from the keyframe at or before the start, so the clip may begin early;
    with `exact`, or where the parts cannot be joined as they are, encoded as H.264 from the
    very frame. Raises MediaError where the span is not in the recording, a part cannot be
    read or `out` cannot be written. `opens` opens each part.
    """
    span = _within(parts, span)
    check_out(parts, out)
    parts = _touched(parts, span)
    if not exact:
        try:
            with _written(out) as container:
                _copy(parts, span, container, opens)
            return
        except _Uncopyable as reason:
            logger.info("%s is encoded anew: %s", out.name, reason)
    with _written(out) as container:
        _encode(parts, span, container, opens)


def _within(parts: Sequence[Part], span: Span) -> Span:
    duration_s = max((part.offset_s + part.duration_s for part in parts), default=0.0)
    end_s = min(span.end_s, duration_s)
    start_s = max(0.0, span.start_s)
    if start_s >= end_s:
        raise MediaError(
            f"there is nothing to cut from {span.start_s:.1f} to {span.end_s:.1f} s: "
            f"the recording runs from 0.0 to {duration_s:.1f} s"
        )
    return Span(start_s, end_s)


def _touched(parts: Sequence[Part], span: Span) -> list[Part]:
    """The parts that show something of a span: in order, and with what shows at its start."""
    ordered = in_order(parts)
    starts_s = [part.offset_s for part in ordered]
    first = max(0, bisect_right(starts_s, span.start_s + SAME_TIME_S) - 1)
    return ordered[first : bisect_left(starts_s, span.end_s)]


def check_out(parts: Sequence[Part], out: Path) -> None:
    """Raise MediaError where a clip cannot have that name."""
    if out.suffix.lower() not in FORMATS:
        raise MediaError(f"a clip cannot be named {out.name}; let it end in {', '.join(FORMATS)}")
    if not out.parent.is_dir():
        raise MediaError(f"there is no folder {out.parent} for the clip; make it first")
    sources = (Path(part.path) for part in parts)
    if out.is_dir() or any(_same_file(out, source) for source in sources):
        raise MediaError(f"a clip cannot take the place of {out}; choose another name")


def _same_file(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and one.samefile(other)


@contextmanager
def _written(out: Path) -> Iterator[OutputContainer]:
    """A container that becomes `out` when all went well, and vanishes otherwise."""
    unfinished = out.with_name(f".{out.name[:200]}.{uuid.uuid4().hex[:8]}.part")
    try:
        try:
            with av.open(
                f"file:{unfinished}", "w", format=FORMATS[out.suffix.lower()]
            ) as container:
                yield container
            unfinished.replace(out)
        except (FFmpegError, OSError) as error:
            raise MediaError(f"the clip {out} cannot be written: {error}") from error
    finally:
        unfinished.unlink(missing_ok=True)


def _copy(parts: Sequence[Part], span: Span, container: OutputContainer, opens: Opens) -> None:
    track: VideoStream | None = None
    kind: tuple[object, ...] = ()
    times = _Times()
    for part in parts:
        local = Span(max(0.0, span.start_s - part.offset_s), max(0.0, span.end_s - part.offset_s))
        if not 0 <= local.start_s < min(local.end_s, part.duration_s):
            continue
        with open_video(Path(part.path), opens) as video:
            if track is None:
                track, kind = _copied_track(container, video), _kind(video)
            elif kind != _kind(video):
                raise _Uncopyable("its parts are encoded differently")
            for packet in times.mapped(_dated(video, _packets(video, local)), part.offset_s):
                packet.stream = track
                _mux(container, packet)
    if times.origin_s is None:
        raise _Uncopyable("no keyframe was found")


def _copied_track(container: OutputContainer, video: Video) -> VideoStream:
    if not video.timed:
        raise _Uncopyable("its packets carry no times")
    try:
        return container.add_stream_from_template(video.stream)
    except ValueError as error:
        raise _Uncopyable(f"the container does not take {video.stream.name}") from error


def _mux(container: OutputContainer, packet: Packet[VideoStream]) -> None:
    try:
        container.mux(packet)
    except ValueError as error:  # what was said is refused; trouble with the disk is an OSError
        raise _Uncopyable(f"the container does not take its packets ({error})") from error


def _kind(video: Video) -> tuple[object, ...]:
    codec = video.stream.codec_context
    return video.timed, codec.name, codec.width, codec.height, codec.extradata


def _packets(video: Video, local: Span) -> Packets:
    """Packets from the keyframe at or before a span to its end, in the order of decoding."""
    for packet in packets_from(video, local.start_s):
        stamp = packet.pts if packet.dts is None else packet.dts
        if packet.size and packet.pts is not None and stamp is not None:
            # Whatever is decoded before the end is kept: pictures within may rest on it.
            if video.time_s(stamp) >= local.end_s - SAME_TIME_S:
                return
            yield packet


def _dated(video: Video, packets: Packets) -> Iterator[_Dated]:
    """Packets with their times in seconds: shown at, decoded at.

    Matroska stores no decoding times; FFmpeg works them out only after the first few packets,
    so those few wait here and are counted back from the first that has one.
    """
    waiting: list[Packet[VideoStream]] = []
    for packet in packets:
        waiting.append(packet)
        if packet.dts is None and len(waiting) < MOST_REORDERED:
            continue
        yield from _counted_back(video, waiting)
        waiting = []
    yield from _counted_back(video, waiting)


def _counted_back(video: Video, packets: list[Packet[VideoStream]]) -> Iterator[_Dated]:
    shown_s = [video.time_s(packet.pts or 0) for packet in packets]
    last = packets[-1].dts if packets else None
    decoded_s = min(shown_s, default=0.0) if last is None else video.time_s(last)
    for index, packet in enumerate(packets):
        before = len(packets) - 1 - index
        yield _Dated(packet, shown_s[index], decoded_s - before / video.fps)


class _Times:
    """Maps packets of the parts to the clip's clock, which begins with its first picture."""

    def __init__(self) -> None:
        self.origin_s: float | None = None
        self.last: int | None = None

    def mapped(self, packets: Iterator[_Dated], offset_s: float) -> Packets:
        """The packets with new times; decoding times rise from each to the next."""
        for dated in packets:
            if self.origin_s is None:
                self.origin_s = offset_s + dated.shown_s
            shift_s = offset_s - self.origin_s
            pts = round((dated.shown_s + shift_s) / CLOCK)
            dts = round((dated.decoded_s + shift_s) / CLOCK)
            if self.last is not None:
                dts = max(dts, self.last + 1)
            if dts > pts:
                raise _Uncopyable("its times overlap")
            self.last = dts
            packet = dated.packet
            packet.duration = round((packet.duration or 0) * packet.time_base / CLOCK)
            packet.pts, packet.dts, packet.time_base = pts, dts, CLOCK
            yield packet


def _encode(parts: Sequence[Part], span: Span, container: OutputContainer, opens: Opens) -> None:
    track: VideoStream | None = None
    reader = Reader(opens)
    first = reader.gather(parts, [Wanted((span.start_s,))])
    with closing(first), closing(reader.shown(parts, span, None)) as rest:
        for frame in chain((Frame(span.start_s, image) for image in first), rest):
            stamp = round((frame.time_s - span.start_s) / CLOCK)
            if track is None:
                track = _encoded_track(container, frame.image)
            elif stamp == 0:
                continue  # the frame showing at the start begins there
            picture = VideoFrame.from_ndarray(frame.image, format="rgb24")
            picture = picture.reformat(width=track.width, height=track.height, format="yuv420p")
            picture.pts, picture.time_base = stamp, CLOCK
            container.mux(track.encode(picture))
        if track is not None:
            container.mux(track.encode(None))


def _encoded_track(container: OutputContainer, image: NDArray[np.uint8]) -> VideoStream:
    track = container.add_stream("libx264", rate=NOMINAL_FPS, options=dict(QUALITY))
    height, width = image.shape[:2]
    track.width, track.height = max(2, width // 2 * 2), max(2, height // 2 * 2)
    track.pix_fmt = "yuv420p"
    track.codec_context.time_base = CLOCK
    return track
