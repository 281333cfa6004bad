"""Two independent measurements from one, and how strong its noise is taken to be."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_vae_restore import PoissonGaussianNoise
from napari_vae_restore.models.bundled import find_model
from napari_vae_restore.models.restorer import RestorationVAE
from napari_vae_restore.restoration.inference.units import Units
from napari_vae_restore.restoration.measurement import Measurement
from napari_vae_restore.training.examples import recorrupt
from napari_vae_restore.training.local_noise import (
    LocalNoise,
    PlaneConstants,
    measure_local_noise,
    restored,
)


def bundled() -> RestorationVAE:
    network = find_model("default").network
    assert isinstance(network, RestorationVAE)
    return network


def noise_of(
    image: NDArray[np.float32], constants: PlaneConstants, rng: np.random.Generator
) -> LocalNoise:
    network = bundled()
    pilot = restored(network, image, constants)
    return measure_local_noise(network, image, pilot, constants, rng)


def test_the_two_measurements_have_independent_noise() -> None:
    rng = np.random.default_rng(0)
    clean = np.full((400, 400), 3.0, np.float32)
    y = clean + rng.standard_normal(clean.shape).astype(np.float32)
    for alpha in (0.5, 1.0):
        noise = rng.standard_normal(clean.shape).astype(np.float32)
        one, two = (part - clean for part in recorrupt(y, noise, alpha))
        assert abs(float(np.mean(one * two))) < 0.02
        assert abs(float(one.var()) / (1 + alpha**2) - 1) < 0.02
        assert abs(float(two.var()) / (1 + alpha**-2) - 1) < 0.02


def test_noise_of_a_well_lit_image_is_as_told(clean: NDArray[np.float32]) -> None:
    noise = PoissonGaussianNoise(2.0, 4.0)
    y = noise.sample(clean, np.random.default_rng(0))[None]
    units = Units.of(Measurement(y, None, (noise,)))
    constants = (units.sigma, 0.0, 0.0, 0.0)
    found = noise_of(units.to_network(y)[0], constants, np.random.default_rng(1))
    share = found.strength
    assert share.shape == clean.shape
    assert 0.93 < share.mean() <= 1


def test_noise_in_the_dark_is_found_weaker_than_stabilising_promises() -> None:
    rng = np.random.default_rng(0)
    photons = np.full((256, 256), 0.05)
    photons[:, 128:] = 30.0
    y = rng.poisson(photons).astype(np.float64)[None]
    units = Units.of(Measurement(y, None, (PoissonGaussianNoise(1.0, 0.0),)))
    constants = (units.sigma, 0.0, 0.0, 0.0)
    found = noise_of(units.to_network(y)[0], constants, np.random.default_rng(1))
    share = found.strength
    assert np.median(share[:, :100]) < 0.6
    assert np.median(share[:, 156:]) > 0.93


def test_correlated_noise_is_taken_as_told() -> None:
    image = np.random.default_rng(0).standard_normal((64, 64)).astype(np.float32)
    found = noise_of(image, (0.1, 0.5, 0.5, 0.0), np.random.default_rng(1))
    assert (found.strength == 1).all()


def test_noise_is_drawn_with_the_shape_that_the_image_shows() -> None:
    rng = np.random.default_rng(0)
    # The logarithm of speckle's intensity has a skewness of -1.14 (Gumbel).
    e = 0.1 * (np.log(rng.exponential(size=(256, 256))) + np.euler_gamma) / (np.pi / 6**0.5)
    image = (0.5 + e).astype(np.float32)
    found = noise_of(image, (0.1, 0.0, 0.0, 0.0), rng)
    assert -1.3 < found.skewness < -0.8
    normal = rng.standard_normal(image.shape)
    n = 0.1 * found.shaped(normal, (slice(None), slice(None)))
    assert abs(float(n.mean())) < 0.003
    assert abs(float(n.std()) / 0.1 - 1) < 0.08
    # E[e - n | e + n] = 0, in the tails as well; a Gaussian of the same strength fails there.
    assert _bias(e, n) < 0.05 < 0.1 < _bias(e, 0.1 * normal)


def _bias(e: NDArray[np.float64], n: NDArray[np.floating]) -> float:
    """How far two measurements of one are from independent where the first is darkest."""
    dark = np.quantile(e + n, 0.01)
    return abs(float((e - n)[e + n < dark].mean()))


def test_shapes_of_gaussian_noise_are_gaussian(clean: NDArray[np.float32]) -> None:
    rng = np.random.default_rng(0)
    image = (clean / 255 + 0.1 * rng.standard_normal(clean.shape)).astype(np.float32)
    found = noise_of(image, (0.1, 0.0, 0.0, 0.0), rng)
    assert abs(found.skewness) < 0.15
    normal = rng.standard_normal(clean.shape)
    drawn = found.shaped(normal, (slice(None), slice(None)))
    assert np.abs(drawn - normal * found.strength)[np.abs(normal) < 2].max() < 0.4


def test_where_nothing_is_taken_away_noise_is_gaussian() -> None:
    image = np.full((96, 96), 0.5, np.float32)
    image[40, 40] = 0.9
    found = noise_of(image, (0.0, 0.0, 0.0, 0.0), np.random.default_rng(0))
    assert np.isfinite(found.shapes).all()
    assert np.isfinite(found.skewness)
