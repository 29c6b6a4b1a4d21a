"""Times in the words of a question: "last Tuesday night", "between 22:00 and 6:00". Pure.

What is found narrows the footage that is read, and leaves the text: an agent that sees one
recording cannot do anything with it. English only; a text without such words stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo

from edge_lvr1.domain import TimeSpan
from edge_lvr1.navigator.calendar_words import (
    CLOCK,
    DAY,
    MINUTES_A_DAY,
    NUMBER,
    PART,
    PART_NAME,
    dates_of,
    minutes_of,
    number,
    part_of_day,
)
from edge_lvr1.navigator.words import tidied

_MOST_DAYS = 3660
_AT_MINUTES = 15  # "at 22:00" is so much earlier or later too
_ABOUT_MINUTES = 45
_TO = r"\s*(?:and|to|until|till|through|-|\u2013)\s*"
_MEDIA = r"(?!\s*(?:s|sec|seconds?|min|minutes?)\b|\s+(?:in(?:to)?|of|from)\s+the\s+(?:video|clip))"
_ON = r"(?:(?:on|in|during|at|of)\s+)?"
_DAY_TIME = (
    rf"(?:{_ON}(?P<day>{DAY})(?!['\u2019])(?:,?\s+(?:(?:in|at|during|around|about)\s+)?(?:the\s+)?"
    rf"(?P<after>{CLOCK}|{PART})\b)?)"
)
_TIME_DAY = (
    rf"(?:(?:(?:at|in|on|during|around|about)\s+)?(?:the\s+)?(?P<before>{CLOCK}|{PART})\s+"
    rf"(?:on\s+|of\s+)?(?P<its_day>{DAY}))"
)
_THIS_PART = rf"(?:(?P<which>last|this)\s+(?P<its_part>{PART_NAME})\b|(?P<tonight>tonight)\b)"
_PLAIN_PART = rf"(?:(?:in|during|at|by)\s+(?:the\s+)?|over)(?P<part>{PART})\b"
_PLAIN_CLOCK = rf"(?P<clock>{CLOCK}){_MEDIA}"
_BARE = rf"{_THIS_PART}|{_TIME_DAY}|{_DAY_TIME}|{_PLAIN_CLOCK}"


def _renamed(pattern: str, suffix: str) -> str:
    return re.sub(r"\(\?P<(\w+)>", rf"(?P<\g<1>{suffix}>", pattern)


_I = re.I
_RANGE = re.compile(
    rf"\b(?:between|from)\s+(?:{_renamed(_BARE, '1')}){_TO}(?:{_renamed(_BARE, '2')})", _I
)
_NIGHT_BETWEEN = re.compile(
    rf"\b(?:in\s+|during\s+)?(?:the\s+)?night\s+(?:from|between|of)\s+(?P<day>{DAY}){_TO}{DAY}", _I
)
_BARE_RANGE = re.compile(
    rf"\b(?P<clock1>{CLOCK})\s*(?:-|\u2013|to)\s*(?P<clock2>{CLOCK}){_MEDIA}", _I
)
_ROLLING = re.compile(
    rf"\b(?:(?:in|within|during|over|for)\s+)?the\s+(?:last|past)\s+(?:(?P<n>{NUMBER})\s+)?"
    r"(?P<unit>minute|hour|day|night|week)s?\b",
    _I,
)
_AGO = re.compile(rf"\b(?:about\s+)?(?P<n>{NUMBER})\s+(?P<unit>minute|hour|week)s?\s+ago\b", _I)
_BOUND = re.compile(rf"\b(?P<bound>since|after|(?<!\bday\s)before|until|till)\s+(?:{_BARE})", _I)
_THIS = re.compile(rf"\b{_THIS_PART}", _I)
_TIMED = re.compile(rf"\b(?:{_TIME_DAY})", _I)
_DAYED = re.compile(rf"\b(?:{_DAY_TIME})", _I)
_PARTED = re.compile(rf"\b(?:{_PLAIN_PART})", _I)
_CLOCKED = re.compile(rf"\b(?P<lead>at|around|about)\s+(?:about\s+)?{_PLAIN_CLOCK}", _I)
_LOOSE_WEEKDAY = re.compile(r"(?:mon|tues|wednes|thurs|fri|satur|sun)day", _I)
_UNITS = {"minute": 1, "hour": 60, "day": MINUTES_A_DAY, "night": MINUTES_A_DAY}
_UNITS["week"] = 7 * MINUTES_A_DAY
_LONG_AGO = date(1970, 1, 2)


@dataclass(frozen=True, slots=True)
class AskedTimes:
    """What a text says of times.

    `times` are the spans that it names, in order and apart; none where it names none.
    `words` are the phrases, `rest` the text without them. `sure`: a day or a part of the day
    is named; a bare clock time could as well be one of the recording's own.
    """

    times: tuple[TimeSpan, ...] = ()
    words: tuple[str, ...] = ()
    rest: str = ""
    sure: bool = True


@dataclass(frozen=True, slots=True)
class _Moment:
    """A day, a time of the day, or both, as a phrase names them."""

    days: tuple[date, date] | None = None
    window: tuple[int, int] | None = None  # minutes from midnight; the end may be the next day's
    clock: int | None = None


def read_times(text: str, now: datetime, footage: TimeSpan | None = None) -> AskedTimes:
    """The times that a text names, seen from `now`, in whose zone they are meant.

    A time of the day without a day means that of every day of the footage (of today, where
    there is none).
    """
    reading = _Reading(now, footage)
    left = reading.take(text)
    if not reading.words:
        return AskedTimes(rest=text)
    spans = reading.spans()
    if not spans:
        return AskedTimes(rest=text)
    return AskedTimes(tuple(spans), tuple(reading.words), tidied(left), reading.sure)


class _Reading:
    """What was found so far: days, times of the day, and spans that are both."""

    def __init__(self, now: datetime, footage: TimeSpan | None) -> None:
        self.now = now
        self.zone = now.tzinfo
        self.footage = footage
        self.words: list[str] = []
        self.days: list[tuple[date, date]] = []
        self.windows: list[tuple[int, int]] = []
        self.whole: list[TimeSpan] = []
        self.since: datetime | None = None
        self.until: datetime | None = None
        self.sure = False

    def take(self, text: str) -> str:
        """Read all phrases; the text that is left."""
        readers = (
            (_NIGHT_BETWEEN, self._night_between),
            (_RANGE, self._range),
            (_BARE_RANGE, self._range),
            (_ROLLING, self._rolling),
            (_AGO, self._ago),
            (_BOUND, self._bound),
            (_THIS, self._named),
            (_TIMED, self._named),
            (_DAYED, self._named),
            (_PARTED, self._named),
            (_CLOCKED, self._at),
        )
        for pattern, read in readers:
            kept, end = [], 0
            for match in pattern.finditer(text):
                if not self._loose(match, text) and read(match):
                    self.words.append(" ".join(match[0].split()))
                    kept.append(text[end : match.start()])
                    end = match.end()
            text = " ".join([*kept, text[end:]]) if kept else text
        return text

    def spans(self) -> list[TimeSpan]:
        """The spans that all phrases together name."""
        spans = list(self.whole)
        if self.windows or self.days:
            windows = self.windows or [(0, MINUTES_A_DAY)]
            for first, end in self.days or [self._every_day()]:
                count = min((end - first).days, _MOST_DAYS)
                for day in (first + timedelta(days=n) for n in range(count)):
                    spans += [self._span(day, *window) for window in windows]
        if not spans and (self.since or self.until):
            spans = [TimeSpan(self._moment(_LONG_AGO, 0), self._end_of_all())]
        cut = (self._cut(span) for span in spans)
        return _merged(span for span in cut if span is not None)

    def _loose(self, match: re.Match[str], text: str) -> bool:
        """Whether what was found is a weekday that nothing says is a time ("Friday's menu")."""
        if not _LOOSE_WEEKDAY.fullmatch(match[0]):
            return False
        before, after = text[: match.start()].strip(), text[match.end() :].strip(" ?.!,")
        return bool(before) and bool(after)

    def _range(self, match: re.Match[str]) -> bool:
        one, other = self._read(match, "1"), self._read(match, "2")
        if one is None or other is None:
            return False
        if one.days is None:
            return self._daily(one, other)
        self.sure = True
        times = (one.window, one.clock, other.window, other.clock)
        if other.days is not None and times == (None, None, None, None):
            self.days.append((one.days[0], other.days[1]))
            return one.days[0] < other.days[1]
        since = self._moment(one.days[0], _start(one) or 0)
        until = self._until(other, one.days[0], since)
        if until > since:
            self.whole.append(TimeSpan(since, until))
        return until > since

    def _daily(self, one: _Moment, other: _Moment) -> bool:
        """A range of clock times, of every day or ("between 22:00 and 6:00 on Tuesday") of one."""
        start, end = _start(one), _end(other)
        if start is None or end is None:
            return False
        if other.days is not None:
            self.sure = True
            self.days.append(other.days)
        self.windows.append((start, end))
        return True

    def _until(self, moment: _Moment, day: date, since: datetime) -> datetime:
        end = _end(moment)
        if moment.days is not None:
            if end is None:
                return self._moment(moment.days[1], 0)
            if moment.window is None:
                return self._moment(moment.days[0], end)
            return self._span(moment.days[0], *moment.window).until
        until = self._moment(day, end or 0)
        return until if until > since else self._moment(day + timedelta(days=1), end or 0)

    def _night_between(self, match: re.Match[str]) -> bool:
        days = dates_of(match["day"], self.now.date())
        if days is None:
            return False
        self.sure = True
        self.whole.append(self._span(days[0], *part_of_day("night")))
        return True

    def _rolling(self, match: re.Match[str]) -> bool:
        count = number(match["n"]) if match["n"] else 1
        try:
            since = self.now - timedelta(minutes=count * _UNITS[match["unit"].lower()])
        except OverflowError:
            return False
        self.whole.append(TimeSpan(since, self.now))
        self.sure = True
        return True

    def _ago(self, match: re.Match[str]) -> bool:
        unit = timedelta(minutes=_UNITS[match["unit"].lower()])
        try:
            then = self.now - number(match["n"]) * unit
        except OverflowError:
            return False
        self.whole.append(TimeSpan(then - unit / 2, then + unit / 2))
        self.sure = True
        return True

    def _bound(self, match: re.Match[str]) -> bool:
        moment = self._read(match, "")
        if moment is None:
            return False
        bound = match["bound"].lower()
        if moment.days is None:  # of every day
            start = _start(moment)
            if start is None:
                return False
            later = bound in ("since", "after")
            self.windows.append((start, MINUTES_A_DAY) if later else (0, start))
            return start > 0 or later
        self.sure = True
        begins = self._moment(moment.days[0], _start(moment) or 0)
        ends = self._until(moment, moment.days[0], begins)
        exact = moment.clock is not None
        if bound in ("since", "after"):
            self.since = begins if exact or bound == "since" else ends
        else:
            self.until = begins if exact or bound == "before" else ends
        return True

    def _named(self, match: re.Match[str]) -> bool:
        moment = self._read(match, "")
        if moment is None:
            return False
        self.sure = True
        if moment.clock is not None:
            moment = _Moment(moment.days, _around(moment.clock, _AT_MINUTES))
        if moment.days is not None and moment.window is not None:
            count = min((moment.days[1] - moment.days[0]).days, _MOST_DAYS)
            days = (moment.days[0] + timedelta(days=n) for n in range(count))
            self.whole += [self._span(day, *moment.window) for day in days]
        elif moment.days is not None:
            self.days.append(moment.days)
        elif moment.window is not None:
            self.windows.append(moment.window)
        return True

    def _at(self, match: re.Match[str]) -> bool:
        clock = minutes_of(match["clock"])
        if clock is None:
            return False
        about = match["lead"].lower() != "at"
        self.windows.append(_around(clock, _ABOUT_MINUTES if about else _AT_MINUTES))
        self.sure = self.sure or bool(re.search(r"[apn]", match["clock"], _I))
        return True

    def _read(self, match: re.Match[str], suffix: str) -> _Moment | None:
        """The moment in a match's groups; None where the calendar has no such day or time."""
        found = {
            name.removesuffix(suffix) if suffix else name: text
            for name, text in match.groupdict().items()
            if text and (not suffix or name.endswith(suffix))
        }
        today = self.now.date()
        if "tonight" in found:
            return _Moment(dates_of("today", today), part_of_day("night"))
        if "its_part" in found:
            back = found["which"].lower() == "last"
            day = "yesterday" if back else "today"
            return _Moment(dates_of(day, today), part_of_day(found["its_part"]))
        if "part" in found:
            return _Moment(None, part_of_day(found["part"]))
        days = None
        if named := found.get("day") or found.get("its_day"):
            days = dates_of(named, today)
            if days is None:
                return None
        return _timed(days, found.get("after") or found.get("before") or found.get("clock"))

    def _every_day(self) -> tuple[date, date]:
        """The days that a time of the day is meant on; a night may have begun the day before."""
        if self.footage is None:
            today = self.now.date()
            return today, today + timedelta(days=1)
        first = self.footage.since.astimezone(self.zone).date() - timedelta(days=1)
        return first, self.footage.until.astimezone(self.zone).date() + timedelta(days=1)

    def _span(self, day: date, start: int, end: int) -> TimeSpan:
        if end <= start:
            end += MINUTES_A_DAY
        return TimeSpan(self._moment(day, start), self._moment(day, end))

    def _moment(self, day: date, minutes: int) -> datetime:
        days, minutes = divmod(minutes, MINUTES_A_DAY)
        clock = time(minutes // 60, minutes % 60, tzinfo=_zone(self.zone))
        return datetime.combine(day + timedelta(days=days), clock)

    def _end_of_all(self) -> datetime:
        end = self.now if self.footage is None else max(self.now, self.footage.until)
        return end.astimezone(self.zone) + timedelta(minutes=1)

    def _cut(self, span: TimeSpan) -> TimeSpan | None:
        since = max(span.since, self.since) if self.since else span.since
        until = min(span.until, self.until) if self.until else span.until
        return TimeSpan(since, until) if since < until else None


def _timed(days: tuple[date, date] | None, written: str | None) -> _Moment | None:
    if written is None:
        return _Moment(days)
    clock = minutes_of(written)
    if clock is not None:
        return _Moment(days, clock=clock)
    if not re.fullmatch(PART, written, _I):
        return None
    return _Moment(days, part_of_day(written))


def _start(moment: _Moment) -> int | None:
    return moment.window[0] if moment.window else moment.clock


def _end(moment: _Moment) -> int | None:
    return moment.window[1] if moment.window else moment.clock


def _around(clock: int, minutes: int) -> tuple[int, int]:
    return (clock - minutes) % MINUTES_A_DAY, (clock + minutes) % MINUTES_A_DAY


def _zone(zone: tzinfo | None) -> tzinfo:
    assert zone is not None, "times are read in a zone"
    return zone


def _merged(spans: Iterator[TimeSpan]) -> list[TimeSpan]:
    kept: list[TimeSpan] = []
    for span in sorted(spans):
        if kept and span.since <= kept[-1].until:
            kept[-1] = TimeSpan(kept[-1].since, max(kept[-1].until, span.until))
        else:
            kept.append(span)
    return kept
