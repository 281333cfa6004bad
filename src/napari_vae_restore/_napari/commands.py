"""Commands of the palette: restore the selected image with defaults, in one step.

A command that returns a layer blocks the window until it is computed. These open the widget
and press Run, which shows progress and can be cancelled.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari.layers import Image, Labels, Shapes
from napari.utils.notifications import show_info

# Not for type checking alone: napari reads the annotations when it calls a command.
from napari.viewer import Viewer
from qtpy.QtWidgets import QFileDialog

from napari_vae_restore._napari.forms.form import NO_LAYER
from napari_vae_restore._napari.layers.files import open_file
from napari_vae_restore._napari.layers.mask_layers import MASK_KEY, missing_pixels
from napari_vae_restore._napari.layers.placement import LOOK_KEY
from napari_vae_restore._napari.widgets.task_widget import show_widget

_NOTHING_MISSING = (
    "Nothing is known to be missing: select the image together with a Shapes or Labels layer "
    "that covers what is to be filled. Pixels that are not a number are found without one."
)
_IMAGES = "Images (*.tif *.tiff *.png *.jpg *.jpeg *.bmp)"


def denoise(viewer: Viewer) -> None:
    """Denoise the selected image with the bundled model and measured noise."""
    if (widget := _opened(viewer, "Denoise")) is not None:
        widget.run()


def super_resolve(viewer: Viewer) -> None:
    """Enlarge the selected image twofold, removing its noise."""
    if (widget := _opened(viewer, "Super-resolve")) is not None:
        widget.header.noisy.value = True
        widget.run()


def inpaint(viewer: Viewer) -> None:
    """Fill the selected image where the selected Shapes or Labels layer covers it.

    If none is selected, by the mask that was made for the image; if there is none, where
    pixels are not a number, which a new Labels layer then shows.
    """
    if (widget := _opened(viewer, "Inpaint")) is None:
        return
    layer = widget.header.layers.value
    mask = _mask_for(viewer, layer) or missing_pixels(viewer, layer)
    if mask is None:
        show_info(_NOTHING_MISSING)
        return
    widget.header.masks.value = mask
    widget.run()


def check(viewer: Viewer) -> None:
    """Check whether what was removed from the selected result looks like noise."""
    if (widget := _opened(viewer, "Check & Compare")) is not None:
        widget.check()


def open_files(viewer: Viewer) -> None:
    """Open image files that the user chooses, with pixel size, units, axes and recipe."""
    names, _ = QFileDialog.getOpenFileNames(None, "Open with pixel size", filter=_IMAGES)
    for name in names:
        opened = open_file(Path(name))
        viewer.add_image(opened.data, **opened.options)


def _mask_for(viewer: Viewer, image: Image) -> Shapes | Labels | None:
    """The mask among the selected layers, or the last one that was made for an image."""
    masks = [
        each
        for each in viewer.layers
        if isinstance(each, Shapes | Labels) and LOOK_KEY not in each.metadata
    ]
    chosen = [each for each in masks if each in viewer.layers.selection]
    made = [each for each in masks if each.metadata.get(MASK_KEY) == image.unique_id]
    return next(iter([*chosen, *reversed(made)]), None)


def _opened(viewer: Viewer, name: str) -> Any:
    """Bring a widget to the front and choose the selected image; None if it cannot run."""
    images = [each for each in viewer.layers if isinstance(each, Image)]
    selected = [each for each in images if each in viewer.layers.selection]
    layer = viewer.layers.selection.active
    if not isinstance(layer, Image):
        layer = next(reversed([*images, *selected]), None)
    if layer is None:
        show_info(NO_LAYER)
        return None
    widget = show_widget(viewer, name)
    if widget.is_busy:
        show_info(f"{name} is at work: wait for it, or cancel it.")
        return None
    if layer in widget.header.layers.choices:
        widget.header.layers.value = layer
    return widget
