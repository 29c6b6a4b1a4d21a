"""The zone of times in file names."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from edge_lvr1.config import Ingest, Settings
from edge_lvr1.daemon.ingest.zone import check_zones, zone_for, zone_of
from edge_lvr1.errors import SettingsError


@pytest.fixture
def in_berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This machine stands in Berlin."""
    with monkeypatch.context() as there:
        there.setenv("TZ", "Europe/Berlin")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("in_berlin")
@pytest.mark.parametrize("name", [None, "Europe/Berlin"])
@pytest.mark.parametrize(("month", "hours"), [(1, 1), (7, 2)], ids=["winter", "summer"])
def test_offset_is_that_of_the_date(name: str | None, month: int, hours: int) -> None:
    zone = zone_of(name)

    there = datetime(2026, month, 15, 12, 0, tzinfo=zone)
    from_utc = datetime(2026, month, 15, 12 - hours, 0, tzinfo=timezone.utc).astimezone(zone)

    assert there.utcoffset() == timedelta(hours=hours)
    assert there == from_utc
    assert (from_utc.hour, from_utc.utcoffset()) == (12, timedelta(hours=hours))


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "../../etc/passwd"])
def test_zone_that_is_not_there_is_refused(name: str) -> None:
    with pytest.raises(SettingsError, match="no time zone"):
        zone_of(name)


def settings(zones: dict[str, str], *watch: Path) -> Settings:
    return Settings(watch=watch, time_zone="UTC", ingest=Ingest(time_zones=zones))


def test_each_watched_folder_has_its_own_zone(tmp_path: Path) -> None:
    east, west, other = tmp_path / "east", tmp_path / "west", tmp_path / "other"
    zones = {f"{east}/": "Asia/Tokyo", str(west): "America/New_York", str(west / "b"): "UTC"}
    kept = settings(zones, east, west, other)

    check_zones(kept)

    assert zone_for(east, kept) == ZoneInfo("Asia/Tokyo")
    assert zone_for(west / "a" / "x.mp4", kept) == ZoneInfo("America/New_York")
    assert zone_for(west / "b", kept) == ZoneInfo("UTC")
    assert zone_for(other, kept) == ZoneInfo("UTC")
    assert zone_for(None, kept) == ZoneInfo("UTC")


def test_folder_is_known_by_where_its_link_leads(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk")

    kept = settings({str(tmp_path / "link"): "Asia/Tokyo"}, tmp_path / "disk")

    check_zones(kept)
    assert zone_for(tmp_path / "disk", kept) == ZoneInfo("Asia/Tokyo")


def test_zone_that_is_not_there_is_refused_by_its_key(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"no time zone 'Mars/Olympus'; ingest.time_zones\["):
        check_zones(settings({str(tmp_path): "Mars/Olympus"}, tmp_path))


def test_zone_for_a_folder_that_nobody_watches_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="which is no watched folder"):
        check_zones(settings({str(tmp_path / "b"): "UTC"}, tmp_path / "a"))
