"""The *Denoise*, *Inpaint* and *Super-resolve* widgets."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from napari.layers import Labels, Shapes
from qtpy.QtCore import Qt

from napari_vae_restore._napari.forms.fields import (
    Choice,
    button,
    small_button,
    whole_number,
)
from napari_vae_restore._napari.forms.form import Row
from napari_vae_restore._napari.forms.layer_choice import mask_choice
from napari_vae_restore._napari.jobs.inpaint_steps import (
    FilledImage,
    Holes,
    inpaint_preview_steps,
    inpaint_steps,
    sample_steps,
    tasks_everywhere,
)
from napari_vae_restore._napari.layers.mask_layers import (
    MASK_KEY,
    drawing_on,
    grid_of,
    new_mask,
)
from napari_vae_restore._napari.layers.placement import MISSING_KEY, RECIPE_KEY
from napari_vae_restore._napari.layers.preview_layer import find_preview, show_filling
from napari_vae_restore._napari.layers.region import Region
from napari_vae_restore._napari.messages import Filling, Source
from napari_vae_restore._napari.widgets.restoration_widget import RestorationWidget
from napari_vae_restore._napari.worker import Steps
from napari_vae_restore.restoration.tasks import MAX_FACTOR, Denoise, SuperResolve, Task

if TYPE_CHECKING:
    from collections.abc import Iterator

    import napari.viewer
    from magicgui.widgets.bases import Widget
    from napari.layers import Image

    from napari_vae_restore._napari.layers.uncertainty import Uncertainty
    from napari_vae_restore.models.model import Model
    from napari_vae_restore.restoration.result import Restoration

_LINK = "background: transparent; border: none; text-decoration: underline;"

_FACTORS = [(f"{factor} ×", factor) for factor in range(2, MAX_FACTOR + 1)]
_KERNELS = (
    ("Bicubic (resized picture)", "bicubic"),
    ("Box (binned pixels)", "box"),
    ("Gaussian (soft spot)", "gaussian"),
)
_KERNEL_TOOLTIP = (
    "What a pixel of your image saw.\n"
    "Bicubic: the picture was made smaller by software\n"
    "Box: the mean over the pixel's square, as a camera bins it\n"
    "Gaussian: a soft spot around the pixel, as a slightly blurred lens shows it"
)

_MAX_WIDTH = 200
_FEATHER_TOOLTIP = (
    "0: all pixels outside of the mask stay exactly as they are.\n"
    "More: the fill fades into the image over so many pixels beyond the mask,\n"
    "and changes the pixels there. A denoised image joins without it"
)
_NO_MASK = "No mask yet: press New mask and draw around what is to be filled."
_DRAW = (
    "Draw around what is to be filled: a click for each corner, a double click for the "
    "last. Then press Preview or Run."
)


class DenoiseWidget(RestorationWidget):
    """Removes the noise of an image layer."""

    does = "Denoise"
    denoises_only = True

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__(viewer)
        self.train_button = button(
            "Train a model on this layer…",
            "For images unlike those that the bundled model knows: opens Train & Adapt",
            self._open_train,
        )
        self.train_button.setFlat(True)
        self.train_button.setStyleSheet(_LINK)
        below = self._layout.indexOf(self.panel) + 1
        self._layout.insertWidget(below, self.train_button, 0, Qt.AlignmentFlag.AlignLeft)
        self._refresh()

    def _task_rows(self) -> list[Widget]:
        return []

    def _is_noisy(self) -> bool:
        return True

    def _tasks(self) -> list[Task]:
        return [Denoise(self._noise() or None)]

    def _ready_hint(self) -> str:
        return "Preview shows the current view at once; Run denoises the whole layer."

    def _open_train(self) -> None:
        self._show_widget("Train & Adapt", self.header.layers.value)

    def _refresh(self) -> None:
        super()._refresh()
        self.train_button.setEnabled(self.header.layers.value is not None)


class SuperResolveWidget(RestorationWidget):
    """Enlarges an image layer; the result lies where the image lies."""

    does = "Enlarge"

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__(viewer)
        self._refresh()

    def _task_rows(self) -> list[Widget]:
        self.factor = Choice(
            _FACTORS,
            name="factor",
            label="Factor",
            tooltip="Pixels of the result for each pixel, along Y and X",
        )
        self.kernel = Choice(_KERNELS, name="kernel", label="Kernel", tooltip=_KERNEL_TOOLTIP)
        return [self.factor, self.kernel, *super()._task_rows()]

    def _tasks(self) -> list[Task]:
        enlarging = SuperResolve(self._factor(), str(self.kernel.value))
        denoising = self._denoising()
        return [enlarging] if denoising is None else [enlarging, denoising]

    def _factor(self) -> int:
        return int(self.factor.value)

    def _ready_hint(self) -> str:
        layer, factor = self.header.layers.value, self._factor()
        if layer is None:
            return ""
        axes, shape = self.header.axes.axes, self._source(layer).data.shape
        sides = (factor * shape[axes.index(letter)] for letter in "YX")
        return f"Run makes {' × '.join(map(str, sides))} pixels, in the place of the image."


class InpaintWidget(RestorationWidget):
    """Fills what a mask covers of an image layer."""

    does = "Fill"

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__(viewer)
        self._filled: FilledImage | None = None
        self._filled_layer: Image | None = None
        self._number = 0
        self._watched: Shapes | Labels | None = None
        self.run_button.setToolTip("Fill what the mask covers, into a new layer")
        self.next_button = button(
            "Next sample",
            "After a Run: another plausible filling of the same holes, in one layer that is\n"
            "renewed each time",
            self.next_sample,
        )
        self._layout.insertWidget(self._layout.indexOf(self.panel), self.next_button)
        self.masks.changed.connect(self._on_mask_changed)
        self._on_mask_changed()

    def _task_rows(self) -> list[Widget]:
        self.masks = mask_choice(self._viewer)
        self.new_button = small_button(
            "New mask",
            "Add a Shapes layer in the place of the image, to draw on",
            self.new_mask,
        )
        self.planes = Choice(
            [("the plane drawn on", False), ("all planes", True)],
            name="planes",
            label="Apply to",
            tooltip="Where a shape counts: on the plane that it was drawn on, or on every "
            "plane.\nA mask without planes of its own counts on the plane in view",
        )
        self.grow = whole_number(
            0,
            0,
            _MAX_WIDTH,
            suffix=" px",
            name="grow",
            label="Grow",
            tooltip="Enlarge the mask by so many pixels on all sides",
        )
        self.feather = whole_number(
            0,
            0,
            _MAX_WIDTH,
            suffix=" px",
            name="feather",
            label="Feather",
            tooltip=_FEATHER_TOOLTIP,
        )
        self.fill = Choice(
            [("the average", "mean"), ("a plausible picture", "sample")],
            name="fill",
            label="Fill with",
            tooltip="The average of all plausible fillings is closest to the truth as a rule,\n"
            "and the one to measure on. A plausible picture is one of them, drawn at\n"
            "random by the seed; Preview may show another one than Run",
        )
        mask = Row(self.masks, buttons=[self.new_button], label="Mask")
        rows = [mask, self.planes, self.grow, self.feather, self.fill]
        return [*rows, *super()._task_rows()]

    def new_mask(self) -> None:
        """Add a Shapes layer over the image, chosen and ready to draw on."""
        layer = self.header.layers.value
        if layer is not None and not self.is_busy:
            self.masks.value = new_mask(self._viewer, layer)
            self._say(_DRAW)

    def next_sample(self) -> None:
        """Draw the next plausible filling of the last run."""
        layer = self._filled_layer
        if self._filled is None or layer is None or self.is_busy:
            return
        self._number += 1
        steps = sample_steps(self._filled, self._number, self.models.model, self._options())
        self._launch(steps, layer=layer, on_success=partial(self._on_filling, layer))

    def _on_mask_changed(self) -> None:
        self._watch(self.masks.value)
        self._on_changed()

    def _watch(self, mask: Shapes | Labels | None) -> None:
        """Hear of what is drawn on one mask, and no more of the one before."""
        if self._watched is not None:
            _drawn(self._watched).disconnect(self._on_drawn)
        self._watched = mask
        if mask is not None:
            _drawn(mask).connect(self._on_drawn)

    def _on_drawn(self, event: Any) -> None:
        """Who draws sees what is drawn: a preview goes out of sight, results below."""
        layer, mask = self.header.layers.value, self.masks.value
        if layer is None or mask is None:
            return
        preview = find_preview(self._viewer, layer)
        if preview is not None:
            preview.visible = False
        layers = self._viewer.layers
        above = layers[layers.index(mask) + 1 :]
        if any(other.visible and RECIPE_KEY in other.metadata for other in above):
            layers.move(layers.index(mask), len(layers))

    def _has_planes(self, layer: Image) -> bool:
        """Whether there is more than one plane to draw on."""
        if self.header.axes.problem:
            return True
        return math.prod(grid_of(layer, self.header.axes.axes).plane_shape) > 1

    def _run_steps(self, source: Source, model: Model | str) -> Steps:
        return inpaint_steps(source, self._holes(), model, self._options())

    def _late_tasks(self) -> Callable[[], Sequence[Task]]:
        return partial(tasks_everywhere, self._holes())

    def _preview_steps(self, source: Source, region: Region, model: Model | str) -> Steps:
        holes, options = self._holes(), self._options()
        return inpaint_preview_steps(source, region, holes, model, options, self._known_noise)

    def _holes(self) -> Holes:
        layer, mask = self.header.layers.value, self.masks.value
        assert layer is not None and mask is not None  # noqa: PT018 - _problem looked
        axes = self.header.axes.axes
        return Holes(
            drawing_on(layer, mask, axes, self._viewer.dims.point),
            grid_of(layer, axes),
            mask.name,
            all_planes=bool(self.planes.value),
            grow=int(self.grow.value),
            feather=int(self.feather.value),
            fill=str(self.fill.value),
            denoising=self._denoising(),
        )

    def _problem(self) -> str:
        if problem := super()._problem():
            return problem
        return "" if self.masks.value is not None else _NO_MASK

    def _ready_hint(self) -> str:
        mask = self.masks.value
        if mask is not None and MASK_KEY in mask.metadata and not len(mask.data):
            return _DRAW
        return "Preview fills what is in view; Run fills all that the mask covers."

    def _noise_depends_on(self) -> tuple[object, ...]:
        mask = self.masks.value
        return () if mask is None else (mask.unique_id,)

    def _restoration(self, result: Any) -> Restoration:
        filled: FilledImage = result
        return filled.restoration

    def _on_restored(
        self, layer: Image, found: tuple[Any, Uncertainty | None]
    ) -> Iterator[None]:
        self._filled, self._filled_layer, self._number = found[0], layer, 0
        yield from super()._on_restored(layer, found)

    def _on_shown(self, mean: Image, result: Any) -> None:
        mean.metadata[MISSING_KEY] = result.missing

    def _on_filling(self, layer: Image, filling: Filling) -> None:
        shown = show_filling(self._viewer, layer, filling)
        self._say(f"“{shown.name}”: as plausible as any other. Next sample draws the next.")

    def _on_layer_removed(self, event: Any) -> None:
        super()._on_layer_removed(event)
        if event.value is self._filled_layer:
            self._filled = self._filled_layer = None
            self._refresh()

    def _refresh(self) -> None:
        super()._refresh()
        layer = self.header.layers.value
        self.feather.enabled = not (self.noisy.value or self.looking.is_wanted)
        self.planes.enabled = layer is not None and self._has_planes(layer)
        self.new_button.setEnabled(layer is not None and not self.is_busy)
        self.next_button.setEnabled(
            self._filled is not None and layer is self._filled_layer and not self.is_busy
        )

    def _disconnect_viewer(self) -> None:
        super()._disconnect_viewer()
        self._watch(None)


def _drawn(mask: Shapes | Labels) -> Any:
    """The event of a layer that says that something was drawn on it."""
    return mask.events.data if isinstance(mask, Shapes) else mask.events.paint
