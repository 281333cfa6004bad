"""The order of axes and the dtype of an image: to planes (N, C, H, W) and back.

Axes are capital letters, one per dimension: Y and X always; C channels, S the samples of a
colour picture (grey, grey and alpha, RGB, RGBA); T, Z and any other letter stack independent
planes. This module knows numpy only.
"""

import math
import reprlib
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from napari_vae_restore.errors import InputError, RestorationError

SPATIAL = "YX"  # the axes within a plane, height first
_CHANNELS = "CS"
_MAX_SAMPLES = 4


def checked_axes(axes: str, shape: tuple[int, ...]) -> str:
    """The axes in capitals; InputError unless they can label an array of this shape."""
    if not isinstance(axes, str):
        raise InputError(
            f"Expected axes as a text, but a {type(axes).__name__} came: write one letter per "
            'dimension, such as "ZYX".'
        )
    letters, quoted = axes.upper(), reprlib.repr(axes)
    if not (letters.isascii() and letters.isalpha()):
        raise InputError(
            f"Expected axes made of letters, but {quoted} came: use T, Z, C, Y, X, S or "
            "another letter for each dimension."
        )
    if len(letters) != len(shape):
        raise InputError(
            f"Expected {len(shape)} axes for shape {shape}, but {quoted} has {len(letters)}: "
            "give one letter per dimension."
        )
    if len(set(letters)) < len(letters):
        raise InputError(
            f"Expected every axis once, but {quoted} repeats one: use another letter for it."
        )
    if missing := [letter for letter in SPATIAL if letter not in letters]:
        raise InputError(
            f"Expected the axes Y and X, but {quoted} lacks {' and '.join(missing)}: name the "
            "height Y and the width X."
        )
    if "S" in letters and (samples := shape[letters.index("S")]) > _MAX_SAMPLES:
        raise InputError(
            f"Expected at most {_MAX_SAMPLES} colour samples along S, but {samples} came in "
            f"shape {shape}: name the axis C if they are channels."
        )
    return letters


@dataclass(frozen=True, slots=True)
class Layout:
    """The order of axes and the dtype of an image: the way to planes and back."""

    axes: str  # one capital letter per dimension
    shape: tuple[int, ...]  # shape of the image, alpha included
    dtype: np.dtype[Any]  # its data type, byte order included

    @classmethod
    def of(cls, image: NDArray[Any], axes: str) -> Self:
        """Of an array; InputError if the axes do not fit the shape."""
        return cls(checked_axes(axes, image.shape), image.shape, image.dtype)

    @property
    def has_alpha(self) -> bool:
        """Whether the last sample of S is opacity: grey and alpha, or RGB and alpha."""
        return "S" in self.axes and self.shape[self.axes.index("S")] in (2, 4)

    @property
    def is_rgb(self) -> bool:
        """Whether the channels of a plane are red, green and blue, and nothing else."""
        has_colours = "S" in self.axes and self.shape[self.axes.index("S")] in (3, 4)
        return has_colours and self._channel_axes == "S"

    @property
    def planes_shape(self) -> tuple[int, int, int, int]:
        """Shape (N, C, H, W) of what `to_planes` returns."""
        sizes = self._colour_sizes()
        n = math.prod(sizes[letter] for letter in self._stack_axes)
        c = math.prod(sizes[letter] for letter in self._channel_axes)
        return n, c, sizes["Y"], sizes["X"]

    def to_planes(self, image: NDArray[Any]) -> NDArray[Any]:
        """Planes (N, C, H, W) in the image's dtype; C runs over C and S, without alpha."""
        colours = self.without_alpha(image)
        order = [self.axes.index(letter) for letter in self._planes_order]
        return colours.transpose(order).reshape(self.planes_shape)

    def from_planes(
        self, planes: NDArray[Any], *, like: NDArray[Any] | None = None
    ) -> NDArray[Any]:
        """Planes (N, C, H, W) in the axes of the image, with the alpha of `like`."""
        if planes.ndim != 4 or planes.shape[:2] != self.planes_shape[:2]:
            n, c = self.planes_shape[:2]
            raise InputError(
                f"Expected planes of shape ({n}, {c}, H, W), but {planes.shape} came: pass as "
                "many planes and channels as to_planes returned."
            )
        sizes = self._colour_sizes() | dict(zip("YX", planes.shape[2:], strict=True))
        unfolded = planes.reshape([sizes[letter] for letter in self._planes_order])
        order = [self._planes_order.index(letter) for letter in self.axes]
        image = unfolded.transpose(order)
        if like is None or not self.has_alpha:
            return image
        alpha = self._resized_alpha(like, planes.shape[2:]).astype(planes.dtype, copy=False)
        axis = self.axes.index("S")
        # Byte order as well; dask's concatenate takes no dtype.
        return np.concatenate([image, alpha], axis=axis).astype(planes.dtype, copy=False)

    def without_alpha(self, image: NDArray[Any]) -> NDArray[Any]:
        """A view of the image without the alpha sample; InputError for another shape."""
        if image.shape != self.shape:
            raise InputError(
                f"Expected an image of shape {self.shape}, but {image.shape} came: pass the "
                "image that the layout was made of."
            )
        return self._along("S", image, slice(None, -1)) if self.has_alpha else image

    @property
    def _stack_axes(self) -> str:
        return "".join(a for a in self.axes if a not in _CHANNELS + SPATIAL)

    @property
    def _channel_axes(self) -> str:
        return "".join(a for a in self.axes if a in _CHANNELS)

    @property
    def _planes_order(self) -> str:
        return self._stack_axes + self._channel_axes + SPATIAL

    def _colour_sizes(self) -> dict[str, int]:
        sizes = dict(zip(self.axes, self.shape, strict=True))
        if self.has_alpha:
            sizes["S"] -= 1
        return sizes

    def _along(self, letter: str, image: NDArray[Any], which: Any) -> NDArray[Any]:
        """A part of the image along one axis."""
        selected: NDArray[Any] = image[(slice(None),) * self.axes.index(letter) + (which,)]
        return selected

    def _resized_alpha(self, like: NDArray[Any], size: tuple[int, ...]) -> NDArray[Any]:
        self.without_alpha(like)  # checks the shape
        alpha = self._along("S", like, slice(-1, None))
        for letter, new in zip(SPATIAL, size, strict=True):
            old = self.shape[self.axes.index(letter)]
            if new != old:
                alpha = self._along(letter, alpha, np.arange(new) * old // new)
        return alpha


def cast(values: ArrayLike, dtype: DTypeLike) -> NDArray[Any]:
    """Return computed values in the dtype of the image that they stem from, and its byte order.

    Integers are rounded to the nearest (ties to even) and clipped to the range of the dtype;
    floating values are clipped only where the dtype is too narrow for them. Raises
    RestorationError if NaN would have to become an integer.

    Examples
    --------
    >>> cast([-3.0, 1.6, 300.0], "uint8")
    array([  0,   2, 255], dtype=uint8)
    """
    values, dtype = np.asarray(values), np.dtype(dtype)
    if values.dtype == dtype:
        return values
    if dtype.kind == "f":
        if values.dtype.kind == "f" and values.dtype.itemsize > dtype.itemsize:
            limit = np.finfo(dtype).max
            # Infinities stay: only finite values are kept from becoming infinite.
            values = np.where(np.isfinite(values), np.clip(values, -limit, limit), values)
        narrowed: NDArray[Any] = values.astype(dtype)
        return narrowed
    bounds = np.iinfo(dtype)
    if values.dtype.kind != "f":
        own = np.iinfo(values.dtype)
        lowest, highest = max(bounds.min, own.min), min(bounds.max, own.max)
        clipped: NDArray[Any] = np.clip(values, lowest, highest).astype(dtype)
        return clipped
    if n_nan := int(np.isnan(values).sum()):
        raise RestorationError(
            f"Expected finite results, but {n_nan} of {values.size} values are NaN, which "
            f"{dtype} cannot hold: report this, with the recipe and the model."
        )
    # The bounds of 16 bits need float32 and those of 32 float64, which lacks the last of 64.
    values = values.astype(np.result_type(values, np.float64 if dtype.itemsize >= 4 else "f4"))
    top = float(bounds.max)
    below = top if int(top) == bounds.max else np.nextafter(top, 0)
    result: NDArray[Any] = np.asarray(np.clip(np.rint(values), bounds.min, below).astype(dtype))
    result[values >= top] = bounds.max
    return result
