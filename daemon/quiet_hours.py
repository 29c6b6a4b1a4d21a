"""The hours in which the database is tidied, as a span of a day's local time."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone, tzinfo

from edge_lvr1.errors import SettingsError

_SPAN = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")
_DAY_MIN = 24 * 60


@dataclass(frozen=True, slots=True)
class QuietHours:
    """A span of the day that may cross midnight, in minutes since midnight of local time."""

    start_min: int
    end_min: int

    @classmethod
    def parse(cls, text: str, key: str = "keep.quiet_hours") -> QuietHours:
        """Read "02:00-05:00". Raises SettingsError that names the key."""
        match = _SPAN.fullmatch(text.strip())
        if match is None:
            raise SettingsError(f"{key} cannot be {text[:40]!r}; write a span as 02:00-05:00")
        hours = [int(group) for group in match.groups()]
        start_min, end_min = hours[0] * 60 + hours[1], hours[2] * 60 + hours[3]
        if start_min == end_min:
            raise SettingsError(f"{key} cannot be {text!r}: it begins and ends at the same time")
        return cls(start_min, end_min)

    def holds(self, moment: datetime, zone: tzinfo) -> bool:
        """Whether an aware moment lies in the span, by the clocks of a zone."""
        local = moment.astimezone(zone)
        since_start = (local.hour * 60 + local.minute - self.start_min) % _DAY_MIN
        return since_start < (self.end_min - self.start_min) % _DAY_MIN

    def next_opening(self, after: datetime, zone: tzinfo) -> datetime:
        """The first moment later than `after` at which the span begins, in UTC."""
        day = after.astimezone(zone).date() - timedelta(days=1)
        while True:
            local = datetime(day.year, day.month, day.day, tzinfo=zone).replace(
                hour=self.start_min // 60, minute=self.start_min % 60
            )
            opening = local.astimezone(timezone.utc)
            if opening > after:
                return opening
            day += timedelta(days=1)

    def __str__(self) -> str:
        start, end = (f"{m // 60:02d}:{m % 60:02d}" for m in (self.start_min, self.end_min))
        return f"{start}-{end}"
