"""The fields of *Check & Compare*: which result, made of what, beside which reference."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_vae_restore._napari.forms.fields import Options, whole_number
from napari_vae_restore._napari.forms.header import Fields, Header
from napari_vae_restore._napari.forms.layer_choice import (
    LayerChoice,
    ReferenceChoice,
    ResultChoice,
)
from napari_vae_restore._napari.layers.results import source_of
from napari_vae_restore._napari.messages import MAX_SEED

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget

    from napari import Viewer

MAX_SAMPLES = 64
_SAMPLES = 8


class CheckHeader(Header):
    """What *Check & Compare* asks for; the axes are those of the recipe."""

    def __init__(self, viewer: Viewer, parent: QWidget | None = None) -> None:
        self._viewer = viewer
        self.source, self.reference = LayerChoice(viewer), ReferenceChoice(viewer)
        self.source.setToolTip("The image that the result was made of")
        self.planes = Options(
            {False: "the plane in view", True: "all planes"},
            "What is looked at, and what samples are drawn for",
        )
        self.samples = whole_number(
            _SAMPLES, 2, MAX_SAMPLES, "How many plausible images to draw"
        )
        self.seed = whole_number(0, 0, MAX_SEED, "The same seed gives the same samples")
        super().__init__(
            viewer,
            rows={
                "Made of": self.source,
                "Reference": self.reference,
                "Look at": self.planes,
            },
            advanced={"Samples": self.samples, "Seed": self.seed},
            layers=ResultChoice(viewer),
            parent=parent,
        )
        for choice in (self.source, self.reference):
            choice.layer_changed.connect(self.changed)
        self.planes.currentIndexChanged.connect(self._on_index_changed)
        self._choose_source()

    def disconnect_viewer(self) -> None:
        """Listen to the viewer no more, before this widget goes."""
        for choice in (self.layers, self.source, self.reference):
            choice.disconnect_viewer()

    def _arranged(self, rows: Fields, advanced: Fields) -> tuple[Fields, Fields]:
        self.axes.hide()
        return {"Result": self.layers, **rows}, {**advanced, "Device": self.device}

    def _on_layer_changed(self) -> None:
        self._choose_source()
        super()._on_layer_changed()

    def _choose_source(self) -> None:
        result = self.layers.layer
        source = None if result is None else source_of(self._viewer, result)
        if source is not None:
            self.source.choose(source)

    def _on_index_changed(self, index: int) -> None:
        self.changed.emit()
