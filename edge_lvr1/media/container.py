"""Opening a media file, and saying in one sentence why it cannot be opened.

What is dropped into a folder is not trusted: only formats that hold pictures or sound are
opened (a playlist or a list of files could name other files and addresses), only through a
descriptor, and pictures of absurd size are refused before they are decoded.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import FileIO
from itertools import islice
from pathlib import Path
from typing import Literal

import av
from av.codec.context import ThreadType
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError
from av.stream import Disposition
from av.video.stream import VideoStream

from edge_lvr1.errors import MediaError, NoVideoError
from edge_lvr1.media.opening import Opens, opened

MAX_SIDE_PX = 16384
MAX_PIXELS = 100_000_000  # three times 8K UHD
FALLBACK_FPS = 25.0  # what FFmpeg assumes of a raw stream that states no rate
MAX_FPS = 1000.0  # a higher rate is a slip of the container
SNIFF_BYTES = 4096
START_PACKETS = 16  # more than are reordered: the first to be shown is among them
MAX_BOXES = 64
NO_TIMESTAMPS = 0x80  # AVFMT_NOTIMESTAMPS of libavformat/avformat.h

# Names of FFmpeg's demuxers. Left out on purpose: concat, hls, dash, image sequences, tty.
FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,m4v,h264,hevc,vvc,av1,obu,"
    "ivf,flv,live_flv,asf,mxf,ogg,dhav,nut,gxf,vc1,wtv,rm,mjpeg,mp3,aac,flac,wav,ac3,amr,aiff"
)
_NO_FILE = "{} is a device, pipe or socket, not a media file"
OPTIONS = {"format_whitelist": FORMATS, "protocol_whitelist": "file"}


@dataclass(frozen=True, slots=True)
class Video:
    """An open file and its picture track.

    `first_pts_s` is the container's time of the track's start; all other times are counted
    from there. `fps` is the average rate where the container knows it, `status` what the file
    system says of the file that is open, `opens` what opened it.
    """

    path: Path
    container: InputContainer
    stream: VideoStream
    first_pts_s: float
    fps: float
    status: os.stat_result
    opens: Opens

    @property
    def timed(self) -> bool:
        """Whether packets carry times. Raw H.264 does not: its frames can only be counted."""
        raw = self.container.format.flags & NO_TIMESTAMPS
        return self.stream.start_time is not None or not raw

    def time_s(self, pts: int) -> float:
        """Seconds after the track's start of one of its time stamps."""
        return float(pts * (self.stream.time_base or 0)) - self.first_pts_s

    def stamp(self, time_s: float) -> int:
        """The track's time stamp of a moment in seconds after its start."""
        assert self.stream.time_base is not None
        return round((time_s + self.first_pts_s) / self.stream.time_base)


@contextmanager
def open_video(
    path: Path, opens: Opens = opened, threads: Literal["AUTO", "SLICE"] = "AUTO"
) -> Iterator[Video]:
    """Open a file's picture track, and close it whatever happens.

    "AUTO" threads decode faster, but lose a frame or two where a file breaks off; "SLICE"
    threads do not. Raises MediaError where the file cannot be opened or has pictures of absurd
    size, and NoVideoError where it holds no moving picture.
    """
    try:
        file = opens(path)
    except (OSError, ValueError) as error:
        raise MediaError(_why_unopened(path, error)) from error
    with file, _demuxed(path, file) as container:
        assert isinstance(container, InputContainer)
        stream = _picture_track(path, container)
        if stream.codec_context is None:
            raise MediaError(f"{path} has pictures in a coding that is not known; convert it")
        check_size(path, stream.codec_context.width, stream.codec_context.height)
        stream.thread_type = ThreadType[threads]
        stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
        first_pts_s = float(_start_pts(container, stream) * (stream.time_base or 0))
        status = os.fstat(file.fileno())
        yield Video(path, container, stream, first_pts_s, _fps(stream), status, opens)


def check_size(path: Path, width_px: int, height_px: int) -> None:
    """Raise MediaError for pictures that are too large to decode in safety."""
    if max(width_px, height_px) > MAX_SIDE_PX or width_px * height_px > MAX_PIXELS:
        raise MediaError(
            f"{path} claims pictures of {width_px} x {height_px} pixels, more than is decoded "
            f"here (at most {MAX_SIDE_PX} a side); convert it to a smaller size"
        )


def _demuxed(path: Path, file: FileIO) -> InputContainer | OutputContainer:
    status = os.fstat(file.fileno())
    if not stat.S_ISREG(status.st_mode):
        raise MediaError(_NO_FILE.format(path))
    if status.st_size == 0:
        raise MediaError(f"{path} is empty (0 bytes); copy it again once it has been written")
    # FFmpeg looks at a name's ending where the bytes leave a doubt; "file:" keeps one such as
    # "concat:a|b" from being read as an address.
    file.name = f"file:{path}"
    try:
        return av.open(file, options=dict(OPTIONS), metadata_errors="replace")
    except (FFmpegError, OSError, ValueError) as error:
        raise MediaError(_why_closed(path, file)) from error


def _why_unopened(path: Path, error: Exception) -> str:
    if isinstance(error, IsADirectoryError):
        return f"{path} is a folder, not a media file; name the files inside it"
    if isinstance(error, FileNotFoundError):
        return f"there is no file at {path}; check the name"
    if isinstance(error, PermissionError):
        return f"{path} may not be read by this user; change its permissions"
    if isinstance(error, OSError) and error.errno == errno.ENXIO:
        return _NO_FILE.format(path)
    return f"{path} cannot be read: {error}"


def _picture_track(path: Path, container: InputContainer) -> VideoStream:
    tracks = container.streams.video
    moving = [track for track in tracks if not track.disposition & Disposition.attached_pic]
    if moving:
        return moving[0]
    if tracks:
        raise NoVideoError(
            f"{path} holds only sound and its cover picture, no video; give a file with pictures"
        )
    if container.streams.audio:
        raise NoVideoError(f"{path} holds only sound, no video; give a file with pictures")
    raise NoVideoError(f"{path} holds no video track; give a file with pictures")


def _start_pts(container: InputContainer, stream: VideoStream) -> int:
    if stream.start_time is not None:
        return stream.start_time
    if container.format.flags & NO_TIMESTAMPS:
        return 0
    with suppress(FFmpegError, IndexError):
        packets = islice(container.demux(stream), START_PACKETS)
        return min((packet.pts for packet in packets if packet.pts is not None), default=0)
    return 0


def _fps(stream: VideoStream) -> float:
    for rate in (stream.average_rate, stream.guessed_rate):
        if rate and 0 < rate <= MAX_FPS:
            return float(rate)
    return FALLBACK_FPS


def _why_closed(path: Path, file: FileIO) -> str:
    try:
        file.seek(0)
        head = file.read(SNIFF_BYTES)
        cut_short = _lacks_moov(file, os.fstat(file.fileno()).st_size)
    except OSError as unreadable:
        return f"{path} cannot be read: {unreadable}"
    if cut_short:
        return (
            f"{path} is an mp4 without its index (moov): the recording was broken off before it "
            "was finished; repair it or copy it again"
        )
    if _is_text(head):
        return f"{path} is text, not a media file; give a video file"
    return f"{path} is not a video file in a known format, or it is damaged; copy it again"


def _is_text(head: bytes) -> bool:
    printable = sum(byte >= 32 or byte in b"\t\r\n\f" for byte in head)
    try:
        head[:-4].decode("utf-8")  # the last character may be cut in two
    except UnicodeDecodeError:
        return False
    return printable > 0.97 * len(head)


def _lacks_moov(file: FileIO, size_bytes: int) -> bool:
    """Whether a file is laid out in ISO 14496-12 boxes, none of them the index."""
    at = 0
    for number in range(MAX_BOXES):
        file.seek(at)
        head = file.read(16)
        if len(head) < 8:
            return number > 0
        length, kind = struct.unpack(">I4s", head[:8])
        if number == 0 and kind != b"ftyp":
            return False
        if kind == b"moov":
            return bool(at + length > size_bytes)
        if length == 1 and len(head) == 16:
            (length,) = struct.unpack(">Q", head[8:])
        if length < 8:  # nought: the box runs to the end of the file
            return True
        at += length
    return False
