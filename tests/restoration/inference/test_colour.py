"""Colour pictures with noise: luminance and chroma where it helps, colours apart elsewhere."""

import numpy as np
import pytest
from skimage import data
from skimage.metrics import peak_signal_noise_ratio

import napari_vae_restore as vr
from napari_vae_restore.restoration.inference.colour import (
    LUMINANCE_CHROMA,
    alikeness,
    component_variances,
)


@pytest.fixture(scope="module")
def photograph():
    return data.astronaut()[:128, 130:290].astype(np.float32)


def rng():
    return np.random.default_rng(0)


def psnr(clean, found):
    return peak_signal_noise_ratio(clean, found, data_range=255)


def apart(image, tasks):
    """Restored as three channels that have nothing in common."""
    return vr.restore(image, tasks, axes="YXC").mean


@pytest.mark.parametrize("noise", ["gaussian:25", "auto"])
def test_colours_help_each_other(photograph, noise):
    noisy = (photograph + 25 * rng().standard_normal(photograph.shape)).astype(np.float32)
    found = vr.denoise(noisy, noise=noise).mean
    assert found.shape == photograph.shape
    assert psnr(photograph, found) > psnr(photograph, apart(noisy, vr.Denoise(noise))) + 0.5


def test_a_mixture_of_tasks_in_colour(photograph):
    noisy = (photograph + 15 * rng().standard_normal(photograph.shape)).astype(np.float32)
    tasks = [vr.Denoise(), vr.Inpaint(rng().random(photograph.shape[:2]) < 0.3)]
    found = vr.restore(noisy, tasks, n_samples=2)
    assert found.std.shape == photograph.shape
    assert psnr(photograph, found.mean) > psnr(photograph, apart(noisy, tasks)) + 0.3


def test_noise_that_all_colours_share_is_removed_too(photograph):
    shared = 25 * rng().standard_normal((*photograph.shape[:2], 1))
    noisy = (photograph + shared).astype(np.float32)
    found = vr.denoise(noisy, noise="gaussian:25").mean
    assert psnr(photograph, found) > psnr(photograph, apart(noisy, vr.Denoise("gaussian:25")))


def test_a_grey_picture_saved_in_colour(photograph):
    grey = photograph[..., 1] + 25 * rng().standard_normal(photograph.shape[:2])
    image = np.repeat(grey[..., None], 3, axis=2).astype(np.float32)
    found = vr.denoise(image, noise="gaussian:25").mean
    np.testing.assert_allclose(found[..., 0], found[..., 2], atol=1.5)
    alone = vr.denoise(image[..., 0], noise="gaussian:25").mean
    assert np.sqrt(np.square(found[..., 1] - alone).mean()) < 1.5


def test_colours_with_little_in_common_are_restored_apart():
    stains = np.stack([data.coins()[:128, i * 100 : i * 100 + 128] for i in range(3)], -1)
    noisy = (stains + 15 * rng().standard_normal(stains.shape)).astype(np.float32)
    found = vr.denoise(noisy, noise="gaussian:15").mean
    np.testing.assert_allclose(found, apart(noisy, vr.Denoise("gaussian:15")), atol=1e-3)


def test_without_noise_colours_are_restored_apart(photograph):
    mask = rng().random(photograph.shape[:2]) < 0.3
    found = vr.inpaint(photograph, mask).mean
    np.testing.assert_array_equal(found[~mask], photograph[~mask])
    np.testing.assert_array_equal(found, apart(photograph, vr.Inpaint(mask)))


def test_alikeness_is_that_of_the_signals(photograph):
    colours = np.moveaxis(photograph, 2, 0) / 10.0
    noisy = colours + rng().standard_normal(colours.shape)
    expected = np.corrcoef(colours.reshape(3, -1))[np.triu_indices(3, 1)].mean()
    assert alikeness(noisy, None) == pytest.approx(expected, abs=0.02)
    assert alikeness(rng().standard_normal((3, 64, 64)), None) == 0


@pytest.mark.parametrize("shared", [0.0, 0.5, 1.0])
def test_variances_of_luminance_and_chroma(shared):
    noise = rng().standard_normal((4, 200, 200))
    colours = np.sqrt(1 - shared) * noise[:3] + np.sqrt(shared) * noise[3:]
    mixed = np.einsum("ic,chw->ihw", LUMINANCE_CHROMA, colours)
    found = component_variances(colours, mixed, LUMINANCE_CHROMA, None)
    expected = np.array([1 + 2 * shared, 1 - shared, 1 - shared])
    np.testing.assert_allclose(found, np.maximum(expected, 1e-3), rtol=0.05)
