"""Images that agree with a measurement."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_vae_restore.errors import InputError
from napari_vae_restore.operators import (
    Blur,
    Composition,
    Downsampling,
    Identity,
    Masking,
    Operator,
)
from napari_vae_restore.operators.consistency import consistent, data_step

Array = NDArray[np.float64]
SHAPE = (2, 12, 24)
_rng = np.random.default_rng(0)
MASK = Masking(_rng.random(SHAPE) < 0.6)
PSF = np.outer([1.0, 2.0, 1.0], [1.0, 3.0, 2.0, 1.0])
SMALL_MASK = Masking(_rng.random((6, 12)) < 0.7)
EXACT = [
    Identity(),
    MASK,
    Downsampling(2),
    Downsampling(3, "gaussian"),
    Downsampling(4, "box"),
    Composition(Downsampling(2), SMALL_MASK),
    Composition(Downsampling(2), Downsampling(3, "box"), Masking(_rng.random((2, 4)) < 0.7)),
]
ALL = [*EXACT, Blur(PSF), Composition(Blur(PSF), Downsampling(2), SMALL_MASK)]


def _images(a: Operator, dtype: type) -> tuple[Array, Array]:
    """A proposal and the measurement of another image, range 255."""
    rng = np.random.default_rng(1)
    truth, proposal = 255 * rng.random((2, *SHAPE))
    return proposal.astype(dtype), a.apply(truth).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("a", EXACT, ids=str)
def test_a_consistent_image_measures_as_y(a: Operator, dtype: type) -> None:
    x, y = _images(a, dtype)
    result = consistent(x, y, a)
    assert result.dtype == dtype
    assert np.abs(a.apply(result) - y).max() < 1e-4 * 255


@pytest.mark.parametrize("a", EXACT, ids=str)
def test_the_consistent_image_is_the_closest_one(a: Operator) -> None:
    x, y = _images(a, np.float64)
    result = consistent(x, y, a)
    np.testing.assert_allclose(consistent(result, y, a), result, rtol=0, atol=1e-5)
    # What was added has no part that the measurement does not see.
    change = result - x
    unseen = change - a.pseudo_inverse(a.apply(change))
    assert np.abs(unseen).max() < 1e-5


def test_a_blurred_image_is_consistent_as_far_as_its_inverse_goes() -> None:
    a = Blur(PSF)
    x, y = _images(a, np.float64)
    assert np.abs(a.apply(consistent(x, y, a)) - y).max() < 2e-3 * 255


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_consistent_pixels_are_bit_identical(dtype: type) -> None:
    x, y = _images(MASK, dtype)
    y = np.where(MASK.observed, y, np.nan).astype(dtype)
    expected = np.where(MASK.observed, y, x)
    np.testing.assert_array_equal(consistent(x, y, MASK), expected)
    np.testing.assert_array_equal(consistent(x, x + 1, Identity()), x + 1)


def _cost(
    x: Array, mean: Array, y: Array, a: Operator, variance: Array, precision: Array
) -> float:
    return float(np.sum((a.apply(x) - y) ** 2 / variance) + np.sum(precision * (x - mean) ** 2))


@pytest.mark.parametrize("field", [False, True], ids=["numbers", "arrays"])
@pytest.mark.parametrize("a", ALL, ids=str)
def test_the_data_step_is_the_minimum(a: Operator, field: bool) -> None:
    rng = np.random.default_rng(2)
    mean, y = _images(a, np.float64)
    y = y + rng.normal(0, 10, y.shape)
    variance = rng.uniform(50, 200, y.shape) if field else np.array(100.0)
    precision = rng.uniform(1e-3, 1e-1, SHAPE) if field else np.array(0.02)
    x = data_step(mean, y, a, variance, precision)
    gradient = a.adjoint((a.apply(x) - y) / variance) + precision * (x - mean)
    at_mean = a.adjoint((a.apply(mean) - y) / variance)
    if isinstance(a, Masking):
        at_mean[~MASK.observed] = 0
    assert np.linalg.norm(gradient) < 1e-5 * np.linalg.norm(at_mean)
    least = _cost(x, mean, y, a, variance, precision)
    for _ in range(3):
        aside = x + rng.normal(0, 0.1, SHAPE)
        assert least < _cost(aside, mean, y, a, variance, precision)


@pytest.mark.parametrize("a", [MASK, Identity(), Downsampling(2)], ids=str)
def test_chains_agree_with_the_closed_form(a: Operator) -> None:
    mean, y = _images(a, np.float64)
    chain = Composition(Identity(), a)
    np.testing.assert_allclose(
        data_step(mean, y, chain, 100.0, 0.02), data_step(mean, y, a, 100.0, 0.02), atol=1e-3
    )


def test_the_data_step_by_hand() -> None:
    mean, y = np.array([[0.0, 5.0]]), np.array([[4.0, np.nan]])
    a = Masking(np.array([[True, False]]))
    assert data_step(mean, y, a, 1.0, 3.0).tolist() == [[1.0, 5.0]]
    # Two pixels binned to one: A A^T = 1/2 adds to s d = 1/2; the surplus of 2 is split.
    halves = Composition(Downsampling(2, "box"), Identity())
    x = data_step(np.zeros((2, 2)), np.array([[2.0]]), halves, 1.0, 0.25)
    np.testing.assert_allclose(x, np.ones((2, 2)), atol=1e-6)


@pytest.mark.parametrize("a", ALL, ids=str)
def test_trust_decides_between_the_mean_and_the_measurement(a: Operator) -> None:
    mean, y = _images(a, np.float32)
    kept = data_step(mean, y, a, 100.0, 1e9)
    assert kept.dtype == np.float32
    np.testing.assert_allclose(kept, mean, atol=1e-3)
    if a in EXACT:
        trusted = data_step(mean, y, a, 1e-3, 1e-3, tolerance=1e-10)
        np.testing.assert_allclose(trusted, consistent(mean, y, a), atol=0.05)


@pytest.mark.parametrize("a", [SMALL_MASK, Composition(Downsampling(1), SMALL_MASK)], ids=str)
def test_the_data_step_does_not_read_missing_pixels(a: Operator) -> None:
    x = np.random.default_rng(3).random((6, 12))
    spoilt = np.where(SMALL_MASK.observed, x, np.nan)
    np.testing.assert_array_equal(
        data_step(x, spoilt, a, 1.0, 1.0), data_step(x, x, a, 1.0, 1.0)
    )


def test_inputs_that_do_not_suit() -> None:
    x, y = np.ones((4, 4)), np.ones((2, 2))
    a = Downsampling(2)
    with pytest.raises(InputError, match=r"shape \(2, 2\) for .* \(4, 4\), came \(4, 4\)"):
        consistent(x, x, a)
    with pytest.raises(InputError, match="floating measurement, came int64"):
        consistent(x, y.astype(np.int64), a)
    with pytest.raises(InputError, match="floating image, came uint8"):
        data_step(x.astype(np.uint8), y, a, 1.0, 1.0)
    for variance in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(InputError, match="positive, finite noise variance"):
            data_step(x, y, a, variance, 1.0)
    with pytest.raises(InputError, match="positive, finite precision"):
        data_step(x, y, a, 1.0, np.zeros((4, 4)))
    with pytest.raises(InputError, match=r"precision that broadcasts to \(4, 4\)"):
        data_step(x, y, a, 1.0, np.ones((3, 4, 4)))
