"""Which camera a file is from, and when it began: from its path, its container, its mtime.

File names are not trusted: any name gives some camera and some start, and nonsense such as a
thirteenth month is not a time. Knows nothing of the file's content beyond its `Probe`, and
of recorders only what stands in the table of patterns.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone, tzinfo
from pathlib import Path

from edge_lvr1.domain import Confidence, StartSource
from edge_lvr1.media.patterns import PATTERNS, NamePattern
from edge_lvr1.media.probe import Probe

NO_CAMERA = "camera"
MAX_CAMERA_CHARS = 80
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
BELIEVED_SINCE = datetime(2000, 1, 1, tzinfo=timezone.utc)
CLOCKS_DIFFER = timedelta(days=1)  # a container's time may lie so far after the mtime

# A file's mtime lies so far after the end of its footage where a recorder wrote it as it ran.
# Less than an hour in all, so that of an hour shown twice it fits one or none.
WRITTEN_BEFORE_END_S = 120.0
WRITTEN_AFTER_END_S = 1800.0

_DATE_LIKE = re.compile(r"[\d\s._-]*|.*(?<!\d)(?:19|20)\d\d[-_.]?\d\d(?:[-_.]?\d\d)?(?!\d).*")
_SEPARATORS = " \t_-.,~@#+()[]"


@dataclass(frozen=True, slots=True)
class Placement:
    """A camera's name and an aware start (fixed offset), with where the start was read.

    `pattern` is the name of the pattern that a name's time was read by, else empty.
    """

    camera: str
    starts_at: datetime
    source: StartSource
    confidence: Confidence = Confidence.LIKELY
    pattern: str = ""


@dataclass(frozen=True, slots=True)
class _Found:
    """A time in a name, before it is known which of two it means.

    `starts` has one time, or two where the clock showed it twice: the earlier one first.
    """

    starts: tuple[datetime, ...]
    sure: bool
    match: re.Match[str]
    pattern: str


def place(
    path: Path,
    root: Path | None,
    probe: Probe,
    mtime_s: float,
    zone: tzinfo,
    patterns: Sequence[NamePattern] = PATTERNS,
) -> Placement:
    """Say which camera a file is from and when it began. Never fails.

    A full date and time in the name is taken first, since a container's time may be that of a
    re-encode; then the container's; else the file was last written when the recording ended.
    Times in names are in `zone` unless the recorder is known to write UTC. Of a time that the
    clock showed twice, the one is taken that fits the mtime, where one does, else the first.
    """
    within = _below(path, root)
    text = "/".join((*within.parts[:-1], within.stem))
    found = _find(text, zone, patterns)
    camera = _camera(within, text, found.match if found else None, root is not None)
    if found:
        starts_at = _fitting(found.starts, mtime_s - probe.duration_s)
        confidence = Confidence.SURE if found.sure else Confidence.LIKELY
        return Placement(camera, starts_at, StartSource.FILE_NAME, confidence, found.pattern)
    written_at = _moment(mtime_s, zone)
    made_at = probe.created_at
    if made_at and made_at >= BELIEVED_SINCE and made_at - CLOCKS_DIFFER <= written_at:
        began_at = _moment(made_at.timestamp(), zone)
        return Placement(camera, began_at, StartSource.CONTAINER, Confidence.LIKELY)
    began_at = _moment(mtime_s - probe.duration_s, zone)
    return Placement(camera, began_at, StartSource.MTIME, Confidence.GUESSED)


def start_in_name(
    text: str, zone: tzinfo, patterns: Sequence[NamePattern] = PATTERNS
) -> datetime | None:
    """The time in a path ("front/clip_20240506_070809", no suffix); None where there is none."""
    found = _find(text, zone, patterns)
    return found.starts[0] if found else None


def _below(path: Path, root: Path | None) -> Path:
    if root is not None and path.is_relative_to(root):
        return path.relative_to(root)
    return path


def _find(text: str, zone: tzinfo, patterns: Sequence[NamePattern]) -> _Found | None:
    for pattern in patterns:
        for match in _matches(pattern.regex, text):
            try:
                starts, sure = _starts(match, timezone.utc if pattern.utc else None, zone)
            except (ValueError, OverflowError):
                continue  # a thirteenth month: no time
            return _Found(starts, sure, match, pattern.name)
    return None


def _matches(regex: re.Pattern[str], text: str) -> Iterator[re.Match[str]]:
    """Every match, also those that begin inside one which turned out to be no time."""
    at = 0
    while at <= len(text) and (match := regex.search(text, at)):
        yield match
        at = match.start() + 1


def _starts(
    match: re.Match[str], known: tzinfo | None, zone: tzinfo
) -> tuple[tuple[datetime, ...], bool]:
    """The time or times that a match can mean, and whether there is no doubt.

    Raises ValueError or OverflowError where it is no time.
    """
    groups = match.groupdict()
    fraction_us = int((groups.get("fraction") or "").ljust(6, "0")[:6])
    if groups.get("epoch"):
        since = timedelta(seconds=int(groups["epoch"]), microseconds=fraction_us)
        return (_in(EPOCH + since, zone),), True
    names = ("year", "month", "day", "hour", "minute", "second")
    year, month, day, hour, minute, second = (int(groups[name] or "") for name in names)
    year += 2000 if year < 100 else 0
    shown = datetime(year, month, day, hour, minute, second, fraction_us)  # noqa: DTZ001
    known = _offset(groups.get("offset")) or known
    if known is not None:
        return (_in(shown.replace(tzinfo=known), zone),), True
    if "summer" in groups:
        return _flagged(shown, zone, summer=bool(groups["summer"]))
    first, again = (_fixed(shown.replace(tzinfo=zone, fold=fold)) for fold in (0, 1))
    if first == again:
        return (first,), True
    if first < again:  # clocks were set back, and showed this twice
        return (first, again), False
    return (first,), False  # clocks were set on, and this never was: one that was not set yet


def _flagged(shown: datetime, zone: tzinfo, summer: bool) -> tuple[tuple[datetime, ...], bool]:
    """A time whose recorder says whether it is summer time: so of two it is that one."""
    first, again = (shown.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    if first.utcoffset() != again.utcoffset():
        there_are_two = _fixed(first) < _fixed(again)
        return (_fixed(first if summer or not there_are_two else again),), there_are_two
    summers = zone.dst(first)  # None: the zone does not know
    return (_fixed(first),), summers is None or bool(summers) == summer


def _fitting(starts: Sequence[datetime], written_s: float) -> datetime:
    for starts_at in starts:
        if -WRITTEN_BEFORE_END_S <= written_s - starts_at.timestamp() <= WRITTEN_AFTER_END_S:
            return starts_at
    return starts[0]


def _offset(text: str | None) -> tzinfo | None:
    if not text:
        return None
    if text == "Z":
        return timezone.utc
    sign = -1 if text[0] == "-" else 1
    return timezone(sign * timedelta(hours=int(text[1:3]), minutes=int(text[-2:])))


def _in(moment: datetime, zone: tzinfo) -> datetime:
    return _fixed(moment.astimezone(zone))


def _fixed(moment: datetime) -> datetime:
    """The same time with its offset alone: zones add and compare by what clocks show."""
    return moment.astimezone(timezone(moment.utcoffset() or timedelta()))


def _moment(seconds: float, zone: tzinfo) -> datetime:
    try:
        return _fixed(datetime.fromtimestamp(seconds, zone))
    except (ValueError, OverflowError, OSError):
        return _fixed(datetime.fromtimestamp(0, zone))


def _camera(within: Path, text: str, match: re.Match[str] | None, watched: bool) -> str:
    if match is not None and (named := _clean(match.groupdict().get("camera") or "")):
        return named
    if watched and not within.is_absolute():
        before = text[: _begin(match)] if match else text
        for folder in before.split("/")[:-1]:
            if not _DATE_LIKE.fullmatch(folder) and (named := _clean(folder)):
                return named
    return _from_stem(text, match)


def _from_stem(text: str, match: re.Match[str] | None) -> str:
    at = text.rfind("/") + 1
    if match is None:
        return _clean(text[at:]) or NO_CAMERA
    after = _clean(text[max(at, match.end()) :])
    if not any(character.isalpha() for character in after):
        after = ""  # a running number, or the end's time
    return _clean(text[at : _begin(match)]) or after or NO_CAMERA


def _begin(match: re.Match[str]) -> int:
    groups = (name for name, text in match.groupdict().items() if text is not None)
    return min(match.start(name) for name in groups)


def _clean(name: str) -> str:
    """A name that can be stored and shown: no stray bytes, control characters or separators."""
    text = name.encode("utf-8", "replace").decode("utf-8")
    text = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(text.split()).strip(_SEPARATORS)[:MAX_CAMERA_CHARS].strip(_SEPARATORS)
