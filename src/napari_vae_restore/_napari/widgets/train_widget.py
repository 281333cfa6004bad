"""The *Train & Adapt* widget: a time budget, live plots and a preview, stop and go on."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Image
from qtpy.QtWidgets import QFileDialog

from napari_vae_restore._napari.forms.fields import button
from napari_vae_restore._napari.forms.model_choice import FILE_FILTER, removes_noise_only
from napari_vae_restore._napari.forms.model_store import model_store
from napari_vae_restore._napari.forms.settings import last_used, remember, remember_model
from napari_vae_restore._napari.forms.train_form import (
    NO_IMAGES,
    SourceChoice,
    TrainForm,
)
from napari_vae_restore._napari.layers.placement import layer_axes, layer_data
from napari_vae_restore._napari.layers.preview_layer import show_preview
from napari_vae_restore._napari.messages import (
    Preview,
    Source,
    TrainingUpdate,
    Update,
)
from napari_vae_restore._napari.training.layer import layer_of, preview_of
from napari_vae_restore._napari.training.runs import (
    Run,
    TrainingRequest,
    offered_run,
)
from napari_vae_restore._napari.training.steps import (
    TrainingEnded,
    resume_steps,
    start_steps,
)
from napari_vae_restore._napari.training.words import ending, ready
from napari_vae_restore._napari.widgets.loss_plot import TrainingPlots
from napari_vae_restore._napari.widgets.task_widget import TaskWidget
from napari_vae_restore.errors import VAERestoreError
from napari_vae_restore.reports.model_words import written_gain

if TYPE_CHECKING:
    import napari.viewer

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
        super().__init__(viewer)
        self._stop_requested = threading.Event()
        self._run = offered_run()
        self._layer: Image | None = None
        self._model: Model | None = None
        self._model_name = ""
        self._fraction = 0.0
        self.start_button = button("Start", "Train on these images", self.start)
        self.stop_button = button("Stop", "End now and keep the best model so far", self.stop)
        self.resume_button = button(
            "Resume",
            "Go on with the last training, with the images and settings that it began with",
            self.resume,
        )
        self.denoise_button = button(
            "Denoise…", "Open the Denoise widget with this model", self._open_denoise
        )
        self.save_button = button(
            "Save model…", "Write the model to a .safetensors file", self._choose_file
        )
        self.plots = TrainingPlots(viewer, self)
        form = TrainForm(viewer)
        form.update(last_used(_NAME))
        self.time = form.time
        self._show_form(form)
        self._add_buttons(self.start_button, self.stop_button, self.resume_button)
        self._add_buttons(self.denoise_button, self.save_button)
        self._layout.addWidget(self.plots)
        self._layout.addWidget(self.panel)
        self._layout.addStretch(1)
        self._refresh()

    @property
    def fraction(self) -> float:
        """Share of the last training that is over."""
        return self._fraction

    def start(self) -> None:
        """Train anew."""
        header = self.header
        if self.is_busy or header.problem:
            return
        images = self._given(header.images)
        second = self._given(header.second) if header.has_second else None
        request = TrainingRequest(
            way=header.way.value,
            budget=header.time.value,
            noise=str(header.noise.value).strip(),
            seed=int(header.seed.value),
            device=header.device.value,
            axes=header.axes.axes,
            name=header.images.title,
        )
        remember(_NAME, header.asdict())
        self._run, self._model, self._model_name = None, None, ""
        self._layer = header.layers.value if header.images.path is None else None
        view = preview_of(self._viewer, self._layer_still_there(), request)
        self._begin()
        steps = start_steps(images, second, request, header.model, view, self._stop_requested)
        self._launch(steps, layer=None, on_success=self._on_ended)

    def resume(self) -> None:
        """Go on with the last training, or watch it if it is at work."""
        run = self._run
        if self.is_busy or run is None:
            return
        if self._layer_still_there() is None:
            self._layer = layer_of(self._viewer, run)
        view = preview_of(self._viewer, self._layer_still_there(), run.request)
        self._begin()
        steps = resume_steps(run, view, self._stop_requested)
        self._launch(steps, layer=None, on_success=self._on_ended)

    def stop(self) -> None:
        """End the training after the current step and keep the best model."""
        if self.is_busy:
            self._stop_requested.set()
            self.panel.update_progress(Update(_STOPPING))
            self._refresh()

    def save(self, path: str) -> None:
        """Write the model to a file."""
        if self._model is None:
            return
        if not path.endswith(".safetensors"):
            path += ".safetensors"
        try:
            self._model.save(path, overwrite=True)
        except VAERestoreError as error:
            self._on_failed(error)
        else:
            remember_model(Path(path))
            self._say(f"Saved as {path}. {_report_saved(self._model, Path(path))}")

    def _begin(self) -> None:
        self.plots.clear()
        self._fraction = 0.0
        self._stop_requested = threading.Event()

    def _given(self, source: SourceChoice) -> Source | Path:
        """What a field says to learn from."""
        if source.path is not None:
            return source.path
        layer = source.layers.value
        if layer is self.header.layers.value:
            return self._source(layer)
        return Source(layer_data(layer), layer_axes(layer))

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
        if isinstance(message, Run):
            self._run = message
        elif isinstance(message, TrainingUpdate):
            self._on_update(message)
        elif isinstance(message, Preview):
            if (layer := self._layer_still_there()) is not None:
                show_preview(self._viewer, layer, message)
        elif not self._stop_requested.is_set():
            super()._on_message(message)

    def _on_update(self, update: TrainingUpdate) -> None:
        self.plots.add(update)
        self._fraction = update.fraction
        text = f"Training, step {update.step}. Stop keeps the best model so far."
        if self._stop_requested.is_set():
            text = _STOPPING
        self.panel.update_progress(Update(text, update.fraction, update.seconds_left))

    def _on_ended(self, ended: TrainingEnded) -> None:
        if ended.model is None:
            self._run = None
            self._say("Stopped before the first step; nothing was changed.")
            return
        self._run, self._model = ended.run, ended.model
        self._say(f"{ending(ended)} {self._taken_in(ended.model, ended.run.request.name)}")

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
        return problem or ready(self.header.way.value, self.header.images.title)

    def _refresh(self) -> None:
        super()._refresh()
        idle = not self.is_busy
        is_alive = idle and self._run is not None and self._run.is_alive
        can_go_on = is_alive or (idle and self._run is not None and self._run.can_resume)
        self.header.enabled = idle
        self.start_button.setEnabled(idle and not self.header.problem)
        self.stop_button.setEnabled(self.is_busy and not self._stop_requested.is_set())
        self.resume_button.setText("Watch" if is_alive else "Resume")
        self.resume_button.setEnabled(can_go_on)
        self.denoise_button.setEnabled(idle and bool(self._model_name))
        self.save_button.setEnabled(idle and bool(self._model_name))


def _report_saved(model: Model, weights: Path) -> str:
    """Write the model's report beside it; a page that is in the way is no failure."""
    from napari_vae_restore.reports.model_page import write_report_beside

    try:
        return f"Its report is {write_report_beside(model, weights).name}, beside it."
    except VAERestoreError as error:
        return f"It has no report beside it: {error}"
