"""The time zone that wall-clock times in file names are read in."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from edge_lvr1.errors import SettingsError


class LocalZone(tzinfo):
    """This machine's zone with its summer time, at any date.

    `datetime.astimezone()` gives a fixed offset, which is wrong for the other half of a year.
    """

    def utcoffset(self, moment: datetime | None) -> timedelta | None:
        """The zone's offset at a local time."""
        return None if moment is None else moment.replace(tzinfo=None).astimezone().utcoffset()

    def dst(self, moment: datetime | None) -> timedelta | None:
        """How much of the offset is summer time: not known."""
        return None

    def tzname(self, moment: datetime | None) -> str | None:
        """The zone's abbreviation at a local time."""
        return None if moment is None else moment.replace(tzinfo=None).astimezone().tzname()

    def fromutc(self, moment: datetime) -> datetime:
        """The local time of a UTC time."""
        local = moment.replace(tzinfo=timezone.utc).astimezone()
        return local.replace(tzinfo=self)


def zone_of(name: str | None) -> tzinfo:
    """The zone with an IANA name, or this machine's. Raises SettingsError."""
    if name is None:
        return LocalZone()
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise SettingsError(
            f"there is no time zone {name!r}; time_zone takes names like Europe/Berlin"
        ) from error
