"""The *Denoise*, *Inpaint* and *Super-resolve* widgets."""

from __future__ import annotations

from functools import partial
from typing import Any

import napari.viewer
from napari.layers import Image, Labels, Shapes
from qtpy.QtCore import Qt

from napari_vae_restore._napari.forms.restoration_forms import (
    DenoiseForm,
    InpaintForm,
    SuperResolveForm,
)
from napari_vae_restore._napari.jobs.inpaint_steps import FilledImage, sample_steps
from napari_vae_restore._napari.layers.placement import MISSING_KEY, RECIPE_KEY
from napari_vae_restore._napari.layers.results import find_preview, show_filling
from napari_vae_restore._napari.messages import Filling
from napari_vae_restore._napari.widgets.restoring import Restoring
from napari_vae_restore._napari.widgets.task_widget import TaskWidget, show_widget

_LINK = "background: transparent; border: none; text-decoration: underline;"


class DenoiseWidget(TaskWidget):
    """Removes the noise of an image layer."""

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        form = DenoiseForm(viewer)
        super().__init__(viewer, form, form.models)
        self.restoring = Restoring(self, form)
        self.preview, self.run = self.restoring.preview, self.restoring.run
        self.preview_button, self.run_button, self.cancel_button = self.restoring.buttons
        self.train_button = self.button(
            "Train a model on this layer…",
            "For images unlike those that the bundled model knows: opens Train & Adapt",
            self._open_train,
            lambda: form.layers.value is not None,
        )
        self.train_button.setFlat(True)
        self.train_button.setStyleSheet(_LINK)
        self.add(self.panel)
        self._layout.addWidget(self.train_button, 0, Qt.AlignmentFlag.AlignLeft)
        self._layout.addStretch(1)
        self.refresh()

    def _open_train(self) -> None:
        layer, train = self.header.layers.value, show_widget(self.viewer, "Train & Adapt")
        if layer is not None and not train.is_busy:
            train.header.layers.value = layer


class SuperResolveWidget(TaskWidget):
    """Enlarges an image layer; the result lies where the image lies."""

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        form = SuperResolveForm(viewer)
        super().__init__(viewer, form, form.models)
        self.restoring = Restoring(self, form)
        self.preview, self.run = self.restoring.preview, self.restoring.run
        self.preview_button, self.run_button, self.cancel_button = self.restoring.buttons
        self.add(self.panel)
        self._layout.addStretch(1)
        self.refresh()


class InpaintWidget(TaskWidget):
    """Fills what a mask covers of an image layer."""

    header: InpaintForm

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        form = InpaintForm(viewer)
        super().__init__(viewer, form, form.models)
        self._filled: FilledImage | None = None
        self._filled_layer: Image | None = None
        self._number = 0
        self._watched: Shapes | Labels | None = None
        self.restoring = Restoring(self, form, self._on_shown)
        self.preview, self.run = self.restoring.preview, self.restoring.run
        self.preview_button, self.run_button, self.cancel_button = self.restoring.buttons
        self.run_button.setToolTip("Fill what the mask covers, into a new layer")
        self.next_button = self.button(
            "Next sample",
            "After a Run: another plausible filling of the same holes, in one layer that is\n"
            "renewed each time",
            self.next_sample,
            self._has_filled,
        )
        self.add(self.next_button, self.panel)
        self._layout.addStretch(1)
        form.masks.changed.connect(self._watch)
        self.on_leaving(self._watch, None)
        self._watch(form.masks.value)
        self.refresh()

    def next_sample(self) -> None:
        """Draw the next plausible filling of the last run."""
        layer = self._filled_layer
        if self._filled is None or layer is None or self.is_busy:
            return
        self._number += 1
        form = self.header
        steps = sample_steps(self._filled, self._number, form.models.model, form.chosen_options)
        self.launch(steps, partial(self._on_filling, layer), layer)

    def _has_filled(self) -> bool:
        is_same = self.header.layers.value is self._filled_layer
        return self._filled is not None and is_same and not self.is_busy

    def _watch(self, mask: Shapes | Labels | None) -> None:
        """Hear of what is drawn on one mask, and no more of the one before."""
        if self._watched is not None:
            _drawn(self._watched).disconnect(self._on_drawn)
        self._watched = mask
        if mask is not None:
            _drawn(mask).connect(self._on_drawn)

    def _on_drawn(self, event: Any) -> None:
        """Who draws sees what is drawn: a preview goes out of sight, results below."""
        layer, mask = self.header.layers.value, self.header.masks.value
        if layer is None or mask is None:
            return
        preview = find_preview(self.viewer, layer)
        if preview is not None:
            preview.visible = False
        layers = self.viewer.layers
        above = layers[layers.index(mask) + 1 :]
        if any(other.visible and RECIPE_KEY in other.metadata for other in above):
            layers.move(layers.index(mask), len(layers))

    def _on_shown(self, layer: Image, mean: Image, filled: Any) -> None:
        self._filled, self._filled_layer, self._number = filled, layer, 0
        mean.metadata[MISSING_KEY] = filled.missing

    def _on_filling(self, layer: Image, filling: Filling) -> None:
        shown = show_filling(self.viewer, layer, filling)
        self.say(f"“{shown.name}”: as plausible as any other. Next sample draws the next.")

    def _on_layer_removed(self, event: Any) -> None:
        super()._on_layer_removed(event)
        if event.value is self._filled_layer:
            self._filled = self._filled_layer = None
            self.refresh()


def _drawn(mask: Shapes | Labels) -> Any:
    """The event of a layer that says that something was drawn on it."""
    return mask.events.data if isinstance(mask, Shapes) else mask.events.paint
