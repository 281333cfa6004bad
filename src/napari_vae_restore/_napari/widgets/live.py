"""The *Enhance* and *Explore* widgets, whose pictures follow the sliders."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import napari.viewer
from napari.layers import Image
from qtpy.QtCore import QObject, QTimer

from napari_vae_restore._napari.forms.live_forms import LIVE, EnhanceForm, ExploreForm
from napari_vae_restore._napari.forms.model_store import BUNDLED, model_store
from napari_vae_restore._napari.jobs.live_steps import (
    DrawnPictures,
    draw_steps,
    enhance_preview_steps,
    enhance_steps,
    like_steps,
)
from napari_vae_restore._napari.layers.placement import RECIPE_KEY, appearance, placement
from napari_vae_restore._napari.layers.results import remove_preview, show_preview
from napari_vae_restore._napari.layers.view import region_in_view, steady
from napari_vae_restore._napari.messages import MAX_SEED, Preview
from napari_vae_restore._napari.widgets.task_widget import TaskWidget
from napari_vae_restore.models.bundled import DEFAULT

_MAX_SIDE = 1024  # pixels of the live picture of an image
_EXPLORED_KEY = "vae_restore_explored"
_PAUSE_MS = 80  # after the last movement of a slider


class LivePicture(QObject):  # type: ignore[misc, unused-ignore]
    """Calls `show` whenever a setting changes, if a live picture is chosen and possible.

    Changes while a picture is being computed are made up for by one more picture after it.
    """

    def __init__(self, widget: TaskWidget, show: Callable[[], None]) -> None:
        super().__init__(widget)
        self._widget, self._show, self._is_stale = widget, show, False
        self._timer = QTimer(self, singleShot=True, interval=_PAUSE_MS)
        self._timer.timeout.connect(self._on_pause)
        for each in widget.header.followed:
            each.changed.connect(self.renew)
        widget.listen(model_store().changed, self.renew)
        widget.cancelling.connect(self.forget)
        widget.ended.connect(self._on_ended)

    def renew(self, *change: object) -> None:
        """A setting has changed: the picture follows."""
        if self._is_wanted():
            self._is_stale = True
            self._timer.start()

    def forget(self) -> None:
        """Make up for no earlier change."""
        self._is_stale = False

    def _is_wanted(self) -> bool:
        return bool(self._widget.header.live.value) and not self._widget.header.problem

    def _on_pause(self) -> None:
        if self._is_stale and not self._widget.is_busy and self._is_wanted():
            self._is_stale = False
            self._show()

    def _on_ended(self) -> None:
        if self._is_stale:
            self._timer.start()


class EnhanceWidget(TaskWidget):
    """Raises or smooths details of an image layer, and changes its tones."""

    header: EnhanceForm
    locks_form = False

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        form = EnhanceForm(viewer)
        super().__init__(viewer, form, form.models)
        self.run_button = self.button("Run", "Enhance all planes into a new layer", self.run)
        reset = self.button("Reset", "All sliders as they were", self.reset, lambda: True)
        self.add_row(self.run_button, reset, self.make_cancel_button())
        self.add(self.panel)
        self._layout.addStretch(1)
        self._live = LivePicture(self, self.show_live)
        self.refresh()

    def show_live(self) -> None:
        """Enhance the visible part of the current plane into the preview layer."""
        form, layer = self.header, self.header.layers.value
        if not self.is_ready:
            return
        source = form.source
        # Small planes are enhanced whole while a slider moves, in the range of all of them.
        is_small = all(side <= _MAX_SIDE for side in source.data.shape)
        region = region_in_view(
            self.viewer, layer, source.axes, limit=_MAX_SIDE, whole=is_small
        )
        steps = enhance_preview_steps(source, region, form.models.model, form.chosen_options)
        self.launch(steps, partial(self._on_preview, layer), layer)

    def run(self) -> None:
        form, layer = self.header, self.header.layers.value
        if self.is_ready:
            steps = enhance_steps(form.source, form.models.model, form.chosen_options)
            self.launch(steps, partial(self._on_enhanced, layer), layer)

    def reset(self) -> None:
        """Put all sliders where they change nothing."""
        self.header.reset()
        layer = self.header.layers.value
        if layer is not None and not self.is_busy:
            self._live.forget()
            remove_preview(self.viewer, layer)

    def _on_preview(self, layer: Image, preview: Preview) -> None:
        if layer in self.viewer.layers:
            show_preview(self.viewer, layer, preview)

    def _on_enhanced(self, layer: Image, result: Any) -> None:
        remove_preview(self.viewer, layer)
        added = self.viewer.add_image(
            result.enhanced,
            name=f"{layer.name} enhanced",
            metadata={RECIPE_KEY: result.recipe.to_dict()},
            **placement(layer),
            **appearance(layer),
        )
        self.say(f"“{added.name}” added. {result.recipe.note}")


class ExploreWidget(TaskWidget):
    """Shows what a model has learned to make, from its prior and like an image."""

    header: ExploreForm
    locks_form = False

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        form = ExploreForm(viewer)
        super().__init__(viewer, form, form.models)
        about = "Another picture: the next seed"
        self.next_button = self.button("Next", about, self.draw_next)
        about = "A stack of pictures, from this seed on, as a new layer"
        self.stack_button = self.button("Stack", about, self.draw_stack)
        self.like_button = self.button(
            "Like the layer",
            "A stack of pictures like the chosen layer: its coarse latents are kept",
            self.draw_like,
            self._can_draw_like,
        )
        self.add_row(self.next_button, self.stack_button)
        self.add_row(self.like_button, self.make_cancel_button())
        self.add(self.panel)
        self._layout.addStretch(1)
        self._live = LivePicture(self, self.show_live)
        self.refresh()

    def show_live(self) -> None:
        if not self.is_busy:
            form = self.header
            self.launch(draw_steps(form.models.model, 1, form.chosen_options), self._on_live)

    def draw_next(self) -> None:
        seed = self.header.seed
        seed.value = (int(seed.value) + 1) % MAX_SEED
        if not self.is_busy:
            self._live.forget()
            self.show_live()

    def draw_stack(self) -> None:
        if not self.is_busy:
            form = self.header
            steps = draw_steps(form.models.model, int(form.number.value), form.chosen_options)
            self.launch(steps, self._on_stack)

    def draw_like(self) -> None:
        if not self._can_draw_like():
            return
        form, layer = self.header, self.header.layers.value
        n, levels = int(form.number.value), int(form.redrawn.value)
        steps = like_steps(form.source, form.models.model, n, levels, form.chosen_options)
        self.launch(steps, partial(self._on_like, layer), layer)

    def _can_draw_like(self) -> bool:
        form = self.header
        return not self.is_busy and form.layers.value is not None and not form.axes.problem

    def _on_live(self, drawn: DrawnPictures) -> None:
        picture, layers = drawn.pictures[0], self.viewer.layers
        layer = next((each for each in layers if _EXPLORED_KEY in each.metadata), None)
        if layer is not None and layer.data.ndim != picture.ndim:
            layers.remove(layer)
            layer = None
        if layer is None:
            chosen, selected = self.header.layers.value, set(layers.selection)
            layer = self.viewer.add_image(picture, name=LIVE, metadata={_EXPLORED_KEY: True})
            if chosen is not None:
                layers.selection = selected
                self.header.layers.value = chosen
        else:
            layer.data, layer.visible = picture, True
        low, high = float(picture.min()), float(picture.max())
        layer.contrast_limits = low, max(high, low + 1e-6)
        layer.metadata = layer.metadata | {RECIPE_KEY: drawn.recipe}

    def _on_stack(self, drawn: DrawnPictures) -> None:
        model = drawn.recipe["model"]
        layer = self.viewer.add_image(
            drawn.pictures,
            name=f"samples of {'the bundled model' if model in (BUNDLED, DEFAULT) else model}",
            axis_labels=("sample", *"cyx"[3 - (drawn.pictures.ndim - 1) :]),
            metadata={RECIPE_KEY: drawn.recipe},
        )
        self.say(f"“{layer.name}” added: {len(drawn.pictures)} pictures, none was measured.")

    def _on_like(self, source: Image, drawn: DrawnPictures) -> None:
        with steady(self.viewer):
            layer = self.viewer.add_image(
                drawn.pictures,
                name=f"{source.name}, variants",
                metadata={RECIPE_KEY: drawn.recipe},
                **placement(source, leading="sample"),
                **appearance(source),
            )
        self.say(f"“{layer.name}” added: {len(drawn.pictures)} pictures like it, made up.")
