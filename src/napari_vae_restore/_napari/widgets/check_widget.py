"""The *Check & Compare* widget: how far a result can be trusted, and what it changed."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QGridLayout, QLabel

from napari_vae_restore._napari.forms.check_form import CheckForm
from napari_vae_restore._napari.forms.fields import button
from napari_vae_restore._napari.forms.model_store import model_of
from napari_vae_restore._napari.jobs.check_steps import (
    CheckResult,
    check_steps,
    draw_steps,
    repeat_steps,
)
from napari_vae_restore._napari.layers.placement import (
    MISSING_KEY,
    RECIPE_KEY,
    layer_axes,
    layer_data,
)
from napari_vae_restore._napari.layers.region import start
from napari_vae_restore._napari.layers.results import (
    Subject,
    samples_of,
    show_result,
    subject_of,
    uncertainty_of,
    warnings_of,
)
from napari_vae_restore._napari.layers.spread_layers import (
    show_regions,
    show_residual,
    show_spread,
)
from napari_vae_restore._napari.layers.uncertainty import Uncertainty, with_uncertainty
from napari_vae_restore._napari.layers.view import current_step
from napari_vae_restore._napari.messages import Source, duration
from napari_vae_restore._napari.widgets.compare_panel import ComparePanel
from napari_vae_restore._napari.widgets.flicker_panel import FlickerPanel
from napari_vae_restore._napari.widgets.recipe_panel import RecipePanel
from napari_vae_restore._napari.widgets.task_widget import TaskWidget
from napari_vae_restore._napari.widgets.uncertainty_line import UncertaintyLine
from napari_vae_restore.errors import VAERestoreError
from napari_vae_restore.restoration.options import Options
from napari_vae_restore.restoration.recipes.replay import tasks_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    import napari.viewer
    from napari.layers import Image

    from napari_vae_restore._napari.worker import Steps
    from napari_vae_restore.restoration.result import Restoration

_NO_RESULT = "No result yet: run Denoise, Inpaint or Super-resolve first."


class CheckWidget(TaskWidget):
    """Looks at a restored image: residual, samples, reference, before and after, recipe."""

    header: CheckForm

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__(viewer)
        self.line = UncertaintyLine(viewer, self)
        self.flicker = FlickerPanel(viewer, self)
        self.comparing = ComparePanel(viewer, self)
        self.recipe = RecipePanel(viewer, self)
        self.check_button = button(
            "Check",
            "Show what was removed, and say whether it looks like noise",
            self.check,
        )
        self.draw_button = button(
            "Draw samples",
            "Draw images that are as plausible as the result: how they differ is how\n"
            "uncertain it is",
            self.draw,
        )
        self.uncertainty_button = button(
            "Uncertainty",
            "Show how far the result may be off, pixel by pixel, or hide it",
            self.uncertainty,
        )
        self.cancel_button = button("Cancel", "Stop without a result", self.cancel)
        self._show_form(CheckForm(viewer))
        self._layout.addWidget(QLabel("<b>Check</b>"))
        self._layout.addLayout(self._buttons())
        for each in (self.line, self.flicker, self.comparing, self.recipe, self.panel):
            self._layout.addWidget(each)
        self._layout.addStretch(1)
        self.comparing.failed.connect(self._say)
        self.recipe.message.connect(self._say)
        self.recipe.again_on.connect(self.run_again)
        self._on_changed()

    def check(self) -> None:
        """Show the residual, and say what it and the reference tell."""
        subject, source = self._subject(), self.header.source.value
        if subject is None or source is None:
            return
        reference = self.header.reference.value
        steps = check_steps(subject, None if reference is None else layer_data(reference))
        self._launch(steps, layer=source, on_success=partial(self._on_checked, source, subject))

    def draw(self) -> None:
        """Draw samples of the result, for its uncertainty map and for flickering."""
        subject, source = self._subject(), self.header.source.value
        result = self.header.layers.value
        if subject is None or source is None or result is None:
            return
        options = Options(
            n_samples=int(self.header.samples.value),
            keep_samples=True,
            tile=int(subject.recipe["tile"]),
            seed=int(self.header.seed.value),
            device=self.header.device.value,
        )
        try:
            steps = draw_steps(subject, model_of(subject.recipe), options)
        except VAERestoreError as error:
            self._say(str(error))
            return
        done = partial(self._on_drawn, source, result, subject)
        self._launch(_sized(steps, source), layer=source, on_success=done, in_turns=True)

    def uncertainty(self) -> None:
        """Show the uncertainty map, or hide it."""
        result = self.header.layers.value
        if result is None:
            return
        layer = uncertainty_of(self._viewer, result)
        if layer is not None:
            layer.visible = not layer.visible

    def run_again(self, layer: Image) -> None:
        """Apply the recipe of the chosen result to another layer."""
        result = self.header.layers.value
        if result is None or self.is_busy:
            return
        recipe = result.metadata[RECIPE_KEY]
        options = Options(
            n_samples=int(recipe["n_samples"]),
            tile=int(recipe["tile"]),
            seed=int(recipe["seed"]),
            device=self.header.device.value,
        )
        missing = result.metadata.get(MISSING_KEY)
        try:
            tasks = tasks_of(recipe, missing=missing)
            shape = tuple(layer_data(layer).shape)
            axes = recipe["axes"] if len(shape) == len(recipe["axes"]) else layer_axes(layer)
            source = Source(layer_data(layer), axes)
            steps = repeat_steps(source, tasks, recipe, model_of(recipe), options)
        except VAERestoreError as error:
            self._say(str(error))
            return
        done = partial(self._on_again, layer, missing)
        self._launch(_sized(steps, layer), layer=layer, on_success=done, in_turns=True)

    def _subject(self) -> Subject | None:
        source, result = self.header.source.value, self.header.layers.value
        if source is None or result is None or self.is_busy:
            return None
        step = current_step(self._viewer, source)
        all_planes = bool(self.header.planes.value)
        try:
            return subject_of(result, source, step=step, all_planes=all_planes)
        except VAERestoreError as error:
            self._say(str(error))
            return None

    def _on_checked(self, source: Image, subject: Subject, checked: CheckResult) -> None:
        first = start(subject.region)
        show_residual(self._viewer, source, checked.residual.residual, checked.limit, first)
        show_regions(self._viewer, source, checked.residual, subject.image.axes, first)
        parts = [checked.residual.verdict]
        if checked.score is not None:
            parts.append(checked.score.words)
        result = self.header.layers.value
        warnings = "" if result is None else warnings_of(result)
        self._say("\n\n".join(part for part in (" ".join(parts), warnings) if part))

    def _on_drawn(
        self,
        source: Image,
        result: Image,
        subject: Subject,
        drawn: tuple[Restoration, Uncertainty | None],
    ) -> Iterator[None]:
        options = {"like": source, "result": result, "region": subject.region}
        for _ in show_spread(self._viewer, *drawn, **options):
            yield
        self._on_changed()
        self._say(
            "Samples drawn: Flicker shows them one after the other, Uncertainty how far the "
            "result may be off."
        )

    def _on_again(
        self, layer: Image, missing: Any, found: tuple[Restoration, Uncertainty | None]
    ) -> Iterator[None]:
        restoration, uncertainty = found
        mean = show_result(self._viewer, restoration, like=layer)
        if missing is not None:
            mean.metadata[MISSING_KEY] = missing
        yield
        for _ in show_spread(self._viewer, restoration, uncertainty, like=layer, result=mean):
            yield
        took = duration(restoration.diagnostics.seconds)
        self._say(f"“{mean.name}” added, by the same recipe, in {took}.")

    def _on_changed(self, *change: object) -> None:
        source, result = self.header.source.value, self.header.layers.value
        self.comparing.compare(source, result)
        self.recipe.take(source, result)
        self._take_spread()
        super()._on_changed()

    def _on_layer_removed(self, event: Any) -> None:
        super()._on_layer_removed(event)
        self._take_spread()
        self._refresh()

    def _take_spread(self) -> None:
        """Let flicker and line follow the chosen result's samples and map."""
        result = self.header.layers.value
        self.flicker.take(None if result is None else samples_of(self._viewer, result))
        self.line.take(None if result is None else uncertainty_of(self._viewer, result))

    def _hint(self) -> str:
        result = self.header.layers.value
        if result is None:
            return _NO_RESULT
        if self.header.source.value is None:
            return "Choose what the result was made of."
        return warnings_of(result) or "Check says whether what was removed looks like noise."

    def _refresh(self) -> None:
        super()._refresh()
        result, source = self.header.layers.value, self.header.source.value
        ready = result is not None and source is not None and not self.is_busy
        self.header.enabled = not self.is_busy
        for each in (self.check_button, self.draw_button):
            each.setEnabled(ready)
        uncertainty = None if result is None else uncertainty_of(self._viewer, result)
        self.uncertainty_button.setEnabled(uncertainty is not None)
        self.cancel_button.setEnabled(self._job is not None and not self._job.is_cancelled)
        self.recipe.enable(ready)

    def _disconnect_viewer(self) -> None:
        super()._disconnect_viewer()
        self.flicker.stop()
        self.line.disconnect_viewer()
        self.comparing.disconnect_viewer()

    def _buttons(self) -> QGridLayout:
        grid = QGridLayout()
        buttons = (
            self.check_button,
            self.draw_button,
            self.uncertainty_button,
            self.cancel_button,
        )
        for number, each in enumerate(buttons):
            grid.addWidget(each, number // 2, number % 2)
        return grid


def _sized(steps: Steps, source: Image) -> Steps:
    """With the map of the uncertainty, made in the same thread."""
    return with_uncertainty(steps, _itself, is_rgb=bool(source.rgb))


def _itself(restoration: Restoration) -> Restoration:
    return restoration
