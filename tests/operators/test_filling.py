"""The smooth guess inside holes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_vae_restore.errors import InputError
from napari_vae_restore.operators.filling import smooth_fill

sides = st.integers(1, 33)


@settings(deadline=None)
@given(
    height=sides,
    width=sides,
    lead=st.sampled_from([(), (1,), (2,), (2, 2)]),
    share=st.sampled_from([0.0, 0.02, 0.5, 1.0]),
    dtype=st.sampled_from([np.float32, np.float64]),
    seed=st.integers(0, 2**32 - 1),
)
def test_what_holds_for_every_hole(
    height: int, width: int, lead: tuple[int, ...], share: float, dtype: type, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    image = rng.normal(1000, 100, (*lead, height, width)).astype(dtype)
    observed = rng.random(image.shape) < share
    spoilt = np.where(observed, image, np.nan).astype(dtype)
    filled = smooth_fill(spoilt, observed)

    assert filled.shape == image.shape
    assert filled.dtype == dtype
    np.testing.assert_array_equal(filled[observed], image[observed])
    garbage = np.where(observed, image, rng.choice([np.inf, -1e30, 7.0], image.shape))
    np.testing.assert_array_equal(smooth_fill(garbage.astype(dtype), observed), filled)
    for plane in np.ndindex(*lead):
        seen = image[plane][observed[plane]]
        alone = smooth_fill(spoilt[plane], observed[plane])
        np.testing.assert_array_equal(alone, filled[plane])
        if seen.size:
            slack = 1e-5 * np.abs(seen).max()
            assert seen.min() - slack <= alone.min()
            assert alone.max() <= seen.max() + slack
        else:
            assert not alone.any()


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 7, 5)])
def test_planes_without_a_single_pixel_are_zero(shape: tuple[int, ...]) -> None:
    filled = smooth_fill(np.full(shape, np.nan, np.float32), np.zeros(shape, bool))
    np.testing.assert_array_equal(filled, np.zeros(shape, np.float32))


def test_nothing_missing_gives_a_copy() -> None:
    image = np.ones((3, 3), np.float32)
    filled = smooth_fill(image, np.ones((3, 3), bool))
    np.testing.assert_array_equal(filled, image)
    assert not np.shares_memory(filled, image)


def test_one_pixel_fills_all() -> None:
    observed = np.zeros((13, 1), bool)
    observed[4] = True
    image = np.where(observed, 7.0, np.nan)
    np.testing.assert_allclose(smooth_fill(image, observed), 7.0, rtol=1e-12)


def test_a_hole_in_a_slope_is_filled_with_about_the_slope() -> None:
    y, x = np.mgrid[:48, :64].astype(np.float64)
    image = 2 * x + y  # range 173
    observed = (np.abs(y - 24) > 6) | (np.abs(x - 30) > 6)
    filled = smooth_fill(image, observed)
    assert np.abs(filled - image).max() < 0.05 * 173


@pytest.mark.parametrize(
    ("image", "observed"),
    [
        (np.ones((3, 3), np.uint8), np.ones((3, 3), bool)),
        (np.ones((3, 3)), np.ones((3, 3))),
        (np.ones((2, 3, 3)), np.ones((3, 3), bool)),
    ],
)
def test_inputs_that_do_not_suit(image: np.ndarray, observed: np.ndarray) -> None:
    with pytest.raises(InputError, match="Expected a floating image and a boolean array"):
        smooth_fill(image, observed)
