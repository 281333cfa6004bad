"""Between napari layers and arrays: axes and data in, results as new layers out.

This module knows layers and the viewer's public API; it imports neither Qt nor torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils.transforms import CompositeAffine

from napari_vae_restore._napari.layers import region as regions
from napari_vae_restore.images.arrays import guess_axes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.layers import Image, Labels, Layer

    from napari import Viewer
    from napari_vae_restore.restoration.result import Restoration

RECIPE_KEY = "vae_restore"
"""Key of the recipe in the metadata of a result layer."""

FILE_KEY = "vae_restore_file"
"""Key in the metadata of a layer that was opened by this package; its value is the path."""

PREVIEW_KEY = "vae_restore_preview_of"
"""Key in the metadata of a preview layer; its value is the unique id of the source."""

SAMPLE_KEY = "vae_restore_sample_of"
"""Key in the metadata of a layer of samples; its value is the unique id of the source."""

RESULT_KEY = "vae_restore_result_of"
"""Key in the metadata of a result; its value is the unique id of the source."""

SPREAD_KEY = "vae_restore_spread_of"
"""Key in the metadata of an uncertainty map and of samples; its value is the unique id of the
result that they belong to."""

RESIDUAL_KEY = "vae_restore_residual_of"
"""Key in the metadata of a residual layer; its value is the unique id of the source."""

LOOK_KEY = "vae_restore_look_at"
"""Key in the metadata of the frames of places to look at; its value is the unique id of the
source."""

MISSING_KEY = "vae_restore_missing"
"""Key in the metadata of a result; its value is the mask of what was filled."""

WARNINGS_KEY = "vae_restore_warnings"
"""Key in the metadata of a result; its value is a list of sentences to be shown to the user."""

NOTE_KEY = "vae_restore_note"
"""Key in the metadata of a result; its value says what of it was not measured."""

FACTOR_KEY = "vae_restore_interval_factor"
"""Key in the metadata of an uncertainty map; its value times the map is the half width of an
interval of 90 %."""

_DONE = {
    "denoise": "denoised",
    "deblur": "deblurred",
    "inpaint": "inpainted",
    "super-resolve": "super-resolved",
}


def layer_data(layer: Image | Labels) -> Any:
    """The array of a layer; of a multiscale one, the finest level."""
    return layer.data[0] if layer.multiscale else layer.data


def layer_axes(layer: Image) -> str:
    """Guess the axes of a layer, one letter per dimension of its data.

    Labels count if all are single letters; otherwise the number of dimensions decides.

    Parameters
    ----------
    layer : napari.layers.Image
        Any image layer; its data are not read.

    Returns
    -------
    str
        Such as "TZYX", or "YXS" for a colour picture.

    Raises
    ------
    InputError
        If there are too few or too many dimensions to guess.
    """
    return axes_of(tuple(layer_data(layer).shape), layer.axis_labels, is_colour=bool(layer.rgb))


def axes_of(shape: tuple[int, ...], axis_labels: Sequence[str], *, is_colour: bool) -> str:
    """Guess the axes of a layer's data; see :func:`layer_axes`.

    Parameters
    ----------
    shape : tuple of int
        Of the data.
    axis_labels : sequence of str
        One per dimension, but for colours.
    is_colour : bool
        Whether the last dimension is RGB(A).

    Returns
    -------
    str
        One letter per dimension.

    Raises
    ------
    InputError
        If there are too few or too many dimensions to guess.
    """
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
    """Where a result lies in the world, as keyword arguments of a new layer.

    Parameters
    ----------
    layer : napari.layers.Image
        The source.
    start : tuple of int, optional
        First pixel, in data coordinates of the source, of a result that is a part of it.
    zoom : sequence of float, optional
        Pixels of the result for each pixel of the source, along each dimension. The outer
        edges of the pixels stay where they are, so the centre of the first one moves.
    leading : str
        Label of an axis that the result has in front of those of the source.

    Returns
    -------
    dict
        scale, translate, rotate, shear, affine, units and axis_labels.
    """
    transform = to_physical(layer)
    zooms = np.ones(layer.ndim) if zoom is None else np.asarray(zoom, float)[: layer.ndim]
    first = np.zeros(layer.ndim) if start is None else np.asarray(start, float)[: layer.ndim]
    # The first pixel's centre in pixels of the source: -(1 - 1 / zoom) / 2 from its own.
    first -= (1 - 1 / zooms) / 2
    if first.any():
        transform.translate = np.asarray(transform(first))
    if (zooms != 1).any():
        transform.scale = np.asarray(transform.scale) / zooms
    affine = layer.affine
    labels, units = tuple(layer.axis_labels), tuple(str(unit) for unit in layer.units)
    if leading:
        transform, affine = transform.expand_dims([0]), affine.expand_dims([0])
        labels, units = (leading, *labels), ("pixel", *units)
    return {
        "scale": transform.scale,
        "translate": transform.translate,
        "rotate": transform.rotate,
        "shear": transform.shear,
        "affine": affine.affine_matrix,
        "axis_labels": labels,
        "units": units,
    }


def to_physical(layer: Layer) -> CompositeAffine:
    """The scale, translation, rotation and shear of a layer, all but its affine."""
    return CompositeAffine(
        scale=layer.scale,
        translate=layer.translate,
        rotate=layer.rotate,
        shear=layer.shear,
        ndim=layer.ndim,
    )


def appearance(layer: Image) -> dict[str, Any]:
    """How a result that has the intensities of its source is drawn.

    Parameters
    ----------
    layer : napari.layers.Image
        The source.

    Returns
    -------
    dict
        Keyword arguments of a new layer; contrast only where the source is not RGB.
    """
    look: dict[str, Any] = {
        "rgb": bool(layer.rgb),
        "interpolation2d": layer.interpolation2d,
        "interpolation3d": layer.interpolation3d,
        "rendering": layer.rendering,
    }
    if not layer.rgb:
        look |= {
            "contrast_limits": tuple(layer.contrast_limits),
            "colormap": layer.colormap.name,
            "gamma": layer.gamma,
        }
    return look


def show_result(
    viewer: Viewer,
    restoration: Restoration,
    *,
    like: Image | None,
    preview: Image | None = None,
) -> Image:
    """Show the mean of a restoration; see :func:`~.console.add_to_viewer`.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Where the layer goes.
    restoration : Restoration
        Of `like`.
    like : napari.layers.Image, optional
        The source.
    preview : napari.layers.Image, optional
        Its preview, which becomes the mean: where a layer is removed, napari collects all
        garbage, and the window waits for several tenths of a second.

    Returns
    -------
    napari.layers.Image
        The mean.
    """
    name = "image" if like is None else like.name
    done = " and ".join(_DONE[str(task["kind"])] for task in restoration.recipe.tasks)
    zoom = (
        None
        if like is None
        else regions.zoom_of(restoration.mean.shape, layer_data(like).shape)
    )
    place = {} if like is None else placement(like, zoom=zoom)
    look = {"rgb": False} if like is None else appearance(like)

    metadata: dict[str, Any] = {RECIPE_KEY: restoration.recipe.to_dict()}
    if like is not None:
        metadata[RESULT_KEY] = like.unique_id
    from napari_vae_restore.restoration.trust.invented import note_on

    if note := note_on(restoration.recipe.tasks):
        metadata[NOTE_KEY] = note
    if warnings := getattr(restoration.diagnostics, "warnings", ()):
        metadata[WARNINGS_KEY] = [str(warning) for warning in warnings]
    title = f"{name} {done}"
    if preview is None:
        mean: Image = viewer.add_image(
            restoration.mean, name=title, metadata=metadata, **place, **look
        )
    else:
        mean = preview
        mean.data, mean.name, mean.metadata = restoration.mean, title, metadata
        mean.scale, mean.translate, mean.visible = place["scale"], place["translate"], True
        viewer.layers.selection.active = mean
    return mean
