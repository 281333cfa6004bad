"""What *Denoise*, *Inpaint* and *Super-resolve* have in common: preview, run, cancel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QWidget

from napari_vae_restore._napari.fields import (
    NoiseEdit,
    button,
    field_value,
    fill_field,
    whole_number,
)
from napari_vae_restore._napari.header import Header
from napari_vae_restore._napari.layers import layer_data, show_result
from napari_vae_restore._napari.looking import LookingBox, levels_of, show_looked
from napari_vae_restore._napari.looking_steps import look_steps
from napari_vae_restore._napari.messages import MAX_SEED, Preview, Source, duration
from napari_vae_restore._napari.model_choice import ModelChoice, load_steps, removes_noise_only
from napari_vae_restore._napari.model_report import ModelReportDialog, report_steps
from napari_vae_restore._napari.model_store import model_store
from napari_vae_restore._napari.preview_layer import find_preview, show_preview
from napari_vae_restore._napari.region import MAX_SIDE, Region, visible_region
from napari_vae_restore._napari.restoration_steps import (
    RestoreOptions,
    preview_steps,
    restore_steps,
)
from napari_vae_restore._napari.settings import (
    last_used,
    preferences,
    remember,
    remember_model,
)
from napari_vae_restore._napari.task_widget import NO_LAYER, TaskWidget
from napari_vae_restore._napari.view import current_step, visible_pixels
from napari_vae_restore._napari.warm_up import warm_up
from napari_vae_restore._napari.words import noise_in_words, verdict
from napari_vae_restore._napari.worker import Steps
from napari_vae_restore.layout import Layout
from napari_vae_restore.restoration.tasks import Denoise, Task

if TYPE_CHECKING:
    import napari.viewer
    from napari.layers import Image
    from numpy.typing import NDArray

    from napari_vae_restore.models.model import Model
    from napari_vae_restore.models.report import ModelReport
    from napari_vae_restore.noise.models import NoiseModel
    from napari_vae_restore.restoration.looking import Looked
    from napari_vae_restore.restoration.result import Diagnostics, Restoration

_MAX_SAMPLES = 256
_SETTLED_MS = 200  # until a new widget has been drawn
_NO_NUMBERS = (
    "“{}” holds True and False only: it is a mask and no picture. Right click on it ▸ Convert "
    "to Labels to inpaint with it, or open the picture itself."
)
_MEASURED = "measured in the image"
_AS_TRAINED = "as the model's training images"


class RestorationWidget(TaskWidget):
    """Restores an image layer; subclasses say what was done to it.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        The viewer that the widget belongs to.
    """

    does: ClassVar[str]
    """What it does, as the first word of tooltips: "Denoise"."""

    denoises_only: ClassVar[bool] = False
    """Whether models that were trained on noisy images will do."""

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__(viewer)
        rows = self._task_rows()
        self._known_noise: dict[int, NoiseModel] = {}
        self._known_for: tuple[object, ...] = ()
        self.models = ModelChoice(denoising_only=self.denoises_only, parent=self)
        self.noise = NoiseEdit(_MEASURED)
        self.samples = whole_number(
            0,
            0,
            _MAX_SAMPLES,
            "Plausible images to draw. Two or more give an uncertainty map: how much\n"
            "they differ, per pixel. 0: the mean only, fastest",
        )
        self.keep = QCheckBox("keep them as a layer")
        self.keep.setToolTip("Add the samples themselves, along a new first axis")
        self.tile = whole_number(
            preferences().tile,
            32,
            8192,
            "Side of the tiles in which large images are computed.\n"
            "Smaller takes less memory; the result is the same",
            step=32,
            suffix=" px",
        )
        self.seed = whole_number(0, 0, MAX_SEED, "The same seed gives the same samples")
        for name, value in last_used(self.does).items():
            if name in self._remembered():
                fill_field(self._remembered()[name], value)
        self.header = Header(
            viewer,
            rows={**rows, "Model": self.models},
            advanced={
                "Noise": self.noise,
                "Samples": self.samples,
                "": self.keep,
                "Tile": self.tile,
                "Seed": self.seed,
            },
            parent=self,
        )
        self.preview_button = button(
            "Preview",
            f"{self.does} what is in view, up to {MAX_SIDE} × {MAX_SIDE} pixels of the "
            "current plane",
            self.preview,
        )
        self.run_button = button("Run", f"{self.does} all planes into a new layer", self.run)
        self.cancel_button = button("Cancel", "Stop without a result", self.cancel)
        self.looking = LookingBox(self)
        self._layout.addWidget(self.header)
        self._layout.addWidget(self.looking)
        self._add_buttons(self.preview_button, self.run_button, self.cancel_button)
        self._layout.addWidget(self.panel)
        self._layout.addStretch(1)
        self.header.changed.connect(self._on_changed)
        self.models.file_chosen.connect(self.open_model)
        self.models.about_asked.connect(self.show_report)
        self.samples.valueChanged.connect(self._on_changed)
        self.looking.toggled.connect(self._on_changed)
        model_store().changed.connect(self._on_changed)
        # Not at once: an import holds up the thread of the window.
        QTimer.singleShot(_SETTLED_MS, warm_up)

    def preview(self) -> None:
        """Restore the visible part of the current plane into the preview layer."""
        layer, model = self.header.layers.layer, self.models.model
        if layer is None or self.is_busy or self._problem():
            return
        source = self._source(layer)
        region = visible_region(
            source.data.shape,
            source.axes,
            step=_padded(current_step(self._viewer, layer), source.data.ndim),
            corners=visible_pixels(self._viewer, layer),
            joint_channels=_joins_channels(model),
            limit=MAX_SIDE // self._factor(),
        )
        self._forget_noise_unless_for(layer)
        steps = self._preview_steps(source, region, model)
        self._launch(steps, layer=layer, on_success=partial(self._on_preview, layer))

    def run(self) -> None:
        """Restore the whole layer into new layers."""
        layer, model = self.header.layers.layer, self.models.model
        if layer is None or self.is_busy or self._problem():
            return
        remember(self.does, {k: field_value(f) for k, f in self._remembered().items()})
        if self.looking.is_wanted:
            tasks, axes = self._late_tasks(), self.header.axes.axes
            steps = look_steps(levels_of(layer), axes, tasks, model, self._options())
            self._launch(steps, layer=layer, on_success=partial(self._on_looked, layer))
            return
        steps = self._run_steps(self._source(layer), model)
        self._launch(steps, layer=layer, on_success=partial(self._on_restored, layer))

    def open_model(self, path: str) -> None:
        """Open a model file and select its model.

        Parameters
        ----------
        path : str
            A ``.safetensors`` file.
        """
        if not self.is_busy:
            done = partial(self._on_model, Path(path))
            self._launch(load_steps(Path(path)), layer=None, on_success=done)

    def show_report(self) -> None:
        """Show what is known of the chosen model, in a window of its own."""
        if not self.is_busy:
            steps = report_steps(self.models.model)
            self._launch(steps, layer=None, on_success=self._on_report)

    def _remembered(self) -> dict[str, QWidget]:
        """Fields that begin with what was used last, by name; subclasses add theirs."""
        return {"samples": self.samples, "keep": self.keep}

    def _task_rows(self) -> dict[str, QWidget]:
        """Make the fields of the task; they are shown below the axes, by label."""
        return {}

    def _tasks(self) -> list[Task]:
        """What was done to the image, as chosen now."""
        raise NotImplementedError

    def _late_tasks(self) -> Callable[[], Sequence[Task]]:
        """The same, as chosen now, made in the thread that computes."""
        tasks = self._tasks()
        return lambda: tasks

    def _ready_hint(self) -> str:
        """What to do next, when all is chosen."""
        raise NotImplementedError

    def _problem(self) -> str:
        """What is missing or wrong, in words, or nothing; subclasses know more."""
        layer = self.header.layers.layer
        if layer is None:
            return NO_LAYER
        if np.dtype(layer_data(layer).dtype).kind == "b":
            return _NO_NUMBERS.format(layer.name)
        return self.header.axes.problem

    def _factor(self) -> int:
        """Output pixels for each input pixel along a side."""
        return 1

    def _run_steps(self, source: Source, model: Model | str) -> Steps:
        return restore_steps(source, self._tasks(), model, self._options())

    def _preview_steps(self, source: Source, region: Region, model: Model | str) -> Steps:
        tasks, options = self._tasks(), self._options()
        return preview_steps(source, region, tasks, model, options, self._known_noise)

    def _denoising(self) -> Denoise:
        return Denoise(self.noise.noise or None)

    def _noise_depends_on(self) -> tuple[object, ...]:
        """What the noise is measured from, beside the layer; subclasses know more."""
        return ()

    def _options(self) -> RestoreOptions:
        n_samples = int(self.samples.value())
        return RestoreOptions(
            n_samples=n_samples,
            keep_samples=n_samples > 0 and bool(self.keep.isChecked()),
            tile=int(self.tile.value()),
            seed=int(self.seed.value()),
            device=self.header.device.device,
        )

    def _forget_noise_unless_for(self, layer: Image) -> None:
        """Noise that a preview has estimated holds for its data, axes and notation only."""
        key = (
            layer.unique_id,
            id(layer_data(layer)),
            self.header.axes.axes,
            self.noise.noise or str(_trained_noise(self.models.model)),
            *self._noise_depends_on(),
        )
        if key != self._known_for:
            self._known_for, self._known_noise = key, {}

    def _on_preview(self, layer: Image, preview: Preview) -> None:
        self._known_noise = preview.noise
        show_preview(self._viewer, layer, preview)
        axes = self.header.axes.axes
        levels = _channel_levels(preview.image, axes)
        self._say(_sentences("Preview of the current view.", preview.diagnostics, levels))

    def _on_restored(self, layer: Image, result: Any) -> Image:
        restoration: Restoration = result
        preview = find_preview(self._viewer, layer)
        mean = show_result(self._viewer, restoration, like=layer, preview=preview)[0]
        diagnostics = restoration.diagnostics
        added = f"“{mean.name}” added, in {duration(diagnostics.seconds)}."
        levels = _channel_levels(restoration.mean, restoration.recipe.axes)
        self._say(_sentences(added, diagnostics, levels))
        return mean

    def _on_looked(self, layer: Image, looked: Looked) -> None:
        self._say(show_looked(self._viewer, looked, like=layer))

    def _on_report(self, report: ModelReport) -> None:
        ModelReportDialog(report, self).show()

    def _on_model(self, path: Path, model: Model) -> None:
        remember_model(path)
        name = model_store().add(model, model.name)
        text = f"Model “{name}” opened."
        if removes_noise_only(model) and not self.denoises_only:
            text += " It removes noise only: it is there for Denoise."
        self._say(text)

    def _hint(self) -> str:
        return self._problem() or self._ready_hint()

    def _refresh(self) -> None:
        super()._refresh()
        ready = not self._problem() and not self.is_busy
        self.header.setEnabled(not self.is_busy)
        self.preview_button.setEnabled(ready)
        self.run_button.setEnabled(ready)
        self.cancel_button.setEnabled(self._job is not None and not self._job.is_cancelled)
        self.looking.offer(self.header.layers.layer)
        self.samples.setEnabled(not self.looking.is_wanted)
        self.keep.setEnabled(not self.looking.is_wanted and int(self.samples.value()) > 0)
        trained = _trained_noise(self.models.model)
        self.noise.setPlaceholderText(_MEASURED if trained is None else _AS_TRAINED)

    def _add_buttons(self, *buttons: QWidget) -> None:
        row = QHBoxLayout()
        for each in buttons:
            row.addWidget(each)
        self._layout.addLayout(row)


def _sentences(first: str, diagnostics: Diagnostics, levels: Sequence[float]) -> str:
    noise = noise_in_words(diagnostics.noise, levels) if diagnostics.noise else ""
    parts = (first, noise, verdict(diagnostics))
    return " ".join(part for part in parts if part)


def _channel_levels(image: NDArray[Any], axes: str) -> list[float]:
    """Mean intensity of each channel."""
    planes = Layout.of(image, axes).to_planes(image)
    return [float(planes[:, channel].mean()) for channel in range(planes.shape[1])]


def _trained_noise(model: Model | str) -> NoiseModel | None:
    """The noise that a model was trained on; the bundled one has none of its own."""
    return None if isinstance(model, str) else model.noise


def _joins_channels(model: Model | str) -> bool:
    """Whether a model takes all channels at once; the bundled one takes them one by one."""
    return not isinstance(model, str) and model.network.config.channels > 1


def _padded(step: tuple[int, ...], ndim: int) -> tuple[int, ...]:
    """A colour axis is no dimension of the layer, but one of its data."""
    return step + (0,) * (ndim - len(step))
