"""The *Denoise* widget: preview of the current view, run, cancel."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QCheckBox, QHBoxLayout

from napari_vae_restore._napari.denoise_steps import (
    DenoiseOptions,
    denoise_steps,
    preview_steps,
)
from napari_vae_restore._napari.fields import MAX_SEED, NoiseEdit, button, whole_number
from napari_vae_restore._napari.header import Header
from napari_vae_restore._napari.layers import add_to_viewer, layer_data
from napari_vae_restore._napari.messages import Preview, duration
from napari_vae_restore._napari.model_choice import ModelChoice, load_steps
from napari_vae_restore._napari.model_store import model_store
from napari_vae_restore._napari.preview_layer import remove_preview, show_preview
from napari_vae_restore._napari.region import visible_region
from napari_vae_restore._napari.task_widget import NO_LAYER, TaskWidget
from napari_vae_restore._napari.view import current_step, visible_pixels

if TYPE_CHECKING:
    import napari.viewer
    from napari.layers import Image

    from napari_vae_restore.models.model import Model
    from napari_vae_restore.noise import NoiseModel
    from napari_vae_restore.restoration.result import Diagnostics, Restoration

_MAX_SAMPLES = 256

_RESIDUAL_LOW, _RESIDUAL_HIGH = 0.85, 1.15
"""Residual over expected noise within which a result needs no comment."""


class DenoiseWidget(TaskWidget):
    """Removes the noise of an image layer with a trained model.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        The viewer that the widget belongs to.
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__(viewer)
        self._known_noise: dict[int, NoiseModel] = {}
        self._known_for: tuple[object, ...] = ()
        self.models = ModelChoice(self)
        self.noise = NoiseEdit("as the model's training images")
        self.samples = whole_number(
            0,
            0,
            _MAX_SAMPLES,
            "Plausible clean images to draw. Two or more give an uncertainty map: how much\n"
            "they differ, per pixel. 0: the mean only, fastest",
        )
        self.keep = QCheckBox("keep them as a layer")
        self.keep.setToolTip("Add the samples themselves, along a new first axis")
        self.tile = whole_number(
            512,
            32,
            8192,
            "Side of the tiles in which large images are computed.\n"
            "Smaller takes less memory; the result is the same",
            step=32,
            suffix=" px",
        )
        self.seed = whole_number(0, 0, MAX_SEED, "The same seed gives the same samples")
        self.header = Header(
            viewer,
            rows={"Model": self.models},
            advanced={
                "Noise": self.noise,
                "Samples": self.samples,
                "": self.keep,
                "Tile": self.tile,
                "Seed": self.seed,
            },
            parent=self,
        )
        self.train_button = button(
            "Train a model…", "Open the Train widget for this layer", self._open_train
        )
        self.preview_button = button(
            "Preview",
            "Denoise what is in view, up to 1024 × 1024 pixels of the current plane",
            self.preview,
        )
        self.run_button = button("Run", "Denoise all planes into a new layer", self.run)
        self.cancel_button = button("Cancel", "Stop without a result", self.cancel)
        buttons = QHBoxLayout()
        for each in (self.preview_button, self.run_button, self.cancel_button):
            buttons.addWidget(each)
        self._layout.addWidget(self.header)
        self._layout.addWidget(self.train_button)
        self._layout.addLayout(buttons)
        self._layout.addWidget(self.panel)
        self._layout.addStretch(1)
        self.header.changed.connect(self._on_changed)
        self.models.file_chosen.connect(self.open_model)
        self.samples.valueChanged.connect(self._on_changed)
        model_store().changed.connect(self._on_changed)
        self._refresh()

    def preview(self) -> None:
        """Denoise the visible part of the current plane into the preview layer."""
        layer, model = self.header.layers.layer, self.models.model
        if layer is None or model is None or self.is_busy:
            return
        source = self._source(layer)
        region = visible_region(
            source.data.shape,
            source.axes,
            step=_padded(current_step(self._viewer, layer), source.data.ndim),
            corners=visible_pixels(self._viewer, layer),
            joint_channels=model.network.config.channels > 1,
        )
        self._forget_noise_unless_for(layer, model)
        steps = preview_steps(source, region, model, self._options(), self._known_noise)
        self._launch(steps, layer=layer, on_success=partial(self._on_preview, layer))

    def run(self) -> None:
        """Denoise the whole layer into new layers."""
        layer, model = self.header.layers.layer, self.models.model
        if layer is None or model is None or self.is_busy:
            return
        steps = denoise_steps(self._source(layer), model, self._options())
        self._launch(steps, layer=layer, on_success=partial(self._on_restored, layer))

    def open_model(self, path: str) -> None:
        """Open a model file and select its model.

        Parameters
        ----------
        path : str
            A ``.safetensors`` file.
        """
        if not self.is_busy:
            self._launch(load_steps(Path(path)), layer=None, on_success=self._on_model)

    def _options(self) -> DenoiseOptions:
        n_samples = int(self.samples.value())
        return DenoiseOptions(
            noise=self.noise.noise,
            n_samples=n_samples,
            keep_samples=n_samples > 0 and bool(self.keep.isChecked()),
            tile=int(self.tile.value()),
            seed=int(self.seed.value()),
            device=self.header.device.device,
        )

    def _forget_noise_unless_for(self, layer: Image, model: Model) -> None:
        """Noise that a preview has estimated holds for its data, axes and notation only."""
        key = (
            layer.unique_id,
            id(layer_data(layer)),
            self.header.axes.axes,
            self.noise.noise or str(model.noise),
        )
        if key != self._known_for:
            self._known_for, self._known_noise = key, {}

    def _open_train(self) -> None:
        self._show_widget("Train", self.header.layers.layer)

    def _on_preview(self, layer: Image, preview: Preview) -> None:
        self._known_noise = preview.noise
        show_preview(self._viewer, layer, preview)
        self._say(f"Preview of the current view. {verdict(preview.diagnostics)}".strip())

    def _on_restored(self, layer: Image, restoration: Restoration) -> None:
        remove_preview(self._viewer, layer)
        mean = add_to_viewer(self._viewer, restoration, like=layer)[0]
        diagnostics = restoration.diagnostics
        time = duration(diagnostics.seconds)
        self._say(f"“{mean.name}” added, in {time}. {verdict(diagnostics)}".strip())

    def _on_model(self, model: Model) -> None:
        name = model_store().add(model, model.name)
        self._say(f"Model “{name}” opened.")

    def _hint(self) -> str:
        if self.header.layers.layer is None:
            return NO_LAYER
        if self.models.model is None:
            return "No model yet. Train one on this layer, or open a model file."
        if problem := self.header.axes.problem:
            return problem
        return "Preview shows the current view at once; Run denoises the whole layer."

    def _refresh(self) -> None:
        super()._refresh()
        layer, model = self.header.layers.layer, self.models.model
        ready = layer is not None and model is not None and not self.header.axes.problem
        self.header.setEnabled(not self.is_busy)
        self.preview_button.setEnabled(ready and not self.is_busy)
        self.run_button.setEnabled(ready and not self.is_busy)
        self.cancel_button.setEnabled(self._job is not None and not self._job.is_cancelled)
        self.train_button.setVisible(model is None)
        self.train_button.setEnabled(layer is not None)
        self.keep.setEnabled(int(self.samples.value()) > 0)


def verdict(diagnostics: Diagnostics) -> str:
    """What the residual says about a result, in plain words; empty if all is well.

    Parameters
    ----------
    diagnostics : Diagnostics
        Of the restoration.

    Returns
    -------
    str
        One sentence, or none.
    """
    ratio = diagnostics.residual_std
    if ratio > _RESIDUAL_HIGH:
        return (
            f"It removed {ratio:.2f} × the expected noise: fine structure may be missing. "
            "Train longer, or check the noise."
        )
    if ratio < _RESIDUAL_LOW:
        return f"It removed only {ratio:.2f} × the expected noise: some noise remains."
    return ""


def _padded(step: tuple[int, ...], ndim: int) -> tuple[int, ...]:
    """A colour axis is no dimension of the layer, but one of its data."""
    return step + (0,) * (ndim - len(step))
