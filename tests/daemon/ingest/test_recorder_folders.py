"""A recorder's own folders, dropped at once: Frigate's ten-second files, in any order."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from edge_lvr1.client import Client
from tests.daemon.processes import Daemon, until
from tests.media_files import steady, video

BERLIN = ZoneInfo("Europe/Berlin")
SPRING = datetime(2026, 3, 28, 23, 0, tzinfo=timezone.utc)  # the day of 29 March in Berlin
AUTUMN = datetime(2026, 10, 24, 22, 0, tzinfo=timezone.utc)
PART_S = 10
CAMERAS = ("front", "yard")


@pytest.fixture
def part(tmp_path: Path) -> Path:
    """Ten seconds of pictures in a few kilobytes."""
    return video(tmp_path / "part.mp4", steady(10, fps=1.0), gop=5)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    given = {"fake": True, "time_zone": "Europe/Berlin"}
    daemon = Daemon(tmp_path / "place", given=given)
    yield daemon
    daemon.kill()


def frigate(camera: str, starts_at: datetime) -> Path:
    return Path(f"{starts_at:%Y-%m-%d/%H}/{camera}/{starts_at:%M.%S}.mp4")


def starts(since: datetime, count: int) -> list[datetime]:
    return [since + timedelta(seconds=PART_S * number) for number in range(count)]


def drop(part: Path, root: Path, names: list[Path]) -> None:
    """Copies appear in the watched folder all at once, each whole."""
    away = root.parent / "away"
    for name in names:
        (away / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(part, away / name)
    for day in sorted(away.iterdir()):
        os.rename(day, root / day.name)  # noqa: PTH104 (a folder)
    away.rmdir()


def settled(client: Client, files: int, within_s: float) -> list[dict[str, object]]:
    """The recordings once every file has ended."""

    def ended() -> bool:
        jobs = client.status()["jobs"]
        return bool(jobs["done"] + jobs["failed"] >= files)

    until(ended, f"the end of {files} files", within_s)
    assert client.jobs("failed") == []
    return client.recordings()


def by_camera(recordings: list[dict[str, object]]) -> dict[str, list[dict[str, object]]]:
    return {camera: [one for one in recordings if one["camera"] == camera] for camera in CAMERAS}


def test_parts_in_any_order_become_recordings_across_a_change_of_the_clocks(
    daemon: Daemon, part: Path
) -> None:
    since = datetime(2026, 3, 29, 0, 50, tzinfo=timezone.utc)  # ten minutes before the change
    moments = starts(since, 120)
    names = [frigate(camera, moment) for camera in CAMERAS for moment in moments]
    random.Random(4).shuffle(names)

    with daemon.running() as client:
        drop(part, daemon.watched, names)
        recordings = settled(client, len(names), 120.0)

        for found in by_camera(recordings).values():
            (one,) = found
            assert one["duration_s"] == pytest.approx(1200.0, abs=1.5)
            assert datetime.fromisoformat(str(one["starts_at"])) == since
            assert str(one["starts_at"]) == "2026-03-29T01:50:00+01:00"
            assert str(one["ends_at"]).endswith("+01:00")
            assert one["confidence"] == "sure"
            assert one["complete"]


def test_part_that_comes_late_opens_its_recording_again(daemon: Daemon, part: Path) -> None:
    moments = starts(SPRING, 6)
    with daemon.running() as client:
        drop(part, daemon.watched, [frigate("front", one) for one in moments if one != moments[3]])
        before = settled(client, 5, 60.0)
        assert [len(list(one["files"])) for one in before] == [3, 2]  # type: ignore[call-overload]

        late = daemon.watched / frigate("front", moments[3])
        shutil.copy(part, late.with_suffix(".tmp"))
        late.with_suffix(".tmp").rename(late)

        (after,) = settled(client, 6, 60.0)
        assert after["duration_s"] == pytest.approx(60.0, abs=1.5)
        assert after["complete"]


def test_what_is_dropped_twice_is_there_once(daemon: Daemon, part: Path) -> None:
    names = [frigate(camera, moment) for camera in CAMERAS for moment in starts(SPRING, 30)]
    with daemon.running() as client:
        drop(part, daemon.watched, names)
        before = settled(client, len(names), 60.0)

        for day in list(daemon.watched.iterdir()):
            shutil.copytree(day, daemon.watched / "again" / day.name)

        assert settled(client, 2 * len(names), 60.0) == before
        assert len(before) == 2
        assert all("the same footage as" in job["reason"] for job in client.jobs()[-60:])


@pytest.mark.reliability
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("since", [SPRING, AUTUMN], ids=["spring", "autumn"])
def test_day_of_ten_second_files_of_two_cameras(
    daemon: Daemon, part: Path, since: datetime
) -> None:
    moments = starts(since, 8640)
    names = [frigate(camera, moment) for camera in CAMERAS for moment in moments]
    random.Random(5).shuffle(names)

    with daemon.running() as client:
        drop(part, daemon.watched, names)
        recordings = settled(client, len(names), 3000.0)
        for camera, found in by_camera(recordings).items():
            covered = sum(float(str(one["duration_s"])) for one in found)
            print(f"{camera}: {len(found)} recordings, {covered:.0f} s")
            assert len(found) <= 24
            assert covered == pytest.approx(86400.0, abs=2.0 * len(found))
            for one in found:
                starts_at = datetime.fromisoformat(str(one["starts_at"]))
                assert starts_at in moments
                assert starts_at.utcoffset() == starts_at.astimezone(BERLIN).utcoffset()
        told = [(one["id"], one["starts_at"], one["captions"]) for one in recordings]

        again = daemon.watched / "again"
        for day in list(daemon.watched.iterdir()):
            shutil.copytree(day, again / day.name)
        jobs = settled(client, 2 * len(names), 3000.0)
        assert [(one["id"], one["starts_at"], one["captions"]) for one in jobs] == told
