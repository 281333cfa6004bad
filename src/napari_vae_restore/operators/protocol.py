"""What every degradation operator offers, and what several of them share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from napari_vae_restore.errors import InputError

FloatArray: TypeAlias = NDArray[np.floating]
Map: TypeAlias = Callable[[FloatArray], FloatArray]


@runtime_checkable
class Operator(Protocol):
    """What every degradation operator offers."""

    @property
    def factor(self) -> int:
        """Sides of the clean image over those of the measurement, 1 or more."""
        ...

    def measured_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of A x.

        Parameters
        ----------
        shape : tuple of int
            Of the clean image x, (..., H, W).

        Returns
        -------
        tuple of int
            Of the measurement, (..., H / factor, W / factor).

        Raises
        ------
        InputError
            If the operator cannot be applied to an image of this shape.
        """
        ...

    def apply(self, x: FloatArray) -> FloatArray:
        """Return A x.

        Parameters
        ----------
        x : numpy.ndarray
            Clean image, (..., H, W), floating.

        Returns
        -------
        numpy.ndarray
            Measurement without noise, (..., H / factor, W / factor), the dtype of `x`.

        Raises
        ------
        InputError
            If `x` is not floating or its shape does not suit the operator.
        """
        ...

    def adjoint(self, y: FloatArray) -> FloatArray:
        """Return A^T y, so that <A x, y> = <x, A^T y>, at the borders too.

        Parameters
        ----------
        y : numpy.ndarray
            Like a measurement, (..., H / factor, W / factor), floating.

        Returns
        -------
        numpy.ndarray
            (..., H, W), the dtype of `y`.

        Raises
        ------
        InputError
            If `y` is not floating or its shape does not suit the operator.
        """
        ...

    def pseudo_inverse(self, y: FloatArray) -> FloatArray:
        """Return the shortest x among those that minimise |A x - y|.

        Parameters
        ----------
        y : numpy.ndarray
            Measurement, (..., H / factor, W / factor), floating.

        Returns
        -------
        numpy.ndarray
            (..., H, W), the dtype of `y`.

        Raises
        ------
        InputError
            If `y` is not floating or its shape does not suit the operator.

        Notes
        -----
        The Moore-Penrose inverse, except where an operator's own docstring calls its
        inverse regularised.
        """
        ...


class SameGrid:
    """What operators share whose measurement has the grid of the image."""

    __slots__ = ()

    @property
    def factor(self) -> int:
        """The measurement has the image's sides; see :class:`Operator`."""
        return 1

    def measured_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the image's own shape; see :class:`Operator`."""
        return image_shape(shape)


def image_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape itself, if images can have it."""
    if len(shape) < 2 or 0 in shape:
        raise InputError(
            f"Expected an image (..., H, W) with at least one pixel, came shape {shape}."
        )
    return shape


def double(image: FloatArray) -> FloatArray:
    """The image in float64, if it is one that operators take."""
    if image.dtype.kind != "f":
        raise InputError(
            f"Expected a floating image, came {image.dtype}; convert it with "
            "`image.astype(np.float32)`."
        )
    image_shape(image.shape)
    return image.astype(np.float64, copy=False)
