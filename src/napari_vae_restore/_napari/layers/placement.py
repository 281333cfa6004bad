"""Data and axes of a layer, and where and how a result of it is shown as a new layer.

This module imports neither Qt nor torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from napari.layers import Image, Labels, Layer
from napari.utils.transforms import CompositeAffine

from napari_vae_restore.images.arrays import guess_axes

# Keys in a layer's metadata. Those that end in "of" hold the unique id of another layer.
RECIPE_KEY = "vae_restore"  # the recipe of a result, as Recipe.to_dict gives it
FILE_KEY = "vae_restore_file"  # the path of a layer that this package opened
PREVIEW_KEY = "vae_restore_preview_of"  # the source of a preview
SAMPLE_KEY = "vae_restore_sample_of"  # the source of a filled sample
RESULT_KEY = "vae_restore_result_of"  # the source of a result
SPREAD_KEY = "vae_restore_spread_of"  # the result of an uncertainty map or of samples
RESIDUAL_KEY = "vae_restore_residual_of"  # the source of a residual
LOOK_KEY = "vae_restore_look_at"  # the source of frames around places to look at
MISSING_KEY = "vae_restore_missing"  # the mask of what was filled
WARNINGS_KEY = "vae_restore_warnings"  # a list of sentences for the user
NOTE_KEY = "vae_restore_note"  # says which part of a result was not measured
FACTOR_KEY = "vae_restore_interval_factor"  # times an uncertainty map: half a 90 % interval

_PHYSICAL: Final = ("scale", "translate", "rotate", "shear")
_LOOK: Final = ("rgb", "interpolation2d", "interpolation3d", "rendering")
_LOOK_OF_INTENSITIES: Final = ("contrast_limits", "colormap", "gamma")


def layer_data(layer: Image | Labels) -> Any:
    """The array of a layer; of a multiscale one, the finest level."""
    return layer.data[0] if layer.multiscale else layer.data


def levels_of(layer: Image) -> list[Any]:
    """The arrays of a layer, finest first."""
    return list(layer.data) if layer.multiscale else [layer.data]


def layer_axes(layer: Image) -> str:
    """Axes of a layer's data, such as "TZYX", or "YXS" for a colour picture; see `axes_of`."""
    return axes_of(tuple(layer_data(layer).shape), layer.axis_labels, is_colour=bool(layer.rgb))


def axes_of(shape: tuple[int, ...], axis_labels: Sequence[str], *, is_colour: bool) -> str:
    """Axes of data: their labels if all are single letters, otherwise guessed by number."""
    labels, n_dims = "".join(axis_labels).upper(), len(shape) - is_colour
    colour = "S" * is_colour
    usable = len(labels) == n_dims == len(set(labels)) and labels.isalpha()
    if usable and {"Y", "X"} <= set(labels) and not set(colour) & set(labels):
        return labels + colour
    # A bool array is never taken for a colour picture: rgb alone says that here.
    return guess_axes(shape[:n_dims], bool) + colour


def placement(
    layer: Image,
    *,
    start: tuple[int, ...] | None = None,
    zoom: Sequence[float] | None = None,
    leading: str = "",
) -> dict[str, Any]:
    """Transform, units and axis labels of a result, as keyword arguments of a new layer.

    `start` is the first pixel of a part, in data coordinates of the source; `zoom` is the
    result's pixels for each pixel of the source; `leading` labels an additional first axis.
    """
    transform, affine = to_physical(layer), layer.affine
    zooms = np.ones(layer.ndim) if zoom is None else np.asarray(zoom, float)[: layer.ndim]
    first = np.zeros(layer.ndim) if start is None else np.asarray(start, float)[: layer.ndim]
    # The outer edges of the pixels stay where they are, so smaller pixels have their first
    # centre (1 - 1 / zoom) / 2 pixels of the source before that of the source.
    first -= (1 - 1 / zooms) / 2
    if first.any():
        transform.translate = np.asarray(transform(first))
    if (zooms != 1).any():
        transform.scale = np.asarray(transform.scale) / zooms
    labels, units = tuple(layer.axis_labels), tuple(map(str, layer.units))
    if leading:
        transform, affine = transform.expand_dims([0]), affine.expand_dims([0])
        labels, units = (leading, *labels), ("pixel", *units)
    return {name: getattr(transform, name) for name in _PHYSICAL} | {
        "affine": affine.affine_matrix,
        "axis_labels": labels,
        "units": units,
    }


def to_physical(layer: Layer) -> CompositeAffine:
    """The scale, translation, rotation and shear of a layer, all but its affine."""
    values = {name: getattr(layer, name) for name in _PHYSICAL}
    return CompositeAffine(ndim=layer.ndim, **values)


def appearance(layer: Image) -> dict[str, Any]:
    """Keyword arguments that draw a result of the same intensities as its source."""
    names = _LOOK if layer.rgb else _LOOK + _LOOK_OF_INTENSITIES
    state = layer.as_layer_data_tuple()[1]
    return {name: state[name] for name in names}
