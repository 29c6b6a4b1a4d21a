"""The time zone that wall-clock times in file names are read in."""

from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from edge_lvr1.config import Settings
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


def zone_of(name: str | None, key: str = "time_zone") -> tzinfo:
    """The zone with an IANA name, or this machine's. Raises SettingsError that names the key."""
    if name is None:
        return LocalZone()
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise SettingsError(
            f"there is no time zone {name!r}; {key} takes names like Europe/Berlin"
        ) from error


def zone_for(root: Path | None, settings: Settings) -> tzinfo:
    """The zone of the file-name times in a watched folder (or in a folder or file inside it).

    That of the innermost folder in `ingest.time_zones` which is or holds it, else the zone of
    everything. Raises SettingsError.
    """
    zones = {_folder(folder): name for folder, name in settings.ingest.time_zones.items()}
    inside = None if root is None else _folder(str(root))
    for folder in (inside, *inside.parents) if inside else ():
        if folder in zones:
            return zone_of(zones[folder], f"ingest.time_zones[{str(folder)!r}]")
    return zone_of(settings.time_zone)


def check_zones(settings: Settings) -> None:
    """Raise SettingsError where a zone is not there, or is for a folder that nobody watches."""
    zone_of(settings.time_zone)
    for written, name in settings.ingest.time_zones.items():
        zone_of(name, f"ingest.time_zones[{written!r}]")
        folder = _folder(written)
        for root in map(_folder, map(str, settings.watch)):
            if folder == root or folder in root.parents or root in folder.parents:
                break
        else:
            raise SettingsError(
                f"ingest.time_zones names {written}, which is no watched folder and holds none; "
                "correct it, or watch the folder"
            )


def _folder(written: str) -> Path:
    """A folder as the watch names it: absolute, without links."""
    return Path(os.path.realpath(os.path.expanduser(written)))  # noqa: PTH111 ("~nobody" may stay)
