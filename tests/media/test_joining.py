"""Which files become which recordings."""

from __future__ import annotations

import itertools
import random
import time
import zlib
from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_lvr1.domain import Confidence, StartSource, TakenFile
from edge_lvr1.media.joining import RUN_OVER, Joined, cell, join, pieces, shifted
from edge_lvr1.media.names import place
from edge_lvr1.media.probe import Probe

UTC = timezone.utc
BERLIN = ZoneInfo("Europe/Berlin")
NOON = datetime(2025, 5, 6, 12, 0, tzinfo=UTC)
GAP_S, LONGEST_S = 2.0, 7200.0


def taken(
    start_s: float,
    duration_s: float = 10.0,
    *,
    camera: str = "front",
    name: str = "",
    sha256: str = "",
    number: int = 0,
    confidence: Confidence = Confidence.SURE,
) -> TakenFile:
    """A file that begins so many seconds after noon, known by its start."""
    name = name or f"{camera}-{start_s}"
    return TakenFile(
        id=number or zlib.crc32(f"{name} {start_s} {duration_s} {sha256}".encode()),
        path=f"/drop/{name}.mp4",
        camera=camera,
        starts_at=NOON + timedelta(seconds=start_s),
        start_source=StartSource.FILE_NAME,
        confidence=confidence,
        duration_s=duration_s,
        size_bytes=1000,
        mtime_ns=1,
        sha256=f"{sha256 or name} of {duration_s} s",
    )


def joined(*files: TakenFile, longest_s: float = LONGEST_S) -> list[Joined]:
    return join(files, GAP_S, longest_s)


def names(recording: Joined) -> list[str]:
    return [Path(part.path).stem for part in recording.parts]


def test_parts_that_follow_one_another_are_one_recording() -> None:
    (one,) = joined(taken(0, name="a"), taken(10, name="b"), taken(21.5, name="c"))

    assert names(one) == ["a", "b", "c"]
    assert [part.offset_s for part in one.parts] == [0.0, 10.0, 21.5]
    assert (one.starts_at, one.duration_s, one.remark) == (NOON, 31.5, "")
    assert (one.camera, one.start_source) == ("front", StartSource.FILE_NAME)


def test_parts_in_the_wrong_order_are_put_right() -> None:
    (one,) = joined(taken(20, name="c"), taken(0, name="a"), taken(10, name="b"))

    assert names(one) == ["a", "b", "c"]


def test_longer_gap_ends_a_recording() -> None:
    first, second = joined(taken(0), taken(10), taken(22.5))

    assert (len(first.parts), len(second.parts)) == (2, 1)
    assert second.starts_at == NOON + timedelta(seconds=22.5)


def test_cameras_are_kept_apart() -> None:
    recordings = joined(taken(0, camera="a"), taken(10, camera="b"), taken(20, camera="a"))

    assert [one.camera for one in recordings] == ["a", "a", "b"]


def test_pre_roll_joins_and_the_later_part_shows_from_its_start() -> None:
    (one,) = joined(taken(0), taken(6))

    assert [part.offset_s for part in one.parts] == [0.0, 6.0]
    assert (one.duration_s, one.remark) == (16.0, "")


def test_files_that_claim_one_time_stay_two_recordings_and_say_so() -> None:
    first, second = joined(taken(0, name="a"), taken(1, name="b"))

    assert (names(first), names(second)) == (["a"], ["b"])
    assert first.remark == (
        "another recording claims the same time: b.mp4, from 2025-05-06 12:00:01 on"
    )
    assert second.remark == (
        "another recording claims the same time: a.mp4, from 2025-05-06 12:00:00 on"
    )


def test_runs_at_one_time_each_keep_their_own_parts() -> None:
    # A clock that was set back an hour: what came after claims the time of what came before.
    before = [taken(at, name=f"before-{at}") for at in range(0, 600, 10)]
    after = [taken(at + 0.0, name=f"after-{at}") for at in range(3, 603, 10)]

    first, second = joined(*before, *after)

    assert all(name.startswith("before") for name in names(first))
    assert all(name.startswith("after") for name in names(second))
    assert len(first.parts) == len(second.parts) == 60
    assert "after-3" in first.remark
    assert "before-0" in second.remark


def test_recordings_one_after_the_other_carry_no_remark() -> None:
    recordings = joined(*(taken(at) for at in range(0, 200, 20)))

    assert len(recordings) == 10
    assert not any(one.remark for one in recordings)


def test_same_bytes_at_the_same_time_are_one_part_with_a_copy() -> None:
    twice = [
        taken(0, name="b", sha256="x", number=1),
        taken(0, name="a", sha256="x", number=2),
    ]

    (one,) = joined(*twice)

    assert (names(one), one.files, one.copies, one.remark) == (["a"], (2,), (1,), "")


def test_same_bytes_at_another_time_are_a_part_of_their_own() -> None:
    (one,) = joined(taken(0, sha256="x"), taken(10, sha256="x"))

    assert len(one.parts) == 2


def test_guessed_starts_never_join() -> None:
    guessed = [taken(at, confidence=Confidence.GUESSED) for at in (0, 10, 10.5)]

    recordings = joined(*guessed, taken(20))

    assert [len(one.parts) for one in recordings] == [1, 1, 1, 1]
    assert not any(one.remark for one in recordings)


def test_parts_bear_each_other_out() -> None:
    (one,) = joined(taken(0, confidence=Confidence.LIKELY), taken(10, confidence=Confidence.SURE))

    assert one.confidence is Confidence.SURE


def test_recordings_do_not_cross_a_cell_and_clock_jitter_leaves_no_scrap() -> None:
    day = [taken(at, 10.02) for at in range(0, 4 * 7200, 10)]

    recordings = joined(*day)

    assert [len(one.parts) for one in recordings] == [720] * 4
    assert all(one.duration_s <= LONGEST_S * (1 + RUN_OVER) for one in recordings)


def test_part_that_would_make_a_recording_too_long_begins_another() -> None:
    recordings = joined(taken(3000, 3600.0), taken(6600, 5000.0))

    assert [one.duration_s for one in recordings] == [3600.0, 5000.0]


def test_file_longer_than_the_limit_becomes_several_by_itself() -> None:
    long = taken(100, 20000.0, name="long", number=7)

    recordings = joined(long, taken(90, name="before"), taken(20100, name="after"))

    of_long = [one for one in recordings if 7 in one.files]
    assert [one.parts[0].offset_s for one in of_long] == [0.0, -6666.667, -13333.333]
    assert [round(one.duration_s, 3) for one in of_long] == [6666.667, 6666.666, 6666.667]
    assert [one.starts_at for one in of_long] == [
        shifted(long.starts_at, seconds) for seconds in (0, 6666.667, 13333.333)
    ]
    assert len(recordings) == 5


def test_pieces_of_a_file_follow_one_another_across_a_change_of_clocks() -> None:
    night = datetime(2025, 10, 26, 1, 0, tzinfo=BERLIN)

    later = shifted(night, 7200.0)

    assert later.astimezone(UTC) == datetime(2025, 10, 26, 1, 0, tzinfo=UTC)
    assert (later.hour, later.fold) == (2, 1)


def test_file_of_just_the_limit_is_one_piece() -> None:
    assert len(list(pieces(taken(0, LONGEST_S), LONGEST_S))) == 1


def probed(duration_s: float) -> Probe:
    return Probe(Path("a.mp4"), "mp4", "h264", 160, 96, 0, 5.0, duration_s, 0.0, 1.0, None, 0, 0)


def placed(path: str, number: int, mtime_s: float, duration_s: float = 10.0) -> TakenFile:
    """A file as it is taken in: its camera and start from its name."""
    root = Path("/drop")
    where = place(root / path, root, probed(duration_s), mtime_s, BERLIN)
    return TakenFile(
        number, f"/drop/{path}", where.camera, where.starts_at, where.source, where.confidence,
        duration_s, 1000, 1, "the same bytes in all",
    )  # fmt: skip


@pytest.mark.parametrize("day", ["2025-03-30", "2025-10-26"], ids=["spring", "autumn"])
def test_a_frigate_day_of_10_second_files_is_12_recordings_a_camera_across_dst(day: str) -> None:
    midnight = datetime.fromisoformat(f"{day}T00:00:00+00:00")
    moments = [midnight + timedelta(seconds=10 * n) for n in range(8640)]
    paths = [f"{m:%Y-%m-%d/%H}/{camera}/{m:%M.%S}.mp4" for camera in ("a", "b") for m in moments]
    files = [placed(path, number, 1.8e9) for number, path in enumerate(paths, 1)]
    random.Random(7).shuffle(files)

    began_s = time.perf_counter()
    recordings = join(files, GAP_S, LONGEST_S)
    took_s = time.perf_counter() - began_s

    starts = [midnight + timedelta(hours=2 * n) for n in range(12)]
    for camera in ("a", "b"):
        assert [one.starts_at for one in recordings if one.camera == camera] == starts
    assert sum(len(one.parts) for one in recordings) == len(files) == 17_280
    assert {one.confidence for one in recordings} == {Confidence.SURE}
    assert join(files[::-1], GAP_S, LONGEST_S) == recordings
    assert took_s < 5.0  # about 0.2 s; a slow machine may be ten times slower


@pytest.mark.parametrize(
    ("day", "hours", "first_after"),
    [("2025-03-30", 23, "03:00:00"), ("2025-10-26", 25, "03:00:00")],
    ids=["spring", "autumn"],
)
def test_a_day_in_local_names_is_joined_across_dst(day: str, hours: int, first_after: str) -> None:
    midnight = datetime.fromisoformat(day).replace(tzinfo=BERLIN).astimezone(UTC)
    files = []
    for number in range(hours * 360):
        moment = midnight + timedelta(seconds=10 * number)
        shown = moment.astimezone(BERLIN)
        name = f"{shown:%Y-%m-%d}/001/dav/{shown:%H}/{shown:%H.%M.%S}-{shown:%H.%M}.59.mp4"
        folder = f"gate/{shown.fold}"  # the names of an hour that came twice are the same
        files.append(placed(f"{folder}/{name}", number + 1, moment.timestamp() + 11))

    recordings = [one for one in join(files, GAP_S, LONGEST_S) if one.camera == "gate"]

    parts = sum(len(one.parts) for one in recordings)
    ends = [shifted(one.starts_at, one.duration_s) for one in recordings]
    assert parts == hours * 360
    assert len(recordings) in (12, 13)
    assert recordings[0].starts_at == midnight
    assert [one.starts_at for one in recordings[1:]] == ends[:-1]
    assert not any(one.remark for one in recordings)


# Small numbers, so that files often touch, overlap, repeat and cross a cell's border.
some_files = st.lists(
    st.builds(
        taken,
        start_s=st.integers(0, 300).map(lambda n: n / 2),
        duration_s=st.sampled_from([0.0, 0.5, 3.0, 10.0, 10.02, 31.0, 60.0, 200.0]),
        camera=st.sampled_from(["a", "b"]),
        name=st.sampled_from(["", "x", "y"]),
        sha256=st.sampled_from(["", "same"]),
        confidence=st.sampled_from(list(Confidence)),
    ),
    max_size=25,
    unique_by=(lambda file: file.id, lambda file: (file.path, file.starts_at)),
)
SHORT_S = 60.0


@given(some_files, st.randoms(use_true_random=False))
def test_order_of_arrival_does_not_matter(files: list[TakenFile], dice: random.Random) -> None:
    shuffled = list(files)
    dice.shuffle(shuffled)

    assert join(shuffled, GAP_S, SHORT_S) == join(files, GAP_S, SHORT_S)


@given(some_files)
def test_file_that_is_given_twice_counts_once(files: list[TakenFile]) -> None:
    assert join([*files, *files[::-1]], GAP_S, SHORT_S) == join(files, GAP_S, SHORT_S)


@given(some_files)
def test_every_file_lands_in_one_recording_or_in_its_own_pieces(files: list[TakenFile]) -> None:
    recordings = join(files, GAP_S, SHORT_S)

    by_id = {file.id: file for file in files}
    landed = Counter(one for r in recordings for one in (*r.files, *r.copies))
    assert landed.keys() == by_id.keys()
    for number, times in landed.items():
        assert times == max(1, -(-by_id[number].duration_s // SHORT_S))


@given(some_files)
def test_recordings_hold_to_their_limits(files: list[TakenFile]) -> None:
    by_id = {file.id: file for file in files}

    for one in join(files, GAP_S, SHORT_S):
        own = [by_id[number] for number in one.files]
        assert len({file.camera for file in own} | {one.camera}) == 1
        assert len({cell(file.starts_at, SHORT_S) for file in own}) == 1
        assert one.duration_s <= SHORT_S * (1 + RUN_OVER) + 1e-6
        assert len(own) == len(one.parts)
        if len(own) == 1:
            continue
        offsets = [part.offset_s for part in one.parts]
        assert offsets[0] == 0.0
        assert all(a < b for a, b in itertools.pairwise(offsets))
        assert Confidence.GUESSED not in {file.confidence for file in own}
        for part, file in zip(one.parts, own, strict=True):
            assert shifted(one.starts_at, part.offset_s) == file.starts_at
        for a, b in itertools.pairwise(one.parts):
            gap_s = b.offset_s - a.offset_s - a.duration_s
            assert -min(a.duration_s, b.duration_s) / 2 <= gap_s <= GAP_S + 0.001


@given(some_files)
def test_each_cell_of_a_camera_is_joined_by_itself(files: list[TakenFile]) -> None:
    cells: dict[tuple[str, int], list[TakenFile]] = {}
    for file in files:
        cells.setdefault((file.camera, cell(file.starts_at, SHORT_S)), []).append(file)

    apart: Iterable[Joined] = (
        one for key in sorted(cells) for one in join(cells[key], GAP_S, SHORT_S)
    )

    assert list(apart) == join(files, GAP_S, SHORT_S)


@given(some_files)
def test_recordings_at_one_time_say_so_and_others_do_not(files: list[TakenFile]) -> None:
    claiming = [file for file in files if file.confidence is not Confidence.GUESSED]
    recordings = join(claiming, GAP_S, LONGEST_S)  # all in one cell

    for one in recordings:
        others = [r for r in recordings if r is not one and r.camera == one.camera]
        if any(r.starts_at == one.starts_at and r.duration_s > 0 for r in others):
            assert one.remark or not one.duration_s
        if not any(_meet(one, other) for other in others):
            assert not one.remark


def _meet(one: Joined, other: Joined) -> bool:
    return one.starts_at < shifted(other.starts_at, other.duration_s) and other.starts_at < shifted(
        one.starts_at, one.duration_s
    )


def test_many_files_of_one_moment_are_joined_in_good_time() -> None:
    files = [taken(0, 10.0, name=str(number)) for number in range(17_280)]

    began_s = time.perf_counter()
    recordings = joined(*files)

    assert len(recordings) == 17_280
    assert time.perf_counter() - began_s < 5.0
