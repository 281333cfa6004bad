"""Convolution with a point spread function."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve
from scipy.sparse import csr_array

from napari_vae_restore.errors import InputError
from napari_vae_restore.operators.least_squares import least_squares
from napari_vae_restore.operators.protocol import FloatArray, SameGrid, double, image_shape
from napari_vae_restore.operators.resampling import separable

# A normalised blur passes 1 at its best. Frequencies that it passes by less than the root
# of this, a thousandth, are left out of the inverse rather than blown up with the noise.
BLUR_DAMPING: Final = 1e-6
BLUR_TOLERANCE: Final = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Blur(SameGrid):
    """Convolve with a point spread function; borders reflect, the edge pixel repeated.

    The pseudo-inverse is regularised: with it, x minimises |A x - y|^2 + 1e-6 |x|^2.
    What the blur passes by less than a thousandth is not brought back, and noise is
    amplified by up to five hundred. To deconvolve noisy images, use
    :func:`~.consistency.data_step`. Raises InputError if `psf` is not two-dimensional, real and
    finite, or its sum is not positive.

    Examples
    --------
    >>> Blur(np.ones((1, 3))).apply(np.array([[0.0, 0.0, 3.0]])).round(6).tolist()
    [[0.0, 1.0, 2.0]]
    """

    psf: NDArray[np.float64]

    def __post_init__(self) -> None:
        psf = np.array(self.psf)
        if psf.ndim != 2 or psf.dtype.kind not in "biuf":
            raise InputError(
                "Expected a point spread function as a real array with two axes, came "
                f"{psf.dtype} of shape {psf.shape}; pass the slice in focus of a stack."
            )
        total = float(psf.sum())
        if not (math.isfinite(total) and total > 0):
            raise InputError(
                "Expected a point spread function with a finite, positive sum, came "
                f"{total}; subtract the background and remove NaNs."
            )
        rounding = psf.size * np.finfo(np.float64).eps
        normalised = psf.astype(np.float64) / (1.0 if abs(total - 1) < rounding else total)
        normalised.setflags(write=False)
        object.__setattr__(self, "psf", normalised)

    def apply(self, x: FloatArray) -> FloatArray:
        """Return the blurred image."""
        padded = separable(*self._mirrors(x.shape), double(x))
        return self._convolved(padded, self.psf, "valid").astype(x.dtype)

    def adjoint(self, y: FloatArray) -> FloatArray:
        """Correlate, and fold the borders back."""
        padded = self._convolved(double(y), self.psf[::-1, ::-1], "full")
        rows, columns = self._mirrors(y.shape)
        return separable(rows.T, columns.T, padded).astype(y.dtype)

    def pseudo_inverse(self, y: FloatArray) -> FloatArray:
        """Return a regularised inverse, see above, after at most 200 iterations."""
        solved = least_squares(
            self.apply,
            self.adjoint,
            double(y),
            damping=BLUR_DAMPING,
            tolerance=BLUR_TOLERANCE,
        )
        return solved.astype(y.dtype)

    def _mirrors(self, shape: tuple[int, ...]) -> tuple[csr_array, csr_array]:
        height, width = (
            _mirror(n, size - 1 - size // 2, size // 2)
            for n, size in zip(image_shape(shape)[-2:], self.psf.shape, strict=True)
        )
        return height, width

    @staticmethod
    def _convolved(image: FloatArray, psf: FloatArray, mode: str) -> FloatArray:
        kernel = psf.reshape((1,) * (image.ndim - 2) + psf.shape)
        return np.asarray(fftconvolve(image, kernel, mode=mode, axes=(-2, -1)))


@lru_cache(maxsize=64)
def _mirror(n: int, before: int, after: int) -> csr_array:
    """The matrix (before + n + after, n) that reflects at the borders, edges repeated."""
    source = np.pad(np.arange(n), (before, after), mode="symmetric")
    rows: NDArray[Any] = np.arange(source.size)
    return csr_array((np.ones(source.size), (rows, source)), shape=(source.size, n))
