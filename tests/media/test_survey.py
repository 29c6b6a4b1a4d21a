from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_lvr1.config import Ingest
from edge_lvr1.demo.scene import YARD, Actor, Scene, render
from edge_lvr1.domain import Part, Span
from edge_lvr1.errors import MediaError
from edge_lvr1.media.activity import activity_of
from edge_lvr1.media.measure import BLOCKS, Sample
from edge_lvr1.media.probe import probe
from edge_lvr1.media.survey import KEY_STEP_S, STEP_S, Picture, looks, survey
from tests import media_files
from tests.media_files import number_in, steady

FPS = 25.0


def part(path: Path, offset_s: float = 0.0) -> Part:
    return Part(str(path), offset_s, probe(path).duration_s, path.stat().st_size, 0, "")


def samples(seen: Iterable[Sample | Picture]) -> list[Sample]:
    return [each for each in seen if isinstance(each, Sample)]


def pictures(seen: Iterable[Sample | Picture]) -> list[Picture]:
    return [each for each in seen if isinstance(each, Picture)]


def shown(parts: Sequence[Part], key_step_s: float = KEY_STEP_S) -> list[tuple[float, int]]:
    """Times of the looks, and the numbers of the frames that they see."""
    return [
        (round(time_s, 3), number_in(np.asarray(frame.to_ndarray(format="rgb24"))))
        for time_s, frame in looks(parts, STEP_S, key_step_s)
    ]


def test_close_keyframes_are_enough(tmp_path: Path) -> None:
    path = media_files.video(tmp_path / "a.mp4", steady(500), gop=50)

    assert shown([part(path)]) == [(2.0 * n, 50 * n) for n in range(10)]


@pytest.mark.parametrize("options", [{"bf": "0"}, {"bf": "3"}])
def test_between_keyframes_far_apart_frames_are_decoded(
    tmp_path: Path, options: dict[str, str]
) -> None:
    path = media_files.video(tmp_path / "a.mp4", steady(500), gop=250, options=options)

    found = shown([part(path)])

    assert len(found) == 20
    assert all(number == round(time_s * FPS) for time_s, number in found)
    assert all(0.5 <= later - sooner <= 1.5 for (sooner, _), (later, _) in pairwise(found))


def test_where_keyframes_become_rare_frames_are_decoded(tmp_path: Path) -> None:
    keys = [*range(0, 251, 25), 750]
    path = media_files.video(tmp_path / "a.mp4", steady(1000), gop=1000, key_at=keys)

    times_s = [time_s for time_s, _ in shown([part(path)])]

    assert times_s[:10] == [float(n) for n in range(10)]
    assert max(later - sooner for sooner, later in pairwise([*times_s, 40.0])) <= 1.5


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("a.ts", media_files.transport_stream),
        ("a.h264", media_files.raw_h264),
        ("a.mkv", media_files.video),
        ("a.mp4", lambda path: media_files.uneven(path)[0]),
    ],
)
def test_every_kind_of_file_is_looked_over(
    tmp_path: Path, name: str, make: Callable[[Path], Path]
) -> None:
    path = make(tmp_path / name)
    duration_s = probe(path).duration_s

    times_s = [time_s for time_s, _ in shown([part(path)])]

    assert times_s[0] == 0.0
    assert all(later - sooner <= KEY_STEP_S for sooner, later in pairwise([*times_s, duration_s]))


def test_parts_are_one_recording(tmp_path: Path) -> None:
    one = media_files.video(tmp_path / "a.mp4", steady(100), gop=50)
    two = media_files.video(tmp_path / "b.mp4", steady(100), gop=50, first_number=200)

    found = shown([part(two, 4.5), part(one)])

    assert found == [(0.0, 0), (2.0, 50), (4.5, 200), (6.5, 250)]


def test_of_parts_that_overlap_the_later_one_is_seen(tmp_path: Path) -> None:
    one = media_files.video(tmp_path / "a.mp4", steady(150), gop=25)
    two = media_files.video(tmp_path / "b.mp4", steady(100), gop=25, first_number=200)

    found = shown([part(one), part(two, 3.0)])

    assert next(number for time_s, number in found if time_s >= 3.0) == 200
    assert [time_s for time_s, _ in found] == [float(n) for n in range(7)]


@pytest.mark.parametrize("gop", [25, 500])
def test_a_recording_that_begins_within_its_part_begins_there(tmp_path: Path, gop: int) -> None:
    path = media_files.video(tmp_path / "a.mp4", steady(500), gop=gop)
    middle = Part(str(path), -8.0, 12.0, 0, 0, "")

    found = shown([middle])

    # A picture that no other rests on may be passed over for the next.
    assert [time_s for time_s, _ in found] == pytest.approx([0.0, 1.0, 2.0, 3.0], abs=0.2)
    assert all(number == 200 + round(time_s * FPS) for time_s, number in found)


def test_a_sample_comes_with_every_look_and_a_picture_with_every_slot(tmp_path: Path) -> None:
    path = media_files.video(tmp_path / "a.mp4", steady(500), gop=25)

    seen = list(survey([part(path)], 5.0))

    assert [sample.time_s for sample in samples(seen)] == [float(n) for n in range(20)]
    assert all(len(sample.blocks) == 2 * BLOCKS for sample in samples(seen))
    assert [int(picture.time_s // 5) for picture in pictures(seen)] == [0, 1, 2, 3]


def test_a_picture_is_upright_and_small(tmp_path: Path) -> None:
    path = media_files.rotated(tmp_path / "a.mp4", 90)

    (picture,) = pictures(survey([part(path)], 60.0))

    with Image.open(io.BytesIO(picture.webp)) as image:
        assert image.size == (96, 160)


def test_a_slot_shorter_than_the_keyframes_are_apart_has_its_picture(tmp_path: Path) -> None:
    path = media_files.video(tmp_path / "a.mp4", steady(250), gop=50)

    found = pictures(survey([part(path)], 1.25))

    assert len(found) == 8


def test_damage_ends_no_survey(tmp_path: Path) -> None:
    path = media_files.bit_rot(tmp_path / "a.mp4")

    times_s = [sample.time_s for sample in samples(survey([part(path)], 5.0))]

    assert times_s[0] == 0.0
    assert times_s[-1] > 6.0


def test_a_part_that_is_gone_is_said(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="there is no file"):
        list(survey([Part(str(tmp_path / "a.mp4"), 0.0, 5.0, 0, 0, "")], 5.0))


@pytest.mark.parametrize(("slot_s", "step_s"), [(0.0, 1.0), (5.0, 0.0), (float("nan"), 1.0)])
def test_slots_and_steps_are_longer_than_nothing(slot_s: float, step_s: float) -> None:
    with pytest.raises(ValueError, match="longer than nothing"):
        list(survey([], slot_s, step_s))


def test_a_recording_without_parts_has_nothing_to_see() -> None:
    assert list(survey([], 5.0)) == []


SHORT_YARD = Scene(
    duration_s=60.0,
    actors=(
        Actor(
            "person", "red", YARD.actors[0].colour, Span(10, 40), Span(14, 36), "left", "right", 0.4
        ),
    ),
    dims_at_s=48.0,
    brightens_at_s=1000.0,
)


def test_who_stands_still_in_a_drawn_yard_is_active_and_the_light_a_switch(tmp_path: Path) -> None:
    path = tmp_path / "yard.mp4"
    render(path, SHORT_YARD)

    seen = list(survey([part(path)], 4.0))

    activity = activity_of(samples(seen), 60.0, Ingest())
    first = activity.active[0]
    assert first.start_s == pytest.approx(10, abs=3)
    assert first.end_s == pytest.approx(40, abs=5)
    assert [switch.kind for switch in activity.switches] == ["light"]
    assert activity.switches[0].time_s == pytest.approx(49, abs=3)
    best = max(pictures(seen), key=lambda picture: picture.score)
    assert 10 <= best.time_s < 40
    assert sum(span.duration_s for span in activity.active) < 42
