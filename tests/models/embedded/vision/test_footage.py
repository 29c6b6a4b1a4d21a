"""The real clips, against what a person saw in them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from edge_lvr1.domain import Caption, Level, NodeId, Span, TreePlan
from edge_lvr1.media.frames import Footage
from edge_lvr1.models.base import Notes
from edge_lvr1.models.embedded.wording import Account, Kind, read
from tests.footage import clip, truth
from tests.models.embedded.vision.drawn import (
    Image,
    Painted,
    caption_tree,
    film,
    open_footage,
    told,
    watched,
)

pytestmark = pytest.mark.footage

Seen = tuple[Footage, Notes, TreePlan, dict[NodeId, Caption]]


def seen(name: str, *, gated: bool = False) -> Seen:
    """What is seen of a clip; `gated`: with looks from 2 s before each subject to 2 s after."""
    path = clip(name)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.duration is not None
        assert stream.time_base is not None
        duration_s = float(stream.duration * stream.time_base)
    footage = open_footage(path, duration_s)
    spans = [entry["span"] for entry in truth(name)]
    active = [Span(max(0.0, span.start_s - 2), span.end_s + 2) for span in spans]
    notes = watched(footage, active if gated else None)
    return footage, notes, *caption_tree(footage, notes)


@pytest.fixture(scope="module", params=[False, True], ids=["whole", "gated"])
def people(request: pytest.FixtureRequest) -> Seen:
    return seen("one-by-one-person.mp4", gated=request.param)


@pytest.fixture(scope="module", params=[False, True], ids=["whole", "gated"])
def cars(request: pytest.FixtureRequest) -> Seen:
    return seen("car-detection.mp4", gated=request.param)


@pytest.fixture(scope="module", params=[False, True], ids=["whole", "gated"])
def bottles(request: pytest.FixtureRequest) -> Seen:
    return seen("bottle.mp4", gated=request.param)


def whole(seen_clip: Seen) -> Account:
    footage, notes, *_ = seen_clip
    return read(told(footage, notes))


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_persons_are_claimed_where_they_are(people: Seen, share: float) -> None:
    _, _, plan, captions = people
    spans = [entry["span"] for entry in truth("one-by-one-person.mp4")]
    claimed, true = set(), set()
    for leaf in plan.at(Level.LOW):
        if "person" in captions[leaf.id].text:
            claimed.add(leaf.id)
        shown_s = sum(leaf.span.overlap_s(span) for span in spans)
        if shown_s > share * leaf.span.duration_s:
            true.add(leaf.id)

    assert len(claimed & true) / len(claimed) >= 0.9  # precision
    assert len(claimed & true) / len(true) >= 0.9  # recall


def test_six_people_are_counted(people: Seen) -> None:
    _, _, plan, captions = people
    account = whole(people)

    assert [s.label for s in account.sightings] == ["P1", "P2", "P3", "P4", "P5", "P6"]
    assert account.sightings[0].seen.overlap_s(Span(6, 20)) > 0
    labels = {s.label for node in plan.nodes for s in read(captions[node.id].text).sightings}
    assert labels == {"P1", "P2", "P3", "P4", "P5", "P6"}


def test_people_enter_and_leave_where_they_did(people: Seen) -> None:
    entries = truth("one-by-one-person.mp4")

    for sighting, entry in zip(whole(people).sightings, entries, strict=True):
        assert (sighting.enters, sighting.leaves) == (entry["enters"], entry["leaves"])
        assert sighting.seen.start_s == pytest.approx(entry["span"].start_s, abs=1.0)
        assert sighting.seen.end_s == pytest.approx(entry["span"].end_s, abs=1.0)


def test_people_wear_what_they_wore(people: Seen) -> None:
    told_first = [s.colours[0] for s in whole(people).sightings]

    assert told_first == ["grey", "black", "black", "black", "grey", "grey"]


def test_exposure_for_people_is_not_told_as_light(people: Seen) -> None:
    assert not whole(people).events


def test_exposure_for_cars_is_not_told_as_light(cars: Seen) -> None:
    assert not whole(cars).events


def test_four_cars_with_colours_and_directions(cars: Seen) -> None:
    sightings = whole(cars).sightings

    assert [s.kind for s in sightings] == [Kind.VEHICLE] * 4
    assert [s.colours for s in sightings] == [("white",), ("light blue",), ("red",), ("white",)]
    assert [s.heading for s in sightings] == ["up", "down", "up", "down"]
    for sighting, entry in zip(sightings, truth("car-detection.mp4"), strict=True):
        assert sighting.seen.overlap_s(entry["span"]) > 0.6 * entry["span"].duration_s


def test_bottles_and_hands_are_nobody(bottles: Seen) -> None:
    _, _, plan, captions = bottles

    assert captions
    assert all("person" not in captions[node.id].text for node in plan.nodes)
    assert {s.kind for s in whole(bottles).sightings} == {Kind.OTHER}


@pytest.mark.parametrize("name", ["one-by-one-person.mp4", "car-detection.mp4", "bottle.mp4"])
def test_a_camera_that_dims_and_keeps_its_colours_is_told_as_light(name: str) -> None:
    """Only the brightness falls: no gain of red, green and blue explains all of the picture."""
    with av.open(str(clip(name))) as container:
        picture = next(container.decode(video=0)).to_ndarray(format="rgb24", width=320, height=180)
    parts = cv2.cvtColor(picture, cv2.COLOR_RGB2YCrCb)
    dim = parts.copy()
    dim[..., 0] = (0.6 * parts[..., 0]).astype(np.uint8)

    def draw(time_s: float, _: np.random.Generator) -> Image:
        return cv2.cvtColor(dim if 8 <= time_s < 20 else parts, cv2.COLOR_YCrCb2RGB)

    footage = Painted(30, draw)
    account = read(told(footage, watched(footage)))

    assert [(e.what, e.time_s) for e in account.events] == [
        ("dims", pytest.approx(8.2, abs=0.7)),
        ("brightens", pytest.approx(20.2, abs=0.7)),
    ]
    assert not account.sightings


CHANGES: dict[str, Callable[[Image], Image]] = {
    "mirrored": lambda image: image[:, ::-1],
    "darker": lambda image: (image * 0.6).astype(image.dtype),
}


@pytest.mark.parametrize("change", sorted(CHANGES))
def test_cars_are_the_same_in_a_changed_picture(change: str, tmp_path: Path) -> None:
    name = "car-detection.mp4"
    with av.open(str(clip(name))) as container:
        pictures = [
            frame.to_ndarray(format="rgb24", width=384, height=216)
            for frame in container.decode(video=0)
        ]
    # 12.5 frames a second are played at 10: all times are longer by a quarter.
    footage = film(tmp_path / "changed.mp4", (CHANGES[change](image) for image in pictures))
    account = read(told(footage, watched(footage)))

    assert [s.kind for s in account.sightings] == [Kind.VEHICLE] * 4
    assert [s.heading for s in account.sightings] == ["up", "down", "up", "down"]
    assert [s.colours[0] for s in account.sightings][:3] == ["white", "light blue", "red"]
