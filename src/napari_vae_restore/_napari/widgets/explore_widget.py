"""The *Explore* widget: pictures from a model's prior, and like an image."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from magicgui.widgets import CheckBox

from napari_vae_restore._napari.forms.fields import button, slider, whole_number
from napari_vae_restore._napari.forms.form import LayerForm, Row, title
from napari_vae_restore._napari.forms.model_store import BUNDLED
from napari_vae_restore._napari.jobs.explore_steps import (
    DrawnPictures,
    ExploreOptions,
    draw_steps,
    like_steps,
)
from napari_vae_restore._napari.layers.placement import RECIPE_KEY, appearance, placement
from napari_vae_restore._napari.layers.view import steady
from napari_vae_restore._napari.messages import MAX_SEED
from napari_vae_restore._napari.widgets.live_widget import LiveWidget
from napari_vae_restore.models.bundled import DEFAULT

if TYPE_CHECKING:
    import napari.viewer
    from napari.layers import Image

LIVE = "Explore"
"""Name of the layer that follows the sliders."""

_N_LEVELS = 4
_LAYER_KEY = "vae_restore_explored"
_MAX_SIDE = 1024


class ExploreWidget(LiveWidget):
    """Shows what a model has learned to make."""

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__(viewer)
        about = "Of the prior, on all levels: below 1 smoother and more typical"
        self.temperature = slider(0.8, 0.0, 1.5, "All levels", about)
        words = {
            "Coarsest": "coarsest",
            "Coarse": "second",
            "Fine": "third",
            "Finest": "finest",
        }
        self.levels = [
            slider(1.0, 0.0, 2.0, name, f"Times the temperature, on the {word} level")
            for name, word in words.items()
        ]
        self.side = whole_number(
            256,
            16,
            _MAX_SIDE,
            step=16,
            suffix=" px",
            label="Size",
            tooltip="Side of the pictures; any size works",
        )
        about = "The same seed gives the same picture"
        self.seed = whole_number(0, 0, MAX_SEED, label="Seed", tooltip=about)
        self.number = whole_number(
            8, 1, 64, label="Stack", tooltip="How many pictures a stack has"
        )
        about = "How many of the finest levels “Like the layer” draws anew"
        self.redrawn = whole_number(1, 1, _N_LEVELS, label="Redraw", tooltip=about)
        about = f"Draw into the layer “{LIVE}” whenever something changes"
        self.live = CheckBox(text="live picture", value=True, tooltip=about)
        rows = [
            self.models,
            title("Temperature"),
            self.temperature,
            *self.levels,
            self.seed,
            Row(self.live),
        ]
        form = LayerForm(viewer, rows, [self.side, self.number, self.redrawn])
        self.next_button = button("Next", "Another picture: the next seed", self.draw_next)
        self.like_button = button(
            "Like the layer",
            "A stack of pictures like the chosen layer: its coarse latents are kept",
            self.draw_like,
        )
        self.stack_button = button(
            "Stack", "A stack of pictures, from this seed on, as a new layer", self.draw_stack
        )
        self.cancel_button = button("Cancel", "Stop without a result", self.cancel)
        self._show_form(form, self.models)
        self._add_buttons(self.next_button, self.stack_button)
        self._add_buttons(self.like_button, self.cancel_button)
        self._layout.addWidget(self.panel)
        self._layout.addStretch(1)
        self._follow(self.temperature, *self.levels, self.seed, self.side, self.live)
        self._refresh()

    def show_live(self) -> None:
        """Draw one picture into the live layer."""
        if not self.is_busy:
            steps = draw_steps(self.models.model, 1, self._options())
            self._launch(steps, layer=None, on_success=self._on_live)

    def draw_next(self) -> None:
        """Go to the next seed, and draw it."""
        self.seed.value = (int(self.seed.value) + 1) % MAX_SEED
        self._timer.stop()
        self.show_live()

    def draw_stack(self) -> None:
        """Draw several pictures into a new layer."""
        if not self.is_busy:
            n = int(self.number.value)
            steps = draw_steps(self.models.model, n, self._options())
            self._launch(steps, layer=None, on_success=self._on_stack)

    def draw_like(self) -> None:
        """Draw several pictures like the chosen layer into a new one."""
        layer = self.header.layers.value
        if layer is None or self.is_busy or self.header.axes.problem:
            return
        n, levels = int(self.number.value), int(self.redrawn.value)
        steps = like_steps(self._source(layer), self.models.model, n, levels, self._options())
        self._launch(steps, layer=layer, on_success=partial(self._on_like, layer))

    def _options(self) -> ExploreOptions:
        common = float(self.temperature.value)
        return ExploreOptions(
            side=int(self.side.value),
            temperatures=tuple(common * float(each.value) for each in self.levels),
            seed=int(self.seed.value),
            device=self.header.device.value,
        )

    def _on_live(self, drawn: DrawnPictures) -> None:
        picture, recipe = drawn.pictures[0], drawn.recipe
        layer = next(
            (each for each in self._viewer.layers if _LAYER_KEY in each.metadata), None
        )
        if layer is not None and layer.data.ndim != picture.ndim:
            self._viewer.layers.remove(layer)
            layer = None
        if layer is None:
            chosen, selected = self.header.layers.value, set(self._viewer.layers.selection)
            layer = self._viewer.add_image(picture, name=LIVE, metadata={_LAYER_KEY: True})
            if chosen is not None:
                self._viewer.layers.selection = selected
                self.header.layers.value = chosen
        else:
            layer.data, layer.visible = picture, True
        low, high = float(picture.min()), float(picture.max())
        layer.contrast_limits = low, max(high, low + 1e-6)
        layer.metadata = layer.metadata | {RECIPE_KEY: recipe}

    def _on_stack(self, drawn: DrawnPictures) -> None:
        layer = self._viewer.add_image(
            drawn.pictures,
            name=f"samples of {_in_words(drawn.recipe['model'])}",
            axis_labels=("sample", *"cyx"[3 - (drawn.pictures.ndim - 1) :]),
            metadata={RECIPE_KEY: drawn.recipe},
        )
        self._say(f"“{layer.name}” added: {len(drawn.pictures)} pictures, none was measured.")

    def _on_like(self, source: Image, drawn: DrawnPictures) -> None:
        with steady(self._viewer):
            layer = self._viewer.add_image(
                drawn.pictures,
                name=f"{source.name}, variants",
                metadata={RECIPE_KEY: drawn.recipe},
                **placement(source, leading="sample"),
                **appearance(source),
            )
        self._say(f"“{layer.name}” added: {len(drawn.pictures)} pictures like it, made up.")

    def _wants_live(self) -> bool:
        return bool(self.live.value)

    def _hint(self) -> str:
        return (
            "Move a slider, or press Next: pictures that this model takes for likely. "
            "None of them was measured."
        )

    def _refresh(self) -> None:
        super()._refresh()
        ready = not self.is_busy
        layer = self.header.layers.value
        self.next_button.setEnabled(ready)
        self.stack_button.setEnabled(ready)
        self.like_button.setEnabled(
            ready and layer is not None and not self.header.axes.problem
        )
        self.cancel_button.setEnabled(self._job is not None and not self._job.is_cancelled)


def _in_words(model: str) -> str:
    return "the bundled model" if model in (BUNDLED, DEFAULT) else model
