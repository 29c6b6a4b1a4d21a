from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
from numpy.typing import NDArray

from edge_lvr1.media.measure import ABSORB_S, BLOCKS, GREY_STEP, Measure, Sample
from tests.media.drawn import Camera, Image

STEP_S = 2.0
SOMEBODY = (60, 30, 12, 36)


def looked(pictures: Iterable[Image], measure: Measure | None = None) -> list[Sample]:
    measure = Measure() if measure is None else measure
    return [measure.look(index * STEP_S, each)[0] for index, each in enumerate(pictures)]


def motion(sample: Sample) -> NDArray[np.float64]:
    return np.frombuffer(sample.blocks, np.uint8)[:BLOCKS] * GREY_STEP


def presence(sample: Sample) -> NDArray[np.float64]:
    return np.frombuffer(sample.blocks, np.uint8)[BLOCKS:] * GREY_STEP


def test_who_comes_moves_and_who_stands_still_is_present() -> None:
    camera = Camera()
    came = [camera.picture(SOMEBODY) for _ in range(12)]

    samples = looked([*camera.still(20), *came])

    assert motion(samples[20]).max() > 10
    assert motion(samples[25]).max() < 2
    assert all(presence(sample).max() > 10 for sample in samples[20:])


def test_who_has_left_leaves_no_ghost() -> None:
    camera = Camera()
    stood = [camera.picture(SOMEBODY) for _ in range(12)]

    samples = looked([*camera.still(20), *stood, *camera.still(5)])

    assert presence(samples[-1]).max() < 2


def test_what_does_not_stir_joins_the_scene_after_a_while() -> None:
    camera = Camera()
    left = [camera.picture(SOMEBODY) for _ in range(60)]

    samples = looked([*camera.still(20), *left])

    there = [s.time_s - samples[20].time_s for s in samples[20:] if presence(s).max() > 5]
    assert ABSORB_S - 2 * STEP_S <= max(there) <= ABSORB_S + 2 * STEP_S


def test_who_stirs_now_and_then_stays_apart_from_the_scene() -> None:
    camera = Camera()
    shifting = [camera.picture((60 + index // 15 % 2 * 3, 30, 12, 36)) for index in range(90)]

    samples = looked([*camera.still(20), *shifting])

    assert min(presence(sample).max() for sample in samples[21:]) > 5


@pytest.mark.parametrize("light", [0.4, 0.7, 1.2])
def test_another_light_is_told_as_light_alone(light: float) -> None:
    camera = Camera()

    samples = looked([*camera.still(20), *camera.still(5, light=light)])

    after = samples[20:]
    assert after[0].light / samples[19].light == pytest.approx(light, rel=0.05)
    assert max(motion(sample).max() for sample in after) < 3
    assert not any(sample.cut for sample in samples)


def test_somebody_is_seen_under_another_light_too() -> None:
    camera = Camera()
    came = [camera.picture(SOMEBODY, light=0.5) for _ in range(5)]

    samples = looked([*camera.still(20), *camera.still(5, light=0.5), *came])

    assert presence(samples[-1]).max() > 8


def test_a_burnt_in_clock_that_the_light_does_not_reach_is_no_news() -> None:
    camera = Camera()

    samples = looked([*camera.still(20, written=True), *camera.still(10, light=0.5, written=True)])

    # Its digits never rest; but they are no further off than they were.
    before, after = presence(samples[15]), presence(samples[-1])
    assert after.max() < before.max() + 5


def test_another_scene_is_a_cut() -> None:
    one, other = Camera(seed=1), Camera(seed=2)

    samples = looked([*one.still(20), *other.still(5)])

    assert [sample.time_s for sample in samples if sample.cut] == [20 * STEP_S]
    assert presence(samples[-1]).max() < 3


def test_somebody_close_to_the_camera_is_no_cut() -> None:
    camera = Camera()
    close = [camera.picture((20, 5, 100, 85)) for _ in range(5)]

    samples = looked([*camera.still(20), *close, *camera.still(5)])

    assert not any(sample.cut for sample in samples)
    assert all(presence(sample).max() > 10 for sample in samples[20:25])
    assert presence(samples[-1]).max() < 2


def test_a_lively_picture_is_livelier_than_a_still_one() -> None:
    camera, measure = Camera(), Measure()
    for index, picture in enumerate(camera.still(20)):
        measure.look(index * STEP_S, picture)

    _, still = measure.look(40.0, camera.picture())
    _, small = measure.look(42.0, camera.picture((60, 30, 8, 20)))
    _, large = measure.look(44.0, camera.picture((60, 30, 30, 50)))

    assert 0 == still < small < large


@pytest.mark.parametrize("value", [0, 128, 255])
def test_a_picture_without_contrast_is_measured_too(value: int) -> None:
    flat = np.full((90, 160), value, np.uint8)

    samples = looked([flat] * 5)

    assert all(presence(sample).max() == 0 and not sample.cut for sample in samples)


def test_looks_do_not_depend_on_how_the_picture_lies_in_memory() -> None:
    camera = Camera()
    pictures = [*camera.still(5), camera.picture(SOMEBODY)]

    assert looked(pictures) == looked(np.asfortranarray(each) for each in pictures)
