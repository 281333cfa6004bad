"""The *Inpaint* widget: draw a mask, fill it, walk through plausible fillings."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from napari.layers import Labels, Shapes
from qtpy.QtWidgets import QHBoxLayout, QWidget

from napari_vae_restore._napari.forms.fields import Options, button, whole_number
from napari_vae_restore._napari.forms.layer_choice import MaskChoice
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
from napari_vae_restore._napari.widgets.mixture_widget import MixtureWidget
from napari_vae_restore._napari.worker import Steps
from napari_vae_restore.restoration.tasks import Task

if TYPE_CHECKING:
    from collections.abc import Iterator

    import napari.viewer
    from napari.layers import Image

    from napari_vae_restore._napari.layers.uncertainty import Uncertainty
    from napari_vae_restore.models.model import Model
    from napari_vae_restore.restoration.result import Restoration

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


class InpaintWidget(MixtureWidget):
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
        self.masks.layer_changed.connect(self._on_mask_changed)
        self._on_mask_changed()

    def _task_rows(self) -> dict[str, QWidget]:
        self.masks = MaskChoice(self._viewer)
        self.new_button = button(
            "New mask",
            "Add a Shapes layer in the place of the image, to draw on",
            self.new_mask,
        )
        self.planes = Options(
            {False: "the plane drawn on", True: "all planes"},
            "Where a shape counts: on the plane that it was drawn on, or on every plane.\n"
            "A mask without planes of its own counts on the plane in view",
        )
        self.grow = whole_number(
            0, 0, _MAX_WIDTH, "Enlarge the mask by so many pixels on all sides", suffix=" px"
        )
        self.feather = whole_number(0, 0, _MAX_WIDTH, _FEATHER_TOOLTIP, suffix=" px")
        return {
            "Mask": _side_by_side(self.masks, self.new_button),
            "Apply to": self.planes,
            "Grow": self.grow,
            "Feather": self.feather,
            **super()._task_rows(),
        }

    def _remembered(self) -> dict[str, QWidget]:
        own = {"planes": self.planes, "grow": self.grow, "feather": self.feather}
        return {**super()._remembered(), **own}

    def new_mask(self) -> None:
        """Add a Shapes layer over the image, chosen and ready to draw on."""
        layer = self.header.layers.layer
        if layer is not None and not self.is_busy:
            self.masks.choose(new_mask(self._viewer, layer))
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
        self._watch(self.masks.layer)
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
        layer, mask = self.header.layers.layer, self.masks.layer
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
        layer, mask = self.header.layers.layer, self.masks.layer
        assert layer is not None and mask is not None  # noqa: PT018 - _problem looked
        axes = self.header.axes.axes
        return Holes(
            drawing_on(layer, mask, axes, self._viewer.dims.point),
            grid_of(layer, axes),
            mask.name,
            all_planes=bool(self.planes.value),
            grow=int(self.grow.value()),
            feather=int(self.feather.value()),
            denoising=self._denoising_too(),
        )

    def _problem(self) -> str:
        if problem := super()._problem():
            return problem
        return "" if self.masks.layer is not None else _NO_MASK

    def _ready_hint(self) -> str:
        mask = self.masks.layer
        if mask is not None and MASK_KEY in mask.metadata and not len(mask.data):
            return _DRAW
        return "Preview fills what is in view; Run fills all that the mask covers."

    def _noise_depends_on(self) -> tuple[object, ...]:
        mask = self.masks.layer
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
        layer = self.header.layers.layer
        self.feather.setEnabled(not (self.noisy.isChecked() or self.looking.is_wanted))
        self.planes.setEnabled(layer is not None and self._has_planes(layer))
        self.new_button.setEnabled(layer is not None and not self.is_busy)
        self.next_button.setEnabled(
            self._filled is not None and layer is self._filled_layer and not self.is_busy
        )

    def _disconnect_viewer(self) -> None:
        super()._disconnect_viewer()
        self.masks.disconnect_viewer()
        self._watch(None)


def _drawn(mask: Shapes | Labels) -> Any:
    """The event of a layer that says that something was drawn on it."""
    return mask.events.data if isinstance(mask, Shapes) else mask.events.paint


def _side_by_side(first: QWidget, second: QWidget) -> QWidget:
    row = QWidget()
    layout = QHBoxLayout(row)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.addWidget(first, 1)
    layout.addWidget(second)
    row.setToolTip(first.toolTip())
    return row
