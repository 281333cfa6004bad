"""Restoring what is looked at: who is offered it, and the layer that shows it.

napari reads the chunks in view, in a thread of its own where *Render Layers Asynchronously*
is set; a window that computed them itself would stand still.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from napari.settings import get_settings
from qtpy.QtWidgets import QCheckBox, QWidget

from napari_vae_restore._napari.jobs.on_demand_steps import pays
from napari_vae_restore._napari.layers.placement import (
    RECIPE_KEY,
    RESULT_KEY,
    appearance,
    layer_data,
    placement,
)
from napari_vae_restore._napari.layers.preview_layer import find_preview
from napari_vae_restore._napari.layers.region import zoom_of

if TYPE_CHECKING:
    from napari.layers import Image

    from napari import Viewer
    from napari_vae_restore.restoration.blocks.on_demand import OnDemand

_TOOLTIP: Final = (
    "Compute nothing but what is in view, when it is in view: the new layer is there at\n"
    "once. Zoomed out, it shows the image of fewer pixels restored; zoomed in, each pixel\n"
    "as Run would give it. Turns on Preferences ▸ Experimental ▸ Render Layers\n"
    "Asynchronously, so that the window does not wait. Without samples"
)
_SHOWN: Final = "“{}” is restored where you look: zoom in for the full resolution."
_SWITCHED: Final = (
    " Render Layers Asynchronously is now on (Preferences ▸ Experimental), so that the window "
    "does not wait."
)


class LookingBox(QCheckBox):  # type: ignore[misc, unused-ignore]
    """Asks whether only what is looked at is to be restored; hidden where that cannot pay."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("only what I look at", parent)
        self.setToolTip(_TOOLTIP)
        self._is_offered = False
        self.setVisible(False)

    @property
    def is_wanted(self) -> bool:
        """Whether it is offered, and chosen."""
        return self._is_offered and bool(self.isChecked())

    def offer(self, layer: Image | None) -> None:
        """Show the box if it pays for a layer."""
        self._is_offered = layer is not None and pays(levels_of(layer))
        self.setVisible(self._is_offered)


def levels_of(layer: Image) -> list[Any]:
    """The arrays of a layer, finest first."""
    return list(layer.data) if layer.multiscale else [layer.data]


def show_looked(viewer: Viewer, looked: OnDemand, *, like: Image) -> str:
    """Add the layer of a restoration that is computed where it is looked at."""
    settings = get_settings().experimental
    was_on, settings.async_ = bool(settings.async_), True
    zoom = zoom_of(looked.levels[0].shape, layer_data(like).shape)
    layer = viewer.add_image(
        list(looked.levels) if len(looked.levels) > 1 else looked.levels[0],
        multiscale=len(looked.levels) > 1,
        name=f"{like.name} restored in view",
        metadata={RECIPE_KEY: looked.recipe.to_dict(), RESULT_KEY: like.unique_id},
        # A layer that is visible from the beginning is computed in the window's thread.
        visible=False,
        **placement(like, zoom=zoom),
        **appearance(like),
    )
    if (preview := find_preview(viewer, like)) is not None:
        preview.visible = False
    layer.visible = True
    return _SHOWN.format(layer.name) + ("" if was_on else _SWITCHED)
