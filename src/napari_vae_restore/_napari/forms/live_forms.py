"""The forms of *Enhance* and *Explore*: sliders, and options made of them."""

from __future__ import annotations

from typing import Any

from magicgui.widgets import CheckBox
from magicgui.widgets.bases import Widget

from napari import Viewer
from napari_vae_restore._napari.forms.fields import seed_number, slider, whole_number
from napari_vae_restore._napari.forms.form import LayerForm, Row, title
from napari_vae_restore._napari.forms.model_choice import ModelChoice
from napari_vae_restore._napari.jobs.live_steps import ExploreOptions
from napari_vae_restore.generation.tones import Tones

LIVE = "Explore"  # name of the layer that follows the sliders

_MAX_GAIN = 3.0
_N_LEVELS = 4
_MAX_SIDE = 1024  # pixels of a drawn picture


class EnhanceForm(LayerForm):
    def __init__(self, viewer: Viewer) -> None:
        self.models = ModelChoice()
        self.models.about.hide()
        sizes = {"Finest": 2, "Fine": 4, "Medium": 8, "Coarse": 16}
        about = "Gain of details of about {} pixels; 1 leaves them"
        self.details = [
            slider(1, 0, _MAX_GAIN, name, about.format(size)) for name, size in sizes.items()
        ]
        self.smoothing = slider(0, 0, 1, "Smooth", "Lessens the two finest levels")
        about = "Noise on the latents: other pictures that the model takes for it"
        self.variation = slider(0, 0, 2, "Variation", about)
        about = "Factor about mid-grey; 1 leaves it"
        self.contrast = slider(1, 0.2, 3, "Contrast", about)
        self.brightness = slider(0, -0.5, 0.5, "Brightness", "Added, in parts of the range")
        self.gamma = slider(1, 0.3, 3, "Gamma", "Below 1 lifts the dark; 1 leaves it")
        self.local = slider(0, 0, 1, "Local contrast", "Share of local contrast (CLAHE)")
        self.seed = seed_number("Of the variation")
        about = "Show the current view enhanced, whenever something changes"
        self.live = CheckBox(text="live preview", value=True, tooltip=about)
        tones = [self.local, self.contrast, self.brightness, self.gamma]
        self._ones = [*self.details, self.contrast, self.gamma]
        self._zeros = [self.smoothing, self.variation, self.brightness, self.local]
        self.followed = [*self._ones, *self._zeros, self.seed, self.live]
        details: list[Widget] = [title("Details"), *self.details, self.smoothing]
        rows: list[Widget] = [self.models, *details, title("Tones"), *tones, Row(self.live)]
        super().__init__(viewer, rows, [self.variation, self.seed])

    @property
    def hint(self) -> str:
        return (
            "Move a slider: the preview follows. For looking at, not for measuring; "
            "restore noisy images first."
        )

    @property
    def chosen_options(self) -> dict[str, Any]:
        """The keyword arguments of :func:`~napari_vae_restore.enhance`."""
        gains = zip(self.models.strides, self.details, strict=False)
        return {
            "detail": {stride: float(each.value) for stride, each in gains},
            "smoothing": float(self.smoothing.value),
            "variation": float(self.variation.value),
            "tones": Tones(
                contrast=float(self.contrast.value),
                brightness=float(self.brightness.value),
                gamma=float(self.gamma.value),
                local_contrast=float(self.local.value),
            ),
            "seed": int(self.seed.value),
            "device": self.device.value,
        }

    def reset(self) -> None:
        """Put all sliders where they change nothing."""
        for value, sliders in ((1.0, self._ones), (0.0, self._zeros)):
            for each in sliders:
                each.value = value

    def follow(self) -> None:
        for index, each in enumerate(self.details):
            each.enabled = index < len(self.models.strides)


class ExploreForm(LayerForm):
    """What *Explore* asks for; it draws without a layer as well."""

    def __init__(self, viewer: Viewer) -> None:
        self.models = ModelChoice()
        self.models.about.hide()
        about = "Of the prior, on all levels: below 1 smoother and more typical"
        self.temperature = slider(0.8, 0, 1.5, "All levels", about)
        words = {"Coarsest": "coarsest", "Coarse": "second", "Fine": "third"}
        about = "Times the temperature, on the {} level"
        self.levels = [
            slider(1, 0, 2, name, about.format(word))
            for name, word in {**words, "Finest": "finest"}.items()
        ]
        about = "Side of the pictures; any size works"
        self.side = whole_number(256, 16, _MAX_SIDE, 16, label="Size (px)", tooltip=about)
        self.seed = seed_number("The same seed gives the same picture")
        about = "How many pictures a stack has"
        self.number = whole_number(8, 1, 64, label="Stack", tooltip=about)
        about = "How many of the finest levels “Like the layer” draws anew"
        self.redrawn = whole_number(1, 1, _N_LEVELS, label="Redraw", tooltip=about)
        about = f"Draw into the layer “{LIVE}” whenever something changes"
        self.live = CheckBox(text="live picture", value=True, tooltip=about)
        self.followed = [self.temperature, *self.levels, self.seed, self.side, self.live]
        sliders: list[Widget] = [title("Temperature"), self.temperature, *self.levels]
        rows: list[Widget] = [self.models, *sliders, self.seed, Row(self.live)]
        super().__init__(viewer, rows, [self.side, self.number, self.redrawn])

    @property
    def problem(self) -> str:
        return ""

    @property
    def hint(self) -> str:
        return (
            "Move a slider, or press Next: pictures that this model takes for likely. "
            "None of them was measured."
        )

    @property
    def chosen_options(self) -> ExploreOptions:
        common = float(self.temperature.value)
        return ExploreOptions(
            side=int(self.side.value),
            temperatures=tuple(common * float(each.value) for each in self.levels),
            seed=int(self.seed.value),
            device=self.device.value,
        )
