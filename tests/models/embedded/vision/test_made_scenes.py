from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_lvr1.demo.scene import YARD, Actor, render
from edge_lvr1.domain import Level, Span
from edge_lvr1.models.base import Notes
from edge_lvr1.models.embedded.vision.captioner import WINDOW_S, EmbeddedCaptioner
from edge_lvr1.models.embedded.wording import NOTHING_SEEN, Kind, read
from tests.models.embedded.vision.drawn import (
    Image,
    caption_tree,
    film,
    open_footage,
    person,
    room,
    shots,
    told,
    vehicle,
    watched,
    yard,
)


def at(time_s: float) -> object:
    return pytest.approx(time_s, abs=1.0)


def test_a_still_camera_sees_nothing_in_noise(tmp_path: Path) -> None:
    empty = room()
    footage = film(tmp_path / "still.mp4", shots(20, lambda t: empty, noise=6.0))

    assert told(footage, watched(footage)) == NOTHING_SEEN


def test_dimming_is_told_as_light_and_as_nothing_else(tmp_path: Path) -> None:
    empty = room().astype(np.float32)

    def lit(time_s: float) -> Image:
        return (empty * (1.0 - 0.4 * np.clip((time_s - 10) / 2, 0, 1))).astype(np.uint8)

    footage = film(tmp_path / "dim.mp4", shots(25, lit))
    account = read(told(footage, watched(footage)))

    assert [event.what for event in account.events] == ["dims"]
    assert account.events[0].time_s == at(10.0)
    assert not account.sightings


def test_a_cut_is_told_and_leaves_no_ghosts(tmp_path: Path) -> None:
    before, after = room(1), room(2)
    footage = film(tmp_path / "cut.mp4", shots(30, lambda t: before if t < 15 else after))
    account = read(told(footage, watched(footage)))

    assert [event.what for event in account.events] == ["cut"]
    assert account.events[0].time_s == at(15.0)
    assert not account.sightings


def test_a_nudged_camera_is_told_and_is_no_motion(tmp_path: Path) -> None:
    empty = room()
    moved = np.roll(empty, (6, 12), axis=(0, 1))
    footage = film(tmp_path / "nudge.mp4", shots(30, lambda t: empty if t < 15 else moved))
    account = read(told(footage, watched(footage)))

    assert [event.what for event in account.events] == ["camera"]
    assert account.events[0].time_s == at(15.0)
    assert not account.sightings


def test_a_figure_that_stands_still_for_a_minute_does_not_fade(tmp_path: Path) -> None:
    footage = yard(tmp_path / "stand.mp4", 90.0, person(Span(5, 82), Span(11, 75)))
    account = read(told(footage, watched(footage)))

    assert [(s.label, s.enters, s.leaves) for s in account.sightings] == [("P1", "left", "right")]
    (sighting,) = account.sightings
    assert (sighting.seen.start_s, sighting.seen.end_s) == (at(5.6), at(81.4))
    assert sighting.still is not None
    assert (sighting.still.start_s, sighting.still.end_s) == (at(11.0), at(75.0))
    assert sighting.colours[0] == "red"


def test_a_figure_in_view_from_the_start_is_told_from_the_start(tmp_path: Path) -> None:
    footage = yard(tmp_path / "there.mp4", 50.0, person(Span(-20, 27), Span(-10, 20)))
    account = read(told(footage, watched(footage)))

    assert [(s.kind, s.before, s.leaves) for s in account.sightings] == [
        (Kind.PERSON, True, "right")
    ]
    assert account.sightings[0].seen.start_s == 0.0
    assert account.sightings[0].seen.end_s == at(26.4)


def test_a_vehicle_that_parks_stays_in_view(tmp_path: Path) -> None:
    footage = yard(tmp_path / "park.mp4", 60.0, vehicle(Span(6, 1000), Span(12, 900)))
    account = read(told(footage, watched(footage)))

    assert [(s.label, s.enters, s.after) for s in account.sightings] == [("V1", "right", True)]
    (sighting,) = account.sightings
    assert (sighting.colours, sighting.heading) == (("white",), "left")
    assert sighting.seen.end_s == pytest.approx(60.0)
    assert sighting.still is not None
    assert sighting.still.end_s == at(60.0)


def test_a_thing_left_behind_becomes_part_of_the_scene(tmp_path: Path) -> None:
    empty = room()

    def put_down(time_s: float) -> Image:
        """An arm brings a box in from the left from 8 s on, and is drawn back at 13 s."""
        image = empty.copy()
        box = round(-60 + 230 * float(np.clip((time_s - 8) / 4, 0, 1)))
        hand = box if time_s < 13 else round(170 - 200 * float(np.clip((time_s - 13) / 2, 0, 1)))
        if time_s >= 8:
            cv2.rectangle(image, (box, 120), (box + 54, 160), (20, 30, 90), -1)
            cv2.line(image, (-20, 60), (hand, 130), (210, 160, 130), 16, cv2.LINE_AA)
        return image

    footage = film(tmp_path / "left.mp4", shots(60, put_down))
    account = read(told(footage, watched(footage)))

    assert {s.kind for s in account.sightings} == {Kind.OTHER}
    assert account.sightings[0].seen.start_s == at(8.4)
    assert [s.rests for s in account.sightings].count(True) == 1
    assert max(s.seen.end_s for s in account.sightings) < 40


def test_two_people_who_cross_stay_two(tmp_path: Path) -> None:
    one = Actor("person", "red", (178, 38, 40), Span(4, 16), Span(10, 10.1), "left", "right", 0.5)
    two = Actor(
        "person", "blue", (40, 78, 190), Span(4.6, 17), Span(11, 11.1), "right", "left", 0.5
    )
    footage = yard(tmp_path / "cross.mp4", 22.0, one, two)
    account = read(told(footage, watched(footage)))

    assert {s.label for s in account.sightings} == {"P1", "P2"}
    assert {(s.enters, s.leaves) for s in account.sightings} == {
        ("left", "right"),
        ("right", "left"),
    }


@pytest.fixture(scope="module")
def demo_notes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Notes]:
    path = tmp_path_factory.mktemp("demo") / "yard.mp4"
    render(path)
    return path, watched(open_footage(path, YARD.duration_s))


def test_the_demo_scene_is_told_right(demo_notes: tuple[Path, Notes]) -> None:
    path, notes = demo_notes
    account = read(told(open_footage(path, YARD.duration_s), notes))

    assert [(s.label, s.kind) for s in account.sightings] == [
        ("P1", Kind.PERSON),
        ("V1", Kind.VEHICLE),
        ("P2", Kind.PERSON),
    ]
    for sighting, actor in zip(account.sightings, YARD.actors, strict=True):
        assert sighting.seen.start_s == at(actor.present.start_s)
        assert sighting.seen.end_s == at(actor.present.end_s)
        assert (sighting.enters, sighting.leaves) == (actor.enters, actor.leaves)
        assert sighting.colours[0] == actor.colour_name
        assert sighting.still is not None
        assert sighting.still.start_s == at(actor.still.start_s)
        assert sighting.still.end_s == at(actor.still.end_s)


def test_the_demo_scene_dims_and_brightens(demo_notes: tuple[Path, Notes]) -> None:
    path, notes = demo_notes
    account = read(told(open_footage(path, YARD.duration_s), notes))

    assert [(e.what, e.time_s) for e in account.events] == [
        ("dims", at(YARD.dims_at_s)),
        ("brightens", at(YARD.brightens_at_s)),
    ]


def test_going_on_from_stored_notes_ends_with_the_same_notes(
    demo_notes: tuple[Path, Notes],
) -> None:
    path, notes = demo_notes
    footage = open_footage(path, YARD.duration_s)
    first = json.loads(json.dumps(next(iter(EmbeddedCaptioner().watch(footage, None)))))

    resumed = list(EmbeddedCaptioner().watch(footage, first))

    assert first["until_s"] == WINDOW_S
    assert not first["done"]
    assert json.loads(json.dumps(resumed[-1])) == notes


def test_finished_notes_are_not_watched_again(demo_notes: tuple[Path, Notes]) -> None:
    path, notes = demo_notes

    assert list(EmbeddedCaptioner().watch(open_footage(path, YARD.duration_s), notes)) == []


def test_the_same_labels_mean_the_same_subjects_all_over_the_tree(
    demo_notes: tuple[Path, Notes],
) -> None:
    path, notes = demo_notes
    plan, captions = caption_tree(open_footage(path, YARD.duration_s), notes)

    leaves = [read(captions[node.id].text) for node in plan.at(Level.LOW)]
    colours = {s.label: s.colours[0] for leaf in leaves for s in leaf.sightings}
    assert colours == {"P1": "red", "P2": "blue", "V1": "white"}


def test_notes_stay_small(demo_notes: tuple[Path, Notes]) -> None:
    _, notes = demo_notes

    assert len(json.dumps(notes)) < 300_000
