"""Times in a question: "after 100 s", "between 1:00 and 1:30", "in the last minute"."""

from __future__ import annotations

import re
from dataclasses import dataclass

from edge_lvr1.domain import Span

_NUMBER = r"\d{1,6}(?:\.\d{1,3})?"
_UNIT = r"seconds?|secs?|s|minutes?|mins?|m|hours?|h"
_CLOCK = r"\d{1,3}:\d{2}(?::\d{2})?(?:\.\d{1,3})?"
_TIME = rf"(?:second\s+|t\s*=\s*)?(?:{_CLOCK}|{_NUMBER}(?:\s*(?:{_UNIT})\b)?)"
_UNIT_TIME = rf"(?:second\s+\d{{1,6}}|{_CLOCK}|{_NUMBER}\s*(?:{_UNIT})\b)"
_BETWEEN = re.compile(
    rf"\b(?:between|from)\s+(?P<a>{_TIME})\s+(?:and|to|until|till)\s+(?P<b>{_TIME})"
)
_RANGE = re.compile(rf"(?P<a>{_CLOCK}|{_NUMBER})\s*-\s*(?P<b>{_UNIT_TIME})")
_AFTER = re.compile(
    rf"\b(?:after|past|since|from|later than)\s+(?:the\s+)?(?P<a>{_UNIT_TIME})"
    r"(?:\s+(?:on|onwards?))?"
)
_BEFORE = re.compile(
    rf"\b(?:before|until|till|by|earlier than|up to)\s+(?:the\s+)?(?P<a>{_UNIT_TIME})"
)
_AT = re.compile(rf"\b(?:at|around|about|near|in)\s+(?:the\s+)?(?P<a>{_UNIT_TIME})(?:\s+mark)?")
_EDGE = re.compile(
    rf"\b(?:(?P<after>after)|in|during|within|for|over)?\s*(?:the\s+)?(?P<edge>first|last|final)\s+"
    rf"(?P<a>(?:\w+\s+)?(?:{_UNIT})\b|half\b|third\b|quarter\b)"
)
_HALF = re.compile(r"\b(?:in|during)?\s*(?:the\s+)?second\s+half\b")
_ENDS = re.compile(
    r"\b(?:at|in|near|towards|toward)\s+the\s+(?:very\s+)?(?P<end>start|beginning|end)\b"
    r"(?:\s+of\s+the\s+(?:video|clip|recording|footage))?"
)
_SHARES = {"half": 0.5, "third": 1 / 3, "quarter": 0.25}
_EDGE_SHARE = 0.1
_AROUND_S = 2.0
_WORDS = {"one": 1, "two": 2, "three": 3, "five": 5, "ten": 10, "twenty": 20, "thirty": 30}


@dataclass(frozen=True, slots=True)
class Timed:
    """A question without its words about time, and the span they name (None: any time).

    `vague` tells that the words name a part and no time, as "at the end" does.
    """

    text: str
    window: Span | None
    vague: bool = False


def read_window(text: str, duration_s: float) -> Timed:
    """Take the first words about media time out of a question (lower case)."""
    for pattern, read in (
        (_BETWEEN, _between),
        (_RANGE, _between),
        (_EDGE, _edge),
        (_HALF, _second_half),
        (_ENDS, _ends),
        (_AFTER, _after),
        (_BEFORE, _before),
        (_AT, _at),
    ):
        match = pattern.search(text)
        window = read(match, duration_s) if match else None
        if match and window:
            without = f"{text[: match.start()]} {text[match.end() :]}"
            return Timed(without, window, vague=pattern is _ENDS)
    return Timed(text, None)


def seconds(text: str) -> float | None:
    """Seconds of "90", "90 s", "1.5 min", "1:30", "second 12"; None where it is no time."""
    text = re.sub(r"^(?:second|t\s*=)\s*", "", text.strip().lower())
    if ":" in text:
        total = 0.0
        for part in text.split(":"):
            total = total * 60 + float(part)
        return total
    match = re.fullmatch(rf"({_NUMBER}|{'|'.join(_WORDS)})?\s*({_UNIT})?", text)
    if match is None or not any(match.groups()):
        return None
    number = match[1] or "1"
    value = float(_WORDS.get(number, number))
    unit = (match[2] or "s")[0]
    return value * {"s": 1, "m": 60, "h": 3600}[unit]


def _between(match: re.Match[str], duration_s: float) -> Span | None:
    first, last = match["a"], match["b"]
    unit = re.search(rf"({_UNIT})$", last)
    if unit and not re.search(rf"({_UNIT})$", first) and ":" not in first:
        first = f"{first} {unit[1]}"  # "between 1 and 2 minutes"
    a, b = seconds(first), seconds(last)
    return Span(min(a, b), max(a, b)) if a is not None and b is not None else None


def _edge(match: re.Match[str], duration_s: float) -> Span | None:
    length = match["a"]
    size = _SHARES[length] * duration_s if length in _SHARES else seconds(length)
    if size is None:
        return None
    if match["after"] and match["edge"] == "first":
        return Span(min(size, duration_s), duration_s)
    if match["edge"] == "first":
        return Span(0.0, min(size, duration_s))
    return Span(max(0.0, duration_s - size), duration_s)


def _second_half(_match: re.Match[str], duration_s: float) -> Span:
    return Span(duration_s / 2, duration_s)


def _ends(match: re.Match[str], duration_s: float) -> Span:
    share = _EDGE_SHARE * duration_s
    return Span(duration_s - share, duration_s) if match["end"] == "end" else Span(0.0, share)


def _after(match: re.Match[str], duration_s: float) -> Span | None:
    time_s = seconds(match["a"])
    return None if time_s is None else Span(time_s, max(time_s, duration_s))


def _before(match: re.Match[str], _duration_s: float) -> Span | None:
    time_s = seconds(match["a"])
    return None if time_s is None else Span(0.0, time_s)


def _at(match: re.Match[str], duration_s: float) -> Span | None:
    time_s = seconds(match["a"])
    if time_s is None:
        return None
    return Span(max(0.0, time_s - _AROUND_S / 2), time_s + _AROUND_S / 2)
