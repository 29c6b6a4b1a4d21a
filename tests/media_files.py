"""Makers of small real media files, sound and odd, for tests.

Every picture carries its own number in black and white bars (`draw`), which `number_in` reads
back from a decoded frame of any size: so a test can say which frame it got.
"""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.container import OutputContainer
from av.video.frame import PictureType, VideoFrame
from numpy.typing import NDArray

BITS = 10
WIDTH_PX, HEIGHT_PX = 160, 96
CLOCK = Fraction(1, 50000)  # MPEG-4 part 2 takes no finer one


def draw(number: int, width_px: int = WIDTH_PX, height_px: int = HEIGHT_PX) -> NDArray[np.uint8]:
    """Picture with that number: RGB; bars above, below red on the left and blue on the right."""
    image = np.full((height_px, width_px, 3), 96, np.uint8)
    edges = np.linspace(0, width_px, BITS + 1).astype(int)
    for bit in range(BITS):
        image[: height_px // 2, edges[bit] : edges[bit + 1]] = 235 if number >> bit & 1 else 20
    image[height_px * 3 // 4 :, : width_px // 2] = (200, 30, 30)
    image[height_px * 3 // 4 :, width_px // 2 :] = (30, 30, 200)
    return image


def number_in(image: NDArray[np.uint8]) -> int:
    """The number that `draw` put into a picture."""
    height, width = image.shape[:2]
    centres = ((np.arange(BITS) + 0.5) * width / BITS).astype(int)
    bars = image[height // 8 : height * 3 // 8, centres].mean(axis=(0, 2))
    return sum(1 << bit for bit in range(BITS) if bars[bit] > 127)


def steady(frames: int, fps: float = 25.0, start_s: float = 0.0) -> list[float]:
    """Times of so many frames at a constant rate."""
    return [start_s + index / fps for index in range(frames)]


def video(
    path: Path,
    times_s: Sequence[float] = tuple(steady(100)),
    *,
    gop: int = 25,
    codec: str = "libx264",
    container: str | None = None,
    size_px: tuple[int, int] = (WIDTH_PX, HEIGHT_PX),
    pix_fmt: str = "yuv420p",
    options: dict[str, str] | None = None,
    muxing: dict[str, str] | None = None,
    metadata: dict[str, str] | None = None,
    audio_s: float = 0.0,
    first_number: int = 0,
    key_at: Sequence[int] = (),
) -> Path:
    """A video with a numbered frame at each time. Ordinary H.264 in what the suffix says."""
    with av.open(str(path), "w", format=container, options=muxing or {}) as out:
        out.metadata.update(metadata or {})
        fps = (len(times_s) - 1) / max(times_s[-1] - times_s[0], 1e-9)
        track = out.add_stream(codec, rate=Fraction(round(fps * 1000), 1000))
        assert isinstance(track, av.VideoStream)
        track.width, track.height = size_px
        track.pix_fmt = pix_fmt
        track.codec_context.time_base = CLOCK
        track.gop_size = gop
        h264 = {"preset": "ultrafast", "bf": "2", "sc_threshold": "0"} if codec == "libx264" else {}
        track.options = {**h264, **(options or {})}
        sound = out.add_stream("aac", rate=8000) if audio_s else None
        if sound is not None:
            assert isinstance(sound, av.AudioStream)
            _write_audio(out, sound, audio_s)
        for number, time_s in enumerate(times_s, first_number):
            frame = VideoFrame.from_ndarray(draw(number, *size_px)).reformat(format=pix_fmt)
            frame.pts = round(time_s / CLOCK)
            frame.time_base = CLOCK
            if number in key_at:
                frame.pict_type = PictureType.I
            out.mux(track.encode(frame))
        out.mux(track.encode(None))
    return path


def with_subtitles(path: Path, folder: Path) -> Path:
    """A Matroska file with pictures, sound and a subtitle track."""
    source = video(folder / "without.mkv", audio_s=4.0)
    words = b"1\n00:00:00,000 --> 00:00:02,000\nhello\n"
    with (
        av.open(str(source)) as pictures,
        av.open(io.BytesIO(words), format="srt") as text,
        av.open(str(path), "w") as out,
    ):
        copies = {
            stream: out.add_stream_from_template(stream)
            for stream in (*text.streams, *pictures.streams)
        }
        for packet in chain(text.demux(), pictures.demux()):
            if packet.dts is not None:
                packet.stream = copies[packet.stream]
                out.mux(packet)
    return path


def transport_stream(
    path: Path, frames: int = 100, start_s: float = 27.0, first_number: int = 0
) -> Path:
    """MPEG-TS whose clock begins somewhere else than nought."""
    return video(
        path, steady(frames, start_s=start_s), container="mpegts", first_number=first_number
    )


def raw_h264(path: Path, frames: int = 100, first_number: int = 0) -> Path:
    """A bare H.264 stream: no times, no duration."""
    return video(path, steady(frames), container="h264", first_number=first_number)


def uneven(path: Path, frames: int = 100, seed: int = 4) -> tuple[Path, list[float]]:
    """A file of variable rate, and the times of its frames."""
    dice = random.Random(seed)
    times = [0.0]
    for _ in range(frames - 1):
        times.append(round(times[-1] + dice.choice((0.01, 0.04, 0.04, 0.1, 0.7)), 3))
    return video(path, times), times


def rotated(path: Path, degrees: int, frames: int = 10) -> Path:
    """An mp4 that asks to be shown turned by so many degrees clockwise (0, 90, 180, 270)."""
    video(path, steady(frames))
    matrix = {90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0), 0: (1, 0, 0, 1)}[degrees]
    a, b, c, d = (value * 0x10000 for value in matrix)
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 4 + 20 + 16  # version 0: flags, times, layer and volume
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 0x40000000)
    path.write_bytes(data)
    return path


def audio_only(path: Path, seconds: float = 1.0) -> Path:
    """Sound without pictures."""
    with av.open(str(path), "w") as out:
        sound = out.add_stream("aac", rate=8000)
        assert isinstance(sound, av.AudioStream)
        _write_audio(out, sound, seconds)
    return path


def cover_art_only(path: Path) -> Path:
    """Sound with a picture of the sleeve (an ID3 tag before AAC): no moving picture."""
    sound = audio_only(path.with_suffix(".aac"))
    picture = _png(32, 32)
    body = b"\x00image/png\x00\x03\x00" + picture
    tag = b"APIC" + struct.pack(">I", len(body)) + b"\x00\x00" + body
    size = len(tag)
    synchsafe = bytes((size >> shift) & 0x7F for shift in (21, 14, 7, 0))
    data = b"ID3\x03\x00\x00" + synchsafe + tag + sound.read_bytes()
    sound.unlink()
    path.write_bytes(data)
    return path


def truncated_mp4(path: Path, keep: float = 0.5, frames: int = 200) -> Path:
    """An mp4 with its index first, cut off: it still claims its full length."""
    video(path, steady(frames), muxing={"movflags": "faststart"})
    return cut_off(path, keep)


def truncated_mkv(path: Path, keep: float = 0.5, frames: int = 200) -> Path:
    """A Matroska file, cut off: it still claims its full length and has lost its cues."""
    video(path, steady(frames))
    return cut_off(path, keep)


def without_moov(path: Path) -> Path:
    """An mp4 whose index, which comes last, was never written."""
    video(path)
    return cut_off(path, 0.5)


def cut_off(path: Path, keep: float) -> Path:
    """Keep only the first so much of a file."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    return path


def bit_rot(path: Path, spots: int = 3, frames: int = 200, seed: int = 3) -> Path:
    """An mp4 with a few bytes of its pictures turned over, none of them in the first GOP."""
    video(path, steady(frames), muxing={"movflags": "faststart"})
    data = bytearray(path.read_bytes())
    begin = data.index(b"mdat") + 4
    begin += (len(data) - begin) // 4
    dice = random.Random(seed)
    for _ in range(spots):
        data[dice.randrange(begin, len(data))] ^= 0xFF
    path.write_bytes(data)
    return path


def rot_all(path: Path, after: float = 0.0) -> Path:
    """Turn the pictures of an mp4, from so much of them on, into noise; leave its index."""
    data = bytearray(path.read_bytes())
    begin = data.index(b"mdat") + 4
    end = begin + struct.unpack_from(">I", data, begin - 8)[0] - 8
    begin += int((end - begin) * after)
    data[begin:end] = random.Random(1).randbytes(end - begin)
    path.write_bytes(data)
    return path


def spoil_time(path: Path, time_s: float, rotten_s: float) -> Path:
    """Change the presentation time of one picture of a transport stream (ISO 13818-1)."""

    def coded(moment_s: float) -> bytes:
        ticks = round(moment_s * 90000)
        return bytes(
            (
                (ticks >> 29 & 0x0E) | 1,
                ticks >> 22 & 0xFF,
                (ticks >> 14 & 0xFE) | 1,
                ticks >> 7 & 0xFF,
                (ticks << 1 & 0xFE) | 1,
            )
        )

    data = bytearray(path.read_bytes())
    for prefix in (0x20, 0x30):  # a picture with one time stamp, or the first of two
        old = coded(time_s)
        at = data.find(bytes((old[0] | prefix,)) + old[1:])
        if at >= 0:
            new = coded(rotten_s)
            data[at : at + 5] = bytes((new[0] | prefix,)) + new[1:]
    path.write_bytes(data)
    return path


def lying_duration(path: Path, factor: float, frames: int = 100) -> Path:
    """An mp4 whose headers state so many times its real duration."""
    video(path, steady(frames))
    data = bytearray(path.read_bytes())
    for box, skip in ((b"mvhd", 16), (b"tkhd", 20), (b"mdhd", 16)):
        at = data.index(box) + 4 + skip
        (stated,) = struct.unpack_from(">I", data, at)
        struct.pack_into(">I", data, at, int(stated * factor))
    path.write_bytes(data)
    return path


def _write_audio(out: OutputContainer, track: av.AudioStream, seconds: float) -> None:
    samples = int(8000 * seconds)
    for start in range(0, samples, 1024):
        tone = np.sin(np.arange(start, start + 1024) / 8.0).astype(np.float32)[None]
        frame = AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
        frame.sample_rate = 8000
        frame.pts = start
        out.mux(track.encode(frame))
    out.mux(track.encode(None))


def _png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    rows = b"".join(b"\x00" + b"\x80\x20\x20" * width for _ in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def numbers(images: Iterable[NDArray[np.uint8]]) -> list[int]:
    """The numbers in a run of pictures."""
    return [number_in(image) for image in images]
