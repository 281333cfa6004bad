"""Operators that look at one pixel at a time: the identity and a mask."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_vae_restore.errors import InputError
from napari_vae_restore.operators.protocol import FloatArray, SameGrid, double, image_shape


@dataclass(frozen=True, slots=True)
class Identity(SameGrid):
    """y = x: nothing but noise stands between image and measurement."""

    def apply(self, x: FloatArray) -> FloatArray:
        """Return a copy of x."""
        return double(x).astype(x.dtype)

    adjoint = pseudo_inverse = apply


@dataclass(frozen=True, slots=True, eq=False)
class Masking(SameGrid):
    """Missing pixels are measured as zero, whatever they hold, NaN included.

    A projection: its own adjoint and its own pseudo-inverse. Raises InputError if `observed` is
    not boolean or has fewer than two axes.

    Examples
    --------
    >>> Masking(np.array([[True, False]])).apply(np.array([[3.0, 4.0]])).tolist()
    [[3.0, 0.0]]
    """

    observed: NDArray[np.bool_]

    def __post_init__(self) -> None:
        observed = np.array(self.observed)
        if observed.dtype != np.bool_:
            raise InputError(
                f"Expected the observed pixels as a boolean array, came {observed.dtype}; "
                "pass `observed > 0`, or `~mask` for a mask that is True where missing."
            )
        image_shape(observed.shape)
        observed.setflags(write=False)
        object.__setattr__(self, "observed", observed)

    def measured_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The image's own shape; raises InputError if the mask does not fit it."""
        mask = self.observed.shape
        image_shape(shape)
        if mask[-2:] != shape[-2:] or not _fits(mask, shape):
            raise InputError(
                f"Expected images of the mask's shape {mask}, came {shape}; the last two "
                "axes must be equal, the mask's leading ones must broadcast to the image's."
            )
        return shape

    def apply(self, x: FloatArray) -> FloatArray:
        """Return x with zeros for the missing pixels."""
        self.measured_shape(double(x).shape)
        return np.where(self.observed, x, 0).astype(x.dtype)

    adjoint = pseudo_inverse = apply


def _fits(shape: tuple[int, ...], target: tuple[int, ...]) -> bool:
    """Whether an array of this shape broadcasts to the target, and no further."""
    try:
        return np.broadcast_shapes(shape, target) == target
    except ValueError:
        return False
