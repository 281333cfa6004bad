"""The form of *Check & Compare*: which result, made of what, beside which reference."""

from __future__ import annotations

from napari.layers import Image

from napari import Viewer
from napari_vae_restore._napari.forms.fields import (
    Choice,
    device_choice,
    seed_number,
    whole_number,
)
from napari_vae_restore._napari.forms.form import Form
from napari_vae_restore._napari.forms.layer_choice import image_choice, layer_choice
from napari_vae_restore._napari.layers.results import is_result, source_of, warnings_of
from napari_vae_restore.restoration.options import Options

_MAX_SAMPLES = 64
_SAMPLES = 8


class CheckForm(Form):
    """What *Check & Compare* asks for; the axes are those of the recipe."""

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        self.layers = layer_choice(
            viewer,
            Image,
            accepts=is_result,
            label="Result",
            placeholder="no result yet",
            tooltip="The restored image to look at",
        )
        self.reference = layer_choice(
            viewer,
            Image,
            none="none",
            label="Reference",
            tooltip="What the result should be, such as a slow, clean exposure of the same\n"
            "place. Gives PSNR and SSIM",
        )
        about = "The image that the result was made of"
        self.source = image_choice(viewer, label="Made of", tooltip=about)
        self.planes = Choice(
            [("the plane in view", False), ("all planes", True)],
            label="Look at",
            tooltip="What is looked at, and what samples are drawn for",
        )
        about = "How many plausible images to draw"
        self.samples = whole_number(_SAMPLES, 2, _MAX_SAMPLES, label="Samples", tooltip=about)
        self.seed, self.device = seed_number(), device_choice()
        # Before the form hears of another result, its source is chosen.
        self.layers.changed.connect(self._choose_source)
        super().__init__(
            [self.layers, self.source, self.reference, self.planes],
            [self.samples, self.seed, self.device],
        )
        self._choose_source()

    @property
    def pair(self) -> tuple[Image, Image] | None:
        """The source and its result, if both are chosen."""
        source, result = self.source.value, self.layers.value
        return None if source is None or result is None else (source, result)

    @property
    def problem(self) -> str:
        if self.layers.value is None:
            return "No result yet: run Denoise, Inpaint or Super-resolve first."
        return "" if self.source.value is not None else "Choose what the result was made of."

    @property
    def hint(self) -> str:
        warnings = warnings_of(self.layers.value)
        return warnings or "Check says whether what was removed looks like noise."

    def drawing_options(self, tile: int) -> Options:
        return Options(
            n_samples=int(self.samples.value),
            keep_samples=True,
            tile=tile,
            seed=int(self.seed.value),
            device=self.device.value,
        )

    def _choose_source(self) -> None:
        result = self.layers.value
        source = None if result is None else source_of(self._viewer, result)
        self.source.reset_choices()
        if source is not None:
            self.source.value = source
