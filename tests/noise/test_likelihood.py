"""Likelihoods in network units: white, correlated, and of any shape."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from napari_vae_restore.noise.autoregression import Autoregression
from napari_vae_restore.noise.correlation import correlated_noise
from napari_vae_restore.noise.likelihood import network_likelihood
from napari_vae_restore.noise.mixture import MixtureNoise
from napari_vae_restore.noise.models import GaussianNoise, PoissonGaussianNoise

ROW = Autoregression("row", (0.8,))
SCALE = 20.0
CORRELATIONS = [ROW, Autoregression("column", (0.5, 0.2)), (0.6, 0.6), (0.0, 0.6)]


def batch(seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(0.4, 0.3, (2, 1, 7, 6)))


@pytest.mark.parametrize("noise", [None, GaussianNoise(25), PoissonGaussianNoise(2.0, 9.0)])
def test_white_noise_is_the_gaussian_of_known_deviation(noise):
    likelihood = network_likelihood(noise, offset=3.0, scale=SCALE)
    expected = GaussianNoise(1 / SCALE)
    assert torch.equal(
        likelihood.log_likelihood(batch(), batch(1)), expected.log_likelihood(batch(), batch(1))
    )


def test_a_short_row_has_the_density_of_a_multivariate_normal():
    likelihood = network_likelihood(GaussianNoise(25, ROW), offset=0.0, scale=SCALE)
    y, signal = np.random.default_rng(1).normal(0.4, 0.1, (2, 5))
    lags = np.abs(np.subtract.outer(np.arange(5), np.arange(5)))
    expected = multivariate_normal(signal, 0.8**lags / SCALE**2).logpdf(y)
    shape = (1, 1, 1, 5)
    found = likelihood.log_likelihood(
        torch.from_numpy(y).view(shape), torch.from_numpy(signal).view(shape)
    )
    assert found.shape == shape
    assert float(found.sum()) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("correlation", CORRELATIONS, ids=str)
def test_the_true_correlation_explains_noise_best(correlation):
    rng = np.random.default_rng(2)
    noise = torch.from_numpy(correlated_noise((1, 1, 200, 200), correlation, rng)) / SCALE
    zero = torch.zeros_like(noise)
    told, white, turned = (
        float(
            network_likelihood(GaussianNoise(25, each), offset=0.0, scale=SCALE)
            .log_likelihood(noise, zero)
            .mean()
        )
        for each in (correlation, (0.0, 0.0), (0.0, 0.3))
    )
    assert told > white + 0.1
    assert told > turned


@pytest.mark.parametrize("correlation", CORRELATIONS, ids=str)
def test_smooth_structure_costs_less_than_the_same_energy_of_noise(correlation):
    """What a white likelihood cannot do: tell stripes that noise draws from others."""
    likelihood = network_likelihood(GaussianNoise(25, correlation), offset=0.0, scale=1.0)
    rng = np.random.default_rng(2)
    own = torch.from_numpy(correlated_noise((1, 1, 60, 60), correlation, rng))
    white = torch.from_numpy(rng.standard_normal((1, 1, 60, 60)))
    zero = torch.zeros_like(own)
    assert float(likelihood.log_likelihood(own, zero).mean()) > float(
        likelihood.log_likelihood(white, zero).mean()
    )


@pytest.mark.parametrize("correlation", CORRELATIONS, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_extremes_are_finite(correlation, dtype):
    likelihood = network_likelihood(GaussianNoise(25, correlation), offset=0.0, scale=SCALE)
    y = batch().to(dtype)
    y[0, 0, 3, 3] = 3000.0  # a pixel of 60000 at a noise of 20
    signal = torch.zeros_like(y, requires_grad=True)
    logs = likelihood.log_likelihood(y, signal)
    assert logs.dtype == torch.float32
    assert bool(torch.isfinite(logs).all())
    logs.sum().backward()
    assert bool(torch.isfinite(signal.grad).all())


def test_a_white_mixture_keeps_its_shape():
    table = ((0.7, 0.3),) * 2, ((-3.0, 7.0),) * 2, ((3.0, 5.0),) * 2
    noise = MixtureNoise((0.0, 100.0), *table)
    offset, scale = 4.0, 10.0
    likelihood = network_likelihood(noise, offset=offset, scale=scale)
    assert isinstance(likelihood, MixtureNoise)
    rng = np.random.default_rng(3)
    y = (noise.stabilise(noise.sample(np.full(50_000, 60.0), rng)) - offset) / scale
    signal = torch.full((50_000,), float(y.mean()), dtype=torch.float64)
    found = likelihood.log_likelihood(torch.from_numpy(y), signal)
    gaussian = GaussianNoise(1 / scale).log_likelihood(torch.from_numpy(y), signal)
    assert float(found.mean()) > float(gaussian.mean()) + 0.03


def test_a_correlated_mixture_is_whitened():
    noise = MixtureNoise((0.0, 9.0), ((1.0,),) * 2, ((0.0,),) * 2, ((2.0,),) * 2, 0.0, ROW)
    likelihood = network_likelihood(noise, offset=0.0, scale=SCALE)
    y = batch()
    zeros = torch.zeros_like(y)
    first = likelihood.log_likelihood(y, zeros)[..., 0]
    expected = -0.5 * (y[..., 0] * SCALE) ** 2 - 0.5 * math.log(2 * math.pi) + math.log(SCALE)
    torch.testing.assert_close(first, expected)
