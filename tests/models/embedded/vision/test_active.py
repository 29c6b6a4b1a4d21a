"""Watching only where something happens, and glancing now and then at the rest."""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_lvr1.domain import Node, NodeId, Span
from edge_lvr1.media.frames import Footage, Frame
from edge_lvr1.models.base import Clip
from edge_lvr1.models.embedded.vision import attention
from edge_lvr1.models.embedded.vision.captioner import EmbeddedCaptioner
from edge_lvr1.models.embedded.wording import NOTHING_SEEN, Account, read
from tests.models.embedded.vision.drawn import Image, film, person, room, shots, told, watched, yard


class Counted(Footage):
    """Footage that counts the frames it gave."""

    def __init__(self, footage: Footage) -> None:
        super().__init__(footage.parts)
        self.given = 0

    def at(
        self, times_s: Sequence[float], max_side_px: int | None = None, tolerance_s: float = 0.0
    ) -> Generator[Frame, None, None]:
        for frame in super().at(times_s, max_side_px, tolerance_s):
            self.given += 1
            yield frame

    def every(
        self, step_s: float, span: Span, max_side_px: int | None = None
    ) -> Generator[Frame, None, None]:
        for frame in super().every(step_s, span, max_side_px):
            self.given += 1
            yield frame


def account(footage: Footage, active: Sequence[Span]) -> Account:
    return read(told(footage, watched(footage, active)))


def at(time_s: float) -> object:
    return pytest.approx(time_s, abs=1.0)


@pytest.fixture(scope="module")
def stay(tmp_path_factory: pytest.TempPathFactory) -> Footage:
    """Somebody who comes at 105 s, stands there for a minute, and goes until 182 s."""
    path = tmp_path_factory.mktemp("stay") / "stay.mp4"
    return yard(path, 240.0, person(Span(105, 182), Span(111, 175)))


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Footage:
    path = tmp_path_factory.mktemp("empty") / "empty.mp4"
    picture = room()
    return film(path, shots(130.0, lambda t: picture, noise=5.0))


def test_still_footage_costs_a_glance_every_ten_seconds(empty: Footage) -> None:
    counted = Counted(empty)

    assert told(empty, watched(counted, ())) == NOTHING_SEEN
    assert counted.given == 13


@pytest.mark.parametrize("active", [[Span(103, 184)], [Span(103, 114), Span(173, 184)]])
def test_somebody_who_stands_between_two_active_spans_is_there_all_the_time(
    stay: Footage, active: list[Span]
) -> None:
    (sighting,) = account(stay, active).sightings

    assert (sighting.label, sighting.enters, sighting.leaves) == ("P1", "left", "right")
    assert (sighting.seen.start_s, sighting.seen.end_s) == (at(105.6), at(181.4))
    assert sighting.still is not None
    assert (sighting.still.start_s, sighting.still.end_s) == (at(111.0), at(175.0))
    assert sighting.colours[0] == "red"


def test_who_is_gone_at_the_next_glance_has_gone(tmp_path: Path) -> None:
    """He vanishes in a still stretch, 5 s after the last close look: that is seen, and when."""
    footage = yard(tmp_path / "gone.mp4", 160.0, person(Span(105, 127), Span(111, 126.9)))

    (sighting,) = account(footage, [Span(103, 122)]).sightings

    assert sighting.label == "P1"
    assert sighting.seen.end_s == at(127.0)


def test_what_the_activity_missed_is_seen_at_a_glance(stay: Footage) -> None:
    (sighting,) = account(stay, ()).sightings

    assert sighting.label == "P1"
    assert (sighting.seen.start_s, sighting.seen.end_s) == (at(105.6), at(181.4))


def test_light_in_a_still_stretch_is_told_when_it_changes(tmp_path: Path) -> None:
    picture = room().astype(np.float32)

    def lit(time_s: float) -> Image:
        return (picture * (0.6 if 124 <= time_s < 167 else 1.0)).astype(np.uint8)

    footage = film(tmp_path / "light.mp4", shots(220, lit))
    found = account(footage, ())

    assert [(e.what, e.time_s) for e in found.events] == [
        ("dims", at(124.0)),
        ("brightens", at(167.0)),
    ]
    assert not found.sightings


def test_a_cut_in_a_still_stretch_is_told(tmp_path: Path) -> None:
    before, after = room(1), room(2)
    footage = film(tmp_path / "cut.mp4", shots(150, lambda t: before if t < 115 else after))
    found = account(footage, ())

    assert [(e.what, e.time_s) for e in found.events] == [("cut", at(115.0))]
    assert not found.sightings


def test_notes_are_made_where_something_was_and_going_on_ends_with_the_same(
    stay: Footage,
) -> None:
    captioner = EmbeddedCaptioner(window_s=20.0)
    active = [Span(103, 114), Span(173, 184)]
    uninterrupted = [json.dumps(notes) for notes in captioner.watch(stay, None, active)]

    notes = json.loads(uninterrupted[0])
    while not notes["done"]:
        notes = json.loads(json.dumps(next(iter(captioner.watch(stay, notes, active)))))

    assert json.dumps(notes) == uninterrupted[-1]
    assert [json.loads(each)["until_s"] for each in uninterrupted] == [20, 120, 180, 200, 240]


def test_trees_in_the_wind_are_not_looked_at_for_ever(tmp_path: Path) -> None:
    """Each glance shows another picture; after a few the captioner knows that it means nothing."""
    picture = room()
    random = np.random.default_rng(3)

    def waving(time_s: float) -> Image:
        image = picture.copy()
        for x in range(0, 100, 10):
            top = int(random.integers(20, 60))
            image[top : top + 30, 200 + x : 208 + x] = (30, 90, 30)
        return image

    footage = Counted(film(tmp_path / "wind.mp4", shots(400, waving)))
    watched(footage, ())

    assert footage.given < 0.35 * 400 / attention.STEP_S


def test_subjects_past_the_limit_are_said_to_be_missing(
    stay: Footage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_lvr1.models.embedded.vision.records.MOST_KEPT", 0)
    notes = watched(stay, [Span(103, 184)])
    captioner = EmbeddedCaptioner()

    before, during, after = (
        captioner.caption(Clip(stay, Node(NodeId((1, 1, 1)), Span(*span)), notes)).text
        for span in ((90, 100), (100, 110), (200, 210))
    )

    assert before == NOTHING_SEEN
    assert read(during).events[0].what == "full"
    assert read(during).events[0].time_s == at(105.6)
    assert after == "The list of subjects is full and ends at 200.0 s."


spans = st.lists(
    st.tuples(st.floats(0, 900), st.floats(0, 200)).map(lambda s: Span(s[0], s[0] + s[1])),
    max_size=8,
)


@given(spans, st.floats(1.0, 1000.0))
def test_stretches_cover_the_recording_and_all_activity_closely(
    active: list[Span], duration_s: float
) -> None:
    way = attention.stretches(duration_s, active)

    assert way[0].span.start_s == 0.0
    assert way[-1].span.end_s == duration_s
    assert all(one.span.end_s == two.span.start_s for one, two in pairwise(way))
    assert all(one.close != two.close for one, two in pairwise(way))
    close_s = [stretch.span for stretch in way if stretch.close]
    for span in active:
        if span.start_s < min(span.end_s, duration_s):
            assert any(
                c.start_s <= span.start_s and c.end_s >= min(span.end_s, duration_s)
                for c in close_s
            )


@given(spans, st.floats(1.0, 1000.0), st.floats(5.0, 300.0))
def test_windows_follow_each_other_to_the_end_and_share_out_the_glances(
    active: list[Span], duration_s: float, window_s: float
) -> None:
    way = attention.stretches(duration_s, active)
    still = [stretch.span for stretch in way if not stretch.close]
    whole = [time_s for span in still for time_s in attention.glances(span, span)]

    at_s, seen = 0.0, []
    while at_s < duration_s:
        end_s = attention.window_end(at_s, window_s, way)
        assert at_s < end_s <= duration_s
        seen += [t for span in still for t in attention.glances(span, Span(at_s, end_s))]
        at_s = end_s

    assert seen == whole


def test_the_first_glance_after_activity_cannot_be_of_a_picture_before_it_ended() -> None:
    assert attention.glances(Span(50, 85), Span(0, 100)) == [60, 70, 80]
    assert attention.glances(Span(0, 25), Span(0, 100)) == [0, 10, 20]
    assert attention.glances(Span(50, 85), Span(65, 75)) == [70]
