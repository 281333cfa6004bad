"""The *Train* widget: a time budget, a live plot and preview, stop and go on."""

from __future__ import annotations

import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QComboBox, QFileDialog, QHBoxLayout, QLabel

from napari_vae_restore._napari.fields import MAX_SEED, Choice, NoiseEdit, button, whole_number
from napari_vae_restore._napari.header import Header
from napari_vae_restore._napari.layers import layer_data
from napari_vae_restore._napari.loss_plot import LossPlot
from napari_vae_restore._napari.messages import (
    Preview,
    TrainingEnded,
    TrainingStarted,
    TrainingUpdate,
    Update,
    duration,
)
from napari_vae_restore._napari.model_choice import FILE_FILTER
from napari_vae_restore._napari.model_store import model_store
from napari_vae_restore._napari.preview_layer import show_preview
from napari_vae_restore._napari.region import Region, central_region
from napari_vae_restore._napari.task_widget import NO_LAYER, TaskWidget
from napari_vae_restore._napari.training_steps import (
    PREVIEW_SIDE,
    TrainOptions,
    resume_steps,
    start_steps,
)
from napari_vae_restore._napari.view import current_step
from napari_vae_restore.errors import InputError, VAERestoreError
from napari_vae_restore.training.settings import parse_budget

if TYPE_CHECKING:
    import napari.viewer
    from napari.layers import Image

    from napari_vae_restore.models.model import Model
    from napari_vae_restore.training.engine import Training

BUDGETS = ("30 s", "2 min", "5 min", "15 min")
_DEFAULT_BUDGET = "2 min"


class TrainWidget(TaskWidget):
    """Trains a model on an image layer, for as long as the user is willing to wait.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        The viewer that the widget belongs to.
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__(viewer)
        self._stop_requested = threading.Event()
        self._training: Training | None = None
        self._layer: Image | None = None
        self._data: Any = None
        self._model_name = ""
        self._is_complete = False
        self.time = Choice(self)
        self.time.setEditable(True)
        self.time.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.time.addItems(BUDGETS)
        self.time.setCurrentText(_DEFAULT_BUDGET)
        self.time.setToolTip(
            "How long to train: 90 s, 10 min, 1 h. Two minutes are a start; a larger image\n"
            "with fine structure gains from more. It can be stopped at any time"
        )
        self.noise = NoiseEdit("auto")
        self.seed = whole_number(
            0, 0, MAX_SEED, "Of the first weights and the order of the patches"
        )
        self.header = Header(
            viewer,
            rows={"Time": self.time},
            advanced={"Noise": self.noise, "Seed": self.seed},
            parent=self,
        )
        self.start_button = button("Start", "Train a new model on this layer", self.start)
        self.stop_button = button("Stop", "End now and keep the best model so far", self.stop)
        self.resume_button = button(
            "Resume",
            "Go on with the stopped training, with the settings that it began with",
            self.resume,
        )
        self.denoise_button = button(
            "Denoise…", "Open the Denoise widget with this model", self._open_denoise
        )
        self.save_button = button(
            "Save model…", "Write the model to a .safetensors file", self._choose_file
        )
        self.plot = LossPlot(viewer, self)
        self.levels = QLabel(self)
        self.levels.setWordWrap(True)
        self.levels.setVisible(False)
        self.levels.setToolTip(
            "KL divergence of posterior from prior at each level of the network, finest\n"
            "first, in nats per pixel: how much information of the image each level carries"
        )
        self._lay_out()
        self.header.changed.connect(self._on_changed)
        self.time.currentTextChanged.connect(self._on_changed)
        self._refresh()

    def _lay_out(self) -> None:
        self._layout.addWidget(self.header)
        for row in (
            (self.start_button, self.stop_button, self.resume_button),
            (self.denoise_button, self.save_button),
        ):
            line = QHBoxLayout()
            for each in row:
                line.addWidget(each)
            self._layout.addLayout(line)
        self._layout.addWidget(self.plot)
        self._layout.addWidget(self.levels)
        self._layout.addWidget(self.panel)
        self._layout.addStretch(1)

    def start(self) -> None:
        """Train a new model."""
        layer = self.header.layers.layer
        if layer is None or self.is_busy:
            return
        self.plot.clear()
        self.levels.setVisible(False)
        self._training, self._model_name, self._is_complete = None, "", False
        self._layer, self._data = layer, layer_data(layer)
        source, region, options = self._inputs(layer)
        self._stop_requested = threading.Event()
        steps = start_steps(source, region, options, self._stop_requested)
        self._launch(steps, layer=layer, on_success=partial(self._on_trained, layer))

    def resume(self) -> None:
        """Go on with the training that was stopped."""
        layer, training = self._layer, self._training
        if self.is_busy or layer is None or training is None or not self._can_resume():
            return
        source, region, options = self._inputs(layer)
        self._stop_requested = threading.Event()
        steps = resume_steps(source, region, options, self._stop_requested, training)
        self._launch(steps, layer=layer, on_success=partial(self._on_trained, layer))

    def stop(self) -> None:
        """End the training after the current step and keep the best model."""
        if self._training is None:
            self.cancel()
            return
        self._stop_requested.set()
        self._refresh()

    def save(self, path: str) -> None:
        """Write the model to a file.

        Parameters
        ----------
        path : str
            Where; the suffix is added if it is missing. A file of that name is replaced.
        """
        if self._training is None:
            return
        if not path.endswith(".safetensors"):
            path += ".safetensors"
        try:
            self._training.model.save(path, overwrite=True)
        except VAERestoreError as error:
            self._on_failed(error)
        else:
            self._say(f"Saved as {path}. {_report_saved(self._training.model, Path(path))}")

    def _inputs(self, layer: Image) -> tuple[Any, Region, TrainOptions]:
        source = self._source(layer)
        step = current_step(self._viewer, layer)
        step += (0,) * (len(source.axes) - len(step))
        region = central_region(source.data.shape, source.axes, step, PREVIEW_SIDE)
        options = TrainOptions(
            budget=str(self.time.currentText()),
            noise=self.noise.noise or "auto",
            seed=int(self.seed.value()),
            device=self.header.device.device,
        )
        return source, region, options

    def _can_resume(self) -> bool:
        if self._training is None or self._is_complete:
            return False
        layer = self._layer_still_there()
        return layer is not None and layer_data(layer) is self._data

    def _layer_still_there(self) -> Image | None:
        """The layer of the last training, if it was not deleted."""
        return self._layer if self._layer in self._viewer.layers else None

    def _choose_file(self) -> None:
        name = f"{self._model_name or 'model'}.safetensors"
        path, _ = QFileDialog.getSaveFileName(self, "Save the model", name, FILE_FILTER)
        if path:
            self.save(path)

    def _open_denoise(self) -> None:
        self._show_widget("Denoise", self._layer_still_there())

    def _on_message(self, message: Any) -> None:
        if isinstance(message, TrainingStarted):
            self._training = message.training
            self._refresh()
        elif isinstance(message, TrainingUpdate):
            self._on_update(message)
        elif isinstance(message, Preview) and self._layer is not None:
            show_preview(self._viewer, self._layer, message)
        else:
            super()._on_message(message)

    def _on_update(self, update: TrainingUpdate) -> None:
        self.plot.add(update.seconds, update.losses, update.held_out)
        progress = update.progress
        per_level = " · ".join(f"{kl:.3f}" for kl in progress.kl)
        self.levels.setVisible(True)
        self.levels.setText(f"KL: {per_level}")
        text = f"Training, step {progress.step}. Stop keeps the best model so far."
        if self._stop_requested.is_set():
            text = "Stopping…"
        self.panel.update_progress(Update(text, progress.fraction, progress.seconds_left))

    def _on_trained(self, layer: Image, ended: TrainingEnded) -> None:
        self._training, self._is_complete = ended.training, ended.is_complete
        self._model_name = model_store().add(
            ended.model, f"{layer.name} model", replaces=self._model_name
        )
        record = ended.model.record
        done = "Trained" if ended.is_complete else "Stopped"
        self._say(
            f"{done} after {duration(record.seconds)}. The best model is selected in Denoise "
            f"as “{self._model_name}”."
        )

    def _hint(self) -> str:
        layer = self.header.layers.layer
        if layer is None:
            return NO_LAYER
        if problem := self.header.axes.problem or self._budget_problem():
            return problem
        return f"Start trains a model on “{layer.name}”; no clean images are needed."

    def _budget_problem(self) -> str:
        try:
            parse_budget(str(self.time.currentText()))
        except InputError as error:
            return str(error)
        return ""

    def _refresh(self) -> None:
        super()._refresh()
        ready = self.header.layers.layer is not None
        ready = ready and not self.header.axes.problem and not self._budget_problem()
        stopping = self._stop_requested.is_set() or (
            self._job is not None and self._job.is_cancelled
        )
        idle = not self.is_busy
        self.header.setEnabled(idle)
        self.start_button.setEnabled(ready and idle)
        self.stop_button.setEnabled(self.is_busy and not stopping)
        self.resume_button.setEnabled(idle and self._can_resume())
        self.denoise_button.setEnabled(idle and bool(self._model_name))
        self.save_button.setEnabled(idle and bool(self._model_name))


def _report_saved(model: Model, weights: Path) -> str:
    """Write the model's report beside it; a page that is in the way is no failure."""
    from napari_vae_restore.models.report_page import write_report_beside

    try:
        return f"Its report is {write_report_beside(model, weights).name}, beside it."
    except VAERestoreError as error:
        return f"It has no report beside it: {error}"
