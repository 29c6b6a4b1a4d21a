"""Words for days and times of day, in English: what each stands for on the calendar. Pure.

Patterns to find them in a text stand beside the functions that read what was found. Days
are half-open ranges of dates; times of day are minutes from midnight, and a part of the day
that ends before it begins runs into the next day.
"""

from __future__ import annotations

import re
from datetime import date, timedelta

_DAY_NAMES = "monday tuesday wednesday thursday friday saturday sunday"
_MONTH_NAMES = (
    "january february march april may june july august september october november december"
)
_NUMBER_NAMES = "one two three four five six seven eight nine ten eleven twelve"
_WEEKDAYS, _MONTHS, _SMALL = _DAY_NAMES.split(), _MONTH_NAMES.split(), _NUMBER_NAMES.split()

_WEEKDAY = "|".join(_WEEKDAYS)
_MONTH = "|".join(f"{name[:3]}(?:{name[3:]})?" if name != "may" else "may" for name in _MONTHS)
NUMBER = rf"(?:\d{{1,4}}|an?|{'|'.join(_SMALL)})"

DAY = (
    r"(?:\d{4}-\d{2}-\d{2}|\d{1,2}\.\d{1,2}\.\d{4}"
    rf"|(?:the\s+)?\d{{1,2}}(?:st|nd|rd|th)?\s+(?:of\s+)?(?:{_MONTH})\b(?:,?\s+\d{{4}}\b)?"
    rf"|(?:{_MONTH})\s+\d{{1,2}}(?:st|nd|rd|th)?\b(?:,?\s+\d{{4}}\b)?"
    r"|the\s+day\s+before\s+yesterday|today|yesterday"
    rf"|(?:(?:last|this|past)\s+)?(?:{_WEEKDAY})\b"
    r"|(?:last|this|past)\s+(?:weekend|week|month)\b"
    rf"|{NUMBER}\s+days?\s+ago\b)"
)
PART_NAME = r"(?:early\s+)?(?:mornings?|afternoons?|evenings?|nights?)"
PART = rf"(?:{PART_NAME}|noon|midnight|overnight)"
CLOCK = (
    r"(?:\d{1,2}:\d{2}(?::\d{2})?(?:\s*[ap]\.?m\b\.?)?|\d{1,2}\s*[ap]\.?m\b\.?"
    r"|\d{1,2}\s+o'?clock\b|noon|midnight)"
)

MINUTES_A_DAY = 24 * 60
_YEARS = (1970, 2199)
_PARTS = {
    "early morning": (4 * 60, 8 * 60),
    "morning": (5 * 60, 12 * 60),
    "noon": (11 * 60 + 30, 12 * 60 + 30),
    "early afternoon": (12 * 60, 15 * 60),
    "afternoon": (12 * 60, 18 * 60),
    "early evening": (17 * 60, 20 * 60),
    "evening": (17 * 60, 23 * 60),
    "midnight": (23 * 60 + 30, 30),
    "early night": (20 * 60, 0),
    "night": (20 * 60, 6 * 60),
    "overnight": (20 * 60, 6 * 60),
}


def dates_of(text: str, today: date) -> tuple[date, date] | None:
    """The dates that a day's words stand for; None where the calendar has no such day.

    A weekday is the latest one up to today, or before it after "last"; a date without a
    year is the latest that is not to come.
    """
    words = " ".join(text.lower().split())
    if words in _NEAR_DAYS:
        return _one(today - timedelta(days=_NEAR_DAYS[words]))
    if match := re.fullmatch(rf"({NUMBER}) days? ago", words):
        return _one(today - timedelta(days=number(match[1])))
    if match := re.fullmatch(rf"(?:(last|this|past) )?({_WEEKDAY})", words):
        return _one(_weekday(_WEEKDAYS.index(match[2]), today, match[1] in ("last", "past")))
    if match := re.fullmatch(r"(last|this|past) (week|weekend|month)", words):
        return _stretch(match[2], today, back=match[1] != "this")
    return _written_date(words, today)


def minutes_of(text: str) -> int | None:
    """Minutes from midnight of a clock time ("22:00", "10 pm", "noon"); None for no such time."""
    words = text.lower().replace(".", "").strip()
    if words in ("noon", "midnight"):
        return 12 * 60 if words == "noon" else 0
    match = re.fullmatch(r"(\d{1,2})(?::(\d{2}))?(?::\d{2})?\s*([ap])?m?(?:\s*o'?clock)?", words)
    if match is None:
        return None
    hours, minutes = int(match[1]), int(match[2] or 0)
    if match[3]:
        if not 1 <= hours <= 12:
            return None
        hours = hours % 12 + (12 if match[3] == "p" else 0)
    return hours * 60 + minutes if hours <= 23 and minutes <= 59 else None


def part_of_day(text: str) -> tuple[int, int]:
    """When a part of the day begins and ends, in minutes from midnight."""
    words = " ".join(text.lower().split()).removesuffix("s")
    return _PARTS[words]


def number(text: str) -> int:
    """A small number in digits or words."""
    words = text.lower()
    if words.isdigit():
        return int(words)
    return _SMALL.index(words) + 1 if words in _SMALL else 1


_NEAR_DAYS = {"today": 0, "yesterday": 1, "the day before yesterday": 2}


def _one(day: date) -> tuple[date, date]:
    return day, day + timedelta(days=1)


def _weekday(weekday: int, today: date, before: bool) -> date:
    back = (today.weekday() - weekday) % 7
    return today - timedelta(days=7 if before and back == 0 else back)


def _stretch(name: str, today: date, *, back: bool) -> tuple[date, date]:
    """The calendar week, weekend or month of today, or the one before it."""
    if name == "month":
        first = today.replace(day=1)
        if back:
            last_of_before = first - timedelta(days=1)
            return last_of_before.replace(day=1), first
        return first, _month_after(first)
    monday = today - timedelta(days=today.weekday() + (7 if back else 0))
    if name == "weekend":
        return monday + timedelta(days=5), monday + timedelta(days=7)
    return monday, monday + timedelta(days=7)


def _month_after(first: date) -> date:
    return (first + timedelta(days=32)).replace(day=1)


def _written_date(words: str, today: date) -> tuple[date, date] | None:
    if match := re.fullmatch(r"(\d{4})-(\d{2})-(\d{2})", words):
        return _dated(int(match[1]), int(match[2]), int(match[3]))
    if match := re.fullmatch(r"(\d{1,2})\.(\d{1,2})\.(\d{4})", words):
        return _dated(int(match[3]), int(match[2]), int(match[1]))
    day, name, year = (re.search(p, words) for p in (r"\b(\d{1,2})(?!\d)", _MONTH, r"\b(\d{4})\b"))
    if day is None or name is None:
        return None
    month = next(i for i, full in enumerate(_MONTHS, start=1) if full.startswith(name[0][:3]))
    if year is not None:
        return _dated(int(year[1]), month, int(day[1]))
    found = _dated(today.year, month, int(day[1]))
    if found is None or found[0] > today:
        return _dated(today.year - 1, month, int(day[1])) or found
    return found


def _dated(year: int, month: int, day: int) -> tuple[date, date] | None:
    if not _YEARS[0] <= year <= _YEARS[1]:
        return None
    try:
        return _one(date(year, month, day))
    except ValueError:
        return None
