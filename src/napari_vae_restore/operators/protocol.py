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
    """What every degradation operator offers.

    x is a clean image, (..., H, W); y a measurement, (..., H / factor, W / factor). Both are
    floating, and results have the dtype of what came. Raises InputError for other arrays, and
    for shapes that do not suit the operator.
    """

    @property
    def factor(self) -> int:
        """Sides of the clean image over those of the measurement, 1 or more."""
        ...

    def measured_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of A x for the shape of x."""
        ...

    def apply(self, x: FloatArray) -> FloatArray:
        """Return A x, the measurement without noise."""
        ...

    def adjoint(self, y: FloatArray) -> FloatArray:
        """Return A^T y, so that <A x, y> = <x, A^T y>, at the borders too."""
        ...

    def pseudo_inverse(self, y: FloatArray) -> FloatArray:
        """Return the shortest x among those that minimise |A x - y|.

        The Moore-Penrose inverse, except where an operator calls its inverse regularised.
        """
        ...


class SameGrid:
    """What operators share whose measurement has the grid of the image."""

    __slots__ = ()

    @property
    def factor(self) -> int:
        return 1

    def measured_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
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
