from __future__ import annotations

from pathlib import Path

import pytest

from edge_lvr1.domain import Node, NodeId, Span
from edge_lvr1.media.frames import Footage
from edge_lvr1.models.base import Clip, Notes
from edge_lvr1.models.embedded.vision.captioner import EmbeddedCaptioner
from edge_lvr1.models.embedded.vision.look import about, where
from edge_lvr1.models.embedded.wording import read
from tests.models.embedded.vision.drawn import person, watched, yard

LEAF = NodeId((1, 1, 1))


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> tuple[Footage, Notes]:
    path: Path = tmp_path_factory.mktemp("look") / "walk.mp4"
    footage = yard(path, 24.0, person(Span(3, 20), Span(8, 14)))
    return footage, watched(footage)


def ask(walk: tuple[Footage, Notes], span: Span, query: str, notes: bool = True) -> str:
    footage, known = walk
    clip = Clip(footage, Node(LEAF, span), known if notes else None)
    return EmbeddedCaptioner().video_qa(clip, query)


def test_a_closer_look_tells_place_size_and_colours_by_area(
    walk: tuple[Footage, Notes],
) -> None:
    text = ask(walk, Span(9, 13), "What is the person wearing?")

    assert read(text).sightings[0].label == "P1"
    assert "Looked again at 40 frames of 640 x 360 pixels." in text
    assert "its upper half mostly red" in text
    assert "its lower half mostly black" in text
    assert "At most 1 separate shape at once" in text
    assert "cannot recognise" not in text


def test_an_empty_leaf_is_told_so(walk: tuple[Footage, Notes]) -> None:
    text = ask(walk, Span(0, 2), "Is anyone there?")

    assert text.startswith("No motion seen.")
    assert "No person-like figure seen here." in text


def test_what_it_has_no_eyes_for_is_said(walk: tuple[Footage, Notes]) -> None:
    text = ask(walk, Span(9, 13), "Is there a dog?")

    assert "I look for shapes, colours and motion; I cannot recognise a dog." in text


def test_it_looks_without_notes_too(walk: tuple[Footage, Notes]) -> None:
    text = ask(walk, Span(0, 24), "Who comes?", notes=False)

    assert [s.label for s in read(text).sightings] == ["P1"]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("Is there an umbrella or a dog?", "an umbrella or a dog"),
        ("dog " * 50, "a dog."),
        ("Is the red car moving up?", ""),
        ("", ""),
        ("?" * 5000, ""),
        ("x" * 5000, ""),
    ],
)
def test_only_words_outside_its_vocabulary_are_named(query: str, said: str) -> None:
    told = [line for line in about(query, ["P1", "V1"]) if "recognise" in line]

    assert bool(told) == bool(said)
    assert all(said in line for line in told)


def test_places_are_named_by_thirds() -> None:
    assert where(0.5, 0.5) == "middle"
    assert where(0.1, 0.9) == "lower left"
    assert where(0.9, 0.5) == "right"
    assert where(0.5, 0.1) == "upper middle"
