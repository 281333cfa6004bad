"""Functions for napari's console: masks from drawn layers, and restorations as new layers.

The core reads image layers by itself, as anything with an array. A drawn mask has its own
transform, and Shapes have no pixels: here they are mapped to the image. napari is imported
only where a layer is given.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_vae_restore.errors import InputError

if TYPE_CHECKING:
    from napari.layers import Image, Labels, Shapes
    from numpy.typing import NDArray

    from napari import Viewer
    from napari_vae_restore.models.model import Model
    from napari_vae_restore.restoration.result import Restoration


def mask_of(
    mask: Shapes | Labels,
    image: Image,
    *,
    axes: str | None = None,
    all_planes: bool | None = None,
) -> NDArray[np.bool_]:
    """Rasterise what was drawn over an image, through the transforms of both layers.

    Parameters
    ----------
    mask : napari.layers.Shapes or napari.layers.Labels
        The inside of shapes and lines as broad as they are drawn; or all labels but 0.
    image : napari.layers.Image
        What it was drawn over.
    axes : str, optional
        Of the image's data; by default its axis labels, or guessed.
    all_planes : bool, optional
        Whether it counts on every plane, not only on the one that it was drawn on. By
        default for masks of fewer dimensions than the image.

    Returns
    -------
    numpy.ndarray of bool
        True where something was drawn; (Y, X) for all planes, otherwise of the image's shape.

    Raises
    ------
    InputError
        If a layer is of another kind, the axes do not fit, or a shape lies across planes.
    """
    from napari.layers import Image, Labels, Shapes

    from napari_vae_restore._napari.layers.mask_layers import drawing_on, grid_of
    from napari_vae_restore._napari.layers.placement import layer_axes, layer_data
    from napari_vae_restore.images.layout import checked_axes

    if not isinstance(mask, Shapes | Labels):
        raise InputError(f"mask: expected a Shapes or Labels layer, got {type(mask).__name__}")
    if not isinstance(image, Image):
        raise InputError(
            f"image: expected the layer that the mask was drawn over, got "
            f"{type(image).__name__}: give the layer itself, not its data"
        )
    axes = checked_axes(axes or layer_axes(image), tuple(layer_data(image).shape))
    grid = grid_of(image, axes)
    if all_planes is None:
        all_planes = mask.ndim < image.ndim
    point = image.data_to_world((0,) * image.ndim)
    drawn = drawing_on(image, mask, axes, point).on(grid, all_planes=all_planes)
    return np.asarray(grid.for_task(drawn))


def inpaint(
    image: Any, mask: Any, model: Model | str | Path = "default", **options: Any
) -> Restoration:
    """Fill the missing pixels of a noise-free image; all others stay bit-identical.

    Parameters
    ----------
    image : array-like or napari.layers.Image
        As for :func:`restore`.
    mask : array-like, napari.layers.Shapes or napari.layers.Labels
        True where a pixel is missing, as for :class:`Inpaint`; or what was drawn over
        `image`, which is then a layer as well, as :func:`mask_of` reads it.
    model : Model, str or Path
        As for :func:`restore`.
    **options
        ``fill="sample"`` for one plausible picture in place of the average, and the keyword
        parameters of :func:`restore`.

    Returns
    -------
    Restoration
        As :func:`restore`. A mask that covers nothing gives the image itself.

    Raises
    ------
    InputError, ModelFileError, RestorationError
        As :func:`restore` and :func:`mask_of`.
    """
    from napari_vae_restore.restoration.restore import inpaint as fill

    missing = mask_of(mask, image, axes=options.get("axes")) if _is_layer(mask) else mask
    return fill(image, missing, model, **options)


def _is_layer(value: object) -> bool:
    return any(base.__module__.startswith("napari.") for base in type(value).__mro__)


def add_to_viewer(
    viewer: Viewer, restoration: Restoration, *, like: Image | None = None
) -> list[Image]:
    """Show a restoration in napari, as new layers in the place of its source.

    Parameters
    ----------
    viewer : napari.Viewer
        Where the layers go.
    restoration : Restoration
        What :func:`~napari_vae_restore.restore` returned.
    like : napari.layers.Image, optional
        The layer that was restored. The new ones take over its name, scale, translation,
        rotation, shear, affine, units and axis labels, and the mean and the samples its
        contrast limits and colormap. The pixels of an enlarged result are smaller by as
        much as there are more of them, and cover the same place.

    Returns
    -------
    list of napari.layers.Image
        The mean; the uncertainty, if there is one: the error to be expected
        (:meth:`~.result.Restoration.expected_error`), one value for all colours; the samples
        along a first axis, if they were kept. Each carries the recipe in
        ``metadata["vae_restore"]``.
    """
    from napari_vae_restore._napari.layers.results import show_result
    from napari_vae_restore._napari.layers.spread_layers import show_spread
    from napari_vae_restore._napari.layers.uncertainty import Uncertainty

    mean = show_result(viewer, restoration, like=like)
    uncertainty = Uncertainty.of(restoration, is_rgb=bool(mean.rgb))
    return [mean, *show_spread(viewer, restoration, uncertainty, like=like, result=mean)]
