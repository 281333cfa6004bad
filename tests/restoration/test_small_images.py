"""Small and thin images are restored like others, by every task."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

import napari_vae_restore as vr

SHAPES = [
    *((1, 64), (64, 1), (5, 200), (9, 300), (12, 12), (16, 16)),
    *((30, 4, 4), (40, 2, 2), (3, 8, 33), (20, 1, 40)),
]
each_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)


def pair(shape: tuple[int, ...], dtype: str = "f4") -> tuple[NDArray, NDArray, str]:
    """Truth and measurement, and their axes."""
    draw = np.random.default_rng(2)
    large = [n if k < len(shape) - 2 else n + 40 for k, n in enumerate(shape)]
    smooth = gaussian_filter(draw.standard_normal(large), 5, axes=(-2, -1))[..., 20:-20, 20:-20]
    truth = 200 + 20 * smooth / smooth.std()
    return truth, (truth + 10 * draw.standard_normal(shape)).astype(dtype), "TYX"[-len(shape) :]


def rms(values: NDArray) -> float:
    return float(np.sqrt(np.square(values, dtype=float).mean()))


@each_shape
@pytest.mark.parametrize("dtype", ["f4", "u2"])
def test_denoising_helps(shape, dtype):
    truth, y, axes = pair(shape, dtype)
    out = vr.denoise(y, axes=axes, device="cpu")
    assert out.mean.shape == shape
    assert out.mean.dtype == y.dtype
    assert rms(out.mean - truth) < rms(y - truth)


@pytest.mark.parametrize("shape", [(3, 3), (1, 8), (2, 5), (6, 6)], ids=str)
def test_a_handful_of_pixels_is_no_error(shape):
    _, y, axes = pair(shape)
    out = vr.denoise(y, axes=axes, device="cpu")
    assert np.isfinite(out.mean).all()
    assert rms(out.mean - y) < 40


@pytest.mark.parametrize("shape", [(1, 64), (5, 40), (10, 4, 4)], ids=str)
def test_every_task_takes_them(shape):
    truth, y, axes = pair(shape)
    missing = np.random.default_rng(0).random(shape) < 0.2
    tasks = [
        vr.Inpaint(missing),
        vr.SuperResolve(2),
        [vr.Denoise(), vr.Inpaint(missing)],
        [vr.Denoise(), vr.Deblur(np.full((3, 3), 1 / 9))],
    ]
    for task in tasks:
        out = vr.restore(y, task, axes=axes, device="cpu")
        assert np.isfinite(out.mean).all()
        assert rms(np.mean(out.mean) - truth.mean()) < 20
    assert vr.estimate_noise(y, axes=axes, device="cpu").noise
    assert np.isfinite(vr.denoise(y, axes=axes, n_samples=2, device="cpu").std).all()
