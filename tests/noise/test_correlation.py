"""Spatially correlated noise: drawn as promised, and recognised on real pictures."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.signal import lfilter
from skimage import data

from napari_vae_restore.errors import InputError
from napari_vae_restore.noise.correlation import WHITE, correlated_noise
from napari_vae_restore.noise.estimation.estimate import estimate_noise
from napari_vae_restore.noise.estimation.spectra import block_spectrum, fit_correlation
from napari_vae_restore.noise.models import GaussianNoise, PoissonGaussianNoise
from napari_vae_restore.noise.notation import noise_from_dict, parse_noise

CORRELATIONS = [(0.6, 0.6), (0.3, 0.0), (0.0, 0.95), (0.78, 0.5)]


def rng() -> np.random.Generator:
    return np.random.default_rng(11)


def structured(size: int = 256) -> np.ndarray:
    """Discs with sharp edges on a slope."""
    y, x = np.mgrid[:size, :size].astype(float)
    image = 60 + 0.2 * x + 0.1 * y
    for _ in range(12):
        cy, cx = rng().uniform(0, size, 2)
        image[np.hypot(y - cy, x - cx) < size / 12] += 60
    return image


def picture(name: str) -> np.ndarray:
    return structured() if name == "structured" else getattr(data, name)().astype(np.float64)


# -- drawing -------------------------------------------------------------------------


@pytest.mark.parametrize("correlation", CORRELATIONS)
def test_drawn_noise_has_the_promised_variance_and_correlation(correlation):
    noise = correlated_noise((4, 500, 500), correlation, rng())
    assert noise.var() == pytest.approx(1, rel=0.03)
    assert np.mean(noise[:, 1:] * noise[:, :-1]) == pytest.approx(correlation[0], abs=0.03)
    assert np.mean(noise[..., 1:] * noise[..., :-1]) == pytest.approx(correlation[1], abs=0.03)
    assert np.mean(noise[1:] * noise[:-1]) == pytest.approx(0, abs=0.03)


def test_small_fields_have_the_variance_too():
    many = [correlated_noise((3, 5), (0.9, 0.6), np.random.default_rng(i)) for i in range(3000)]
    np.testing.assert_allclose(np.var(many, axis=0), 1, atol=0.15)


def test_white_noise_is_drawn_as_ever():
    np.testing.assert_array_equal(
        correlated_noise((7, 9), WHITE, rng()), rng().standard_normal((7, 9))
    )


def test_sample_scales_the_noise():
    signal = np.full((400, 400), 50.0)
    for noise in (GaussianNoise(4, (0.6, 0.6)), PoissonGaussianNoise(2.0, 9.0, (0.6, 0.6))):
        residual = noise.sample(signal, rng()) - signal
        assert residual.var() == pytest.approx(float(noise.variance(50.0)), rel=0.05)
        assert np.corrcoef(residual[1:].ravel(), residual[:-1].ravel())[0, 1] > 0.57


@pytest.mark.parametrize("correlation", CORRELATIONS)
def test_fit_recovers_the_spectrum(correlation):
    found = fit_correlation(7 * block_spectrum(correlation, 8), np.ones((8, 8), bool))
    assert found == pytest.approx(correlation, abs=0.011)


def test_spectrum_is_that_of_blocks_of_noise():
    from scipy.fft import dctn

    noise = correlated_noise((800, 800), (0.6, 0.3), rng()).reshape(100, 8, 100, 8)
    energy = (dctn(noise, axes=(1, 3), norm="ortho") ** 2).mean(axis=(0, 2))
    np.testing.assert_allclose(energy, block_spectrum((0.6, 0.3), 8), rtol=0.08)


# -- forms ---------------------------------------------------------------------------


def test_forms():
    assert str(GaussianNoise(25)) == "gaussian:25.0"
    assert str(GaussianNoise(25, (0.6, 0.6))) == "gaussian:25.0@0.6,0.6"
    assert parse_noise("gaussian:25@0.6,0.5") == GaussianNoise(25, (0.6, 0.5))
    assert GaussianNoise(25).to_dict() == {"kind": "gaussian", "sigma": 25.0}
    form = {"kind": "poisson-gaussian", "a": 2.0, "b": 9.0, "correlation": [0.6, 0.5]}
    assert PoissonGaussianNoise(2, 9, (0.6, 0.5)).to_dict() == form
    assert noise_from_dict(form) == PoissonGaussianNoise(2, 9, (0.6, 0.5))


@pytest.mark.parametrize("bad", [(0.6,), (0.6, -0.1), (0.6, 0.96), (math.nan, 0), 0.6, "ab"])
def test_unusable_correlation_is_refused(bad):
    with pytest.raises(InputError, match="along Y and X"):
        GaussianNoise(1.0, bad)


# -- estimation ----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["structured", "camera", "coins", "moon"])
@pytest.mark.parametrize("correlation", [(0.3, 0.3), (0.6, 0.6), (0.6, 0.0), (0.78, 0.78)])
def test_level_and_correlation_are_found(name, correlation):
    truth = GaussianNoise(20, correlation)
    estimate = estimate_noise(truth.sample(picture(name), rng()), "gaussian")
    assert estimate.sigma == pytest.approx(20, rel=0.15)
    assert estimate.correlation == pytest.approx(correlation, abs=0.12)


@pytest.mark.parametrize("name", ["camera", "moon"])
def test_signal_dependent_level_is_found(name):
    truth, clean = PoissonGaussianNoise(4.0, 100.0, (0.6, 0.6)), picture(name)
    estimate = estimate_noise(truth.sample(clean, rng()))
    levels = np.percentile(clean, np.linspace(5, 95, 19))
    ratio = np.sqrt(estimate.variance(levels) / truth.variance(levels))
    assert np.median(ratio) == pytest.approx(1, abs=0.15)
    assert estimate.correlation == pytest.approx((0.6, 0.6), abs=0.12)


@pytest.mark.parametrize("name", ["structured", "camera", "coins", "moon"])
@pytest.mark.parametrize("sigma", [5, 25])
def test_white_noise_is_white(name, sigma):
    noisy = GaussianNoise(sigma).sample(picture(name), rng())
    assert estimate_noise(noisy).correlation == (0, 0)


@pytest.mark.parametrize("rho", [0.95, 0.98])
def test_fields_that_neighbours_all_but_determine_are_no_error(rho):
    field = np.random.default_rng(0).normal(0, 10, (128, 128))
    for axis in (0, 1):
        field = lfilter([1], [1, -rho], field, axis=axis)
    assert estimate_noise(100 + field).sigma > 0


def test_a_clean_picture_is_not_called_noisy():
    for name in ("camera", "coins", "moon"):
        estimate = estimate_noise(picture(name), "gaussian")
        assert estimate.sigma < 3


# -- masks ---------------------------------------------------------------------------


@pytest.mark.parametrize("correlation", [WHITE, (0.6, 0.6)])
def test_what_lies_under_the_mask_does_not_matter(correlation):
    noisy = GaussianNoise(10, correlation).sample(picture("camera"), rng()).round()
    image = noisy.clip(0, 255).astype(np.uint8)
    observed = np.ones(image.shape, bool)
    observed[100:160, 50:400] = False
    observed[tuple(rng().integers(0, 512, (2, 300)))] = False
    other = np.where(observed, image, rng().integers(0, 256, image.shape)).astype(np.uint8)
    estimate = estimate_noise(image, observed=observed)
    assert estimate == estimate_noise(other, observed=observed)
    nothing = estimate_noise(np.where(observed, image, np.nan))
    np.testing.assert_allclose(nothing.variance(100.0), estimate.variance(100.0), rtol=1e-9)
    pair = estimate_noise(np.stack([image, other]), observed=observed)
    assert pair.correlation == pytest.approx(estimate.correlation, abs=0.03)


@pytest.mark.parametrize("share", [0.3, 0.5, 0.8])
@pytest.mark.parametrize("name", ["camera", "moon"])
def test_scattered_holes_leave_enough_to_go_by(name, share):
    clean = picture(name)
    noisy = clean + rng().normal(0, 20, clean.shape)
    observed = rng().random(clean.shape) >= share
    estimate = estimate_noise(np.where(observed, noisy, np.inf), "gaussian", observed=observed)
    assert estimate.sigma == pytest.approx(20, rel=0.08)
    dependent = PoissonGaussianNoise(4.0, 100.0)
    noisy = dependent.sample(clean, rng())
    estimate = estimate_noise(noisy, "poisson-gaussian", observed=observed)
    levels = np.percentile(clean, [20, 50, 80])
    ratio = np.sqrt(estimate.variance(levels) / dependent.variance(levels))
    assert ratio == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize(
    "observed",
    [np.ones((512, 512)), np.ones((3, 3), bool), np.zeros((512, 512), bool)],
    ids=["numbers", "shape", "all missing"],
)
def test_unusable_masks_are_refused(observed):
    with pytest.raises(InputError):
        estimate_noise(picture("camera"), observed=observed)


# -- lines ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["structured", "camera", "coins", "moon"])
@pytest.mark.parametrize("process", ["row:0.8", "column:0.8", "row:0.5"])
def test_noise_along_lines_is_told_from_blurred_noise(name, process):
    truth = parse_noise(f"gaussian:20@{process}")
    estimate = estimate_noise(truth.sample(picture(name), rng()), "gaussian")
    assert estimate.sigma == pytest.approx(20, rel=0.15)
    assert estimate.correlation.direction == truth.correlation.direction
    found, expected = estimate.correlation.coefficients, truth.correlation.coefficients
    assert found == pytest.approx(expected, abs=0.08)
