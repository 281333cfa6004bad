"""Residuals: their autocorrelation, what is made of it, and variance against signal."""

from __future__ import annotations

import numpy as np
import pytest

from napari_vae_restore.noise.autoregression import Autoregression
from napari_vae_restore.noise.correlation import WHITE, autocorrelation, correlated_noise
from napari_vae_restore.noise.estimation.hot import without_hot_pixels
from napari_vae_restore.noise.estimation.residuals import (
    LAGS,
    choose_correlation,
    residual_autocorrelation,
    variance_curve,
)
from napari_vae_restore.noise.models import GaussianNoise, PoissonGaussianNoise


def rng() -> np.random.Generator:
    return np.random.default_rng(8)


def draw(correlation, shape=(2, 256, 240)) -> np.ndarray:
    return correlated_noise(shape, correlation, rng())


@pytest.mark.parametrize("correlation", [WHITE, (0.6, 0.3), Autoregression("row", (0.8,))])
def test_autocorrelation_is_that_of_the_noise(correlation):
    measured = residual_autocorrelation(3.0 + draw(correlation))
    assert measured.shape == (2 * LAGS + 1,) * 2
    np.testing.assert_allclose(measured, autocorrelation(correlation, LAGS), atol=0.05)
    np.testing.assert_allclose(measured, measured[::-1, ::-1], atol=1e-9)


def test_hot_pixels_and_holes_do_not_count():
    noise = draw((0.6, 0.6))
    disturbed = noise.copy()
    disturbed[:, 10:40, 10:90] = np.nan
    disturbed[rng().random(noise.shape) < 0.001] = 3000.0
    np.testing.assert_allclose(
        residual_autocorrelation(disturbed), residual_autocorrelation(noise), atol=0.03
    )


def test_small_and_constant_residuals_are_answered():
    assert np.isfinite(residual_autocorrelation(rng().normal(size=(3, 4)))).all()
    nothing = residual_autocorrelation(np.zeros((20, 20)))
    assert nothing[LAGS, LAGS] == nothing.sum() == 1


@pytest.mark.parametrize(
    ("correlation", "direction"),
    [
        (Autoregression("row", (0.8,)), "row"),
        (Autoregression("column", (0.8,)), "column"),
        (Autoregression("row", (0.5, 0.3)), "row"),
        (Autoregression("plane", (0.6, -0.36, 0.6, 0.0)), "plane"),
    ],
    ids=str,
)
def test_noise_with_a_long_tail_becomes_an_autoregression(correlation, direction):
    found = choose_correlation(residual_autocorrelation(draw(correlation)))
    assert found.direction == direction
    expected = correlation.autocorrelation(2)
    np.testing.assert_allclose(found.autocorrelation(2), expected, atol=0.06)


@pytest.mark.parametrize("pair", [WHITE, (0.6, 0.6), (0.4, 0.0), (0.0, 0.7)], ids=str)
def test_blurred_noise_becomes_a_pair(pair):
    found = choose_correlation(residual_autocorrelation(draw(pair)))
    assert found == pytest.approx(pair, abs=0.03)


def test_a_direction_can_be_asked_for():
    measured = residual_autocorrelation(draw((0.6, 0.6)))
    for direction in ("row", "column", "plane"):
        assert choose_correlation(measured, direction).direction == direction


def test_variance_is_measured_against_signal():
    signal = rng().uniform(0, 100, (300, 300))
    noise = PoissonGaussianNoise(2.0, 9.0)
    y = noise.sample(signal, rng())
    y[rng().random(y.shape) < 0.001] = 60000
    curve = variance_curve(signal, y)
    assert (np.diff(curve.signal) > 0).all()
    np.testing.assert_allclose(curve.variance, noise.variance(curve.signal), rtol=0.15)
    assert curve.count.sum() == (y < 60000).sum()


def test_hot_pixels_are_told_from_points():
    y, x = np.mgrid[:64, :64]
    point = 5000 * np.exp(-((y - 20) ** 2 + (x - 30) ** 2) / (2 * 0.8**2))
    planes = (rng().normal(100, 10, (2, 64, 64)) + point)[:]
    planes[0, 50, 50] = planes[1, 0, 0] = 60000
    cleaned, is_hot = without_hot_pixels(planes, GaussianNoise(10.0))
    assert is_hot[0, 50, 50]
    assert is_hot[1, 0, 0]
    assert is_hot.sum() == 2
    assert cleaned.max() < 6000
    np.testing.assert_array_equal(cleaned[~is_hot], planes[~is_hot])
