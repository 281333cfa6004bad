"""The form of *Check & Compare*: which result, made of what, beside which reference."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_vae_restore._napari.forms.fields import Choice, device_choice, whole_number
from napari_vae_restore._napari.forms.form import Form
from napari_vae_restore._napari.forms.layer_choice import (
    image_choice,
    reference_choice,
    result_choice,
)
from napari_vae_restore._napari.layers.results import source_of
from napari_vae_restore._napari.messages import MAX_SEED

if TYPE_CHECKING:
    from napari import Viewer

MAX_SAMPLES = 64
_SAMPLES = 8


class CheckForm(Form):
    """What *Check & Compare* asks for; the axes are those of the recipe."""

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        self.layers, self.reference = result_choice(viewer), reference_choice(viewer)
        about = "The image that the result was made of"
        self.source = image_choice(viewer, label="Made of", tooltip=about)
        self.planes = Choice(
            [("the plane in view", False), ("all planes", True)],
            label="Look at",
            tooltip="What is looked at, and what samples are drawn for",
        )
        self.samples = whole_number(
            _SAMPLES,
            2,
            MAX_SAMPLES,
            label="Samples",
            tooltip="How many plausible images to draw",
        )
        self.seed = whole_number(
            0, 0, MAX_SEED, label="Seed", tooltip="The same seed gives the same samples"
        )
        self.device = device_choice()
        # Before the form hears of another result, its source is chosen.
        self.layers.changed.connect(self._choose_source)
        super().__init__(
            [self.layers, self.source, self.reference, self.planes],
            [self.samples, self.seed, self.device],
        )
        self._choose_source()

    def _choose_source(self) -> None:
        result = self.layers.value
        source = None if result is None else source_of(self._viewer, result)
        self.source.reset_choices()
        if source is not None:
            self.source.value = source
