from datetime import datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_lvr1.config import NamedPattern
from edge_lvr1.domain import Confidence, StartSource
from edge_lvr1.errors import SettingsError
from edge_lvr1.media.names import Placement, place, start_in_name
from edge_lvr1.media.patterns import PATTERNS, with_users
from edge_lvr1.media.probe import Probe

ROOT = Path("/srv/drop")
BERLIN = ZoneInfo("Europe/Berlin")
MTIME_S = datetime(2025, 1, 2, 12, 0, tzinfo=timezone.utc).timestamp()


def probed(created_at: datetime | None = None, duration_s: float = 60.0) -> Probe:
    return Probe(
        path=Path("a.mp4"),
        container="mp4",
        codec="h264",
        width_px=160,
        height_px=96,
        rotation=0,
        fps=25.0,
        duration_s=duration_s,
        first_pts_s=0.0,
        keyframe_s=1.0,
        created_at=created_at,
        audio_tracks=0,
        subtitle_tracks=0,
    )


@pytest.mark.parametrize(
    ("below", "camera", "starts_at"),
    [
        ("front_20240506_070809.mp4", "front", "2024-05-06T07:08:09+02:00"),
        ("front door-2024-05-06_07-08-09.mkv", "front door", "2024-05-06T07:08:09+02:00"),
        ("front 2024-05-06 07.08.09.mkv", "front", "2024-05-06T07:08:09+02:00"),
        ("yard/2024-05-06T07:08:09Z.mp4", "yard", "2024-05-06T09:08:09+02:00"),
        ("yard/2024-05-06T07-08-09-0500.mp4", "yard", "2024-05-06T14:08:09+02:00"),
        ("yard_2024-05-06T07-08-09-0001.mp4", "yard", "2024-05-06T07:08:09+02:00"),
        ("PXL_20240506_070809123.mp4", "PXL", "2024-05-06T07:08:09.123+02:00"),
        ("20240506_070809_gate.mp4", "gate", "2024-05-06T07:08:09+02:00"),
        ("20240506070809_0001.mp4", "camera", "2024-05-06T07:08:09+02:00"),
        ("Front Door_01_20240506070809.mp4", "Front Door_01", "2024-05-06T07:08:09+02:00"),
        ("cam1_1714972089.mp4", "cam1", "2024-05-06T07:08:09+02:00"),
        ("1714972089500.mp4", "camera", "2024-05-06T07:08:09.5+02:00"),
        ("CAM.20240506_070809.mp4", "CAM", "2024-05-06T07:08:09+02:00"),
        (
            "recordings/2024-05-06/05/front/08.09.mp4",
            "front",
            "2024-05-06T07:08:09+02:00",
        ),
        (
            "gate/2024-05-06/001/dav/07/07.08.09-07.18.09[M][0@0][0].mp4",
            "gate",
            "2024-05-06T07:08:09+02:00",
        ),
        ("gate/2024/05/06/07/0809-123.ps", "gate", "2024-05-06T07:08:09+02:00"),
        (
            "RecM01_DST20240506_070809_071809_0_ABCDEF.mp4",
            "RecM01",
            "2024-05-06T07:08:09+02:00",
        ),
        ("a/b/20240506_070809.mp4", "a", "2024-05-06T07:08:09+02:00"),
        ("2024-05-06/gate_20240506_070809.mp4", "gate", "2024-05-06T07:08:09+02:00"),
        ("x_20241399_000000_20240506_070809.mp4", "x_20241399_000000", "2024-05-06T07:08:09+02:00"),
    ],
)
def test_recorders_names_are_read(below: str, camera: str, starts_at: str) -> None:
    placed = place(ROOT / below, ROOT, probed(), MTIME_S, BERLIN)

    assert placed.camera == camera
    assert placed.starts_at == datetime.fromisoformat(_long(starts_at))
    assert placed.starts_at.utcoffset() == timedelta(hours=2)
    assert placed.source is StartSource.FILE_NAME


@pytest.mark.parametrize(
    "name",
    [
        "front_20241306_070809",
        "front_20240230_070809",
        "front_20240506_250809",
        "front_20240506_076009",
        "front_20240506",
        "front_070809",
        "clip_120240506_070809",
        "0123456789",
        "holiday",
        "",
    ],
)
def test_what_is_no_time_is_not_taken_for_one(name: str) -> None:
    assert start_in_name(name, BERLIN) is None


def test_the_repeated_hour_of_autumn_is_told_by_the_summer_flag() -> None:
    summer = start_in_name("Rec_DST20241027_023000_024000", BERLIN)
    winter = start_in_name("Rec_20241027_023000_024000", BERLIN)

    assert summer is not None
    assert winter is not None
    assert summer.utcoffset() == timedelta(hours=2)
    assert winter.utcoffset() == timedelta(hours=1)


def test_a_time_in_the_name_is_preferred_to_the_containers() -> None:
    made_at = datetime(2024, 12, 24, tzinfo=timezone.utc)

    placed = place(ROOT / "front_20240506_070809.mp4", ROOT, probed(made_at), MTIME_S, BERLIN)

    assert placed.source is StartSource.FILE_NAME


def test_the_containers_time_serves_where_the_name_has_none() -> None:
    made_at = datetime(2024, 12, 24, 18, tzinfo=timezone.utc)

    placed = place(ROOT / "holiday.mp4", ROOT, probed(made_at), MTIME_S, BERLIN)

    assert placed.starts_at == made_at
    assert placed.starts_at.utcoffset() == timedelta(hours=1)
    assert (placed.camera, placed.source) == ("holiday", StartSource.CONTAINER)


@pytest.mark.parametrize("year", [1985, 2031])
def test_a_container_time_that_cannot_be_is_not_believed(year: int) -> None:
    made_at = datetime(year, 1, 1, tzinfo=timezone.utc)

    placed = place(ROOT / "holiday.mp4", ROOT, probed(made_at), MTIME_S, BERLIN)

    assert placed.source is StartSource.MTIME


def test_a_file_without_times_ended_when_it_was_last_written() -> None:
    placed = place(ROOT / "front" / "x.mp4", ROOT, probed(duration_s=60.0), MTIME_S, BERLIN)

    assert placed.starts_at == datetime(2025, 1, 2, 11, 59, tzinfo=timezone.utc)
    assert (placed.camera, placed.source) == ("front", StartSource.MTIME)


def test_a_file_outside_the_watched_folder_is_named_by_its_stem() -> None:
    assert place(Path("/else/b/x.mp4"), ROOT, probed(), MTIME_S, BERLIN).camera == "x"
    assert place(Path("/else/b/x.mp4"), None, probed(), MTIME_S, BERLIN).camera == "x"


def in_berlin(below: str, mtime_s: float = MTIME_S) -> Placement:
    return place(ROOT / below, ROOT, probed(duration_s=600.0), mtime_s, BERLIN)


@pytest.mark.parametrize(
    ("below", "confidence", "pattern"),
    [
        ("2024-05-06/05/front/08.09.mp4", Confidence.SURE, "Frigate"),
        ("gate/2024-05-06/001/dav/07/07.08.09-07.18.09.mp4", Confidence.SURE, "Dahua"),
        ("gate/2024/05/06/07/0809-123.ps", Confidence.SURE, "exacqVision"),
        ("Rec_DST20240506_070809_071809.mp4", Confidence.SURE, "Reolink"),
        ("RecM01_20240106_070809_071809.mp4", Confidence.SURE, "Reolink"),
        ("Rec_20240506_070809_071809.mp4", Confidence.LIKELY, "Reolink"),  # summer, no flag
        ("Rec_DST20240106_070809_071809.mp4", Confidence.LIKELY, "Reolink"),  # winter, flag
        ("Rec_DST20241027_023000_024000.mp4", Confidence.SURE, "Reolink"),
        ("Rec_20240331_023000_024000.mp4", Confidence.LIKELY, "Reolink"),
        ("Door.20240506_070809.mp4", Confidence.SURE, "Blue Iris"),
        ("front_20240506_070809.mp4", Confidence.SURE, "date and time"),
        ("cam1_1714972089.mp4", Confidence.SURE, "seconds since 1970"),
        ("front_20241027_023000.mp4", Confidence.LIKELY, "date and time"),
        ("front_20240331_023000.mp4", Confidence.LIKELY, "date and time"),
        ("front_2024-10-27T02-30-00+0100.mp4", Confidence.SURE, "date and time"),
        ("holiday.mp4", Confidence.GUESSED, ""),
    ],
)
def test_how_far_a_start_is_to_be_trusted(below: str, confidence: Confidence, pattern: str) -> None:
    placed = in_berlin(below)

    assert (placed.confidence, placed.pattern) == (confidence, pattern)


def test_a_containers_time_is_likely() -> None:
    made_at = datetime(2024, 12, 24, tzinfo=timezone.utc)

    placed = place(ROOT / "holiday.mp4", ROOT, probed(made_at), MTIME_S, BERLIN)

    assert placed.confidence is Confidence.LIKELY


@pytest.mark.parametrize(
    ("written", "hours"),
    [
        ("2024-10-27T00:40:05", 2),  # the first half past two has just ended
        ("2024-10-27T01:40:05", 1),  # the second has
        ("2024-10-28T12:00:00", 2),  # copied later: no telling
        ("2024-01-01T00:00:00", 2),
    ],
)
def test_time_that_the_clock_showed_twice_is_told_by_the_mtime(written: str, hours: int) -> None:
    mtime_s = datetime.fromisoformat(f"{written}+00:00").timestamp()

    placed = in_berlin("front_20241027_023000.mp4", mtime_s)

    assert placed.starts_at.utcoffset() == timedelta(hours=hours)
    assert placed.confidence is Confidence.LIKELY


def test_time_that_never_was_is_that_of_a_clock_not_yet_set() -> None:
    placed = in_berlin("front_20240331_023000.mp4")

    assert placed.starts_at == datetime(2024, 3, 31, 1, 30, tzinfo=timezone.utc)


def test_starts_have_a_fixed_offset_so_that_seconds_can_be_added_to_them() -> None:
    before = in_berlin("front_20241027_013000.mp4").starts_at

    later = before + timedelta(hours=3)

    assert later == datetime(2024, 10, 27, 2, 30, tzinfo=timezone.utc)


def test_users_patterns_come_first_in_their_order() -> None:
    time_of = r"(?P<hour>\d\d)(?P<minute>\d\d)(?P<second>\d\d)"
    day_first = NamedPattern(
        name="day first",
        regex=rf"(?P<camera>\w+)_(?P<day>\d\d)(?P<month>\d\d)(?P<year>\d\d)-{time_of}",
        utc=True,
    )
    month_first = day_first.model_copy(
        update={
            "name": "month first",
            "regex": day_first.regex.replace("day", "D").replace("month", "day")
            .replace("D", "month"),
        }
    )  # fmt: skip
    patterns = with_users([day_first, month_first])

    def read(name: str) -> tuple[str, str, datetime]:
        placed = place(ROOT / name, ROOT, probed(), MTIME_S, BERLIN, patterns)
        return placed.pattern, placed.camera, placed.starts_at

    utc = timezone.utc
    assert read("hof_060524-070809.mp4") == (
        "day first",
        "hof",
        datetime(2024, 5, 6, 7, 8, 9, tzinfo=utc),
    )
    assert read("hof_053124-070809.mp4") == (
        "month first",
        "hof",
        datetime(2024, 5, 31, 7, 8, 9, tzinfo=utc),
    )
    assert read("front_20240506_070809.mp4")[0] == "date and time"
    assert patterns[2:] == PATTERNS


@pytest.mark.parametrize(
    ("regex", "what"),
    [
        (r"(?P<year>\d{4}", "is not a regular expression"),
        (r"(?P<year>\d{4})(?P<month>\d\d)", "has no group day, hour, minute, second;"),
        (r"\d+", "has no group"),
    ],
)
def test_users_pattern_that_cannot_tell_a_time_is_refused(regex: str, what: str) -> None:
    with pytest.raises(SettingsError, match="ingest.name_patterns: the pattern 'mine' " + what):
        with_users([NamedPattern(name="mine", regex=regex)])


def test_users_pattern_may_match_what_is_no_number() -> None:
    regex = "".join(f"(?P<{name}>.)" for name in ("year", "month", "day", "hour", "minute"))
    patterns = with_users([NamedPattern(name="mine", regex=regex + "(?P<second>.?)")])

    placed = place(ROOT / "abcdefg.mp4", ROOT, probed(), MTIME_S, BERLIN, patterns)

    assert placed.source is StartSource.MTIME


any_name = st.text(st.characters(blacklist_characters="/"), min_size=1, max_size=60)
digits = st.text("0123456789-_.:T Z+/", min_size=1, max_size=40)


any_moment = st.none() | st.datetimes(timezones=st.just(timezone.utc))


@given(st.lists(any_name | digits, min_size=1, max_size=4), st.floats(), any_moment)
def test_any_name_and_any_mtime_give_a_storable_camera_and_an_aware_start(
    names: list[str], mtime_s: float, made_at: datetime | None
) -> None:
    placed = place(ROOT.joinpath(*names), ROOT, probed(made_at), mtime_s, BERLIN)

    assert placed.camera.encode("utf-8")
    assert placed.camera == placed.camera.strip()
    assert placed.camera.isprintable()
    assert len(placed.camera) <= 80
    assert placed.starts_at.tzinfo is not None


@given(
    st.datetimes(datetime(1980, 1, 1), datetime(2099, 12, 31)),  # noqa: DTZ001 (bounds are naive)
    st.sampled_from(
        [
            "%Y%m%d_%H%M%S",
            "%Y-%m-%d_%H-%M-%S",
            "%Y%m%d%H%M%S",
            "%Y-%m-%dT%H:%M:%S",
            "%Y.%m.%d %H.%M.%S",
            "Rec_DST%Y%m%d_%H%M%S_235959",
            "%Y-%m-%d/001/dav/%H/%H.%M.%S-23.59.59[M]",
            "%Y/%m/%d/%H/%M%S-7",
        ]
    ),
    st.sampled_from(["", "front_", "Hof 2 - ", "a/b/"]),
)
def test_a_time_that_was_written_into_a_name_is_read_back(
    moment: datetime, wording: str, before: str
) -> None:
    folder = "" if wording.startswith("Rec") else before

    found = start_in_name(f"{folder}{moment:{wording}}", BERLIN)

    assert found is not None
    assert found.replace(tzinfo=None, fold=0) == moment.replace(microsecond=0)


@given(
    st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)),  # noqa: DTZ001 (bounds are naive)
    st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC"]),
    st.floats(0.0, 60.0),
)
def test_any_moment_is_read_back_from_its_local_name_and_its_mtime(
    moment: datetime, zone_name: str, late_s: float
) -> None:
    at = moment.replace(microsecond=0, tzinfo=timezone.utc)
    zone = ZoneInfo(zone_name)
    name = f"front_{at.astimezone(zone):%Y%m%d_%H%M%S}.mp4"

    placed = place(ROOT / name, ROOT, probed(), at.timestamp() + 60.0 + late_s, zone)

    assert placed.starts_at == at


@given(st.integers(1_010_000_000, 2_900_000_000))
def test_seconds_since_1970_are_read_back(seconds: int) -> None:
    found = start_in_name(f"cam_{seconds}", BERLIN)

    assert found == datetime.fromtimestamp(seconds, timezone.utc)


def _long(text: str) -> str:
    """The fraction in full: Python 3.10 reads only three or six digits."""
    return text.replace(".5+", ".500+")
