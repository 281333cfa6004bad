"""Resampling as sparse matrices, one for each axis of an image.

Positions follow the pixels' areas: pixel i covers [i, i + 1), so that the grids of a
picture and of its reduced copy share their outer edges. Weights that fall beyond the
border are dropped and the rest is scaled to sum to 1.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from scipy.sparse import csr_array

from napari_vae_restore.operators.protocol import FloatArray


def bicubic(t: FloatArray) -> FloatArray:
    """Keys' cubic with a = -1/2, support (-2, 2). doi:10.1109/TASSP.1981.1163711."""
    d = np.abs(t)
    near = (1.5 * d - 2.5) * d**2 + 1
    far = ((-0.5 * d + 2.5) * d - 4) * d + 2
    return np.where(d < 1, near, np.where(d < 2, far, 0.0))


def box(t: FloatArray) -> FloatArray:
    """The mean over a pixel's area: what binning on a camera does."""
    return np.where(np.abs(t) < 0.5, 1.0, 0.0)


def gaussian(t: FloatArray) -> FloatArray:
    """A Gaussian whose standard deviation is half an output pixel, cut at four of them."""
    return np.where(np.abs(t) < 2, np.exp(-0.5 * (t / 0.5) ** 2), 0.0)


# Kernel, and half its support in pixels of the coarser grid.
KERNELS: dict[str, tuple[Callable[[FloatArray], FloatArray], float]] = {
    "bicubic": (bicubic, 2.0),
    "box": (box, 0.5),
    "gaussian": (gaussian, 2.0),
}


@lru_cache(maxsize=64)
def reduction(n: int, factor: int, kernel: str) -> csr_array:
    """The matrix that blurs with a kernel and keeps every factor-th value."""
    return _matrix(n // factor, n, float(factor), factor, kernel)


@lru_cache(maxsize=64)
def enlargement(n: int, factor: int) -> csr_array:
    """The matrix of bicubic interpolation."""
    return _matrix(n * factor, n, 1 / factor, 1.0, "bicubic")


def separable(rows: csr_array, columns: csr_array, image: FloatArray) -> FloatArray:
    """Rows @ image @ columns.T: (h, H) and (w, W) on (..., H, W) give (..., h, w)."""
    reduced = along(columns.__matmul__, image, -1)
    return np.ascontiguousarray(along(rows.__matmul__, reduced, -2))


def along(
    multiply: Callable[[FloatArray], FloatArray], image: FloatArray, axis: int
) -> FloatArray:
    """Put every line along an axis, as columns (n, k), through a linear map."""
    lines = np.moveaxis(image, axis, 0)  # (n, ...)
    product = multiply(lines.reshape(lines.shape[0], -1))
    return np.moveaxis(product.reshape(product.shape[0], *lines.shape[1:]), 0, axis)


def _matrix(n_out: int, n_in: int, step: float, width: float, kernel: str) -> csr_array:
    """Row i weighs inputs around (i + 1/2) step by the kernel stretched to `width`."""
    function, support = KERNELS[kernel]
    centres = (np.arange(n_out) + 0.5) * step
    reach = int(np.ceil(support * width)) + 1
    first = np.floor(centres).astype(int) - reach
    columns = first[:, None] + np.arange(2 * reach + 1)
    weights = function((columns + 0.5 - centres[:, None]) / width)
    inside = (columns >= 0) & (columns < n_in) & (weights != 0)
    weights = np.where(inside, weights, 0.0)
    weights /= weights.sum(axis=1, keepdims=True)
    rows = np.broadcast_to(np.arange(n_out)[:, None], columns.shape)
    shape = (n_out, n_in)
    return csr_array((weights[inside], (rows[inside], columns[inside])), shape=shape)
