"""Images without texture: weak correlation shows there, and many blocks tell the noise."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import data

import napari_vae_restore as vr
from napari_vae_restore.noise.correlation import WHITE, correlated_noise, lag_one
from napari_vae_restore.noise.estimation.estimate import estimate_noise

SIDE = 384


def slopes() -> NDArray[np.float64]:
    """Plain but not constant: what tissue looks like under speckle."""
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    return np.asarray(80 + 30 * np.sin(5 * x) * np.cos(4 * y))


@pytest.mark.parametrize("correlation", [(0.12, 0.12), (0.18, 0.0), (0.05, 0.15)])
def test_weak_correlation_is_found(correlation: tuple[float, float]) -> None:
    rng = np.random.default_rng(0)
    noisy = slopes() + 30 * correlated_noise((SIDE, SIDE), correlation, rng)
    found = estimate_noise(noisy)
    np.testing.assert_allclose(lag_one(found.correlation), correlation, atol=0.06)
    assert float(np.sqrt(found.variance(np.array([80.0]))[0])) == pytest.approx(30, rel=0.05)


@pytest.mark.parametrize("seed", range(4))
def test_white_noise_stays_white(seed: int) -> None:
    noisy = slopes() + np.random.default_rng(seed).normal(0, 30, (SIDE, SIDE))
    found = estimate_noise(noisy)
    assert found.correlation == WHITE
    assert float(np.sqrt(found.variance(np.array([80.0]))[0])) == pytest.approx(30, rel=0.02)


@pytest.mark.parametrize("name", ["camera", "brick", "grass", "gravel"])
def test_texture_does_not_feign_it(name: str) -> None:
    clean = getattr(data, name)()[:SIDE, :SIDE].astype(np.float64)
    noisy = clean + np.random.default_rng(0).normal(0, 25, clean.shape)
    assert estimate_noise(noisy, "gaussian").correlation == WHITE


def test_noise_that_is_weaker_in_places_is_not_told_by_those() -> None:
    rng = np.random.default_rng(0)
    strength = 30 + 6 * np.sin(np.arange(SIDE) / 7)
    found = estimate_noise(slopes() + strength * rng.standard_normal((SIDE, SIDE)), "gaussian")
    assert isinstance(found, vr.GaussianNoise)
    assert 27 < found.sigma < 31  # the very flattest blocks alone say 26


def test_speckle_is_not_taught_by_itself() -> None:
    rng = np.random.default_rng(0)
    noisy = slopes() + 30 * correlated_noise((SIDE, SIDE), (0.12, 0.12), rng)
    with pytest.raises(vr.InputError, match="two shots"):
        vr.adapt(noisy.astype(np.float32), budget=5)
