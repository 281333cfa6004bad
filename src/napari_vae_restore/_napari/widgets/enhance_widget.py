"""The *Enhance* widget."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QCheckBox

from napari_vae_restore._napari.forms.fields import button, whole_number
from napari_vae_restore._napari.forms.header import Header, Title
from napari_vae_restore._napari.forms.model_store import model_store
from napari_vae_restore._napari.forms.sliders import slider
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
        self.details = [
            slider(1.0, 0.0, _MAX_GAIN, f"Gain of details of about {size}; 1 leaves them")
            for size in ("2 pixels", "4 pixels", "8 pixels", "16 pixels")
        ]
        self.smoothing = slider(0.0, 0.0, 1.0, "Lessens the two finest levels")
        self.variation = slider(
            0.0, 0.0, 2.0, "Noise on the latents: other pictures that the model takes for it"
        )
        self.contrast = slider(1.0, 0.2, 3.0, "Factor about mid-grey; 1 leaves it")
        self.brightness = slider(0.0, -0.5, 0.5, "Added, in parts of the range")
        self.gamma = slider(1.0, 0.3, 3.0, "Below 1 lifts the dark; 1 leaves it")
        self.local = slider(0.0, 0.0, 1.0, "Share of local contrast (CLAHE)")
        self.seed = whole_number(0, 0, MAX_SEED, "Of the variation")
        self.live = QCheckBox("live preview")
        self.live.setChecked(True)
        self.live.setToolTip("Show the current view enhanced, whenever something changes")
        names = ("Finest", "Fine", "Medium", "Coarse")
        self.header = Header(
            viewer,
            rows={
                "Model": self.models,
                "Details": Title(),
                **dict(zip(names, self.details, strict=True)),
                "Smooth": self.smoothing,
                "Tones": Title(),
                "Local contrast": self.local,
                "Contrast": self.contrast,
                "Brightness": self.brightness,
                "Gamma": self.gamma,
                "": self.live,
            },
            advanced={"Variation": self.variation, "Seed": self.seed},
            parent=self,
        )
        self.run_button = button("Run", "Enhance all planes into a new layer", self.run)
        self.reset_button = button("Reset", "All sliders as they were", self.reset)
        self.cancel_button = button("Cancel", "Stop without a result", self.cancel)
        self._layout.addWidget(self.header)
        self._add_row((self.run_button, self.reset_button, self.cancel_button))
        self._layout.addWidget(self.panel)
        self._layout.addStretch(1)
        for each in (*self._sliders, self.seed):
            each.valueChanged.connect(self._renew)
        self.live.toggled.connect(self._renew)
        self.header.changed.connect(self._on_changed)
        model_store().changed.connect(self._on_changed)
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
        layer = self.header.layers.layer
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
        layer = self.header.layers.layer
        if layer is None or self.is_busy or self._problem():
            return
        steps = enhance_steps(self._source(layer), self.models.model, self._options())
        self._launch(steps, layer=layer, on_success=partial(self._on_enhanced, layer))

    def reset(self) -> None:
        """Put all sliders where they change nothing."""
        ones = (*self.details, self.contrast, self.gamma)
        for each in self._sliders:
            each.setValue(1.0 if each in ones else 0.0)
        layer = self.header.layers.layer
        if layer is not None and not self.is_busy:
            self._is_stale = False
            remove_preview(self._viewer, layer)

    def _options(self) -> EnhanceOptions:
        gains = zip(self.strides, self.details, strict=False)
        return EnhanceOptions(
            detail=tuple((stride, float(each.value())) for stride, each in gains),
            smoothing=float(self.smoothing.value()),
            variation=float(self.variation.value()),
            tones=Tones(
                contrast=float(self.contrast.value()),
                brightness=float(self.brightness.value()),
                gamma=float(self.gamma.value()),
                local_contrast=float(self.local.value()),
            ),
            seed=int(self.seed.value()),
            device=self.header.device.device,
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
        if self.header.layers.layer is None:
            return NO_LAYER
        return self.header.axes.problem

    def _wants_live(self) -> bool:
        return bool(self.live.isChecked()) and not self._problem()

    def _hint(self) -> str:
        return self._problem() or _READY

    def _refresh(self) -> None:
        super()._refresh()
        ready = not self._problem() and not self.is_busy
        self.run_button.setEnabled(ready)
        self.reset_button.setEnabled(True)
        self.cancel_button.setEnabled(self._job is not None and not self._job.is_cancelled)
        for index, each in enumerate(self.details):
            each.setEnabled(index < len(self.strides))


def _is_small(shape: tuple[int, ...]) -> bool:
    """Whether planes are enhanced whole while a slider moves, in the range of all of them."""
    return all(side <= _MAX_SIDE for side in shape)
