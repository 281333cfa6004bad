"""The *Check & Compare* widget: how far a result can be trusted, and what it changed."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import napari.viewer
from napari.layers import Image
from qtpy.QtWidgets import QLabel

from napari_vae_restore._napari.forms.check_form import CheckForm
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
from napari_vae_restore._napari.widgets.flicker_panel import FlickerPanel, UncertaintyLine
from napari_vae_restore._napari.widgets.recipe_panel import RecipePanel
from napari_vae_restore._napari.widgets.task_widget import TaskWidget
from napari_vae_restore.errors import VAERestoreError
from napari_vae_restore.restoration.options import Options
from napari_vae_restore.restoration.recipes.replay import tasks_of

if TYPE_CHECKING:
    from napari_vae_restore.restoration.result import Restoration

    Drawn = tuple[Restoration, Uncertainty | None]


class CheckWidget(TaskWidget):
    """Looks at a restored image: residual, samples, reference, before and after, recipe."""

    header: CheckForm

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        form = CheckForm(viewer)
        super().__init__(viewer, form)
        self.line = UncertaintyLine(self)
        self.flicker = FlickerPanel(self)
        self.comparing = ComparePanel(self)
        self.recipe = RecipePanel(self, self.run_again)
        about = "Show what was removed, and say whether it looks like noise"
        self.check_button = self.button("Check", about, self.check)
        self.draw_button = self.button(
            "Draw samples",
            "Draw images that are as plausible as the result: how they differ is how\n"
            "uncertain it is",
            self.draw,
        )
        self.uncertainty_button = self.button(
            "Uncertainty",
            "Show how far the result may be off, pixel by pixel, or hide it",
            self.uncertainty,
            lambda: uncertainty_of(viewer, form.layers.value) is not None,
        )
        self.add(QLabel("<b>Check</b>"))
        self.add_row(self.check_button, self.draw_button)
        self.add_row(self.uncertainty_button, self.make_cancel_button())
        self.add(self.line, self.flicker, self.comparing, self.recipe, self.panel)
        self._layout.addStretch(1)
        self._on_changed()

    def check(self) -> None:
        """Show the residual, and say what it and the reference show."""
        if (subject := self._subject()) is not None:
            source, reference = self.header.source.value, self.header.reference.value
            steps = check_steps(subject, None if reference is None else layer_data(reference))
            self.launch(steps, partial(self._on_checked, source, subject), source)

    def draw(self) -> None:
        """Draw samples of the result, for its uncertainty map and for flickering."""
        if (subject := self._subject()) is None:
            return
        form, recipe = self.header, subject.recipe
        source, result = form.source.value, form.layers.value
        options = form.drawing_options(int(recipe["tile"]))
        try:
            steps = draw_steps(subject, model_of(recipe), options)
        except VAERestoreError as error:
            self.say(str(error))
            return
        sized = with_uncertainty(steps, is_rgb=bool(source.rgb))
        self.launch(sized, partial(self._on_drawn, source, result, subject), source)

    def uncertainty(self) -> None:
        layer = uncertainty_of(self.viewer, self.header.layers.value)
        if layer is not None:
            layer.visible = not layer.visible

    def run_again(self, layer: Image) -> None:
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
        missing, data = result.metadata.get(MISSING_KEY), layer_data(layer)
        try:
            tasks = tasks_of(recipe, missing=missing)
            is_same = len(data.shape) == len(recipe["axes"])
            source = Source(data, recipe["axes"] if is_same else layer_axes(layer))
            steps = repeat_steps(source, tasks, recipe, model_of(recipe), options)
        except VAERestoreError as error:
            self.say(str(error))
            return
        sized = with_uncertainty(steps, is_rgb=bool(layer.rgb))
        self.launch(sized, partial(self._on_again, layer, missing), layer)

    def _subject(self) -> Subject | None:
        if not self.is_ready or (pair := self.header.pair) is None:
            return None
        source, result = pair
        step, all_planes = current_step(self.viewer, source), bool(self.header.planes.value)
        try:
            return subject_of(result, source, step=step, all_planes=all_planes)
        except VAERestoreError as error:
            self.say(str(error))
            return None

    def _on_checked(self, source: Image, subject: Subject, checked: CheckResult) -> None:
        first = start(subject.region)
        show_residual(self.viewer, source, checked.residual.residual, checked.limit, first)
        show_regions(self.viewer, source, checked.residual, subject.image.axes, first)
        result = self.header.layers.value
        warnings = "" if result is None else warnings_of(result)
        text = f"{checked.residual.verdict} {checked.score}".strip()
        self.say(f"{text}\n\n{warnings}".strip())

    def _on_drawn(
        self, source: Image, result: Image, subject: Subject, drawn: Drawn
    ) -> Iterator[None]:
        options = {"like": source, "result": result, "region": subject.region}
        for _ in show_spread(self.viewer, *drawn, **options):
            yield
        self._on_changed()
        self.say(
            "Samples drawn: Flicker shows them one after the other, Uncertainty how far the "
            "result may be off."
        )

    def _on_again(self, layer: Image, missing: Any, found: Drawn) -> Iterator[None]:
        restoration, uncertainty = found
        mean = show_result(self.viewer, restoration, like=layer)
        if missing is not None:
            mean.metadata[MISSING_KEY] = missing
        yield
        for _ in show_spread(self.viewer, restoration, uncertainty, like=layer, result=mean):
            yield
        took = duration(restoration.diagnostics.seconds)
        self.say(f"“{mean.name}” added, by the same recipe, in {took}.")

    def _on_changed(self, *change: object) -> None:
        self.comparing.compare(self.header.pair)
        self._take_spread()
        super()._on_changed()

    def _on_layer_removed(self, event: Any) -> None:
        super()._on_layer_removed(event)
        self._take_spread()
        self.refresh()

    def _take_spread(self) -> None:
        """Let flicker and line follow the chosen result's samples and map."""
        result = self.header.layers.value
        self.flicker.take(samples_of(self.viewer, result))
        self.line.take(uncertainty_of(self.viewer, result))
