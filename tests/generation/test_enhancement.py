"""Enhancement changes what was asked for, keeps the rest, and says what it is."""

from __future__ import annotations

import json

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from skimage import data

import napari_vae_restore as vr


def energy(image: NDArray) -> float:
    """Of details finer than about 2 pixels."""
    values = image.astype(float)
    return float(np.square(values - gaussian_filter(values, 1.0)).mean())


@pytest.fixture(scope="module")
def picture() -> NDArray[np.uint8]:
    return data.camera()[150:300, 100:261]


def test_settings_that_change_nothing_return_the_image(picture: NDArray[np.uint8]) -> None:
    np.testing.assert_array_equal(vr.enhance(picture).enhanced, picture)
    same = vr.enhance(picture, detail={2: 1.0, 16: 1.0}, tones={"contrast": 1.0})
    np.testing.assert_array_equal(same.enhanced, picture)


def test_gain_raises_and_smoothing_lowers_details(picture: NDArray[np.uint8]) -> None:
    energies = [
        energy(vr.enhance(picture, detail=detail, smoothing=smoothing).enhanced)
        for detail, smoothing in (({}, 1.0), ({}, 0.5), ({}, 0.0), ({2: 1.5}, 0.0), ({2: 2}, 0))
    ]
    assert energies == sorted(energies)
    assert energies[0] < 0.7 * energies[2] < energies[2] < 0.7 * energies[-1]


def test_what_the_decoder_cannot_draw_is_kept(picture: NDArray[np.uint8]) -> None:
    """A gain of almost one changes almost nothing, far less than the decoder's own error."""
    barely = vr.enhance(picture, detail={2: 1.02}).enhanced.astype(float)
    decoded = vr.decode(vr.encode(picture)).astype(float)
    changed, lost = (np.square(each - picture).mean() for each in (barely, decoded))
    assert 0 < changed < 0.2 * lost


def test_variation_is_seeded(picture: NDArray[np.uint8]) -> None:
    one, again, other = (
        vr.enhance(picture, variation=1.0, seed=seed).enhanced for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()


def test_tones() -> None:
    ramp = np.tile(np.linspace(100, 300, 64, dtype=np.float32), (32, 1))
    brighter = vr.enhance(ramp, tones={"brightness": 0.1}).enhanced
    np.testing.assert_allclose(brighter, ramp + 20, rtol=1e-5)
    steeper = vr.enhance(ramp, tones=vr.Tones(contrast=2.0)).enhanced
    np.testing.assert_allclose(steeper, 200 + 2 * (ramp - 200), rtol=1e-4, atol=1e-3)
    lifted = vr.enhance(ramp, tones={"gamma": 0.5}).enhanced
    np.testing.assert_allclose(lifted, 100 + 200 * ((ramp - 100) / 200) ** 0.5, rtol=1e-5)
    flat = data.camera()[300:400, 300:400]
    local = vr.enhance(flat, tones={"local_contrast": 1.0}).enhanced
    assert energy(local) > 1.2 * energy(flat)


@pytest.mark.parametrize(("axes", "shape"), [("ZYX", (2, 24, 40)), ("YXS", (24, 40, 3))])
def test_layouts(axes: str, shape: tuple[int, ...]) -> None:
    values = np.random.default_rng(0).normal(size=shape).cumsum(0).cumsum(1)
    image = (20000 + 800 * values).clip(0, 65535).astype(np.uint16)
    found = vr.enhance(image, detail={4: 1.3}, tones={"local_contrast": 0.3}, axes=axes)
    assert found.enhanced.shape == shape
    assert found.enhanced.dtype == image.dtype


def test_the_recipe_says_what_it_is(picture: NDArray[np.uint8]) -> None:
    restored = vr.denoise(picture, noise="gaussian:5")
    recipe = json.loads(vr.enhance(restored, detail={2: 1.2}).recipe.to_json())["enhanced"]
    assert "no longer measurements" in recipe["note"]
    assert recipe["restored"]["tasks"][0]["kind"] == "denoise"
    assert recipe["detail"] == [[2, 1.2]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"detail": {3: 1.0}}, "levels of 2, 4, 8, 16 px"),
        ({"detail": {2: 9.0}}, "detail at 2 px"),
        ({"smoothing": 2.0}, "smoothing"),
        ({"variation": -1.0}, "variation"),
        ({"seed": -1}, "seed"),
        ({"tones": {"sharpness": 1.0}}, "unknown 'sharpness'"),
        ({"tones": {"gamma": 0.0}}, "gamma"),
        ({"tones": {"contrast": float("nan")}}, "contrast"),
    ],
)
def test_what_cannot_be_done(picture: NDArray, options: dict, message: str) -> None:
    with pytest.raises(vr.InputError, match=message):
        vr.enhance(picture, **options)
