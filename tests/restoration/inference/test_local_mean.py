"""Brightness is kept: few photons do not make an image darker, and noise adds nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from skimage import data

import napari_vae_restore as vr
from napari_vae_restore.models.condition import condition_tensor
from napari_vae_restore.restoration.inference.local_mean import (
    RADIUS,
    local_shift,
    with_local_mean,
)

SIDE = 192


def noise(sigma: float = 1.0, shape: tuple[int, ...] = (1, SIDE, SIDE)) -> NDArray[np.float32]:
    return (sigma * np.random.default_rng(0).standard_normal(shape)).astype(np.float32)


def everywhere(image: NDArray[np.float32]) -> NDArray[np.bool_]:
    return np.ones(image.shape, bool)


def test_noise_alone_shifts_next_to_nothing() -> None:
    measured = noise()
    shift = local_shift(measured, everywhere(measured), np.zeros(measured.shape), 1.0)
    standard_error = 1 / (2 * np.sqrt(np.pi) * RADIUS)
    assert (shift == 0).mean() > 0.9
    assert np.abs(shift).max() < 6 * standard_error


@pytest.mark.parametrize("shape", [(1, SIDE, SIDE), (3, 33, 47), (1, 8, 130)])
def test_a_lost_brightness_comes_back(shape: tuple[int, ...]) -> None:
    lost = 0.7
    measured = noise(0.3, shape)
    shift = local_shift(measured + lost, everywhere(measured), np.zeros(shape), 0.3)
    assert shift.shape == shape
    assert float(shift.mean()) == pytest.approx(lost, rel=0.06)


def test_what_was_not_measured_does_not_count() -> None:
    measured, observed = noise(0.1) + np.float32(0.5), everywhere(noise())
    observed[:, 60:120, 60:120] = False
    other = measured.copy()
    other[~observed] = 1e6
    one, two = (local_shift(m, observed, np.zeros(m.shape), 0.1) for m in (measured, other))
    np.testing.assert_array_equal(one, two)
    assert float(one.mean()) == pytest.approx(0.5, rel=0.02)


@pytest.mark.parametrize("photons", [0.5, 1.0])
def test_few_photons_stay_as_bright_as_they_were(photons: float) -> None:
    clean = data.camera()[64:256, 160:352] / 128 * photons
    counts = np.random.default_rng(0).poisson(clean).astype(np.float32)
    out = vr.denoise(counts, noise=vr.PoissonGaussianNoise(1.0, 0.0), device="cpu").mean
    assert float(out.mean()) == pytest.approx(float(counts.mean()), rel=0.06)
    bright = clean > np.median(clean)
    for part in (bright, ~bright):
        assert float(out[part].mean()) == pytest.approx(float(clean[part].mean()), rel=0.15)


def test_what_judges_a_training_is_what_a_restoration_gives() -> None:
    image = noise(0.1)[None] + np.float32(0.5)
    observed, mean = np.ones(image.shape, bool), torch.zeros(image.shape)
    white, weak, grey = ((0.1, rho, 0.0, 0.0) for rho in (0.0, 0.1, 0.3))
    kept = with_local_mean(condition_tensor(image, observed, white), mean)
    shift = local_shift(image[0], observed[0], np.zeros(image.shape[1:]), 0.1)
    np.testing.assert_allclose(kept[0].numpy(), shift, atol=1e-6)
    assert float(kept.mean()) == pytest.approx(0.5, rel=0.02)
    less_sure = with_local_mean(condition_tensor(image, observed, weak), mean)
    assert 0.9 * float(kept.mean()) < float(less_sure.mean()) < float(kept.mean())
    assert with_local_mean(condition_tensor(image, observed, grey), mean).abs().max() == 0
