"""Which camera a file is from, and when it began: from its path, its container, its mtime.

File names are not trusted: any name gives some camera and some start, and nonsense such as a
thirteenth month is not a time. Knows nothing of the file's content beyond its `Probe`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone, tzinfo
from pathlib import Path

from edge_lvr1.domain import StartSource
from edge_lvr1.media.probe import Probe

NO_CAMERA = "camera"
MAX_CAMERA_CHARS = 80
BELIEVED_SINCE = datetime(2000, 1, 1, tzinfo=timezone.utc)
CLOCKS_DIFFER = timedelta(days=1)  # a container's time may lie so far after the mtime

_YEAR, _MONTH, _DAY = r"(?P<year>19[89]\d|20\d\d)", r"(?P<month>\d\d)", r"(?P<day>\d\d)"
_HOUR, _MINUTE, _SECOND = r"(?P<hour>\d\d)", r"(?P<minute>\d\d)", r"(?P<second>\d\d)"
_DATE = rf"(?<!\d){_YEAR}-{_MONTH}-{_DAY}"
_IN_FILE_NAME = r"(?=[^/]*\Z)"
_OFFSET = r"(?P<offset>Z|[+-](?:0\d|1[0-4]):?(?:00|15|30|45)(?!\d))?"


@dataclass(frozen=True, slots=True)
class NamePattern:
    """How a kind of recorder names its files.

    The regular expression is searched in the path below the watched folder, without the
    suffix, with "/" between folders. Groups: year month day hour minute second, or epoch;
    and, where they occur, fraction, offset ("Z", "+0200"; after an ISO "T"), summer, camera.
    """

    name: str
    regex: re.Pattern[str]
    utc: bool = False


def _pattern(name: str, regex: str, utc: bool = False) -> NamePattern:
    return NamePattern(name, re.compile(regex, re.ASCII), utc)


# The special before the general: the first that gives a real time is taken.
PATTERNS = (
    _pattern("Frigate", rf"{_DATE}/{_HOUR}/(?P<camera>[^/]+)/{_MINUTE}\.{_SECOND}\Z", utc=True),
    _pattern(
        "Dahua",
        rf"{_DATE}/(?:[^/]+/){{0,3}}{_HOUR}\.{_MINUTE}\.{_SECOND}-\d\d\.\d\d\.\d\d(?!\d)",
    ),
    _pattern("exacqVision", rf"(?<!\d){_YEAR}/{_MONTH}/{_DAY}/{_HOUR}/{_MINUTE}{_SECOND}(?!\d)"),
    _pattern(
        "Reolink",
        rf"(?<![^/])Rec\w{{0,8}}?_(?P<summer>DST)?{_YEAR}{_MONTH}{_DAY}_"
        rf"{_HOUR}{_MINUTE}{_SECOND}(?!\d){_IN_FILE_NAME}",
    ),
    _pattern(  # ISO 8601, Blue Iris, telephones and most others
        "date and time",
        rf"(?<!\d){_YEAR}[-_.]?{_MONTH}[-_.]?{_DAY}(?:(?P<iso>T)|[ _.-]{{0,3}})"
        rf"{_HOUR}[-_.:h]?{_MINUTE}[-_.:m]?{_SECOND}"
        rf"(?:[.,]?(?P<fraction>\d{{3}}(?:\d{{3}})?))?(?!\d)(?(iso){_OFFSET}){_IN_FILE_NAME}",
    ),
    _pattern(
        "seconds since 1970",
        rf"(?<!\d)(?P<epoch>[12]\d{{9}})(?P<fraction>\d{{3}})?(?!\d){_IN_FILE_NAME}",
    ),
)

_DATE_LIKE = re.compile(r"[\d\s._-]*|.*(?<!\d)(?:19|20)\d\d[-_.]?\d\d(?:[-_.]?\d\d)?(?!\d).*")
_SEPARATORS = " \t_-.,~@#+()[]"


@dataclass(frozen=True, slots=True)
class Placement:
    """A camera's name, an aware start, and where the start was read from."""

    camera: str
    starts_at: datetime
    source: StartSource


def place(path: Path, root: Path | None, probe: Probe, mtime_s: float, zone: tzinfo) -> Placement:
    """Say which camera a file is from and when it began. Never fails.

    A full date and time in the name is taken first, since a container's time may be that of a
    re-encode; then the container's; else the file was last written when the recording ended.
    Times in names are in `zone` unless the recorder is known to write UTC.
    """
    within = _below(path, root)
    text = "/".join((*within.parts[:-1], within.stem))
    found = _find(text, zone)
    camera = _camera(within, text, found[1] if found else None, root is not None)
    if found:
        return Placement(camera, found[0], StartSource.FILE_NAME)
    written_at = _moment(mtime_s, zone)
    made_at = probe.created_at
    if made_at and made_at >= BELIEVED_SINCE and made_at - CLOCKS_DIFFER <= written_at:
        return Placement(camera, made_at.astimezone(zone), StartSource.CONTAINER)
    return Placement(camera, _moment(mtime_s - probe.duration_s, zone), StartSource.MTIME)


def start_in_name(text: str, zone: tzinfo) -> datetime | None:
    """The time in a path ("front/clip_20240506_070809", no suffix); None where there is none."""
    found = _find(text, zone)
    return found[0] if found else None


def _below(path: Path, root: Path | None) -> Path:
    if root is not None and path.is_relative_to(root):
        return path.relative_to(root)
    return path


def _find(text: str, zone: tzinfo) -> tuple[datetime, re.Match[str]] | None:
    for pattern in PATTERNS:
        for match in _matches(pattern.regex, text):
            starts_at = _start(match, timezone.utc if pattern.utc else zone, zone)
            if starts_at is not None:
                return starts_at, match
    return None


def _matches(regex: re.Pattern[str], text: str) -> Iterator[re.Match[str]]:
    """Every match, also those that begin inside one which turned out to be no time."""
    at = 0
    while match := regex.search(text, at):
        yield match
        at = match.start() + 1


def _start(match: re.Match[str], spoken: tzinfo, zone: tzinfo) -> datetime | None:
    groups = match.groupdict()
    fraction_us = int((groups.get("fraction") or "").ljust(6, "0"))
    try:
        if groups.get("epoch"):
            seconds = timedelta(seconds=int(groups["epoch"]), microseconds=fraction_us)
            return (datetime(1970, 1, 1, tzinfo=timezone.utc) + seconds).astimezone(zone)
        names = ("year", "month", "day", "hour", "minute", "second")
        year, month, day, hour, minute, second = (int(groups[name]) for name in names)
        # An hour that the clock shows twice in autumn: the first is summer time.
        fold = int("summer" in groups and not groups["summer"])
        spoken = _offset(groups.get("offset")) or spoken
        moment = datetime(year, month, day, hour, minute, second, fraction_us, spoken, fold=fold)
        return moment.astimezone(zone)
    except (ValueError, OverflowError):
        return None


def _offset(text: str | None) -> tzinfo | None:
    if not text:
        return None
    if text == "Z":
        return timezone.utc
    sign = -1 if text[0] == "-" else 1
    return timezone(sign * timedelta(hours=int(text[1:3]), minutes=int(text[-2:])))


def _moment(seconds: float, zone: tzinfo) -> datetime:
    try:
        return datetime.fromtimestamp(seconds, zone)
    except (ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(0, zone)


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
