"""Which taken files are one recording: parts of one camera, one right after the other. Pure.

What comes out is a function of the set of files, in whatever order they came, and local: time
is cut into cells of the longest recording's length, counted from 1970, and a recording's parts
all begin in one cell. So a file that comes late, or is replaced, changes its own cell only,
and whoever stores recordings need look at no other.

It knows neither disks nor names: a file's camera and start are what `names.py` made of them.
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone, tzinfo
from pathlib import PurePath
from typing import TypeAlias

from edge_lvr1.domain import Confidence, Part, StartSource, TakenFile

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
RUN_OVER = 0.01
"""A recording may be longer than the longest by this share of it: 720 files of 10.02 s in a
cell of two hours are one recording, not one and a scrap."""

ROUNDING_US = 1000


@dataclass(frozen=True, slots=True)
class Joined:
    """A recording as it is to be: its parts in order, and the files that they are.

    `files` are the ids of the parts' files, one for each part; `copies` those of further files
    with the same bytes at the same time. `remark` says what is odd about it, else it is empty.
    """

    camera: str
    starts_at: datetime
    start_source: StartSource
    confidence: Confidence
    parts: tuple[Part, ...]
    files: tuple[int, ...]
    copies: tuple[int, ...] = ()
    remark: str = ""

    @property
    def duration_s(self) -> float:
        """Seconds from its start to the end of its last part."""
        return self.parts[-1].offset_s + self.parts[-1].duration_s


def cell(starts_at: datetime, longest_s: float) -> int:
    """The cell that a file belongs to: files of different cells never share a recording."""
    return _us(starts_at) // _length_us(longest_s)


def join(files: Iterable[TakenFile], gap_s: float, longest_s: float) -> list[Joined]:
    """Put files together to recordings, in order of camera and time.

    Within a cell, a part joins a recording of its camera that ended at most `gap_s` before it,
    or that it overlaps by less than half of the shorter of the two (pre-roll: the later part
    shows from its start on). Not so a file whose start is a guess, and one that claims time
    which another has too: such recordings stay apart, and their remarks say so. Recordings are
    at most `longest_s` long (`RUN_OVER` apart); a longer file becomes several, by itself.
    """
    cells: dict[tuple[str, int], list[_File]] = {}
    length_us = _length_us(longest_s)
    for taken in files:
        one = _File(_us(taken.starts_at), max(0, round(taken.duration_s * 1e6)), taken)
        cells.setdefault((taken.camera, one.start_us // length_us), []).append(one)
    found = []
    for key in sorted(cells):
        found += _join_cell(cells[key], round(gap_s * 1e6), longest_s)
    return found


def pieces(file: TakenFile, longest_s: float) -> Iterator[Part]:
    """A file as one part for each recording that it makes by itself.

    A file longer than `longest_s` becomes several recordings of the same length. In a later
    one the file begins before the recording does: its offset is negative. A piece ends where
    its recording ends.
    """
    count = max(1, math.ceil(file.duration_s / longest_s))
    edges_s = [round(file.duration_s * index / count, 3) for index in range(count)]
    for start_s, end_s in itertools.pairwise([*edges_s, file.duration_s]):
        yield _part(file, -start_s if start_s else 0.0, end_s)


def shifted(moment: datetime, seconds: float) -> datetime:
    """A time so many seconds later, by the sun and not by what clocks show, in its own zone."""
    later = moment.astimezone(timezone.utc) + timedelta(seconds=seconds)
    zone: tzinfo | None = moment.tzinfo
    return later.astimezone(zone)


@dataclass(frozen=True, slots=True, order=True)
class _File:
    start_us: int
    length_us: int
    taken: TakenFile = field(compare=False)

    @property
    def end_us(self) -> int:
        return self.start_us + self.length_us


@dataclass(slots=True)
class _Open:
    """A recording that may still grow."""

    files: list[_File]

    @property
    def end_us(self) -> int:
        return self.files[-1].end_us

    def takes(self, file: _File, gap_us: int, longest_us: float) -> bool:
        last, start_us = self.files[-1], self.files[0].start_us
        overlap_us = last.end_us - file.start_us
        return (
            file.start_us > last.start_us
            and overlap_us >= -gap_us - ROUNDING_US
            and (overlap_us <= 0 or 2 * overlap_us < min(last.length_us, file.length_us))
            and file.end_us - start_us <= longest_us
        )


_Ends: TypeAlias = "list[tuple[int, int]]"  # when a recording ends, and which it is


def _join_cell(files: list[_File], gap_us: int, longest_s: float) -> list[Joined]:
    kept, copies = _without_copies(files)
    runs: list[_Open] = []
    ends: _Ends = []
    for file in kept:
        alone = file.length_us > longest_s * 1e6 or file.taken.confidence is Confidence.GUESSED
        place = None if alone else _taker(file, runs, ends, gap_us, longest_s)
        if place is None:
            runs.append(_Open([file]))
            place = len(runs) - 1
        else:
            ends.pop(bisect_left(ends, (runs[place].end_us, place)))
            runs[place].files.append(file)
        if not alone:
            insort(ends, (file.end_us, place))
    made = [_joined(run.files, copies, longest_s) for run in runs]
    remarks = _remarks([run.files for run in runs])
    return [
        replace(one, remark=remark)
        for several, remark in zip(made, remarks, strict=True)
        for one in several
    ]


def _without_copies(files: Iterable[_File]) -> tuple[list[_File], dict[int, list[int]]]:
    """The files in order, each bytes at each time once; and the others' ids by the kept one's."""
    kept: dict[tuple[int, str], _File] = {}
    copies: dict[int, list[int]] = {}
    for file in sorted(files, key=_order):
        first = kept.setdefault((file.start_us, file.taken.sha256), file)
        if first.taken.id != file.taken.id:
            copies.setdefault(first.taken.id, []).append(file.taken.id)
    return list(kept.values()), copies


def _order(file: _File) -> tuple[int, int, str, str, int]:
    """By time; where files claim the same time, by what does not depend on who came first."""
    taken = file.taken
    return (file.start_us, file.length_us, taken.path, taken.sha256, taken.id)


def _taker(
    file: _File, runs: Sequence[_Open], ends: _Ends, gap_us: int, longest_s: float
) -> int | None:
    """The recording that the file goes on with: the one that ended nearest to its start."""
    longest_us = longest_s * 1e6 * (1 + RUN_OVER)
    at = bisect_left(ends, (file.start_us, -1))
    near = ends[at : at + 1]
    if at:  # of several that ended at once, the one that began first
        near.append(ends[bisect_left(ends, (ends[at - 1][0], -1))])
    for _, place in sorted(near, key=lambda end: abs(end[0] - file.start_us)):
        if runs[place].takes(file, gap_us, longest_us):
            return place
    return None


def _joined(files: Sequence[_File], copies: dict[int, list[int]], longest_s: float) -> list[Joined]:
    first = files[0].taken
    one = Joined(
        camera=first.camera,
        starts_at=first.starts_at,
        start_source=first.start_source,
        confidence=_confidence(files),
        parts=tuple(
            _part(file.taken, (file.start_us - files[0].start_us) / 1e6, file.taken.duration_s)
            for file in files
        ),
        files=tuple(file.taken.id for file in files),
        copies=tuple(sorted(other for file in files for other in copies.get(file.taken.id, ()))),
    )
    if first.duration_s <= longest_s:
        return [one]
    return [
        replace(one, parts=(part,), starts_at=shifted(first.starts_at, -part.offset_s))
        for part in pieces(first, longest_s)
    ]


def _confidence(files: Sequence[_File]) -> Confidence:
    """That of the surest part: parts that follow one another bear each other out."""
    held = {file.taken.confidence for file in files}
    return next(confidence for confidence in Confidence if confidence in held)


def _remarks(runs: Sequence[Sequence[_File]]) -> list[str]:
    """What is to be said of each recording of a cell, which come in order of their starts.

    Of recordings at one time, each names one other.
    """
    remarks = [""] * len(runs)
    longest: int | None = None  # of those so far, the recording that ends last
    for place, run in enumerate(runs):
        if run[0].taken.confidence is Confidence.GUESSED:
            continue
        if longest is not None and _same_time(runs[longest], run):
            remarks[longest] = remarks[longest] or _remark(run)
            remarks[place] = _remark(runs[longest])
        if longest is None or run[-1].end_us > runs[longest][-1].end_us:
            longest = place
    return remarks


def _same_time(earlier: Sequence[_File], later: Sequence[_File]) -> bool:
    overlap_us = min(earlier[-1].end_us, later[-1].end_us) - later[0].start_us
    shorter_us = min(earlier[-1].length_us, later[0].length_us)
    return overlap_us > 0 and 2 * overlap_us >= shorter_us


def _remark(other: Sequence[_File]) -> str:
    name = PurePath(other[0].taken.path).name
    starts_at = other[0].taken.starts_at
    return f"another recording claims the same time: {name}, from {starts_at:%Y-%m-%d %H:%M:%S} on"


def _part(file: TakenFile, offset_s: float, duration_s: float) -> Part:
    return Part(
        path=file.path,
        offset_s=offset_s,
        duration_s=duration_s,
        size_bytes=file.size_bytes,
        mtime_ns=file.mtime_ns,
        sha256=file.sha256,
    )


def _us(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


def _length_us(longest_s: float) -> int:
    return max(1, round(longest_s * 1e6))
