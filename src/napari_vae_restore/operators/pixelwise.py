"""Operators that look at one pixel at a time: the identity and a mask."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_vae_restore.errors import InputError
from napari_vae_restore.operators.protocol import FloatArray, SameGrid, double, image_shape


@dataclass(frozen=True, slots=True)
class Identity(SameGrid):
    """y = x: nothing but noise stands between image and measurement.

    Examples
    --------
    >>> Identity().apply(np.ones((1, 2))).tolist()
    [[1.0, 1.0]]
    """

    def apply(self, x: FloatArray) -> FloatArray:
        """Return a copy of x; see :class:`Operator`."""
        return double(x).astype(x.dtype)

    def adjoint(self, y: FloatArray) -> FloatArray:
        """Return a copy of y; see :class:`Operator`."""
        return self.apply(y)

    def pseudo_inverse(self, y: FloatArray) -> FloatArray:
        """Return a copy of y; see :class:`Operator`."""
        return self.apply(y)


@dataclass(frozen=True, slots=True, eq=False)
class Masking(SameGrid):
    """Missing pixels are measured as zero, whatever they hold, NaN included.

    A projection: its own adjoint and its own pseudo-inverse.

    Parameters
    ----------
    observed : numpy.ndarray of bool
        (..., H, W); True = measured, False = missing. Leading axes broadcast to those of
        the images.

    Raises
    ------
    InputError
        If `observed` is not boolean or has fewer than two axes.

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
        """Return the image's own shape; see :class:`Operator`.

        Raises
        ------
        InputError
            If the mask does not fit an image of this shape.
        """
        mask = self.observed.shape
        image_shape(shape)
        if mask[-2:] != shape[-2:] or not _fits(mask, shape):
            raise InputError(
                f"Expected images of the mask's shape {mask}, came {shape}; the last two "
                "axes must be equal, the mask's leading ones must broadcast to the image's."
            )
        return shape

    def apply(self, x: FloatArray) -> FloatArray:
        """Return x with zeros for the missing pixels; see :class:`Operator`."""
        self.measured_shape(double(x).shape)
        return np.where(self.observed, x, 0).astype(x.dtype)

    def adjoint(self, y: FloatArray) -> FloatArray:
        """Return y with zeros for the missing pixels; see :class:`Operator`."""
        return self.apply(y)

    def pseudo_inverse(self, y: FloatArray) -> FloatArray:
        """Return y with zeros for the missing pixels; see :class:`Operator`."""
        return self.apply(y)


def _fits(shape: tuple[int, ...], target: tuple[int, ...]) -> bool:
    """Whether an array of this shape broadcasts to the target, and no further."""
    try:
        return np.broadcast_shapes(shape, target) == target
    except ValueError:
        return False
