"""Reads the clock that a camera burnt into its pictures, and holds it against the file's time.

A few frames of a recording are looked at. A time counts only where it goes on as the footage
does: a date on a poster stands still, and a misread digit agrees with no other frame. What
reads text from a picture is passed in; `rapid_ocr` makes the one of the extra `ocr`.
"""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from edge_lvr1.errors import SettingsError
from edge_lvr1.media.frames import Footage

logger = logging.getLogger(__name__)

ReadText: TypeAlias = Callable[[NDArray[np.uint8]], Sequence[str]]
"""An upright RGB picture (uint8, height x width x 3) -> its lines of text, from the top."""

LOOKS = 4
LOOK_SIDE_PX = 1280
APART_S = 5.0  # looks this far apart tell a clock that runs from one that stands
AGREE_S = 2.0  # clocks show whole seconds, and are drawn a little late
WARN_S = 60.0
_SURE_ENOUGH = 0.5

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_NAME = rf"(?P<name>{'|'.join(_MONTHS)})[a-z]*"
_DATES = tuple(
    re.compile(pattern, re.ASCII | re.IGNORECASE)
    for pattern in (
        r"(?<!\d)(?P<y>20\d\d) ?[-/.\u5e74] ?(?P<m>\d\d?) ?[-/.\u6708] ?(?P<d>\d\d?)\u65e5?",
        r"(?<!\d)(?P<a>\d\d?) ?[-/.] ?(?P<b>\d\d?) ?[-/.] ?(?P<y>20\d\d)",
        r"(?<!\d)(?P<a>\d\d)[-/.](?P<b>\d\d)[-/.](?P<c>\d\d)(?![\d:])",
        rf"(?<!\d)(?P<d>\d\d?)[ ,.-]*{_NAME}[ ,.-]*(?P<y>20\d\d)",
        rf"{_NAME}[ ,.-]*(?P<d>\d\d?)[ ,.-]+(?P<y>20\d\d)",
    )
)
_TIME = re.compile(
    r"(?<!\d)(?P<hour>[01]?\d|2[0-3]) ?: ?(?P<minute>[0-5]\d) ?: ?(?P<second>[0-5]\d)(?!\d)"
    r"(?: ?(?P<half>[AP])\.?M\b)?",
    re.ASCII | re.IGNORECASE,
)
# Letters that are digits beside digits: "2O25", "1l:30".
_LIKE_DIGITS = re.compile(
    r"(?<![A-Za-z])[OoIl|](?=[\d:/.-])|(?<=[\d:/.-])[OoIl|](?![A-Za-z])", re.ASCII
)
_DASHES = str.maketrans(dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212", "-"))


@dataclass(frozen=True, slots=True)
class Reading:
    """What a recording's burnt-in clock says of its start.

    `difference_s` is how far the clock is ahead of the file's time. `sentence` warns where they
    disagree by more than a minute, else it is empty.
    """

    starts_at: datetime
    difference_s: float
    sentence: str


def read_clock(footage: Footage, starts_at: datetime, read_text: ReadText) -> Reading | None:
    """Read a recording's clock; None where none is seen to run, or there is no time to see it.

    The clock is taken to show the wall-clock time of `starts_at`'s offset. Raises MediaError.
    """
    times_s = look_times(footage.duration_s)
    if len(times_s) < 2:
        return None
    seen = [
        (frame.time_s, shown)
        for frame in footage.at(times_s, LOOK_SIDE_PX)
        for shown in clock_times(read_text(frame.image))
    ]
    began = start_of(seen, starts_at.replace(tzinfo=None))
    if began is None:
        logger.debug("no clock that runs is seen in %d frames", len(times_s))
        return None
    by_clock = began.replace(tzinfo=starts_at.tzinfo)
    difference_s = (began - starts_at.replace(tzinfo=None)).total_seconds()
    return Reading(by_clock, difference_s, _sentence(by_clock, starts_at, difference_s))


def look_times(duration_s: float) -> list[float]:
    """When to look: a few moments over the whole, far enough apart; none where it is short."""
    count = min(LOOKS, int(duration_s // APART_S))
    return [round((index + 0.5) * duration_s / count, 3) for index in range(count)]


def clock_times(lines: Iterable[str]) -> list[datetime]:
    """The dates with times (naive) that lines of text can mean; several where days are unclear."""
    texts = [_tidy(line) for line in lines]
    found = [shown for text in texts for shown in _times_in(text)]
    return list(dict.fromkeys(found or _times_in(" ".join(texts))))


def start_of(seen: Sequence[tuple[float, datetime]], near: datetime) -> datetime | None:
    """The start that most of what was seen agrees on, at two moments or more.

    `seen` are moments of the recording in seconds, and what a clock may have shown then. Of
    several that are borne out alike the one nearest to `near` is taken: the order of day and
    month cannot be told from the numbers.
    """
    best: tuple[int, float, datetime] | None = None
    for start in {shown - timedelta(seconds=int(time_s)) for time_s, shown in seen}:
        moments = {time_s for time_s, shown in seen if _agree(start, shown, time_s)}
        rank = (-len(moments), abs((start - near).total_seconds()), start)
        if len(moments) >= 2 and (best is None or rank < best):
            best = rank
    return best[2] if best else None


def rapid_ocr(threads: int = 1) -> ReadText:
    """The reader of the extra `ocr`: RapidOCR with the models of its wheel, on the CPU.

    Takes about a second to load, and half a second a frame. Raises SettingsError where the
    extra is not installed.
    """
    try:
        from rapidocr import RapidOCR
    except ImportError as error:
        raise SettingsError(
            "ingest.read_clock needs the extra ocr beside cpu or gpu: "
            "pip install 'edge-lvr1[cpu,ocr]'"
        ) from error
    engine = RapidOCR(
        params={
            "Global.log_level": "error",
            "Global.use_cls": False,  # pictures are upright
            "Det.limit_type": "max",
            "Det.limit_side_len": LOOK_SIDE_PX,
            "EngineConfig.onnxruntime.intra_op_num_threads": threads,
        }
    )

    def read(image: NDArray[np.uint8]) -> Sequence[str]:
        found = engine(np.ascontiguousarray(image[..., ::-1]))  # it takes BGR
        pairs = zip(found.txts or (), found.scores or (), strict=True)
        return [str(text) for text, score in pairs if score >= _SURE_ENOUGH]

    return read


def _tidy(line: str) -> str:
    text = unicodedata.normalize("NFKC", line[:200]).translate(_DASHES)
    return _LIKE_DIGITS.sub(lambda match: "0" if match[0] in "Oo" else "1", text)


def _times_in(text: str) -> Iterator[datetime]:
    for pattern in _DATES:
        for date in pattern.finditer(text):
            # Cut out, since many write the time right behind the date: 2025-05-0612:34:56.
            rest = f"{text[: date.start()]}   {text[date.end() :]}"
            times = _TIME.finditer(rest)
            time = min(times, key=lambda time: abs(time.start() - date.start()), default=None)
            if time is not None:
                yield from _readings(date, time)


def _readings(date: re.Match[str], time: re.Match[str]) -> Iterator[datetime]:
    hour = int(time["hour"])
    if time["half"]:
        hour = hour % 12 + (12 if time["half"] in "Pp" else 0)
    for year, month, day in _calendar(date.groupdict()):
        try:
            yield datetime(year, month, day, hour, int(time["minute"]), int(time["second"]))  # noqa: DTZ001
        except ValueError:
            continue


def _calendar(found: dict[str, str | None]) -> Iterator[tuple[int, int, int]]:
    """The years, months and days that a date can mean."""
    numbers = {name: int(text) for name, text in found.items() if text and text.isdigit()}
    if found.get("name"):
        month = _MONTHS.index(str(found["name"]).lower()) + 1
        yield numbers["y"], month, numbers["d"]
    elif "m" in numbers:
        yield numbers["y"], numbers["m"], numbers["d"]
    elif "y" in numbers:
        yield numbers["y"], numbers["b"], numbers["a"]
        yield numbers["y"], numbers["a"], numbers["b"]
    else:
        a, b, c = numbers["a"], numbers["b"], numbers["c"]
        yield from ((2000 + c, b, a), (2000 + c, a, b), (2000 + a, b, c))


def _agree(start: datetime, shown: datetime, time_s: float) -> bool:
    return abs((shown - start).total_seconds() - time_s) <= AGREE_S


def _sentence(by_clock: datetime, starts_at: datetime, difference_s: float) -> str:
    if abs(difference_s) <= WARN_S:
        return ""
    minutes = round(abs(difference_s) / 60)
    days, hours = minutes // 1440, minutes // 60 % 24
    apart = [f"{days} d"] * (days > 0) + [f"{hours} h"] * (hours > 0) + [f"{minutes % 60} min"]
    return (
        f"the clock in the picture says that it began at {by_clock:%Y-%m-%d %H:%M:%S}, "
        f"{' '.join(apart)} {'after' if difference_s > 0 else 'before'} the time of the file, "
        f"{starts_at:%Y-%m-%d %H:%M:%S}; check the recorder's clock and the setting time_zone"
    )
