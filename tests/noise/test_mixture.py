"""Gaussian mixtures that depend on the signal: densities, stabilisation, fits to counts."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from napari_vae_restore.errors import InputError
from napari_vae_restore.noise.autoregression import Autoregression
from napari_vae_restore.noise.estimation.calibration import (
    fit_mixture,
    frame_pairs,
    quantisation_step,
)
from napari_vae_restore.noise.mixture import MixtureNoise
from napari_vae_restore.noise.models import PoissonGaussianNoise
from napari_vae_restore.noise.notation import noise_from_dict, parse_noise

SKEWED = MixtureNoise(
    knots=(0.0, 20.0, 100.0),
    weights=((0.8, 0.2), (0.7, 0.3), (0.5, 0.5)),
    shifts=((-1.0, 4.0), (-2.0, 5.0), (-3.0, 3.0)),
    stds=((2.0, 3.0), (4.0, 6.0), (8.0, 9.0)),
)
LEVELS = np.array([0.0, 7.0, 20.0, 60.0, 100.0])


def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def scene() -> np.ndarray:
    """Eight frames' signal, mostly dark."""
    return np.repeat(rng().gamma(1.5, 30, (1, 96, 96)), 8, axis=0)


def mean_log_likelihood(noise, y, signal) -> float:
    return float(noise.log_likelihood(torch.from_numpy(y), torch.from_numpy(signal)).mean())


# -- the model -----------------------------------------------------------------------


@pytest.mark.parametrize("outliers", [0.0, 0.05])
@pytest.mark.parametrize("level", LEVELS)
def test_density_sums_to_one(outliers, level):
    noise = MixtureNoise(SKEWED.knots, SKEWED.weights, SKEWED.shifts, SKEWED.stds, outliers)
    # Even steps of the arc tangent reach the outliers' tails.
    angle = torch.linspace(
        -math.pi / 2 + 1e-6, math.pi / 2 - 1e-6, 200_001, dtype=torch.float64
    )
    y = level + 20 * angle.tan()
    density = noise.log_likelihood(y, torch.tensor(level, dtype=torch.float64)).exp()
    assert float(torch.trapezoid(density, y)) == pytest.approx(1, abs=2e-3)


@pytest.mark.parametrize("level", LEVELS)
def test_samples_have_the_mean_and_variance_that_are_promised(level):
    y = SKEWED.sample(np.full(200_000, level), rng())
    assert y.mean() == pytest.approx(level, abs=0.1)
    assert y.var() == pytest.approx(float(SKEWED.variance(level)), rel=0.03)


def test_stabilised_noise_has_unit_variance_and_returns_without_bias():
    for level in (10.0, 20.0, 60.0, 90.0):
        t = SKEWED.stabilise(SKEWED.sample(np.full(200_000, level), rng()))
        assert t.std() == pytest.approx(1, abs=0.1)
        sigma = math.sqrt(float(SKEWED.variance(level)))
        assert float(SKEWED.unstabilise(t.mean())) == pytest.approx(level, abs=0.02 * sigma)


def test_maps_rise_beyond_the_knots_too():
    values = np.linspace(-500, 70_000, 5000)
    assert (np.diff(SKEWED.stabilise(values)) > 0).all()
    assert (np.diff(SKEWED.unstabilise(np.linspace(-50, 5000, 5000))) > 0).all()


def test_extremes_have_finite_likelihoods_and_gradients():
    noise = MixtureNoise(SKEWED.knots, SKEWED.weights, SKEWED.shifts, SKEWED.stds, 1e-6)
    y = torch.tensor([60000.0, -60000.0, 0.0, 65504.0])
    for dtype in (torch.float32, torch.bfloat16):
        signal = torch.tensor([0.0, 50.0, 60000.0, -60000.0], dtype=dtype, requires_grad=True)
        logs = noise.log_likelihood(y.to(dtype), signal)
        assert bool(torch.isfinite(logs).all())
        logs.sum().backward()
        assert bool(torch.isfinite(signal.grad).all())
    # An outlier hardly pulls.
    signal = torch.tensor([50.0], requires_grad=True)
    noise.log_likelihood(torch.tensor([60000.0]), signal).sum().backward()
    assert abs(float(signal.grad)) < 0.1


def test_noise_of_stabilised_measurements():
    offset, scale = 3.0, 8.0
    noise = SKEWED.stabilised(offset, scale)
    for level in (20.0, 60.0):
        y = (SKEWED.stabilise(SKEWED.sample(np.full(100_000, level), rng())) - offset) / scale
        assert y.std() == pytest.approx(math.sqrt(float(noise.variance(y.mean()))), rel=0.06)
        shape = mean_log_likelihood(noise, y, np.full(y.shape, y.mean()))
        z = (y - y.mean()) / y.std()
        gaussian = float(np.mean(-0.5 * z**2) - math.log(y.std() * math.sqrt(2 * math.pi)))
        assert shape > gaussian


@pytest.mark.parametrize("correlation", [(0.0, 0.0), (0.6, 0.5), Autoregression("row", (0.8,))])
def test_forms(correlation):
    noise = MixtureNoise(
        SKEWED.knots, SKEWED.weights, SKEWED.shifts, SKEWED.stds, 0.01, correlation
    )
    assert parse_noise(str(noise)) == noise
    assert noise_from_dict(noise.to_dict()) == noise
    assert hash(parse_noise(str(noise))) == hash(noise)


@pytest.mark.parametrize(
    "change",
    [
        {"knots": (0.0, 0.0, 1.0)},
        {"knots": (0.0, 1.0)},
        {"weights": ((0.8, 0.4),) * 3},
        {"weights": ((1.2, -0.2),) * 3},
        {"stds": ((1.0, 0.0),) * 3},
        {"stds": ((1.0,),) * 3},
        {"shifts": ((0.0, math.nan),) * 3},
        {"shifts": 3.0},
        {"outliers": 0.5},
    ],
    ids=str,
)
def test_unusable_parameters_are_refused(change):
    form = {key: value for key, value in SKEWED.to_dict().items() if key != "kind"}
    with pytest.raises(InputError):
        MixtureNoise(**(form | change))


@pytest.mark.parametrize(
    "text", ["mixture:", "mixture:3", "mixture:{}", 'mixture:{"knots":[1]}']
)
def test_unreadable_text_is_refused(text):
    with pytest.raises(InputError):
        parse_noise(text)


# -- fits ----------------------------------------------------------------------------


def test_fit_reaches_the_likelihood_of_the_truth():
    truth, signal = PoissonGaussianNoise(2.0, 9.0), scene()
    y = truth.sample(signal, rng())
    found = fit_mixture(signal, y)
    gap = mean_log_likelihood(truth, y, signal) - mean_log_likelihood(found, y, signal)
    assert gap < 0.005
    levels = np.percentile(signal, [5, 25, 50, 75, 95])
    ratio = np.sqrt(found.variance(levels) / truth.variance(levels))
    np.testing.assert_allclose(ratio, 1, atol=0.06)


def test_fit_of_few_photons_beats_every_gaussian():
    signal = scene()
    y = rng().poisson(signal / 8) * 8.0 + rng().normal(0, 2, signal.shape)
    gaussian = PoissonGaussianNoise(8.0, 4.0)
    gain = mean_log_likelihood(fit_mixture(signal, y), y, signal) - mean_log_likelihood(
        gaussian, y, signal
    )
    assert gain > 0.03


def test_hot_pixels_do_not_widen_the_noise():
    signal = scene()
    y = rng().normal(signal, 5.0)
    hot = rng().random(y.shape) < 0.003
    found = fit_mixture(signal, np.where(hot, 60000.0, y))
    assert np.sqrt(found.variance([10.0, 50.0])) == pytest.approx([5, 5], rel=0.05)
    assert found.outliers == pytest.approx(0.003, rel=0.3)
    logs = found.log_likelihood(torch.full((1,), 60000.0), torch.tensor([10.0]))
    assert bool(torch.isfinite(logs).all())


def test_saturation_and_quantisation_stay_finite():
    signal = scene()
    saturated = rng().poisson(signal / 2).astype(np.float64).clip(0, 40).astype(np.uint8)
    dark = rng().poisson(np.full((8, 48, 48), 0.05)).astype(np.uint8)
    for frames in (saturated, dark):
        s, y = frame_pairs(frames)
        found = fit_mixture(s, y, step=quantisation_step(frames))
        assert np.isfinite(mean_log_likelihood(found, y, s))
        assert np.isfinite(found.unstabilise(found.stabilise(y))).all()
        at = float(np.median(s))
        assert 0.2 < math.sqrt(float(found.variance(at))) < 8


def test_frames_are_paired_with_their_mean():
    frames = rng().normal(50.0, 5.0, (5, 60, 60))
    signal, y = frame_pairs(frames)
    assert (y - signal).var() == pytest.approx(25, rel=0.05)
    np.testing.assert_allclose(signal, frames.mean(axis=0)[None].repeat(5, axis=0))
    with pytest.raises(InputError, match="at least 4 frames"):
        frame_pairs(frames[:2])


def test_quantisation_is_seen():
    counts = rng().poisson(20, (50, 50))
    assert quantisation_step(counts.astype(np.uint16) * 4) == 4
    assert quantisation_step(counts.astype(np.float32)) == 1
    assert quantisation_step(rng().normal(size=(200, 200))) == 0


def test_unusable_pairs_are_refused():
    with pytest.raises(InputError, match="same shape"):
        fit_mixture(np.zeros(3000), np.zeros(3001))
    with pytest.raises(InputError, match="at least 2000"):
        fit_mixture(np.zeros(100), np.zeros(100))
    with pytest.raises(InputError, match="No noise"):
        fit_mixture(np.linspace(0, 9, 3000), np.linspace(0, 9, 3000))
