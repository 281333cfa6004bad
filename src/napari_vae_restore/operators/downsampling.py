"""Coarser pixels: a blur by a named kernel, then every n-th pixel."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve_banded, cholesky_banded
from scipy.sparse import csr_array

from napari_vae_restore.errors import InputError
from napari_vae_restore.operators.protocol import FloatArray, double, image_shape
from napari_vae_restore.operators.resampling import KERNELS, along, reduction, separable


@dataclass(frozen=True, slots=True)
class Downsampling:
    """Blur with a kernel and keep every factor-th pixel along both axes.

    A is R along the rows times R along the columns, with R of :func:`~.resampling.reduction`,
    so the pseudo-inverse is R^+ = R^T (R R^T)^-1 along each; R R^T is banded and
    well-conditioned. Raises InputError if `factor` is not a whole number of at least 1, or the
    kernel is none of :data:`~.resampling.KERNELS`.

    Examples
    --------
    >>> Downsampling(2, "box").apply(np.array([[0.0, 1.0], [2.0, 3.0]])).tolist()
    [[1.5]]
    """

    factor: int
    kernel: str = "bicubic"

    def __post_init__(self) -> None:
        if (
            isinstance(self.factor, bool)
            or not isinstance(self.factor, int | np.integer)
            or self.factor < 1
        ):
            raise InputError(
                f"Expected a whole factor of at least 1, came {self.factor!r}; "
                "2, 3 and 4 are usual."
            )
        if self.kernel not in KERNELS:
            raise InputError(
                f"Expected a kernel among {', '.join(KERNELS)}, came {self.kernel!r}."
            )
        object.__setattr__(self, "factor", int(self.factor))

    def measured_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape with both sides divided; raises InputError unless they are multiples."""
        *lead, height, width = image_shape(shape)
        if height % self.factor or width % self.factor:
            raise InputError(
                f"Expected sides that are multiples of {self.factor}, came {height} x "
                f"{width}; crop the image to {height - height % self.factor} x "
                f"{width - width % self.factor}, or pad it."
            )
        return (*lead, height // self.factor, width // self.factor)

    def apply(self, x: FloatArray) -> FloatArray:
        """Return the reduced image."""
        height, width = self.measured_shape(double(x).shape)[-2:]
        small = separable(self._reduction(height), self._reduction(width), double(x))
        return small.astype(x.dtype)

    def adjoint(self, y: FloatArray) -> FloatArray:
        """Return R^T y R along rows and columns."""
        return self._spread(double(y)).astype(y.dtype)

    def pseudo_inverse(self, y: FloatArray) -> FloatArray:
        """Return the shortest image that reduces to y: to rounding, `apply` gives it back."""
        solved = double(y)
        for axis in (-2, -1):
            # The lower factor, with one diagonal per row.
            cholesky = _gram_cholesky(solved.shape[axis], self.factor, self.kernel)
            solved = along(partial(cho_solve_banded, (cholesky, True)), solved, axis)
        return self._spread(solved).astype(y.dtype)

    def _reduction(self, n_measured: int) -> csr_array:
        return reduction(n_measured * self.factor, self.factor, self.kernel)

    def _spread(self, y: FloatArray) -> FloatArray:
        height, width = y.shape[-2:]
        return separable(self._reduction(height).T, self._reduction(width).T, y)


@lru_cache(maxsize=64)
def _gram_cholesky(n: int, factor: int, kernel: str) -> NDArray[np.float64]:
    """Cholesky factor of the banded R R^T, for the reduction R to n pixels."""
    matrix = reduction(n * factor, factor, kernel)
    gram = (matrix @ matrix.T).tocoo()
    width = int(np.abs(gram.row - gram.col).max())
    bands = [np.pad(gram.diagonal(-k), (0, k)) for k in range(width + 1)]
    return np.asarray(cholesky_banded(np.stack(bands), lower=True))
