"""Cameras in a question's words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_lvr1.navigator.asked_cameras import read_cameras

KNOWN = ["camera1", "camera2", "camera3", "cam-04", "front door", "gate", "garden", "yard-2"]


@pytest.mark.parametrize(
    ("text", "cameras", "rest"),
    [
        ("Was there a red car on camera 3?", ["camera3"], "Was there a red car?"),
        ("On camera3, was there a red car?", ["camera3"], "Was there a red car?"),
        ("Was there a red car on camera 03?", ["camera3"], "Was there a red car?"),
        ("Who came on cam 4?", ["cam-04"], "Who came?"),
        ("Who came on cam-04?", ["cam-04"], "Who came?"),
        ("Who came on cameras 1 and 2?", ["camera1", "camera2"], "Who came?"),
        ("Who came by the front door camera?", ["front door"], "Who came?"),
        ("Who came on camera gate?", ["gate"], "Who came?"),
        ("Who came on yard-2?", ["yard-2"], "Who came?"),
    ],
)
def test_a_camera_is_named_by_its_number_or_beside_the_word(
    text: str, cameras: list[str], rest: str
) -> None:
    read = read_cameras(text, KNOWN)

    assert list(read.cameras) == cameras
    assert read.rest == rest
    assert read.unknown == ()


@pytest.mark.parametrize(
    "text",
    ["Who is in the garden?", "Who stands at the front door?", "Does he hold a camera?", "3 cars?"],
)
def test_a_place_or_a_thing_is_no_camera(text: str) -> None:
    assert read_cameras(text, KNOWN).cameras == ()
    assert read_cameras(text, KNOWN).rest == text


def test_a_number_that_no_camera_has_is_told() -> None:
    assert read_cameras("Who came on camera 9?", KNOWN).unknown == ("camera 9",)


@given(st.text(max_size=60), st.lists(st.text(max_size=12), max_size=4))
def test_any_text_and_any_names_are_read(text: str, known: list[str]) -> None:
    read = read_cameras(text, known)

    assert set(read.cameras) <= set(known)
