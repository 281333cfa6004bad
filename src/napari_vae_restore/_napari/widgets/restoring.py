"""What *Denoise*, *Inpaint* and *Super-resolve* have in common: preview, run, cancel."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from napari.layers import Image
from napari.settings import get_settings

from napari_vae_restore._napari.forms.model_choice import joins_channels
from napari_vae_restore._napari.forms.restoration_forms import RestorationForm
from napari_vae_restore._napari.forms.settings import remember
from napari_vae_restore._napari.jobs.inpaint_steps import FilledImage, restoration_of
from napari_vae_restore._napari.jobs.restoration_steps import on_demand_steps
from napari_vae_restore._napari.layers.placement import levels_of
from napari_vae_restore._napari.layers.results import (
    find_preview,
    show_on_demand,
    show_preview,
    show_result,
)
from napari_vae_restore._napari.layers.spread_layers import show_spread
from napari_vae_restore._napari.layers.uncertainty import Uncertainty, with_uncertainty
from napari_vae_restore._napari.layers.view import MAX_SIDE, current_step, region_in_view
from napari_vae_restore._napari.messages import Preview, duration
from napari_vae_restore._napari.widgets.task_widget import TaskWidget
from napari_vae_restore._napari.words import account

if TYPE_CHECKING:
    from napari_vae_restore.noise.models import NoiseModel
    from napari_vae_restore.restoration.blocks.on_demand import OnDemand
    from napari_vae_restore.restoration.result import Restoration

    Result = Restoration | FilledImage
    Shown = Callable[[Image, Image, Result], None]

_ON_DEMAND = "“{}” is restored where you look: zoom in for the full resolution."
_SWITCHED = (
    " Render Layers Asynchronously is now on (Preferences ▸ Experimental), so that the window "
    "does not wait."
)


class Restoring:
    """The buttons Preview, Run and Cancel of a widget, and what they do with its form.

    `on_shown` gets the source, the layer of the mean, and what the steps of a run returned.
    """

    def __init__(
        self, widget: TaskWidget, form: RestorationForm, on_shown: Shown | None = None
    ) -> None:
        self._widget, self._form, self._on_shown = widget, form, on_shown
        self._known_noise: dict[int, NoiseModel] = {}
        self._known_for: tuple[object, ...] = ()
        about = (
            f"{form.does} what is in view, up to {MAX_SIDE} × {MAX_SIDE} pixels of the "
            "current plane"
        )
        preview = widget.button("Preview", about, self.preview)
        about = f"{form.does} all planes into a new layer"
        run = widget.button("Run", about, self.run)
        self.buttons = preview, run, widget.make_cancel_button()
        widget.add_row(*self.buttons)

    def preview(self) -> None:
        """Restore the visible part of the current plane into the preview layer."""
        widget, form = self._widget, self._form
        if not widget.is_ready:
            return
        layer, source = form.layers.value, form.source
        region = region_in_view(
            widget.viewer,
            layer,
            source.axes,
            joint_channels=joins_channels(form.models.model),
            limit=MAX_SIDE // form.factor,
        )
        # Noise that a preview has measured holds for the next one of the same image.
        if (key := form.noise_depends_on) != self._known_for:
            self._known_for, self._known_noise = key, {}
        steps = form.preview_steps(region, self._known_noise)
        widget.launch(steps, partial(self._on_preview, layer), layer)

    def run(self) -> None:
        widget, form = self._widget, self._form
        if not widget.is_ready:
            return
        remember(form.does, form.asdict())
        layer = form.layers.value
        if form.is_on_demand:
            what = levels_of(layer), form.axes.axes, form.tasks_on_demand(), form.models.model
            steps = on_demand_steps(
                *what, form.chosen_options, current_step(widget.viewer, layer)
            )
            widget.launch(steps, partial(self._on_prepared, layer), layer)
            return
        run = with_uncertainty(form.run_steps(), restoration_of, is_rgb=bool(layer.rgb))
        widget.launch(run, partial(self._on_restored, layer), layer)

    def _on_preview(self, layer: Image, preview: Preview) -> Iterator[None]:
        self._known_noise = preview.noise
        show_preview(self._widget.viewer, layer, preview)
        yield
        first, axes = "Preview of the current view.", self._form.axes.axes
        text = account(first, preview.image, axes, preview.diagnostics, is_whole=False)
        self._widget.say(text)

    def _on_restored(
        self, layer: Image, found: tuple[Result, Uncertainty | None]
    ) -> Iterator[None]:
        """Show a result layer by layer; the window lives in between."""
        (result, uncertainty), viewer = found, self._widget.viewer
        restoration = restoration_of(result)
        preview = find_preview(viewer, layer)
        mean = show_result(viewer, restoration, like=layer, preview=preview)
        if self._on_shown is not None:
            self._on_shown(layer, mean, result)
        axes, diagnostics = restoration.recipe.axes, restoration.diagnostics
        first = f"“{mean.name}” added, in {duration(diagnostics.seconds)}."
        text = account(first, restoration.mean, axes, diagnostics, is_whole=True)
        self._widget.say(text)
        yield
        for _ in show_spread(viewer, restoration, uncertainty, like=layer, result=mean):
            yield

    def _on_prepared(self, layer: Image, restored: OnDemand) -> None:
        settings: Any = get_settings().experimental
        was_on, settings.async_ = bool(settings.async_), True
        name = show_on_demand(self._widget.viewer, restored, like=layer).name
        self._widget.say(_ON_DEMAND.format(name) + ("" if was_on else _SWITCHED))
