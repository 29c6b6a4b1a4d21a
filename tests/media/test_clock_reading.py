"""Clocks burnt into pictures: what their text means, and whether they run."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.video.frame import VideoFrame
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_lvr1.domain import Part
from edge_lvr1.media.clock_reading import (
    APART_S,
    LOOKS,
    ReadText,
    clock_times,
    look_times,
    rapid_ocr,
    read_clock,
    start_of,
)
from edge_lvr1.media.frames import Footage
from tests.media_files import number_in, steady, video

SHOWN = datetime(2025, 5, 6, 13, 34, 56)  # noqa: DTZ001 (as a clock shows it)
SUMMER = timezone(timedelta(hours=2))


@pytest.mark.parametrize(
    "lines",
    [
        ["2025-05-06 13:34:56"],
        ["2025-05-0613:34:56"],
        ["2025/05/06 13:34:56 CAM 1"],
        ["2025.05.06 Tue 13:34:56.250"],
        ["2025-05-06T13:34:56Z"],
        ["2025\u5e7405\u670806\u65e5 \u661f\u671f\u4e8c 13:34:56"],
        ["06/05/2025 13:34:56"],
        ["05/06/2025 01:34:56 PM TUE"],
        ["06-05-2025 Tue 01:34:56PM"],
        ["Front 06.05.25 13:34:56"],
        ["06 May 2025 13:34:56"],
        ["06-MAY-2025 13:34:56"],
        ["Tuesday, May 6, 2025 1:34:56 pm"],
        ["13:34:56 2025-05-06"],
        ["2O25-O5-06 l3:34:56"],
        ["\uff12\uff10\uff12\uff15-05-06 13\uff1a34\uff1a56"],
        ["CAM 1", "2025-05-06", "13:34:56", "5.2 km/h"],
    ],
)
def test_cameras_ways_to_write_a_time_are_read(lines: list[str]) -> None:
    assert SHOWN in clock_times(lines)


@pytest.mark.parametrize(
    "lines",
    [[], ["CAM 1"], ["13:34:56"], ["2025-05-06"], ["2025-13-41 13:34:56"], ["2025-05-06 25:61:00"]],
)
def test_what_is_no_date_with_a_time_is_not_read(lines: list[str]) -> None:
    assert clock_times(lines) == []


@given(st.lists(st.text(max_size=60) | st.text("0123456789-/.: APM", max_size=40), max_size=6))
def test_any_text_can_be_looked_through(lines: list[str]) -> None:
    assert all(shown.year >= 2000 for shown in clock_times(lines))


@given(st.floats(0, 1e6))
def test_looks_lie_within_the_recording_and_apart(duration_s: float) -> None:
    times = look_times(duration_s)

    assert len(times) <= LOOKS
    assert all(0 <= time_s < duration_s for time_s in times)
    assert all(b - a >= APART_S - 0.01 for a, b in zip(times, times[1:], strict=False))  # noqa: RUF007


def test_clock_that_runs_is_believed_and_a_misread_frame_is_not() -> None:
    seen = [(at, SHOWN + timedelta(seconds=at)) for at in (10.0, 20.0, 30.0)]
    seen.append((40.0, SHOWN.replace(year=2026)))

    assert start_of(seen, SHOWN) == SHOWN


def test_date_that_stands_still_is_no_clock() -> None:
    assert start_of([(10.0, SHOWN), (20.0, SHOWN), (30.0, SHOWN)], SHOWN) is None


def test_order_of_day_and_month_is_that_which_is_near_the_files() -> None:
    seen = [
        (at, shown)
        for at in (10.0, 20.0)
        for shown in clock_times([f"{SHOWN + timedelta(seconds=at):%d/%m/%Y %H:%M:%S}"])
    ]

    assert start_of(seen, SHOWN + timedelta(days=3)) == SHOWN
    assert start_of(seen, datetime(2025, 6, 7)) == SHOWN.replace(month=6, day=5)  # noqa: DTZ001


def footage_of(path: Path, duration_s: float) -> Footage:
    return Footage([Part(str(path), 0.0, duration_s, 1, 1, "x")])


def reads(starts_at: datetime) -> ReadText:
    """A reader of pictures that carry their number, one a second."""

    def read(image: NDArray[np.uint8]) -> Sequence[str]:
        return [f"CAM 1 {starts_at + timedelta(seconds=number_in(image)):%Y-%m-%d %H:%M:%S}"]

    return read


@pytest.fixture(scope="module")
def minute(tmp_path_factory: pytest.TempPathFactory) -> Footage:
    """A minute of numbered pictures, one a second."""
    path = video(tmp_path_factory.mktemp("clock") / "a.mp4", steady(60, fps=1.0), gop=10)
    return footage_of(path, 60.0)


def test_clock_that_agrees_with_the_file_gives_no_warning(minute: Footage) -> None:
    reading = read_clock(minute, SHOWN.replace(tzinfo=SUMMER), reads(SHOWN + timedelta(seconds=40)))

    assert reading is not None
    assert reading.starts_at == (SHOWN + timedelta(seconds=40)).replace(tzinfo=SUMMER)
    assert (reading.difference_s, reading.sentence) == (40.0, "")


def test_clock_that_disagrees_with_the_file_is_warned_of(minute: Footage) -> None:
    reading = read_clock(minute, SHOWN.replace(tzinfo=SUMMER), reads(SHOWN - timedelta(hours=26)))

    assert reading is not None
    assert reading.difference_s == -26 * 3600
    assert reading.sentence == (
        "the clock in the picture says that it began at 2025-05-05 11:34:56, 1 d 2 h 0 min before "
        "the time of the file, 2025-05-06 13:34:56; check the recorder's clock and the setting "
        "time_zone"
    )


def test_recording_without_a_clock_or_too_short_gives_none(minute: Footage) -> None:
    start = SHOWN.replace(tzinfo=SUMMER)

    assert read_clock(minute, start, lambda image: ["CAM 1"]) is None
    assert read_clock(minute, start, lambda image: ["2025-05-06 13:34:56"]) is None
    assert read_clock(footage_of(Path("not opened"), 8.0), start, reads(SHOWN)) is None


@pytest.fixture(scope="module")
def reader() -> ReadText:
    pytest.importorskip("rapidocr", reason="the extra ocr is not installed")
    return rapid_ocr(threads=1)


def scene(text: str, seed: int = 1) -> NDArray[np.uint8]:
    """A noisy grey picture with a line of text at its top, as cameras draw it."""
    noise = np.random.default_rng(seed).normal(0, 8, (360, 640, 3))
    image = np.clip(np.linspace(60, 140, 640)[None, :, None] + noise, 0, 255).astype(np.uint8)
    cv2.rectangle(image, (300, 150), (380, 330), (150, 60, 40), -1)
    cv2.putText(image, text, (11, 29), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (0, 0, 0), 3, cv2.LINE_AA)
    cv2.putText(image, text, (10, 28), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (255,) * 3, 1, cv2.LINE_AA)
    return image


@pytest.mark.parametrize(
    "written",
    ["%Y-%m-%d %H:%M:%S", "%m/%d/%Y %I:%M:%S %p", "%d.%m.%Y %H:%M:%S", "Gate 2 %d-%b-%Y %H:%M:%S"],
)
def test_drawn_clocks_are_read(reader: ReadText, written: str) -> None:
    assert SHOWN in clock_times(reader(scene(f"{SHOWN:{written}}")))


def test_drawn_clock_of_a_video_is_held_against_its_file(reader: ReadText, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as out:
        track = out.add_stream("libx264", rate=Fraction(1))
        assert isinstance(track, av.VideoStream)
        track.width, track.height, track.pix_fmt = 640, 360, "yuv420p"
        for number in range(16):
            picture = scene(f"{SHOWN + timedelta(seconds=number):%Y-%m-%d %H:%M:%S}", number)
            out.mux(track.encode(VideoFrame.from_ndarray(picture)))
        out.mux(track.encode(None))
    file_says = (SHOWN - timedelta(hours=1)).replace(tzinfo=SUMMER)

    reading = read_clock(footage_of(path, 16.0), file_says, reader)

    assert reading is not None
    assert abs(reading.difference_s - 3600) <= 1.0
    assert "1 h 0 min after the time of the file" in reading.sentence
