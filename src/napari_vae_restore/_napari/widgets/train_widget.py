"""The *Train & Adapt* widget: a time budget, live plots and a preview, stop and go on."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import napari.viewer
from napari.layers import Image
from qtpy.QtWidgets import QFileDialog

from napari import Viewer
from napari_vae_restore._napari.forms.model_choice import FILE_FILTER, removes_noise_only
from napari_vae_restore._napari.forms.model_store import model_store
from napari_vae_restore._napari.forms.settings import last_used, remember, remember_model
from napari_vae_restore._napari.forms.train_form import NO_IMAGES, TrainForm
from napari_vae_restore._napari.layers.placement import layer_axes, layer_data
from napari_vae_restore._napari.layers.results import show_preview
from napari_vae_restore._napari.layers.view import region_in_view
from napari_vae_restore._napari.messages import Preview, Source, TrainingUpdate, Update
from napari_vae_restore._napari.training.runs import (
    CLEAN,
    Run,
    TrainingRequest,
    offered_run,
)
from napari_vae_restore._napari.training.steps import (
    PREVIEW_SIDE,
    TrainingEnded,
    View,
    resume_steps,
    start_steps,
)
from napari_vae_restore._napari.widgets.loss_plot import TrainingPlots
from napari_vae_restore._napari.widgets.task_widget import TaskWidget, show_widget
from napari_vae_restore.errors import InputError, VAERestoreError
from napari_vae_restore.reports.model_words import written_gain

if TYPE_CHECKING:
    from napari_vae_restore.models.model import Model

_NAME = "Train"
_STOPPING = "Stopping…"


class TrainWidget(TaskWidget):
    """Trains a model on the user's images, for as long as the user is willing to wait.

    The training is a process of its own: it goes on when this widget or napari is closed,
    and is offered again when the widget is opened.
    """

    header: TrainForm

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        form = TrainForm(viewer)
        form.update(last_used(_NAME))
        super().__init__(viewer, form)
        self.time = form.time
        self._stop_requested = threading.Event()
        self._run = offered_run()
        self._learned_from: Image | None = None
        self._model: Model | None = None
        self._model_name = ""
        self.fraction = 0.0  # of the last training that is over
        self.start_button = self.button("Start", "Train on these images", self.start)
        about = "End now and keep the best model so far"
        self.stop_button = self.button("Stop", about, self.stop, self._can_stop)
        about = "Go on with the last training, with the images and settings that it began with"
        self.resume_button = self.button("Resume", about, self.resume, self._can_resume)
        about = "Open the Denoise widget with this model"
        denoise = self.button("Denoise…", about, self._open_denoise, self._has_model)
        about = "Write the model to a .safetensors file"
        save = self.button("Save model…", about, self._choose_file, self._has_model)
        self.plots = TrainingPlots(viewer, self)
        self.add_row(self.start_button, self.stop_button, self.resume_button)
        self.add_row(denoise, save)
        self.add(self.plots, self.panel)
        self._layout.addStretch(1)
        self.refresh()

    def start(self) -> None:
        form = self.header
        if not self.is_ready:
            return
        (images, second), request = form.given, form.request
        remember(_NAME, form.asdict())
        self._run, self._model, self._model_name = None, None, ""
        self._learned_from = form.layers.value if form.images.path is None else None
        view = self._begin(request)
        steps = start_steps(images, second, request, form.model, view, self._stop_requested)
        self.launch(steps, self._on_ended)

    def resume(self) -> None:
        """Go on with the last training, or watch it if it is at work."""
        run = self._run
        if self.is_busy or run is None:
            return
        if self._layer_still_there() is None:
            self._learned_from = _layer_of(self.viewer, run)
        view = self._begin(run.request)
        self.launch(resume_steps(run, view, self._stop_requested), self._on_ended)

    def stop(self) -> None:
        """End the training after the current step and keep the best model."""
        if self.is_busy:
            self._stop_requested.set()
            self.panel.update_progress(Update(_STOPPING))
            self.refresh()

    def save(self, path: str) -> None:
        if self._model is None:
            return
        if not path.endswith(".safetensors"):
            path += ".safetensors"
        try:
            self._model.save(path, overwrite=True)
        except VAERestoreError as error:
            self.fail(error)
        else:
            remember_model(Path(path))
            self.say(f"Saved as {path}. {_report_saved(self._model, Path(path))}")

    def _begin(self, request: TrainingRequest) -> View:
        """Forget the training before; what the previews of this one show."""
        self.plots.clear()
        self.fraction = 0.0
        self._stop_requested = threading.Event()
        return _preview_of(self.viewer, self._layer_still_there(), request)

    def _layer_still_there(self) -> Image | None:
        """The layer of the last training, if it was not deleted."""
        return self._learned_from if self._learned_from in self.viewer.layers else None

    def _choose_file(self) -> None:
        name = f"{self._model_name or 'model'}.safetensors"
        path, _ = QFileDialog.getSaveFileName(self, "Save the model", name, FILE_FILTER)
        if path:
            self.save(path)

    def _open_denoise(self) -> None:
        layer, denoise = self._layer_still_there(), show_widget(self.viewer, "Denoise")
        if layer is not None and not denoise.is_busy:
            denoise.header.layers.value = layer

    def _on_message(self, message: Any) -> None:
        if isinstance(message, Run):
            self._run = message
        elif isinstance(message, TrainingUpdate):
            self._on_update(message)
        elif isinstance(message, Preview):
            if (layer := self._layer_still_there()) is not None:
                show_preview(self.viewer, layer, message)
        elif not self._stop_requested.is_set():
            super()._on_message(message)

    def _on_update(self, update: TrainingUpdate) -> None:
        self.plots.add(update)
        self.fraction = update.fraction
        text = f"Training, step {update.step}. Stop keeps the best model so far."
        if self._stop_requested.is_set():
            text = _STOPPING
        self.panel.update_progress(Update(text, update.fraction, update.seconds_left))

    def _on_ended(self, ended: TrainingEnded) -> None:
        if ended.model is None:
            self._run = None
            self.say("Stopped before the first step; nothing was changed.")
            return
        self._run, self._model = ended.run, ended.model
        if ended.is_complete:
            how = f"Trained for {ended.run.request.budget}."
        else:
            how = "Stopped." if ended.was_stopped else "It was broken off; Resume goes on."
        self.say(f"{how} {self._taken_in(ended.model, ended.run.request.name)}")

    def _taken_in(self, model: Model, images: str) -> str:
        """Select the model if it is a new one; what to say of it."""
        record = model.record
        where = "held-out pixels" if record.is_held_out else "these pixels"
        if record.n_steps == 0:
            return (
                f"Training did not improve the model on {where}. The model it started from "
                "stays selected."
            )
        self._model_name = model_store().add(
            model, f"{images} model", replaces=self._model_name
        )
        better = ""
        if record.held_out is not None and record.held_out_first is not None:
            better = f" It is better by {written_gain(record)} on {where}."
        places = "Denoise" if removes_noise_only(model) else "the other widgets"
        return f"The model is selected in {places} as “{self._model_name}”.{better}"

    def _hint(self) -> str:
        problem = self.header.problem
        if problem and problem != NO_IMAGES:
            return problem
        if self._run is not None and self._model is None:
            name = self._run.request.name
            if self._run.is_alive:
                return f"A training on “{name}” is at work in the background: Watch shows it."
            if self._run.can_resume:
                return f"A training on “{name}” was broken off: Resume goes on with it."
        return problem or self.header.hint

    def refresh(self) -> None:
        super().refresh()
        is_alive = not self.is_busy and self._run is not None and self._run.is_alive
        self.resume_button.setText("Watch" if is_alive else "Resume")

    def _can_stop(self) -> bool:
        return self.is_busy and not self._stop_requested.is_set()

    def _can_resume(self) -> bool:
        run = None if self.is_busy else self._run
        return run is not None and (run.is_alive or run.can_resume)

    def _has_model(self) -> bool:
        return not self.is_busy and bool(self._model_name)


def _report_saved(model: Model, weights: Path) -> str:
    """Write the model's report beside it; a page that is in the way is no failure."""
    from napari_vae_restore.reports.model_page import write_report_beside

    try:
        return f"Its report is {write_report_beside(model, weights).name}, beside it."
    except VAERestoreError as error:
        return f"It has no report beside it: {error}"


def _layer_of(viewer: Viewer, run: Run) -> Image | None:
    """The layer of the name that a training of another session learned from."""
    if Path(run.request.images).parent != run.folder:
        return None
    images = (layer for layer in viewer.layers if isinstance(layer, Image))
    return next((layer for layer in images if layer.name == run.request.name), None)


def _preview_of(viewer: Viewer, layer: Image | None, request: TrainingRequest) -> View:
    """The middle of the plane in view for previews; None without a layer or noise."""
    if layer is None or request.way == CLEAN or request.noise == "none":
        return None
    try:
        axes = request.axes or layer_axes(layer)
        region = region_in_view(viewer, layer, axes, whole=True, limit=PREVIEW_SIDE)
    except (InputError, ValueError):  # another layer of that name, with other axes
        return None
    return Source(layer_data(layer), axes), region
