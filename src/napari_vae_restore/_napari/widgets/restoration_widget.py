"""What *Denoise*, *Inpaint* and *Super-resolve* have in common: preview, run, cancel."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from magicgui.widgets import CheckBox

from napari_vae_restore._napari.forms.fields import button, noise_edit, whole_number
from napari_vae_restore._napari.forms.form import LayerForm, Row
from napari_vae_restore._napari.forms.model_choice import (
    ModelChoice,
    joins_channels,
    trained_noise,
)
from napari_vae_restore._napari.forms.settings import last_used, preferences, remember
from napari_vae_restore._napari.jobs.on_demand_steps import on_demand_steps
from napari_vae_restore._napari.jobs.restoration_steps import (
    preview_steps,
    restore_steps,
)
from napari_vae_restore._napari.layers.placement import layer_data
from napari_vae_restore._napari.layers.preview_layer import find_preview, show_preview
from napari_vae_restore._napari.layers.region import MAX_SIDE, Region, visible_region
from napari_vae_restore._napari.layers.results import show_result
from napari_vae_restore._napari.layers.spread_layers import show_spread
from napari_vae_restore._napari.layers.uncertainty import Uncertainty, with_uncertainty
from napari_vae_restore._napari.layers.view import current_step, visible_pixels
from napari_vae_restore._napari.messages import MAX_SEED, Preview, Source, duration
from napari_vae_restore._napari.widgets.on_demand import LookingBox, levels_of, show_looked
from napari_vae_restore._napari.widgets.task_widget import NO_LAYER, TaskWidget
from napari_vae_restore._napari.words import account
from napari_vae_restore._napari.worker import Steps
from napari_vae_restore.restoration.options import Options
from napari_vae_restore.restoration.tasks import Denoise, Task

if TYPE_CHECKING:
    import napari.viewer
    from magicgui.widgets.bases import Widget
    from napari.layers import Image

    from napari_vae_restore.models.model import Model
    from napari_vae_restore.noise.models import NoiseModel
    from napari_vae_restore.restoration.blocks.on_demand import OnDemand
    from napari_vae_restore.restoration.result import Restoration

_MAX_SAMPLES = 256
_NO_NUMBERS = (
    "“{}” holds True and False only: it is a mask and no picture. Right click on it ▸ Convert "
    "to Labels to inpaint with it, or open the picture itself."
)

_MEASURED = "measured in the image"
_AS_TRAINED = "as the model's training images"


class RestorationWidget(TaskWidget):
    """Restores an image layer; subclasses say what was done to it."""

    does: ClassVar[str]
    """What it does, as the first word of tooltips: "Denoise"."""

    denoises_only: ClassVar[bool] = False
    """Whether models that were trained on noisy images will do."""

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__(viewer)
        self._known_noise: dict[int, NoiseModel] = {}
        self._known_for: tuple[object, ...] = ()
        models = ModelChoice(denoising_only=self.denoises_only)
        self.noise = noise_edit(_MEASURED)
        self.samples = whole_number(
            0,
            0,
            _MAX_SAMPLES,
            name="samples",
            label="Samples",
            tooltip="Plausible images to draw. Two or more give an uncertainty map: how much\n"
            "they differ, per pixel. 0: the mean only, fastest",
        )
        self.keep = CheckBox(
            name="keep",
            text="keep them as a layer",
            tooltip="Add the samples themselves, along a new first axis",
        )
        self.tile = whole_number(
            preferences().tile,
            32,
            8192,
            step=32,
            suffix=" px",
            label="Tile",
            tooltip="Side of the tiles in which large images are computed.\n"
            "Smaller takes less memory; the result is the same",
        )
        self.seed = whole_number(
            0, 0, MAX_SEED, label="Seed", tooltip="The same seed gives the same samples"
        )
        rare: list[Widget] = [self.noise, self.samples, Row(self.keep), self.tile, self.seed]
        form = LayerForm(viewer, [*self._task_rows(), models], rare)
        # Fields that have a name begin with what was used last.
        form.update(last_used(self.does))
        self.preview_button = button(
            "Preview",
            f"{self.does} what is in view, up to {MAX_SIDE} × {MAX_SIDE} pixels of the "
            "current plane",
            self.preview,
        )
        self.run_button = button("Run", f"{self.does} all planes into a new layer", self.run)
        self.cancel_button = button("Cancel", "Stop without a result", self.cancel)
        self.looking = LookingBox(self)
        self._show_form(form, models)
        self._layout.addWidget(self.looking)
        self._add_buttons(self.preview_button, self.run_button, self.cancel_button)
        self._layout.addWidget(self.panel)
        self._layout.addStretch(1)
        self.looking.toggled.connect(self._on_changed)

    def preview(self) -> None:
        """Restore the visible part of the current plane into the preview layer."""
        layer, model = self.header.layers.value, self.models.model
        if layer is None or self.is_busy or self._problem():
            return
        source = self._source(layer)
        region = visible_region(
            source.data.shape,
            source.axes,
            step=current_step(self._viewer, layer),
            corners=visible_pixels(self._viewer, layer),
            joint_channels=joins_channels(model),
            limit=MAX_SIDE // self._factor(),
        )
        self._forget_noise_unless_for(layer)
        steps = self._preview_steps(source, region, model)
        done = partial(self._on_preview, layer)
        self._launch(steps, layer=layer, on_success=done, in_turns=True)

    def run(self) -> None:
        """Restore the whole layer into new layers."""
        layer, model = self.header.layers.value, self.models.model
        if layer is None or self.is_busy or self._problem():
            return
        remember(self.does, self.header.asdict())
        if self.looking.is_wanted:
            what = levels_of(layer), self.header.axes.axes, self._late_tasks(), model
            look = on_demand_steps(*what, self._options(), current_step(self._viewer, layer))
            self._launch(look, layer=layer, on_success=partial(self._on_looked, layer))
            return
        is_rgb = bool(layer.rgb)
        run = self._run_steps(self._source(layer), model)
        steps = with_uncertainty(run, self._restoration, is_rgb=is_rgb)
        done = partial(self._on_restored, layer)
        self._launch(steps, layer=layer, on_success=done, in_turns=True)

    def _task_rows(self) -> list[Widget]:
        """Make the fields of the task; they are shown below the axes."""
        self.noisy = CheckBox(
            name="noisy",
            text="image is noisy",
            tooltip="Remove noise as well, everywhere. Without it, the image's own pixels are\n"
            "taken to be right, and the result agrees with them",
        )
        return [Row(self.noisy)]

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
        layer = self.header.layers.value
        if layer is None:
            return NO_LAYER
        if np.dtype(layer_data(layer).dtype).kind == "b":
            return _NO_NUMBERS.format(layer.name)
        return str(self.header.axes.problem)

    def _factor(self) -> int:
        """Output pixels for each input pixel along a side."""
        return 1

    def _run_steps(self, source: Source, model: Model | str) -> Steps:
        return restore_steps(source, self._tasks(), model, self._options())

    def _preview_steps(self, source: Source, region: Region, model: Model | str) -> Steps:
        tasks, options = self._tasks(), self._options()
        return preview_steps(source, region, tasks, model, options, self._known_noise)

    def _is_noisy(self) -> bool:
        """Whether noise is to be removed."""
        return bool(self.noisy.value)

    def _denoising(self) -> Denoise | None:
        """The removal of noise, if it is asked for."""
        return Denoise(self._noise() or None) if self._is_noisy() else None

    def _noise(self) -> str:
        return str(self.noise.value).strip()

    def _noise_depends_on(self) -> tuple[object, ...]:
        """What the noise is measured from, beside the layer; subclasses know more."""
        return ()

    def _options(self) -> Options:
        n_samples = int(self.samples.value)
        return Options(
            n_samples=n_samples,
            keep_samples=n_samples > 0 and bool(self.keep.value),
            tile=int(self.tile.value),
            seed=int(self.seed.value),
            device=self.header.device.value,
        )

    def _forget_noise_unless_for(self, layer: Image) -> None:
        """Noise that a preview has estimated holds for its data, axes and notation only."""
        key = (
            layer.unique_id,
            id(layer_data(layer)),
            self.header.axes.axes,
            self._noise() or str(trained_noise(self.models.model)),
            *self._noise_depends_on(),
        )
        if key != self._known_for:
            self._known_for, self._known_noise = key, {}

    def _on_preview(self, layer: Image, preview: Preview) -> Iterator[None]:
        self._known_noise = preview.noise
        show_preview(self._viewer, layer, preview)
        yield
        first, axes = "Preview of the current view.", self.header.axes.axes
        text = account(first, preview.image, axes, preview.diagnostics, is_whole=False)
        self._say(text)

    def _restoration(self, result: Any) -> Restoration:
        """The restoration in what the steps of a run return."""
        restoration: Restoration = result
        return restoration

    def _on_restored(
        self, layer: Image, found: tuple[Any, Uncertainty | None]
    ) -> Iterator[None]:
        """Show a result layer by layer; the window lives in between."""
        restoration, uncertainty = self._restoration(found[0]), found[1]
        preview = find_preview(self._viewer, layer)
        mean = show_result(self._viewer, restoration, like=layer, preview=preview)
        self._on_shown(mean, found[0])
        axes, diagnostics = restoration.recipe.axes, restoration.diagnostics
        first = f"“{mean.name}” added, in {duration(diagnostics.seconds)}."
        self._say(account(first, restoration.mean, axes, diagnostics, is_whole=True))
        yield
        for _ in show_spread(self._viewer, restoration, uncertainty, like=layer, result=mean):
            yield

    def _on_shown(self, mean: Image, result: Any) -> None:
        """A result has become a layer; subclasses note more of it."""

    def _on_looked(self, layer: Image, looked: OnDemand) -> None:
        self._say(show_looked(self._viewer, looked, like=layer))

    def _hint(self) -> str:
        return self._problem() or self._ready_hint()

    def _refresh(self) -> None:
        super()._refresh()
        ready = not self._problem() and not self.is_busy
        self.header.enabled = not self.is_busy
        self.preview_button.setEnabled(ready)
        self.run_button.setEnabled(ready)
        self.cancel_button.setEnabled(self._job is not None and not self._job.is_cancelled)
        self.looking.offer(self.header.layers.value)
        self.samples.enabled = not self.looking.is_wanted
        self.keep.enabled = not self.looking.is_wanted and int(self.samples.value) > 0
        self.noise.enabled = self._is_noisy()
        trained = trained_noise(self.models.model)
        self.noise.native.setPlaceholderText(_MEASURED if trained is None else _AS_TRAINED)
