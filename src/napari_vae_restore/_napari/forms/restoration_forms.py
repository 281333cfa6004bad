"""The forms of *Denoise*, *Inpaint* and *Super-resolve*, and the steps that they ask for."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from magicgui.widgets import CheckBox
from magicgui.widgets.bases import Widget
from napari.layers import Labels, Shapes

from napari import Viewer
from napari_vae_restore._napari.forms.fields import (
    Choice,
    noise_edit,
    seed_number,
    small_button,
    whole_number,
)
from napari_vae_restore._napari.forms.form import LayerForm, Row
from napari_vae_restore._napari.forms.layer_choice import layer_choice
from napari_vae_restore._napari.forms.model_choice import ModelChoice, trained_noise
from napari_vae_restore._napari.forms.settings import last_used, preferences
from napari_vae_restore._napari.jobs.inpaint_steps import (
    Holes,
    inpaint_preview_steps,
    inpaint_steps,
    tasks_everywhere,
)
from napari_vae_restore._napari.jobs.restoration_steps import pays, preview_steps, restore_steps
from napari_vae_restore._napari.layers.mask_layers import (
    MASK_KEY,
    drawing_on,
    grid_of,
    new_mask,
)
from napari_vae_restore._napari.layers.placement import layer_data, levels_of
from napari_vae_restore._napari.layers.region import Region
from napari_vae_restore.restoration.options import Options
from napari_vae_restore.restoration.tasks import MAX_FACTOR, Denoise, SuperResolve, Task

if TYPE_CHECKING:
    from napari_vae_restore.noise.models import NoiseModel

_MAX_SAMPLES = 256
_NO_NUMBERS = (
    "“{}” holds True and False only: it is a mask and no picture. Right click on it ▸ Convert "
    "to Labels to inpaint with it, or open the picture itself."
)
_MEASURED = "measured in the image"
_AS_TRAINED = "as the model's training images"
_ABOUT_ON_DEMAND = (
    "Compute nothing but what is in view, when it is in view: the new layer is there at\n"
    "once. Zoomed out, it shows the image of fewer pixels restored; zoomed in, each pixel\n"
    "as Run would give it. Turns on Preferences ▸ Experimental ▸ Render Layers\n"
    "Asynchronously, so that the window does not wait. Without samples"
)

_FACTORS = [(f"{factor} ×", factor) for factor in range(2, MAX_FACTOR + 1)]
_KERNELS = (
    ("Bicubic (resized picture)", "bicubic"),
    ("Box (binned pixels)", "box"),
    ("Gaussian (soft spot)", "gaussian"),
)
_ABOUT_KERNELS = (
    "What a pixel of your image saw.\n"
    "Bicubic: the picture was made smaller by software\n"
    "Box: the mean over the pixel's square, as a camera bins it\n"
    "Gaussian: a soft spot around the pixel, as a slightly blurred lens shows it"
)

_MAX_WIDTH = 200  # pixels
_FILLS = (("the average", "mean"), ("a plausible picture", "sample"))
_ABOUT_FILLS = (
    "The average of all plausible fillings is closest to the truth as a rule,\n"
    "and the one to measure on. A plausible picture is one of them, drawn at\n"
    "random by the seed; Preview may show another one than Run"
)
_ABOUT_FEATHER = (
    "0: all pixels outside of the mask stay exactly as they are.\n"
    "More: the fill fades into the image over so many pixels beyond the mask,\n"
    "and changes the pixels there. A denoised image joins without it"
)
_NO_MASK = "No mask yet: press New mask and draw around what is to be filled."
_DRAW = (
    "Draw around what is to be filled: a click for each corner, a double click for the "
    "last. Then press Preview or Run."
)


class RestorationForm(LayerForm):
    """What all restorations ask for; a form of its own adds the fields of each task.

    `does` is what is done, as the first word of tooltips: "Denoise".
    """

    def __init__(
        self,
        viewer: Viewer,
        does: str,
        rows: Sequence[Widget] = (),
        *,
        denoising_only: bool = False,
    ) -> None:
        self._viewer, self.does = viewer, does
        self.noisy = CheckBox(
            name="noisy",
            value=denoising_only,
            text="image is noisy",
            tooltip="Remove noise as well, everywhere. Without it, the image's own pixels are\n"
            "taken to be right, and the result agrees with them",
        )
        self.models = ModelChoice(denoising_only=denoising_only)
        self.on_demand = CheckBox(text="only what I look at", tooltip=_ABOUT_ON_DEMAND)
        self.on_demand_row = Row(self.on_demand)
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
            label="Tile (px)",
            tooltip="Side of the tiles in which large images are computed.\n"
            "Smaller takes less memory; the result is the same",
        )
        self.seed = seed_number()
        asked = [] if denoising_only else [Row(self.noisy)]
        super().__init__(
            viewer,
            [*rows, *asked, self.models, self.on_demand_row],
            [self.noise, self.samples, Row(self.keep), self.tile, self.seed],
        )
        # Fields that have a name begin with what was used last.
        self.update(last_used(does))

    @property
    def problem(self) -> str:
        layer = self.layers.value
        if layer is not None and np.dtype(layer_data(layer).dtype).kind == "b":
            return _NO_NUMBERS.format(layer.name)
        return super().problem

    @property
    def factor(self) -> int:
        """Output pixels for each input pixel along a side."""
        return 1

    @property
    def is_on_demand(self) -> bool:
        """Whether only what is looked at is to be restored."""
        return bool(self.on_demand.value) and self._pays()

    @property
    def chosen_options(self) -> Options:
        """What every restoration takes."""
        n_samples = int(self.samples.value)
        return Options(
            n_samples=n_samples,
            keep_samples=n_samples > 0 and bool(self.keep.value),
            tile=int(self.tile.value),
            seed=int(self.seed.value),
            device=self.device.value,
        )

    @property
    def denoising(self) -> Denoise | None:
        """The removal of noise, if it is asked for."""
        return Denoise(self._noise() or None) if self.noisy.value else None

    @property
    def noise_depends_on(self) -> tuple[object, ...]:
        """What noise that a preview has measured holds for: data, axes, notation."""
        layer = self.layers.value
        noise = self._noise() or str(trained_noise(self.models.model))
        return layer.unique_id, id(layer_data(layer)), self.axes.axes, noise

    def tasks(self) -> Sequence[Task]:
        """What was done to the image."""
        return [] if self.denoising is None else [self.denoising]

    def tasks_on_demand(self) -> Callable[[], Sequence[Task]]:
        """The same for an image of several levels, made in the thread that computes."""
        tasks = self.tasks()
        return lambda: tasks

    def run_steps(self) -> Generator[Any, None, Any]:
        return restore_steps(self.source, self.tasks(), self.models.model, self.chosen_options)

    def preview_steps(
        self, region: Region, noise: Mapping[int, NoiseModel]
    ) -> Generator[Any, None, Any]:
        """Restore a region, with noise that is known already."""
        model = self.models.model
        return preview_steps(
            self.source, region, self.tasks(), model, self.chosen_options, noise
        )

    def follow(self) -> None:
        self.on_demand_row.visible = self._pays()
        self.samples.enabled = not self.is_on_demand
        self.keep.enabled = not self.is_on_demand and int(self.samples.value) > 0
        self.noise.enabled = bool(self.noisy.value)
        trained = trained_noise(self.models.model)
        self.noise.native.setPlaceholderText(_MEASURED if trained is None else _AS_TRAINED)

    def _noise(self) -> str:
        return str(self.noise.value).strip()

    def _pays(self) -> bool:
        layer = self.layers.value
        return layer is not None and pays(levels_of(layer))


class DenoiseForm(RestorationForm):
    def __init__(self, viewer: Viewer) -> None:
        super().__init__(viewer, "Denoise", denoising_only=True)

    @property
    def hint(self) -> str:
        return "Preview shows the current view at once; Run denoises the whole layer."


class SuperResolveForm(RestorationForm):
    def __init__(self, viewer: Viewer) -> None:
        about = "Pixels of the result for each pixel, along Y and X"
        self.factors = Choice(_FACTORS, name="factor", label="Factor", tooltip=about)
        self.kernel = Choice(_KERNELS, name="kernel", label="Kernel", tooltip=_ABOUT_KERNELS)
        super().__init__(viewer, "Enlarge", [self.factors, self.kernel])

    @property
    def factor(self) -> int:
        return int(self.factors.value)

    @property
    def hint(self) -> str:
        shape = layer_data(self.layers.value).shape
        sides = (self.factor * shape[self.axes.axes.index(letter)] for letter in "YX")
        return f"Run makes {' × '.join(map(str, sides))} pixels, in the place of the image."

    def tasks(self) -> Sequence[Task]:
        return [SuperResolve(self.factor, str(self.kernel.value)), *super().tasks()]


class InpaintForm(RestorationForm):
    """What *Inpaint* asks for; a mask layer says what to fill."""

    def __init__(self, viewer: Viewer) -> None:
        self.masks = layer_choice(
            viewer,
            Shapes,
            Labels,
            placeholder="no mask yet",
            tooltip="What to fill: the inside of shapes, lines as broad as they are drawn,\n"
            "or the labels of a Labels layer, all but 0",
        )
        self.masks.native.setMinimumContentsLength(4)  # beside it is a button
        about = "Add a Shapes layer in the place of the image, to draw on"
        self.new_button = small_button("New mask", about, self.new_mask)
        self.planes = Choice(
            [("the plane drawn on", False), ("all planes", True)],
            name="planes",
            label="Apply to",
            tooltip="Where a shape counts: on the plane that it was drawn on, or on every "
            "plane.\nA mask without planes of its own counts on the plane in view",
        )
        about = "Enlarge the mask by so many pixels on all sides"
        self.grow = whole_number(
            0, 0, _MAX_WIDTH, name="grow", label="Grow (px)", tooltip=about
        )
        self.feather = whole_number(
            0, 0, _MAX_WIDTH, name="feather", label="Feather (px)", tooltip=_ABOUT_FEATHER
        )
        self.fill = Choice(_FILLS, name="fill", label="Fill with", tooltip=_ABOUT_FILLS)
        mask = Row(self.masks, buttons=[self.new_button], label="Mask")
        super().__init__(
            viewer, "Fill", [mask, self.planes, self.grow, self.feather, self.fill]
        )

    @property
    def problem(self) -> str:
        return super().problem or ("" if self.masks.value is not None else _NO_MASK)

    @property
    def hint(self) -> str:
        mask = self.masks.value
        if MASK_KEY in mask.metadata and not len(mask.data):
            return _DRAW
        return "Preview fills what is in view; Run fills all that the mask covers."

    @property
    def noise_depends_on(self) -> tuple[object, ...]:
        return *super().noise_depends_on, self.masks.value.unique_id

    def new_mask(self) -> None:
        """Add a Shapes layer over the image, chosen and ready to draw on."""
        if self.layers.value is not None:
            self.masks.value = new_mask(self._viewer, self.layers.value)

    def holes(self) -> Holes:
        layer, mask, axes = self.layers.value, self.masks.value, self.axes.axes
        return Holes(
            drawing_on(layer, mask, axes, self._viewer.dims.point),
            grid_of(layer, axes),
            mask.name,
            all_planes=bool(self.planes.value),
            grow=int(self.grow.value),
            feather=int(self.feather.value),
            fill=str(self.fill.value),
            denoising=self.denoising,
        )

    def tasks_on_demand(self) -> Callable[[], Sequence[Task]]:
        return partial(tasks_everywhere, self.holes())

    def run_steps(self) -> Generator[Any, None, Any]:
        return inpaint_steps(self.source, self.holes(), self.models.model, self.chosen_options)

    def preview_steps(
        self, region: Region, noise: Mapping[int, NoiseModel]
    ) -> Generator[Any, None, Any]:
        model, options = self.models.model, self.chosen_options
        return inpaint_preview_steps(self.source, region, self.holes(), model, options, noise)

    def follow(self) -> None:
        super().follow()
        layer = self.layers.value
        self.feather.enabled = not (self.noisy.value or self.is_on_demand)
        self.planes.enabled = layer is not None and self._has_planes()
        self.new_button.setEnabled(layer is not None)

    def _has_planes(self) -> bool:
        """Whether there is more than one plane to draw on."""
        if self.axes.problem:
            return True
        return math.prod(grid_of(self.layers.value, self.axes.axes).plane_shape) > 1
