"""The layer that a training learns from, and the part of it that previews show.

This module knows layers and the viewer's public API; it imports neither Qt nor torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari.layers import Image

from napari_vae_restore._napari.layers.placement import layer_axes, layer_data
from napari_vae_restore._napari.layers.region import visible_region
from napari_vae_restore._napari.layers.view import current_step
from napari_vae_restore._napari.messages import Source
from napari_vae_restore._napari.training.runs import CLEAN
from napari_vae_restore._napari.training.steps import PREVIEW_SIDE, View
from napari_vae_restore.errors import InputError

if TYPE_CHECKING:
    from napari import Viewer
    from napari_vae_restore._napari.training.runs import Run, TrainingRequest


def layer_of(viewer: Viewer, run: Run) -> Image | None:
    """The layer of the name that a training of another session learned from."""
    if Path(run.request.images).parent != run.folder:
        return None
    images = (layer for layer in viewer.layers if isinstance(layer, Image))
    return next((layer for layer in images if layer.name == run.request.name), None)


def preview_of(viewer: Viewer, layer: Image | None, request: TrainingRequest) -> View:
    """The middle of the plane in view for previews; None without a layer or noise."""
    if layer is None or request.way == CLEAN or request.noise == "none":
        return None
    try:
        axes = request.axes or layer_axes(layer)
        data = layer_data(layer)
        step = current_step(viewer, layer)
        region = visible_region(data.shape, axes, step=step, limit=PREVIEW_SIDE)
    except (InputError, ValueError):  # another layer of that name, with other axes
        return None
    return Source(data, axes), region
