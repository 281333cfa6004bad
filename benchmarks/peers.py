"""Classical denoisers to stand beside ours, each at the settings that favour it."""

from __future__ import annotations

import numpy as np
from bm3d import bm3d
from numpy.typing import NDArray
from skimage.metrics import peak_signal_noise_ratio
from skimage.restoration import (
    denoise_nl_means,
    denoise_tv_chambolle,
    denoise_wavelet,
    estimate_sigma,
)

from napari_vae_restore import NoiseModel

Image = NDArray[np.float64]
RANGE = 255.0
_TV_WEIGHTS = (0.03, 0.05, 0.08, 0.12, 0.18, 0.25)


def psnr(restored: Image, clean: Image) -> float:
    """PSNR in dB for a data range of 255."""
    return float(peak_signal_noise_ratio(clean, restored, data_range=RANGE))


def nl_means(noisy: Image, sigma: float | None) -> Image:
    """scikit-image's NLM with h = 0.8 sigma; sigma by its own estimator if not told."""
    sigma = float(estimate_sigma(noisy)) if sigma is None else sigma
    return denoise_nl_means(
        noisy, h=0.8 * sigma, sigma=sigma, patch_size=5, patch_distance=6, fast_mode=True
    )


def wavelet(noisy: Image, sigma: float | None) -> Image:
    """scikit-image's BayesShrink with spin-free defaults."""
    return (
        denoise_wavelet(noisy / RANGE, sigma=None if sigma is None else sigma / RANGE) * RANGE
    )


def total_variation(noisy: Image, clean: Image) -> Image:
    """scikit-image's TV with the weight that the ground truth likes best: an oracle."""
    candidates = [
        denoise_tv_chambolle(noisy / RANGE, weight=weight) * RANGE for weight in _TV_WEIGHTS
    ]
    return max(candidates, key=lambda candidate: psnr(candidate, clean))


def bm3d_white(noisy: Image, sigma: float | None) -> Image:
    """BM3D taking the noise for white Gaussian."""
    sigma = float(estimate_sigma(noisy)) if sigma is None else sigma
    return bm3d(noisy, sigma)


def bm3d_stabilised(noisy: Image, noise: NoiseModel) -> Image:
    """BM3D behind a variance-stabilising transform with the given noise model."""
    stabilised = noise.stabilise(noisy)
    low, high = stabilised.min(), stabilised.max()
    unit = (stabilised - low) / (high - low)
    restored = bm3d(unit, 1.0 / (high - low))
    return noise.unstabilise(restored * (high - low) + low)
