"""The *Enhance* widget."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from magicgui.widgets import CheckBox

from napari_vae_restore._napari.forms.fields import button, slider, whole_number
from napari_vae_restore._napari.forms.form import LayerForm, Row, title
from napari_vae_restore._napari.jobs.enhance_steps import (
    EnhanceOptions,
    enhance_preview_steps,
    enhance_steps,
)
from napari_vae_restore._napari.layers.placement import RECIPE_KEY, appearance, placement
from napari_vae_restore._napari.layers.preview_layer import remove_preview, show_preview
from napari_vae_restore._napari.layers.region import visible_region
from napari_vae_restore._napari.layers.view import current_step, visible_pixels
from napari_vae_restore._napari.messages import MAX_SEED, Preview
from napari_vae_restore._napari.widgets.live_widget import LiveWidget
from napari_vae_restore._napari.widgets.task_widget import NO_LAYER
from napari_vae_restore.generation.tones import Tones

if TYPE_CHECKING:
    import napari.viewer
    from napari.layers import Image

_MAX_GAIN = 3.0
_MAX_SIDE = 1024
"""Of the live picture in pixels."""

_READY = (
    "Move a slider: the preview follows. For looking at, not for measuring; "
    "restore noisy images first."
)


class EnhanceWidget(LiveWidget):
    """Raises or smooths details of an image layer, and changes its tones."""

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__(viewer)
        sizes = {"Finest": 2, "Fine": 4, "Medium": 8, "Coarse": 16}
        self.details = [
            slider(
                1.0,
                0.0,
                _MAX_GAIN,
                name,
                f"Gain of details of about {size} pixels; 1 leaves them",
            )
            for name, size in sizes.items()
        ]
        self.smoothing = slider(0.0, 0.0, 1.0, "Smooth", "Lessens the two finest levels")
        about = "Noise on the latents: other pictures that the model takes for it"
        self.variation = slider(0.0, 0.0, 2.0, "Variation", about)
        about = "Factor about mid-grey; 1 leaves it"
        self.contrast = slider(1.0, 0.2, 3.0, "Contrast", about)
        self.brightness = slider(0.0, -0.5, 0.5, "Brightness", "Added, in parts of the range")
        self.gamma = slider(1.0, 0.3, 3.0, "Gamma", "Below 1 lifts the dark; 1 leaves it")
        about = "Share of local contrast (CLAHE)"
        self.local = slider(0.0, 0.0, 1.0, "Local contrast", about)
        self.seed = whole_number(0, 0, MAX_SEED, label="Seed", tooltip="Of the variation")
        self.live = CheckBox(
            text="live preview",
            value=True,
            tooltip="Show the current view enhanced, whenever something changes",
        )
        rows = [
            self.models,
            title("Details"),
            *self.details,
            self.smoothing,
            title("Tones"),
            self.local,
            self.contrast,
            self.brightness,
            self.gamma,
            Row(self.live),
        ]
        form = LayerForm(viewer, rows, [self.variation, self.seed])
        self.run_button = button("Run", "Enhance all planes into a new layer", self.run)
        self.reset_button = button("Reset", "All sliders as they were", self.reset)
        self.cancel_button = button("Cancel", "Stop without a result", self.cancel)
        self._show_form(form, self.models)
        self._add_buttons(self.run_button, self.reset_button, self.cancel_button)
        self._layout.addWidget(self.panel)
        self._layout.addStretch(1)
        self._follow(*self._sliders, self.seed, self.live)
        self._refresh()

    @property
    def _sliders(self) -> tuple[Any, ...]:
        return (
            *self.details,
            self.smoothing,
            self.variation,
            self.contrast,
            self.brightness,
            self.gamma,
            self.local,
        )

    def show_live(self) -> None:
        """Enhance the visible part of the current plane into the preview layer."""
        layer = self.header.layers.value
        if layer is None or self.is_busy or self._problem():
            return
        source = self._source(layer)
        region = visible_region(
            source.data.shape,
            source.axes,
            step=current_step(self._viewer, layer),
            corners=None
            if _is_small(source.data.shape)
            else visible_pixels(self._viewer, layer),
            limit=_MAX_SIDE,
        )
        steps = enhance_preview_steps(source, region, self.models.model, self._options())
        self._launch(steps, layer=layer, on_success=partial(self._on_preview, layer))

    def run(self) -> None:
        """Enhance the whole layer into a new one."""
        layer = self.header.layers.value
        if layer is None or self.is_busy or self._problem():
            return
        steps = enhance_steps(self._source(layer), self.models.model, self._options())
        self._launch(steps, layer=layer, on_success=partial(self._on_enhanced, layer))

    def reset(self) -> None:
        """Put all sliders where they change nothing."""
        ones = (*self.details, self.contrast, self.gamma)
        for each in self._sliders:
            each.value = 1.0 if each in ones else 0.0
        layer = self.header.layers.value
        if layer is not None and not self.is_busy:
            self._is_stale = False
            remove_preview(self._viewer, layer)

    def _options(self) -> EnhanceOptions:
        gains = zip(self.strides, self.details, strict=False)
        return EnhanceOptions(
            detail=tuple((stride, float(each.value)) for stride, each in gains),
            smoothing=float(self.smoothing.value),
            variation=float(self.variation.value),
            tones=Tones(
                contrast=float(self.contrast.value),
                brightness=float(self.brightness.value),
                gamma=float(self.gamma.value),
                local_contrast=float(self.local.value),
            ),
            seed=int(self.seed.value),
            device=self.header.device.value,
        )

    def _on_preview(self, layer: Image, preview: Preview) -> None:
        if layer in self._viewer.layers:
            show_preview(self._viewer, layer, preview)

    def _on_enhanced(self, layer: Image, result: Any) -> None:
        remove_preview(self._viewer, layer)
        added = self._viewer.add_image(
            result.enhanced,
            name=f"{layer.name} enhanced",
            metadata={RECIPE_KEY: result.recipe.to_dict()},
            **placement(layer),
            **appearance(layer),
        )
        self._say(f"“{added.name}” added. {result.recipe.note}")

    def _problem(self) -> str:
        if self.header.layers.value is None:
            return NO_LAYER
        return str(self.header.axes.problem)

    def _wants_live(self) -> bool:
        return bool(self.live.value) and not self._problem()

    def _hint(self) -> str:
        return self._problem() or _READY

    def _refresh(self) -> None:
        super()._refresh()
        ready = not self._problem() and not self.is_busy
        self.run_button.setEnabled(ready)
        self.reset_button.setEnabled(True)
        self.cancel_button.setEnabled(self._job is not None and not self._job.is_cancelled)
        for index, each in enumerate(self.details):
            each.enabled = index < len(self.strides)


def _is_small(shape: tuple[int, ...]) -> bool:
    """Whether planes are enhanced whole while a slider moves, in the range of all of them."""
    return all(side <= _MAX_SIDE for side in shape)
