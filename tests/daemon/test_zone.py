"""The zone of times in file names."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

import pytest

from edge_lvr1.daemon.zone import zone_of
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
