"""A line that tells how far the pixel under the cursor may be off."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtWidgets import QLabel, QSizePolicy, QWidget

from napari_vae_restore._napari.layers.placement import FACTOR_KEY
from napari_vae_restore._napari.layers.uncertainty import LEVEL

if TYPE_CHECKING:
    from napari.layers import Image

    from napari import Viewer

_NONE = "Under the cursor: –"
_TOOLTIP = (
    "How far the result may be off at this pixel, in intensity units: the error to be\n"
    f"expected, and the interval that holds the truth in {LEVEL:.0%} of the pixels of\n"
    "pictures with known truth"
)


class UncertaintyLine(QLabel):  # type: ignore[misc, unused-ignore]
    """Follows the cursor over an uncertainty map, whether the map is shown or hidden."""

    def __init__(self, viewer: Viewer, parent: QWidget | None = None) -> None:
        super().__init__(_NONE, parent)
        self._viewer = viewer
        self._map: Image | None = None
        self.setToolTip(_TOOLTIP)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        viewer.cursor.events.position.connect(self._tell)
        self.take(None)

    def take(self, uncertainty: Image | None) -> None:
        """Take a layer with an uncertainty map, or none."""
        self._map = uncertainty
        self.setVisible(uncertainty is not None)
        self._tell()

    def disconnect_viewer(self) -> None:
        """Listen to the viewer no more, before this widget goes."""
        self._viewer.cursor.events.position.disconnect(self._tell)

    def _tell(self, event: object = None) -> None:
        if self._map is not None:
            error = _value(self._map, tuple(self._viewer.cursor.position))
            half = None if error is None else error * float(self._map.metadata[FACTOR_KEY])
            self.setText(
                _NONE
                if error is None or half is None
                else f"Under the cursor: error {error:.3g}, {LEVEL:.0%} interval ± {half:.3g}"
            )


def _value(layer: Image, position: tuple[float, ...]) -> float | None:
    """The value of a layer at a place in the world; None beside its data."""
    if len(position) < layer.ndim:
        return None
    place = np.rint(layer.world_to_data(position[-layer.ndim :])).astype(int)
    if (place < 0).any() or (place >= layer.data.shape).any():
        return None
    return float(layer.data[tuple(place)])
