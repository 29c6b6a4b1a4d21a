from __future__ import annotations

import numpy as np
import pytest

from edge_lvr1.models.embedded.vision import colours

EVEN = np.ones(3, np.float32)


def named(red: int, green: int, blue: int) -> str:
    return colours.NAMES[int(colours.name_pixels(np.array([[red, green, blue]], np.uint8))[0])]


@pytest.mark.parametrize(
    ("pixel", "name"),
    [
        ((15, 14, 16), "black"),
        ((120, 122, 119), "grey"),
        ((240, 241, 238), "white"),
        ((190, 30, 35), "red"),
        ((225, 60, 85), "red"),  # paint in the sun
        ((235, 130, 30), "orange"),
        ((240, 215, 40), "yellow"),
        ((40, 140, 60), "green"),
        ((40, 78, 190), "blue"),
        ((120, 170, 230), "light blue"),
        ((20, 30, 90), "dark blue"),
        ((120, 50, 160), "purple"),
        ((250, 185, 195), "pink"),
        ((110, 70, 40), "brown"),
        ((44, 11, 13), "red"),  # a red jacket in deep shade
        ((11, 40, 16), "green"),
        ((40, 33, 28), "black"),  # black cloth in warm light
        ((24, 8, 10), "black"),
    ],
)
def test_pixels_are_called_what_people_call_them(pixel: tuple[int, int, int], name: str) -> None:
    assert named(*pixel) == name


def test_light_is_taken_out_before_a_colour_is_named() -> None:
    dim = np.full((50, 3), 110, np.uint8)

    counts = colours.count(dim, np.full(3, 0.5, np.float32))

    assert colours.NAMES[int(counts.argmax())] == "white"


def test_glass_and_tyres_do_not_colour_a_car() -> None:
    assert colours.of_vehicle({"black": 0.3, "grey": 0.4, "red": 0.3}) == ("red",)
    assert colours.of_vehicle({"black": 0.8, "grey": 0.2}) == ("black",)


def test_pale_blue_paint_is_light_blue_and_pale_blue_light_on_cloth_is_not() -> None:
    shares = {"bluish grey": 0.3, "bluish white": 0.2, "white": 0.3, "black": 0.2}

    assert colours.of_vehicle(shares) == ("light blue",)
    assert colours.of_person(shares) == ("white", "grey")


def test_a_person_has_at_most_two_colours_and_a_second_only_where_it_is_large() -> None:
    assert colours.of_person({"red": 0.5, "black": 0.3, "brown": 0.2}) == ("red", "black")
    assert colours.of_person({"red": 0.8, "black": 0.2}) == ("red",)


def test_nothing_sampled_is_no_colour() -> None:
    assert colours.of_person({}) == ()
    assert not colours.count(np.empty((0, 3), np.uint8), EVEN).any()
