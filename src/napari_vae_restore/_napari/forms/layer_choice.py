"""Choices among the layers of a viewer: images to work on, masks to fill."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from napari.layers import Image, Labels, Layer, Shapes
from qtpy.QtCore import QSignalBlocker, Signal

from napari_vae_restore._napari.forms.fields import Choice
from napari_vae_restore._napari.layers.comparing import WIPE_KEY
from napari_vae_restore._napari.layers.placement import (
    LOOK_KEY,
    PREVIEW_KEY,
    RESIDUAL_KEY,
    SPREAD_KEY,
)
from napari_vae_restore._napari.layers.results import is_result

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget

    from napari import Viewer


_NO_PICTURES = {PREVIEW_KEY, WIPE_KEY, RESIDUAL_KEY, SPREAD_KEY, LOOK_KEY}
"""Keys in the metadata of layers that show something else than an image of the user's."""


class _AnyLayerChoice(Choice):
    """Layers of some kinds, kept up with the viewer."""

    layer_changed = Signal()

    kinds: ClassVar[tuple[type[Layer], ...]]
    none: ClassVar[str] = ""
    """Title of a first entry that stands for no layer; without it there is none."""

    def __init__(self, viewer: Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._layers: list[Layer | None] = []
        for event in self._events():
            event.connect(self._refill)
        self._refill()
        active = viewer.layers.selection.active
        if active in self._layers:
            self.setCurrentIndex(self._layers.index(active))
        self.currentIndexChanged.connect(self._on_index_changed)

    def choose(self, layer: Layer) -> None:
        """Choose a layer of the viewer."""
        self.setCurrentIndex(self._layers.index(layer))

    def offers(self, layer: Layer) -> bool:
        """Whether a layer is among those to choose from."""
        return layer in self._layers

    def disconnect_viewer(self) -> None:
        """Listen to the viewer no more, before this widget goes."""
        for event in self._events():
            event.disconnect(self._refill)
        self._disconnect_names()

    @property
    def _chosen(self) -> Any:
        index = self.currentIndex()
        return self._layers[index] if 0 <= index < len(self._layers) else None

    def _events(self) -> tuple[Any, ...]:
        events = self._viewer.layers.events
        return events.inserted, events.removed, events.reordered

    def _refill(self, event: Any = None) -> None:
        before = self._chosen
        self._disconnect_names()
        offered = [layer for layer in self._viewer.layers if self._offers(layer)]
        for layer in offered:
            layer.events.name.connect(self._refill)
        self._layers = [None, *offered] if self.none else [*offered]
        with QSignalBlocker(self):
            self.clear()
            self.addItems([self.none] * bool(self.none) + [layer.name for layer in offered])
            # A box with a placeholder would choose none by itself.
            known = before in self._layers
            self.setCurrentIndex(
                self._layers.index(before) if known else min(0, self.count() - 1)
            )
        if self._chosen is not before:
            self.layer_changed.emit()

    def _offers(self, layer: Layer) -> bool:
        return isinstance(layer, self.kinds) and _NO_PICTURES.isdisjoint(layer.metadata)

    def _disconnect_names(self) -> None:
        for layer in self._layers:
            if layer is not None:
                layer.events.name.disconnect(self._refill)

    def _on_index_changed(self, index: int) -> None:
        self.layer_changed.emit()


class LayerChoice(_AnyLayerChoice):
    """The image layers of a viewer."""

    kinds = (Image,)

    def __init__(self, viewer: Viewer, parent: QWidget | None = None) -> None:
        super().__init__(viewer, parent)
        self.setPlaceholderText("no image yet")
        self.setToolTip("The image layer to work on")

    @property
    def layer(self) -> Image | None:
        """The chosen layer."""
        chosen: Image | None = self._chosen
        return chosen


class ResultChoice(LayerChoice):
    """The restored images of a viewer."""

    def __init__(self, viewer: Viewer, parent: QWidget | None = None) -> None:
        super().__init__(viewer, parent)
        self.setPlaceholderText("no result yet")
        self.setToolTip("The restored image to look at")

    def _offers(self, layer: Layer) -> bool:
        return super()._offers(layer) and is_result(layer)


class ReferenceChoice(LayerChoice):
    """The image layers of a viewer, or none."""

    none = "none"

    def __init__(self, viewer: Viewer, parent: QWidget | None = None) -> None:
        super().__init__(viewer, parent)
        self.setCurrentIndex(0)
        self.setToolTip(
            "What the result should be, such as a slow, clean exposure of the same place.\n"
            "Gives PSNR and SSIM"
        )


class MaskChoice(_AnyLayerChoice):
    """The layers of a viewer that can say what is missing."""

    kinds = (Shapes, Labels)

    def __init__(self, viewer: Viewer, parent: QWidget | None = None) -> None:
        super().__init__(viewer, parent)
        self.setPlaceholderText("no mask yet")
        # Beside it is a button.
        self.setMinimumContentsLength(4)
        self.setToolTip(
            "What to fill: the inside of shapes, lines as broad as they are drawn,\n"
            "or the labels of a Labels layer, all but 0"
        )

    @property
    def layer(self) -> Shapes | Labels | None:
        """The chosen layer."""
        chosen: Shapes | Labels | None = self._chosen
        return chosen
