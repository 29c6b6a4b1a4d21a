from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge_lvr1.config import Ingest
from edge_lvr1.domain import Activity, Span, Switch
from edge_lvr1.media.activity import activity_of
from edge_lvr1.media.measure import BLOCKS, GREY_STEP, Measure, Sample
from tests.media.drawn import Camera

STEP_S = 2.0
Blocks = NDArray[np.float64]


def noise(looks: int, level: float = 0.6, spread: float = 0.06, seed: int = 1) -> Blocks:
    """Mean differences of blocks in which nothing happens: (looks, 2 * BLOCKS) grey levels."""
    return np.random.default_rng(seed).normal(level, spread, (looks, 2 * BLOCKS))


def samples_of(blocks: Blocks, light: Sequence[float] | None = None) -> list[Sample]:
    told = np.clip(np.round(blocks / GREY_STEP), 0, 255).astype(np.uint8)
    lights = [120.0] * len(told) if light is None else light
    return [
        Sample(index * STEP_S, lights[index], 0.0, 1.0, False, row.tobytes())
        for index, row in enumerate(told)
    ]


def judged(samples: Sequence[Sample], **changes: float) -> Activity:
    return activity_of(samples, len(samples) * STEP_S, Ingest(**changes))


def somebody(blocks: Blocks, first: int, end: int, seed: int = 2) -> None:
    """Who moves about in ten blocks, and stands before twenty."""
    dice = np.random.default_rng(seed)
    for look in range(first, end):
        at = dice.integers(20, BLOCKS - 30)
        blocks[look, at : at + 10] += dice.uniform(4, 12, 10)
        blocks[look, BLOCKS + at : BLOCKS + at + 20] += dice.uniform(6, 20, 20)


@pytest.mark.parametrize(("level", "spread"), [(0.1, 0.02), (0.6, 0.06), (2.5, 0.25), (6.0, 0.5)])
def test_an_hour_of_noise_is_no_activity(level: float, spread: float) -> None:
    activity = judged(samples_of(noise(1800, level, spread)))

    assert activity.active == ()
    assert max(activity.scores) < 1


def test_the_pulse_of_a_codec_is_no_activity() -> None:
    blocks = noise(1800)
    blocks[::10, :BLOCKS] += np.random.default_rng(3).uniform(0, 1.2, (180, BLOCKS))

    assert judged(samples_of(blocks)).active == ()


def test_somebody_is_active_from_the_look_before_to_the_look_after() -> None:
    blocks = noise(600)
    somebody(blocks, 200, 230)

    assert judged(samples_of(blocks), gate_pad_s=1.0).active == (Span(398.0, 460.0),)
    assert judged(samples_of(blocks), gate_pad_s=5.0).active == (Span(395.0, 463.0),)


def test_minutes_of_activity_do_not_raise_the_threshold() -> None:
    blocks = noise(1800)
    somebody(blocks, 600, 870)  # nine minutes of a window of ten

    activity = judged(samples_of(blocks))

    assert activity.active == (Span(1198.0, 1740.0),)


def test_a_subject_that_fills_a_short_recording_is_activity() -> None:
    blocks = noise(30)
    blocks[:, BLOCKS + 40 : BLOCKS + 120] += 15
    blocks[:, 40:60] += np.random.default_rng(4).uniform(3, 9, (30, 20))

    assert judged(samples_of(blocks)).active == (Span(0.0, 60.0),)


@pytest.mark.parametrize("looks", [60, 1800])
def test_a_clock_that_never_rests_is_no_activity_and_hides_none(looks: int) -> None:
    blocks = noise(looks)
    blocks[:, :3] += np.random.default_rng(5).uniform(3, 5, (looks, 3))
    blocks[:, BLOCKS : BLOCKS + 3] += np.random.default_rng(6).uniform(3, 5, (looks, 3))
    somebody(blocks, 30, 35)

    assert judged(samples_of(blocks)).active == (Span(58.0, 70.0),)


def test_rain_over_half_of_a_recording_is_no_activity() -> None:
    blocks = noise(1800)
    blocks[900:] = noise(900, 1.6, 0.16, seed=7)

    active_s = sum(span.duration_s for span in judged(samples_of(blocks)).active)

    assert active_s < 0.03 * 3600


def test_a_higher_setting_needs_more_to_be_active() -> None:
    blocks = noise(600, 2.5, 0.25)
    blocks[300, 50:53] += 2.2

    assert judged(samples_of(blocks), gate_mad=4.0).active
    assert not judged(samples_of(blocks), gate_mad=20.0).active


def test_a_single_block_that_flickers_a_little_is_no_activity() -> None:
    blocks = noise(600)
    blocks[300, 50] += 1.9

    assert judged(samples_of(blocks)).active == ()


@pytest.mark.parametrize("after", [0.5, 1.6])
def test_a_switched_light_is_a_switch_and_not_activity(after: float) -> None:
    light = [120.0] * 300 + [120.0 * after] * 300
    blocks = noise(600)
    blocks[300, :BLOCKS] += 1.8  # the codec draws everything anew

    activity = judged(samples_of(blocks, light))

    assert activity.switches == (Switch(600.0, "light"),)
    assert activity.active == ()


def test_a_light_that_fades_over_seconds_is_one_switch() -> None:
    light = [120.0] * 300 + [105.0, 90.0, 75.0] + [60.0] * 297

    (switch,) = judged(samples_of(noise(600), light)).switches

    assert 600 <= switch.time_s <= 608


def test_dusk_is_no_switch() -> None:
    light = list(np.linspace(120.0, 30.0, 1800))

    assert judged(samples_of(noise(1800), light)).switches == ()


def test_the_exposure_that_follows_somebody_is_no_switch() -> None:
    light = [120.0] * 300 + [145.0] * 30 + [120.0] * 270
    blocks = noise(600)
    somebody(blocks, 300, 330)

    assert judged(samples_of(blocks, light)).switches == ()


def test_a_cut_is_a_switch_and_not_activity() -> None:
    blocks = noise(600)
    blocks[300] += 20
    samples = samples_of(blocks)
    samples[300] = dataclasses.replace(samples[300], cut=True, changed=0.9, alike=0.0, light=90.0)

    activity = judged(samples)

    assert activity.switches == (Switch(600.0, "cut"),)
    assert activity.active == ()


def test_where_no_frame_decoded_something_may_have_happened() -> None:
    samples = samples_of(noise(600))

    activity = activity_of([*samples[:200], *samples[300:500]], 1200.0, Ingest())

    assert activity.active == (Span(398.0, 600.0), Span(998.0, 1200.0))


def test_without_any_look_all_may_be_activity() -> None:
    assert activity_of([], 60.0, Ingest()) == Activity((), (), (Span(0.0, 60.0),))


def test_a_single_look_is_judged() -> None:
    assert judged(samples_of(noise(1))).active == ()


@given(
    busy=st.lists(st.tuples(st.integers(0, 290), st.integers(1, 10)), max_size=6),
    pad_s=st.floats(0, 30),
)
@settings(max_examples=40, deadline=None)
def test_spans_rise_and_hold_every_busy_look(busy: list[tuple[int, int]], pad_s: float) -> None:
    blocks = noise(300)
    for first, looks in busy:
        somebody(blocks, first, min(300, first + looks))

    activity = judged(samples_of(blocks), gate_pad_s=pad_s)

    edges = [edge for span in activity.active for edge in (span.start_s, span.end_s)]
    assert edges == sorted(set(edges))
    assert all(0 <= edge <= 600 for edge in edges)
    for first, looks in busy:
        for look in range(first, min(300, first + looks)):
            assert any(span.contains(look * STEP_S) for span in activity.active)


def drawn(picture_at: Callable[[int], NDArray[np.uint8]], looks: int) -> Activity:
    measure = Measure()
    return judged([measure.look(i * STEP_S, picture_at(i))[0] for i in range(looks)])


@pytest.mark.parametrize("noisy", [0.0, 0.5, 2.0, 5.0])
def test_drawn_noise_alone_is_no_activity(noisy: float) -> None:
    camera = Camera(noise=noisy)

    assert drawn(lambda look: camera.picture(), 400).active == ()


@pytest.mark.parametrize("noisy", [0.5, 2.0, 5.0])
def test_a_small_figure_is_activity_in_all_noise(noisy: float) -> None:
    camera = Camera(noise=noisy)

    activity = drawn(
        lambda look: camera.picture((20 + look - 200, 30, 6, 18) if 200 <= look < 220 else None),
        400,
    )

    assert activity.active == (Span(398.0, 442.0),)
