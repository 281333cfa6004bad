"""Degradations that no network was trained on."""

from __future__ import annotations

import numpy as np
import pytest
from skimage import data
from skimage.metrics import peak_signal_noise_ratio
from skimage.restoration import richardson_lucy, wiener

import napari_vae_restore as vr
from napari_vae_restore.operators import Blur

MOTION = np.eye(7)


def test_a_motion_blur_is_undone_better_than_by_deconvolution() -> None:
    clean = data.camera()[120:248, 160:288].astype(np.float64)
    rng = np.random.default_rng(0)
    blurred = Blur(MOTION).apply(clean) + 2.5 * rng.standard_normal(clean.shape)
    result = vr.restore(blurred, [vr.Denoise("gaussian:2.5"), vr.Deblur(MOTION)], n_samples=2)

    def psnr(found: np.ndarray) -> float:
        return float(peak_signal_noise_ratio(clean, found, data_range=255))

    psf = MOTION / MOTION.sum()
    peers = [255 * wiener(blurred / 255, psf, balance, clip=False) for balance in (0.01, 0.1)]
    peers += [
        255 * richardson_lucy((blurred / 255).clip(0.01), psf, num_iter=n) for n in (5, 20)
    ]
    assert psnr(result.mean) > psnr(blurred) + 3
    assert psnr(result.mean) > max(psnr(peer) for peer in peers) + 1
    assert result.diagnostics.residual_std == pytest.approx(1, abs=0.35)
    assert result.std is not None
    assert result.std.mean() > 0


def test_the_blur_is_told_in_the_recipe() -> None:
    image = np.random.default_rng(0).random((32, 32))
    (told,) = vr.restore(image, vr.Deblur(MOTION)).recipe.tasks
    assert told["kind"] == "deblur"
    np.testing.assert_allclose(told["psf"], MOTION / 7)
