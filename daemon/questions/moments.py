"""Moments as people write them: ISO 8601, "yesterday 22:00", "last Tuesday night"."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from edge_lvr1.domain import TimeSpan
from edge_lvr1.errors import QuestionError
from edge_lvr1.navigator.asked_times import read_times
from edge_lvr1.navigator.calendar_words import CLOCK

_MOST_CHARS = 80
_GUESSED = re.compile(r"\d+$|\d{4}-\d{2}-\d{2}$|\d{4}-(?:1[3-9]|[2-9]\d)-")
"""What dateparser would read as the day of some month, or with day and month exchanged."""
_EXACT = re.compile(rf"{CLOCK}|\b(?:now|seconds?|minutes?|hours?)\b", re.I)


def moment_of(text: str, now: datetime, name: str) -> datetime:
    """The moment that a text names, seen from `now`, in whose zone it is meant.

    Words for a day or a part of it stand for its start, or where `name` is "until" for its
    end. Raises QuestionError that names the field.
    """
    text = " ".join(text.split())
    if len(text) <= _MOST_CHARS and text:
        found = iso_moment(text, now) or _span(text, now, name) or _parsed(text, now)
        if found is not None:
            return found
    raise QuestionError(
        f"{name} is no time that is understood: {text[:_MOST_CHARS]!r}; write it like "
        "2026-03-14T09:30:00+01:00, 2026-03-14 09:30 or 'yesterday 22:00'"
    )


def iso_moment(text: str, now: datetime) -> datetime | None:
    """The moment that a text names in ISO 8601, in the zone of `now` where it names none."""
    try:
        # Python 3.10 reads no Z.
        found = datetime.fromisoformat(re.sub(r"(?<=\d)[zZ]$", "+00:00", text.strip()))
    except ValueError:
        return None
    return found if found.utcoffset() is not None else found.replace(tzinfo=now.tzinfo)


def _span(text: str, now: datetime, name: str) -> datetime | None:
    """The start or end of a day or a part of it, where that is all that the words name."""
    if _EXACT.search(text):
        return None
    asked = read_times(text, now, TimeSpan(now, now))
    if not asked.sure or len(asked.times) != 1 or re.search(r"\w", asked.rest):
        return None
    return asked.times[0].until if name == "until" else asked.times[0].since


def _parsed(text: str, now: datetime) -> datetime | None:
    import dateparser  # takes half a second to load

    if _GUESSED.match(text):
        return None
    settings: dict[str, Any] = {
        "RELATIVE_BASE": now.replace(tzinfo=None),
        "PREFER_DATES_FROM": "past",
    }
    try:
        found: datetime | None = dateparser.parse(text, languages=["en"], settings=settings)
    except (ValueError, OverflowError, RecursionError):
        return None
    if found is None:
        return None
    return found if found.utcoffset() is not None else found.replace(tzinfo=now.tzinfo)
