"""Any image that a user may hand over, checked once and turned into an array.

An image arrives as a numpy, dask, zarr or xarray array or a napari layer, in any order of
axes. `as_image` checks it at the package's boundary and says in one sentence what is wrong.
This module knows numpy only: a layer is recognised by its attributes.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from napari_vae_restore.errors import InputError, VAERestoreError, shortened
from napari_vae_restore.images.layout import SPATIAL, Layout, checked_axes
from napari_vae_restore.images.lazy_arrays import as_dask, is_lazy

MIN_SIDE = 8  # least height and width in pixels of what is learned from, made or compressed
MAX_INTENSITY = 1e30  # networks compute in float32, to 3e38, and noise is a matter of squares
MIN_RANGE = 1e-30  # of intensities, for the same reason

# What an array without labels most often is, by the number of its dimensions.
_STACK_AXES = {2: "YX", 3: "ZYX", 4: "TZYX", 5: "TCZYX"}
_COLOUR_AXES = {3: "YXS", 4: "ZYXS", 5: "TZYXS"}
_BLOCK = 2**18  # elements examined at once: the checks need a few MB


def guess_axes(shape: tuple[int, ...], dtype: DTypeLike) -> str:
    """Guess the axes of an array that carries no labels, of two to five dimensions.

    A last dimension of 3 or 4 behind two larger ones is colour, if the dtype is one that
    pictures have (uint8, uint16, floating).

    Examples
    --------
    >>> guess_axes((64, 48, 3), "uint8"), guess_axes((30, 64, 48), "uint16")
    ('YXS', 'ZYX')
    """
    dtype = np.dtype(dtype)
    pictorial = dtype.kind == "f" or (dtype.kind == "u" and dtype.itemsize <= 2)
    colour = (
        len(shape) in _COLOUR_AXES
        and pictorial
        and shape[-1] in (3, 4)
        and min(shape[-3:-1]) > shape[-1]
    )
    table = _COLOUR_AXES if colour else _STACK_AXES
    _check_two_dimensions(shape)
    if len(shape) not in table:
        raise InputError(
            f"Expected 2 to {max(table)} dimensions to guess the axes from, but {len(shape)} "
            'came: give axes=, one letter per dimension such as "TCZYX".'
        )
    return table[len(shape)]


def _check_two_dimensions(shape: tuple[int, ...]) -> None:
    if len(shape) < 2:
        raise InputError(
            f"Expected an image with at least 2 dimensions, but an array with {len(shape)} "
            "came: pass height and width."
        )


def as_image(
    image: object,
    axes: str | None = None,
    *,
    may_have_holes: bool = False,
    may_have_nan: bool = False,
    min_side: int = MIN_SIDE,
) -> tuple[NDArray[Any], str]:
    """Return an image as a numpy array with known axes, or say what is wrong with it.

    The pixels keep dtype and order, in a view where one is possible. NaN may stay where asked
    for, and anything under holes.

    Examples
    --------
    >>> import numpy as np
    >>> array, axes = as_image(np.arange(480).reshape(3, 10, 16))
    >>> axes
    'ZYX'
    """
    data, own_axes = _unwrap(image)
    array = _to_numpy(data)
    axes = _checked_form(array, axes, own_axes, min_side)
    _check_values(array, axes, may_have_holes, may_have_nan)
    return array, axes


def as_lazy_image(
    image: object, axes: str | None = None, *, min_side: int = MIN_SIDE
) -> tuple[Any, str]:
    """Return an image as a dask array with known axes; none of its values are read."""
    data, own_axes = _unwrap(image)
    array = as_dask(data)
    return array, _checked_form(array, axes, own_axes, min_side)


def is_lazy_image(image: object) -> bool:
    """Whether an image's values are read or computed only when they are asked for."""
    if is_layer(image):
        image, _ = _unwrap(image)
    return is_lazy(image)


def is_layer(image: object) -> bool:
    """Whether an object is one of napari's."""
    return any(base.__module__.startswith("napari.") for base in type(image).__mro__)


def open_image(image: object, axes: str | None = None) -> tuple[Any, str]:
    """Return what :func:`as_image` would read, unread: only shape and dtype are checked."""
    data, own_axes = _unwrap(image)
    if not isinstance(getattr(data, "dtype", None), np.dtype):
        data = _to_numpy(data)
    return data, _checked_form(data, axes, own_axes, MIN_SIDE)


def _checked_form(array: Any, axes: str | None, own_axes: str | None, min_side: int) -> str:
    """The axes of an array, if it can be an image by its shape and dtype."""
    _check_dtype(array.dtype)
    _check_two_dimensions(array.shape)
    if 0 in array.shape:
        raise InputError(
            f"Expected an image with pixels, but an empty array of shape {array.shape} came: "
            "check the cropping or the loading."
        )
    if axes is None:
        axes = own_axes or guess_axes(array.shape, array.dtype)
    axes = checked_axes(axes, array.shape)
    for letter in SPATIAL:
        if (side := array.shape[axes.index(letter)]) < min_side:
            raise InputError(
                f"Expected at least {min_side} pixels along {letter}, but {side} came in shape "
                f"{array.shape} with axes {axes}: pass a larger image or other axes=."
            )
    return axes


def _unwrap(image: object) -> tuple[Any, str | None]:
    """Return the array inside a layer or labelled array, with the axes it states."""
    if is_layer(image):
        return _unwrap_layer(image)
    labels = getattr(image, "dims", ())
    return image, _axes_from_labels(labels if isinstance(labels, tuple) else ())


def _unwrap_layer(layer: Any) -> tuple[Any, str | None]:
    if not all(hasattr(layer, name) for name in ("data", "multiscale", "rgb")):
        raise InputError(
            f"Expected an image layer, but a {type(layer).__name__} came: pass an Image layer "
            "or its array."
        )
    data = layer.data[0] if layer.multiscale else layer.data
    axes = _axes_from_labels(tuple(getattr(layer, "axis_labels", ())))
    if axes is not None:
        return data, axes + "S" * bool(layer.rgb)
    ndim = len(data.shape)
    # rgb is what the user sees, so it outweighs what the shape looks like.
    table = _COLOUR_AXES if layer.rgb else _STACK_AXES
    return data, table.get(ndim)


def _axes_from_labels(labels: tuple[object, ...]) -> str | None:
    axes = "".join(label.upper() if isinstance(label, str) else "?" for label in labels)
    usable = len(axes) == len(labels) == len(set(axes)) and axes.isalpha() and axes.isascii()
    return axes if usable and set(SPATIAL) <= set(axes) else None


def _to_numpy(data: Any) -> NDArray[Any]:
    if isinstance(data, np.ma.MaskedArray):
        raise InputError(
            "Expected a plain array, but a masked array came: pass its .data, and its .mask to "
            "inpainting."
        )
    if not (hasattr(data, "shape") and (hasattr(data, "__array__") or hasattr(data, "dtype"))):
        raise InputError(
            f"Expected an array or an image layer, but a {type(data).__name__} came: pass one "
            "array (numpy.stack joins a list of planes, read_image opens a file)."
        )
    try:
        return np.asarray(data)
    except MemoryError as error:
        raise InputError(
            f"Expected an image that fits into memory, but shape {data.shape} does not: pass a "
            "part of it."
        ) from error
    except VAERestoreError:
        raise
    except Exception as error:  # of any type: of storage, of codecs, of a graph's own tasks
        raise InputError(
            f"Expected something that numpy can read, but a {type(data).__name__} came that it "
            f"cannot ({shortened(error)}): pass a numpy array."
        ) from error


def _check_dtype(dtype: np.dtype[Any]) -> None:
    if dtype.kind in "iuf" and dtype.itemsize <= 8:
        return
    came, advice = {
        "f": (f"extended precision ({dtype})", "pass astype(float)"),
        "b": ("bool", "it looks like a mask; pass astype(float) if it is a picture"),
        "c": (f"complex values ({dtype})", "pass the magnitude, numpy.abs(image)"),
        "O": ("Python objects", "convert them, numpy.asarray(image, dtype=float)"),
    }.get(dtype.kind, (f"values of type {dtype}", "pass numbers"))
    raise InputError(f"Expected integer or floating intensities, but {came} came: {advice}.")


def _count_not_finite(array: NDArray[Any]) -> tuple[int, int]:
    """How many values are NaN, and how many infinite."""
    n_nan = n_inf = 0
    for block in _blocks(array) if array.dtype.kind == "f" else ():
        if not np.isfinite(block).all():
            n_nan += int(np.isnan(block).sum())
            n_inf += int(np.isinf(block).sum())
    return n_nan, n_inf


def _check_values(
    array: NDArray[Any], axes: str, may_have_holes: bool, may_have_nan: bool
) -> None:
    """Raise unless the values are finite, where asked, and the colours not all the same."""
    n_nan, n_inf = _count_not_finite(array)
    if n_nan == array.size:
        raise InputError(
            "Expected finite intensities, but all values are NaN: check how the image was "
            "computed or loaded."
        )
    if may_have_holes and (n_nan or n_inf):
        return
    if n_inf or (n_nan and not may_have_nan):
        raise InputError(
            f"Expected finite intensities, but {n_nan} NaN and {n_inf} infinite of "
            f"{array.size} values came: replace them, or inpaint them with a mask."
        )
    lowest, highest = np.inf, -np.inf
    for block in _blocks(Layout.of(array, axes).without_alpha(array)):
        if not (n_nan and np.isnan(block).all()):
            lowest, highest = min(lowest, np.nanmin(block)), max(highest, np.nanmax(block))
    largest = max(abs(float(lowest)), abs(float(highest)))
    extent = float(highest) - float(lowest)
    if largest > MAX_INTENSITY:
        raise InputError(
            f"Expected intensities up to {MAX_INTENSITY:g}, but {largest:g} came: divide the "
            "image by a constant, or mask what is no intensity and inpaint it."
        )
    if 0 < extent < MIN_RANGE:
        raise InputError(
            f"Expected intensities that differ by {MIN_RANGE:g} at least, but they do by "
            f"{extent:g}: multiply the image by a constant."
        )
    if lowest == highest:
        raise InputError(
            f"Expected an image with structure, but every pixel has the value {lowest}: "
            "check the channel, the plane or the loading."
        )


def is_usable(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Where floating values are finite and of a magnitude that can be computed with."""
    limit = min(MAX_INTENSITY, float(np.finfo(values.dtype).max))
    return np.asarray(np.abs(values) <= limit)


def _blocks(array: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Yield all elements, some at a time and in the order of memory."""
    yield from np.nditer(
        array, flags=["external_loop", "buffered"], order="K", buffersize=_BLOCK
    )
