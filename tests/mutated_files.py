"""Media files that something went wrong with, or that somebody made to do harm. Seeded.

Each is a small sound file of some container and codec with one to three mutations. The same
seed gives the same files wherever the encoders are the same.
"""

from __future__ import annotations

import random
import re
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

from tests import media_files

Mutation = Callable[[bytearray, random.Random], None]

BOXES = re.compile(
    rb"moov|trak|mdia|minf|stbl|stsd|stts|ctts|stss|stsc|stsz|stco|mdat|mvhd|tkhd|mdhd|avcC|avc1"
    rb"|elst|ftyp|hvcC|esds"
)


def sources(folder: Path) -> list[Path]:
    """Small sound files of several containers and codecs."""
    folder.mkdir(parents=True, exist_ok=True)
    times, make = media_files.steady(40), media_files.video
    plain = {"bf": "0"}
    quiet = {"preset": "ultrafast", "x265-params": "log-level=none"}
    return [
        make(folder / "h264.mp4", times, gop=10),
        make(folder / "first.mp4", times, gop=10, muxing={"movflags": "faststart"}, audio_s=1.0),
        make(folder / "pieces.mp4", times, gop=10, muxing={"movflags": "frag_keyframe+empty_moov"}),
        make(folder / "h264.mkv", times, gop=10),
        make(folder / "h264.mov", times, gop=40),
        make(folder / "h264.ts", media_files.steady(40, start_s=27.0), container="mpegts"),
        make(folder / "h264.flv", times, options=plain),
        make(folder / "bare.h264", times, container="h264"),
        make(folder / "mpeg4.avi", times, codec="mpeg4", options=plain),
        make(folder / "mpeg4.mp4", times, codec="mpeg4", options=plain),
        make(folder / "hevc.mp4", times[:20], codec="libx265", options=quiet),
        make(folder / "mjpeg.avi", media_files.steady(10), codec="mjpeg", pix_fmt="yuvj420p"),
        make(folder / "vp9.webm", media_files.steady(10), codec="libvpx-vp9"),
        media_files.rotated(folder / "turned.mp4", 90, frames=20),
        media_files.with_subtitles(folder / "words.mkv", folder),
    ]


def flip(data: bytearray, dice: random.Random) -> None:
    """Turn some bytes over, anywhere."""
    for _ in range(dice.choice((1, 3, 20, 200))):
        data[dice.randrange(len(data))] ^= dice.randrange(1, 256)


def flip_head(data: bytearray, dice: random.Random) -> None:
    """Turn some bytes over in the first kilobyte."""
    for _ in range(dice.choice((1, 4, 16))):
        data[dice.randrange(min(1024, len(data)))] ^= dice.randrange(1, 256)


def cut(data: bytearray, dice: random.Random) -> None:
    """Lose the end."""
    del data[dice.randrange(len(data)) :]


def lose(data: bytearray, dice: random.Random) -> None:
    """Lose a stretch from the middle."""
    start = dice.randrange(len(data))
    del data[start : start + dice.randrange(1, 4096)]


def repeat(data: bytearray, dice: random.Random) -> None:
    """Have a stretch twice."""
    start = dice.randrange(len(data))
    piece = data[start : start + dice.randrange(1, 4096)]
    data[start:start] = piece


def noise(data: bytearray, dice: random.Random) -> None:
    """Write over a stretch."""
    start = dice.randrange(len(data))
    size = min(dice.randrange(1, 4096), len(data) - start)
    data[start : start + size] = dice.randbytes(size)


def nought(data: bytearray, dice: random.Random) -> None:
    """A stretch that was never written."""
    start = dice.randrange(len(data))
    size = min(dice.randrange(512, 16384), len(data) - start)
    data[start : start + size] = bytes(size)


def absurd_box(data: bytearray, dice: random.Random) -> None:
    """A box of ISO 14496-12 that claims an absurd length, or counts an absurd number."""
    boxes = [found.start() for found in BOXES.finditer(data) if found.start() >= 4]
    if not boxes:
        return flip_head(data, dice)
    at = dice.choice(boxes) + dice.choice((-4, -4, 8, 12))
    value = dice.choice((0, 1, 7, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, dice.getrandbits(32)))
    if at + 4 <= len(data):
        struct.pack_into(">I", data, at, value)
    return None


def swapped_boxes(data: bytearray, dice: random.Random) -> None:
    """Two boxes that take each other's name."""
    boxes = [found.start() for found in BOXES.finditer(data)]
    if len(boxes) < 2:
        return noise(data, dice)
    one, other = dice.sample(boxes, 2)
    data[one : one + 4], data[other : other + 4] = data[other : other + 4], data[one : one + 4]
    return None


def extradata(data: bytearray, dice: random.Random) -> None:
    """Broken parameter sets: what the decoder is told before the first picture."""
    marks = [found.end() for found in re.finditer(rb"avcC|\x00\x00\x01[\x67\x27\x68]|esds", data)]
    if not marks:
        return flip_head(data, dice)
    at = dice.choice(marks)
    for place in range(at, min(at + 40, len(data))):
        if dice.random() < 0.3:
            data[place] = dice.randrange(256)
    return None


def huge(data: bytearray, dice: random.Random) -> None:
    """A size in the headers that is not that of the pictures, up to 65535 a side."""
    width, height = media_files.WIDTH_PX, media_files.HEIGHT_PX
    for order in (">", "<"):
        for kind in ("HH", "II"):
            found = data.find(struct.pack(order + kind, width, height))
            if found >= 0:
                sides = [dice.choice((0, 1, 17, 8192, 30000, 65535)) for _ in range(2)]
                struct.pack_into(order + kind, data, found, *sides)
                return None
    return flip_head(data, dice)


def other_head(data: bytearray, dice: random.Random) -> None:
    """The beginning of a file of another kind."""
    heads = (
        b"\x1aE\xdf\xa3\x93B\x82\x88matroska",
        b"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00isomiso2avc1mp41",
        b"RIFF\xff\xff\xff\xffAVI LIST",
        b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n",
        b"ffconcat version 1.0\nfile '/etc/passwd'\n",
        b"\x47\x40\x11\x10" * 47,
        b"FLV\x01\x05\x00\x00\x00\x09\x00\x00\x00\x00",
    )
    head = dice.choice(heads)
    if dice.random() < 0.5:
        data[: len(head)] = head
    else:
        data[:0] = head


def tail_first(data: bytearray, dice: random.Random) -> None:
    """Halves in the wrong order."""
    at = dice.randrange(len(data))
    data[:] = data[at:] + data[:at]


MUTATIONS: tuple[Mutation, ...] = (
    flip,
    flip_head,
    cut,
    lose,
    repeat,
    noise,
    nought,
    absurd_box,
    swapped_boxes,
    extradata,
    huge,
    other_head,
    tail_first,
)


def mutated(folder: Path, count: int, seed: int) -> Iterator[tuple[Path, str]]:
    """Write so many mutated files into a folder: each with what was done to it.

    Sources and mutations take turns, so that a few files already show most of them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    sound = sources(folder.with_name(folder.name + ".sound"))
    for number in range(count):
        dice = random.Random(f"{seed}/{number}")
        source = sound[number % len(sound)]
        first = MUTATIONS[number % len(MUTATIONS)]
        chosen = [first, *dice.choices(MUTATIONS, k=dice.choice((0, 0, 1, 2)))]
        data = bytearray(source.read_bytes())
        for mutation in chosen:
            if data:
                mutation(data, dice)
        path = folder / f"{number:04d}-{source.stem}{source.suffix}"
        path.write_bytes(data)
        yield path, "+".join(mutation.__name__ for mutation in chosen)
