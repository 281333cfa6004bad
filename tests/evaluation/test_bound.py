"""The bound and its parts, against torch.distributions on tiny models."""

from __future__ import annotations

import math
from functools import reduce
from operator import add

import numpy as np
import pytest
import torch
from torch.distributions import Independent, Normal, kl_divergence

import napari_vae_restore as vr
from napari_vae_restore.evaluation.bound import measure
from napari_vae_restore.models.config import FlatVAEConfig, HVAEConfig, ModelConfig
from napari_vae_restore.models.latents import DiagonalGaussian, random_noise
from napari_vae_restore.models.model import Model, Normalisation, build_network
from napari_vae_restore.noise.models import GaussianNoise, NoiseModel, PoissonGaussianNoise

CONFIGS = [HVAEConfig(levels=2, width=8, latent=3), FlatVAEConfig(size=28, width=4, z_dim=5)]
KINDS = ["hvae", "flat"]


def made(config: ModelConfig, noise: NoiseModel) -> Model:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        network = build_network(config).eval()
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.15)
    return Model(network, Normalisation(5.0, 2.5), noise)


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).normal(120, 30, (28, 28))


@pytest.mark.parametrize("config", CONFIGS, ids=KINDS)
def test_the_bound_is_that_of_torch_distributions(
    config: ModelConfig, image: np.ndarray
) -> None:
    sigma = 12.0
    model = made(config, GaussianNoise(sigma))
    tally, _ = measure(image, "YX", model, seed=7, n_samples=1)
    y = torch.tensor((image / sigma - 5.0) / 2.5, dtype=torch.float32)[None, None]
    noise = random_noise(torch.Generator().manual_seed(7))
    kl = {}

    def drawn(level: int, p: DiagonalGaussian, q: DiagonalGaussian) -> torch.Tensor:
        posterior, prior = (Independent(Normal(d.mean, d.log_std.exp()), 3) for d in (q, p))
        kl[level] = float(kl_divergence(posterior, prior))
        return q.sample(noise(level, q.mean))

    with torch.inference_mode():
        signal = model.network.traverse(model.network.encode(y), (1, 28, 28), drawn)
    log_p = float(Normal(signal.double(), 1 / 2.5).log_prob(y.double()).sum())
    assert tally.n_values == 28 * 28
    assert tally.log_likelihood == pytest.approx(log_p, rel=1e-5)
    np.testing.assert_allclose(tally.kl, [kl[level] for level in sorted(kl)], rtol=1e-4)
    assert tally.elbo == pytest.approx((log_p - sum(kl.values())) / 28**2, rel=1e-5)
    # In intensities: a density of y, not of (y / sigma - 5) / 2.5.
    nats = tally.elbo - math.log(sigma * 2.5)
    assert tally.bits_per_dimension(1.0) == pytest.approx(-nats / math.log(2))
    assert tally.bits_per_dimension(0.5) == pytest.approx(1 - nats / math.log(2))


@pytest.mark.parametrize("config", CONFIGS, ids=KINDS)
def test_bits_do_not_depend_on_the_normalisation(
    config: ModelConfig, image: np.ndarray
) -> None:
    """A network that ignores its input codes by its noise model alone."""
    network = build_network(config).eval()
    for parameter in network.parameters():
        torch.nn.init.zeros_(parameter)
    bits = []
    for normalisation in (Normalisation(10.0, 1.0), Normalisation(10.0, 4.0)):
        model = Model(network, normalisation, GaussianNoise(12.0))
        bits.append(measure(image, "YX", model)[0].bits_per_dimension(1.0))
    log_p = Normal(120.0, 12.0).log_prob(torch.from_numpy(image)).mean()
    assert bits == pytest.approx([-float(log_p) / math.log(2)] * 2, rel=1e-5)


def test_the_slope_is_that_of_the_stabilising_transform() -> None:
    noise = PoissonGaussianNoise(2.0, 9.0)
    y = np.random.default_rng(0).uniform(50, 250, (28, 28))
    model = made(CONFIGS[1], noise)
    tally, _ = measure(y, "YX", model)
    step = 1e-3
    slope = (noise.stabilise(y + step) - noise.stabilise(y - step)) / (2 * step) / 2.5
    assert tally.log_slope == pytest.approx(float(np.log(slope).sum()), rel=1e-3)


def test_units_are_active_whose_mean_varies() -> None:
    model = made(CONFIGS[1], GaussianNoise(12.0))
    rng = np.random.default_rng(1)
    tallies, means = [], []
    for _ in range(5):
        image = rng.normal(120, 60, (28, 28))
        tally, _ = measure(image, "YX", model)
        tallies.append(tally)
        means.append(vr.encode(image, model).levels[0].mean.ravel())
    total = reduce(add, tallies)
    variance = np.var(means, axis=0)
    found = total.squares[0] / 5 - (total.sums[0] / 5) ** 2
    np.testing.assert_allclose(found, variance, rtol=1e-3, atol=1e-7)
    assert total.active() == [int((variance > 0.01).sum())]
    assert tallies[0].active() == [None]


def test_a_large_plane_is_measured_in_windows() -> None:
    """The flat VAE's windows are of its size; each is a picture of its own."""
    model = made(CONFIGS[1], GaussianNoise(12.0))
    image = np.random.default_rng(0).normal(120, 30, (56, 40))
    whole, drawn = measure(image, "YX", model)
    assert whole.n_values == 4 * 28 * 28
    assert whole.cells == [4]
    first, part = measure(image[:28, :28], "YX", model)
    np.testing.assert_allclose(drawn[:28, :28], part)
    assert drawn.shape == image.shape
    assert first.n_values == 28 * 28
