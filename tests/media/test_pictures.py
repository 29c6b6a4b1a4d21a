from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from edge_lvr1.media.pictures import apart, fitted, looks_like, webp

Picture = NDArray[np.uint8]


def picture(seed: int) -> Picture:
    coarse = np.random.default_rng(seed).integers(0, 255, (9, 16, 3), np.uint8)
    return np.asarray(cv2.resize(coarse, (640, 360), interpolation=cv2.INTER_CUBIC), np.uint8)


def test_the_same_picture_has_the_same_hash_in_any_size() -> None:
    small = np.asarray(cv2.resize(picture(1), (320, 180), interpolation=cv2.INTER_AREA), np.uint8)

    assert apart(looks_like(picture(1)), looks_like(small)) <= 2


def test_light_and_noise_change_few_bits() -> None:
    noise = np.random.default_rng(2).normal(0, 6, (360, 640, 3))
    dim = np.clip(picture(1) * 0.6 + noise, 0, 255).astype(np.uint8)

    assert apart(looks_like(picture(1)), looks_like(dim)) <= 4


def test_other_pictures_have_other_hashes() -> None:
    hashes = [looks_like(picture(seed)) for seed in range(20)]

    distances = [apart(one, two) for i, one in enumerate(hashes) for two in hashes[:i]]
    assert min(distances) > 10


def test_somebody_large_changes_the_hash() -> None:
    with_him = picture(1)
    with_him[100:340, 250:360] = 10

    assert apart(looks_like(picture(1)), looks_like(with_him)) > 4


@pytest.mark.parametrize("value", [0, 255])
def test_a_flat_picture_has_a_hash(value: int) -> None:
    assert 0 <= looks_like(np.full((90, 160, 3), value, np.uint8)) < 2**64


def test_a_webp_is_a_picture_again() -> None:
    with Image.open(io.BytesIO(webp(picture(1)))) as image:
        again = np.asarray(image.convert("RGB"), np.float64)

    assert again.shape == (360, 640, 3)
    assert np.abs(again - picture(1)).mean() < 8


@given(width=st.integers(1, 20000), height=st.integers(1, 20000))
def test_a_fitted_picture_keeps_its_shape_and_is_never_larger(width: int, height: int) -> None:
    fitted_width, fitted_height = fitted(width, height, 320)

    assert 1 <= fitted_width <= min(width, 320)
    assert 1 <= fitted_height <= min(height, 320)
    if max(width, height) > 320:
        assert max(fitted_width, fitted_height) == 320
    assert abs(fitted_width / width - fitted_height / height) <= 1 / min(width, height)
