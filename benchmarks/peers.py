"""Classical methods to stand beside ours, each at the settings that favour it.

Pictures are (H, W), 0-255. A `sigma` of None is estimated as scikit-image does it.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import cv2
import numpy as np
from bm3d import bm3d
from numpy.typing import NDArray
from scipy.optimize import brentq
from skimage.metrics import peak_signal_noise_ratio
from skimage.restoration import (
    denoise_nl_means,
    denoise_tv_chambolle,
    denoise_wavelet,
    estimate_sigma,
    inpaint_biharmonic,
)

from napari_vae_restore import NoiseModel
from napari_vae_restore.operators.resampling import enlargement, separable

Image = NDArray[np.float64]
Mask = NDArray[np.bool_]
RANGE = 255.0
_TV_WEIGHTS = (0.03, 0.05, 0.08, 0.12, 0.18, 0.25)
_TV_BRACKET = (1e-4, 3.0)  # weights between nothing done and nothing left
_INPAINT_RADIUS = 3  # px, of Telea and Navier-Stokes


class Figures:
    """What took long to compute, kept in a file of JSON lines that several may write.

    Parameters
    ----------
    folder : Path or None
        Where files are; None keeps nothing.
    name : str
        The file's name without its suffix.
    """

    def __init__(self, folder: Path | None, name: str) -> None:
        self._path = None if folder is None else folder / f"{name}.jsonl"
        self._known: dict[tuple[str, ...], float] = {}
        if self._path is not None and self._path.exists():
            lines = map(json.loads, self._path.read_text().splitlines())
            self._known = {tuple(key): figure for key, figure in lines}

    def get(self, key: tuple[str, ...], compute: Callable[[], float]) -> float:
        """The figure under this key, computed and written down if it is not known."""
        if key not in self._known:
            self._known[key] = compute()
            if self._path is not None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                with self._path.open("a") as file:
                    fcntl.flock(file, fcntl.LOCK_EX)
                    file.write(json.dumps((key, self._known[key])) + "\n")
        return self._known[key]


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


def total_variation_matched(noisy: Image, sigma: float | None) -> Image:
    """scikit-image's TV with the weight that removes as much as the noise (Morozov)."""
    sigma = float(estimate_sigma(noisy)) if sigma is None else sigma

    def restored(log_weight: float) -> Image:
        weight = float(np.exp(log_weight))
        return denoise_tv_chambolle(noisy / RANGE, weight=weight) * RANGE

    def excess(log_weight: float) -> float:
        return float(np.std(noisy - restored(log_weight))) - sigma

    low, high = np.log(_TV_BRACKET)
    if excess(high) < 0:
        return restored(high)
    return restored(brentq(excess, low, high, xtol=0.05))


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


def bm3d_coloured(noisy: Image, psd: Image) -> Image:
    """BM3D told the power spectrum of the noise, E |FFT(noise)|², (H, W)."""
    # bm3d 4.0.3 calls numpy's trapezoid by a name that numpy 2.4 no longer has.
    with patch.object(np, "trapz", np.trapezoid, create=True):
        return bm3d(noisy, psd)


def biharmonic(image: Image, missing: Mask) -> Image:
    """scikit-image's biharmonic inpainting."""
    return inpaint_biharmonic(image, missing)


def telea(image: Image, missing: Mask) -> Image:
    """OpenCV's fast marching inpainting."""
    return _opencv_inpaint(image, missing, cv2.INPAINT_TELEA)


def navier_stokes(image: Image, missing: Mask) -> Image:
    """OpenCV's Navier-Stokes inpainting."""
    return _opencv_inpaint(image, missing, cv2.INPAINT_NS)


def bicubic(image: Image, factor: int) -> Image:
    """Keys' cubic with a = -3/4, as OpenCV and torch enlarge."""
    return _opencv_enlarge(image, factor, cv2.INTER_CUBIC)


def keys_bicubic(image: Image, factor: int) -> Image:
    """Keys' cubic with a = -1/2, as MATLAB and Pillow enlarge: the published figures."""
    rows, columns = (enlargement(n, factor) for n in image.shape)
    return np.asarray(separable(rows, columns, image))


def lanczos(image: Image, factor: int) -> Image:
    """Lanczos over 8 x 8 pixels."""
    return _opencv_enlarge(image, factor, cv2.INTER_LANCZOS4)


def _opencv_inpaint(image: Image, missing: Mask, method: int) -> Image:
    values, hole = image.astype(np.float32), missing.astype(np.uint8)
    return cv2.inpaint(values, hole, _INPAINT_RADIUS, method).astype(np.float64)


def _opencv_enlarge(image: Image, factor: int, method: int) -> Image:
    height, width = image.shape
    return cv2.resize(image, (width * factor, height * factor), interpolation=method)
