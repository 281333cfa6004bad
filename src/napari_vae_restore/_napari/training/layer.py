"""Which layer a training learns from, and what its previews show of it.

This module knows layers and the viewer's public API; it imports neither Qt nor torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari.layers import Image

from napari_vae_restore._napari.layers.placement import layer_axes, layer_data
from napari_vae_restore._napari.layers.region import central_region
from napari_vae_restore._napari.layers.view import current_step
from napari_vae_restore._napari.messages import Source
from napari_vae_restore._napari.training.runs import CLEAN
from napari_vae_restore._napari.training.steps import PREVIEW_SIDE, View
from napari_vae_restore.errors import InputError

if TYPE_CHECKING:
    from napari import Viewer
    from napari_vae_restore._napari.training.runs import Request, Run


def layer_of(viewer: Viewer, run: Run) -> Image | None:
    """The layer that a training of another session learned from, by its name."""
    if Path(run.request.images).parent != run.folder:
        return None
    images = (layer for layer in viewer.layers if isinstance(layer, Image))
    return next((layer for layer in images if layer.name == run.request.name), None)


def preview_of(viewer: Viewer, layer: Image | None, request: Request) -> View:
    """What previews can show of a layer.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Whose current plane is shown.
    layer : napari.layers.Image or None
        That is learned from.
    request : Request
        Of the training.

    Returns
    -------
    tuple or None
        The layer's data and a part of them; None where the images are in no layer, or
        are clean.
    """
    if layer is None or request.way == CLEAN or request.noise == "none":
        return None
    try:
        axes = request.axes or layer_axes(layer)
        data = layer_data(layer)
        region = central_region(data.shape, axes, current_step(viewer, layer), PREVIEW_SIDE)
    except (InputError, ValueError):  # another layer of that name, with other axes
        return None
    return Source(data, axes), region
