"""What a decoding child finds, as heads and bytes; and back, with every field checked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import numpy as np

from edge_lvr1.domain import Span
from edge_lvr1.media.container import MAX_SIDE_PX
from edge_lvr1.media.measure import BLOCKS, Sample
from edge_lvr1.media.probe import Probe
from edge_lvr1.media.survey import Picture
from edge_lvr1.media.text_tracks import plain
from edge_lvr1.media.wire import Bytes, Head, WireError, count, number, text
from edge_lvr1.media.words import Cue

MOST_SHARED = 8  # sizes of which the last image is kept, in case the next is the same
MOST_TRACKS = 10_000
MOST_WEBP_BYTES = 2**20  # of 320 px a side: raw, it would be a third of that


class ImagesOut:
    """Packs images: uint8 RGB of shape (height, width, 3). The same one again goes bare."""

    def __init__(self) -> None:
        self._last: dict[tuple[int, int], Bytes] = {}

    def __call__(self, image: Bytes) -> tuple[Head, Bytes | None]:
        """What is told of an image, and its bytes where they are needed."""
        size = image.shape[0], image.shape[1]
        head = {"height": size[0], "width": size[1]}
        if self._last.get(size) is image:
            return head, None
        _remember(self._last, size, image)
        return head, image


class ImagesIn:
    """Unpacks images, none larger and no more than was asked for: the longest side of each."""

    def __init__(self, sides_px: Iterable[int | None]) -> None:
        self._sides_px = iter(sides_px)
        self._last: dict[tuple[int, int], Bytes] = {}

    def __call__(self, head: Head, data: Bytes | None) -> Bytes:
        """The next image. Raises WireError."""
        try:
            most = min(next(self._sides_px) or MAX_SIDE_PX, MAX_SIDE_PX)
        except StopIteration:
            raise WireError("more images than were asked for") from None
        size = count(head, "height", most), count(head, "width", most)
        if data is None:
            if size not in self._last:
                raise WireError("an image without its bytes")
            return self._last[size]
        if not len(data) or len(data) != 3 * size[0] * size[1]:
            raise WireError(f"{len(data)} bytes for an image of {size}")
        image = data.reshape(*size, 3)
        _remember(self._last, size, image)
        return image

    def left(self) -> bool:
        """Whether images are still to come."""
        return next(self._sides_px, self) is not self


def _remember(last: dict[tuple[int, int], Bytes], size: tuple[int, int], image: Bytes) -> None:
    if len(last) >= MOST_SHARED:
        last.clear()
    last[size] = image


def pack_probe(found: Probe) -> Head:
    """A probe, but for its path."""
    made_at = found.created_at.isoformat() if found.created_at else None
    return {**asdict(found), "path": None, "created_at": made_at}


def probe_of(path: Path, head: Head) -> Probe:
    """A probe again. Raises WireError."""
    return Probe(
        path=path,
        container=text(head, "container", 100),
        codec=text(head, "codec", 100),
        width_px=count(head, "width_px", MAX_SIDE_PX),
        height_px=count(head, "height_px", MAX_SIDE_PX),
        rotation=count(head, "rotation", 360),
        fps=number(head, "fps", least=0.0),
        duration_s=number(head, "duration_s", least=0.0),
        first_pts_s=number(head, "first_pts_s"),
        keyframe_s=None if head.get("keyframe_s") is None else number(head, "keyframe_s"),
        created_at=None if head.get("created_at") is None else _made_at(head),
        audio_tracks=count(head, "audio_tracks", MOST_TRACKS),
        subtitle_tracks=count(head, "subtitle_tracks", MOST_TRACKS),
    )


def _made_at(head: Head) -> datetime:
    try:
        made_at = datetime.fromisoformat(text(head, "created_at", 40))
    except ValueError:
        raise WireError("created_at is no time") from None
    if made_at.tzinfo is None:
        raise WireError("created_at has no offset")
    return made_at


def pack_seen(seen: Sample | Picture) -> tuple[Head, Bytes]:
    """A sample or a picture of a survey."""
    head = asdict(seen)
    data = head.pop("blocks") if isinstance(seen, Sample) else head.pop("webp")
    return head, np.frombuffer(data, np.uint8)


def seen_of(head: Head, data: Bytes | None) -> Sample | Picture:
    """A sample or a picture again. Raises WireError."""
    content = b"" if data is None else data.tobytes()
    if "hash" in head:
        if len(content) > MOST_WEBP_BYTES:
            raise WireError(f"a picture of {len(content)} bytes")
        return Picture(
            number(head, "time_s"), number(head, "score"), count(head, "hash", 2**64 - 1), content
        )
    if len(content) != 2 * BLOCKS:
        raise WireError(f"a sample of {len(content)} bytes")
    return Sample(
        time_s=number(head, "time_s"),
        light=number(head, "light"),
        changed=number(head, "changed"),
        alike=number(head, "alike"),
        cut=head.get("cut") is True,
        blocks=content,
    )


def pack_cue(cue: Cue) -> Head:
    """A piece of text and when it shows."""
    return {
        "start_s": cue.span.start_s,
        "end_s": cue.span.end_s,
        "text": cue.text,
        "source": cue.source,
    }


def cue_of(head: Head) -> Cue:
    """A piece of text again, plain whatever came. Raises WireError."""
    start_s = number(head, "start_s")
    span = Span(start_s, number(head, "end_s", least=start_s))
    return Cue(span, plain(text(head, "text")), plain(text(head, "source", 100)))
