"""The form of *Train & Adapt*: what one has, where it is, how long; the rest is folded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from magicgui.widgets import LineEdit
from qtpy.QtWidgets import QFileDialog

from napari import Viewer
from napari_vae_restore._napari.forms.fields import (
    AxesEdit,
    Choice,
    TypedChoice,
    device_choice,
    noise_edit,
    seed_number,
    small_button,
)
from napari_vae_restore._napari.forms.form import Form, Row
from napari_vae_restore._napari.forms.layer_choice import image_choice
from napari_vae_restore._napari.forms.model_choice import removes_noise_only
from napari_vae_restore._napari.forms.model_store import model_store
from napari_vae_restore._napari.layers.placement import layer_axes, layer_data
from napari_vae_restore._napari.messages import Source
from napari_vae_restore._napari.training.runs import (
    ADAPT,
    CLEAN,
    PAIRS,
    SCRATCH,
    SHOTS,
    TrainingRequest,
)
from napari_vae_restore.errors import InputError
from napari_vae_restore.models.bundled import DEFAULT
from napari_vae_restore.training.settings import parse_budget

if TYPE_CHECKING:
    from napari_vae_restore.models.model import Model

_BUDGETS = ("30 s", "2 min", "5 min", "15 min")
_DEFAULT_BUDGET = "2 min"

NO_IMAGES = "Open an image first, choose a folder, or try File ▸ Open Sample ▸ VAE Restore."

_WAYS = (
    ("Noisy images (adapt)", ADAPT),
    ("Two noisy shots", SHOTS),
    ("Noisy and clean images", PAIRS),
    ("Clean images (simulate)", CLEAN),
    ("Noisy images (new VAE)", SCRATCH),
)
_ABOUT_WAYS = (
    "The kind of data to learn from\n"
    "Noisy images (adapt): the bundled model is made yours; nothing else is needed\n"
    "Two noisy shots of the same scenes: each is learned from the other\n"
    "Noisy and clean images, pixel on pixel, or clean ones 2, 3 or 4 times as large\n"
    "Clean images: noise, holes and down-sampling are simulated on them\n"
    "Noisy images (new VAE): a VAE is trained from nothing, and knows only these images"
)
_READY = {
    ADAPT: "Start adapts the bundled model to “{}”; no clean images are needed.",
    SCRATCH: "Start trains a VAE on “{}” alone, from nothing.",
    SHOTS: "Start learns each shot of “{}” from the other one.",
    PAIRS: "Start learns to make of “{}” what the clean images are.",
    CLEAN: "Start simulates noise, holes and down-sampling on “{}”, and learns to undo them.",
}
_SECONDS = {SHOTS: "2nd shot", PAIRS: "Clean"}


class SourceChoice(Row):
    """A layer, or in its place the path of a file or folder."""

    def __init__(self, viewer: Viewer, label: str) -> None:
        about = "The layer to learn from, or a folder of images, or a file"
        self.layers = image_choice(viewer, tooltip=about)
        self._edit = LineEdit(tooltip=about, visible=False)
        self._edit.native.setPlaceholderText("folder or file")
        about = "Take all images of a folder in place of a layer"
        self._toggle = small_button("Folder…", about, self._on_toggled)
        super().__init__(self.layers, self._edit, buttons=[self._toggle], label=label)

    @property
    def path(self) -> Path | None:
        """The path, if a path is given and not a layer."""
        text = str(self._edit.value).strip()
        return Path(text).expanduser().absolute() if text else None

    @property
    def problem(self) -> str:
        """What is wrong with it, in words; empty if nothing is."""
        path = self.path
        if path is not None:
            return "" if path.exists() else f"There is no file or folder {path}."
        return "" if self.layers.value is not None else NO_IMAGES

    def given(self, axes: str | None = None) -> Source | Path:
        """What to learn from; the axes of a layer are those of its labels, or given."""
        if (path := self.path) is not None:
            return path
        layer = self.layers.value
        return Source(layer_data(layer), layer_axes(layer) if axes is None else axes)

    @property
    def title(self) -> str:
        if (path := self.path) is not None:
            return path.stem
        return "image" if self.layers.value is None else str(self.layers.value.name)

    def use_path(self, path: str) -> None:
        """Take a file or folder; an empty path goes back to the layers."""
        self._edit.value = path
        has_path = bool(path)
        self._edit.visible = has_path
        self.layers.visible = not has_path
        self._toggle.setText("Layer" if has_path else "Folder…")

    def _on_toggled(self) -> None:
        if self._toggle.text() == "Layer":
            self.use_path("")
        elif path := QFileDialog.getExistingDirectory(self.native, "Images to learn from"):
            self.use_path(path)


class TrainForm(Form):
    """What *Train & Adapt* asks for; the budget is the main knob."""

    def __init__(self, viewer: Viewer) -> None:
        self._store = model_store()
        self.way = Choice(_WAYS, label="I have", tooltip=_ABOUT_WAYS)
        self.images = SourceChoice(viewer, "Images")
        self.second = SourceChoice(viewer, "2nd shot")
        self.layers = self.images.layers
        self.time = TypedChoice(
            _BUDGETS,
            _DEFAULT_BUDGET,
            name="time",
            label="Time",
            tooltip="How long to train: 90 s, 10 min, 1 h. Two minutes adapt the bundled "
            "model; a VAE\nfrom nothing gains from more. It can be stopped at any time",
        )
        self.axes, self.device = AxesEdit(), device_choice()
        self.noise = noise_edit("auto")
        self.start = Choice(
            self._starts,
            label="Model",
            tooltip="The model to go on from; held-out pixels show whether it gets better",
        )
        self.seed = seed_number("Of the first weights and the order of the patches")
        # Before the form hears of a change, the fields that depend on it follow.
        self.images.changed.connect(self._guess_axes)
        self.way.changed.connect(self._follow_way)
        self._guess_axes()
        super().__init__(
            [self.way, self.images, self.second, self.time],
            [self.axes, self.device, self.noise, self.start, self.seed],
        )
        self._follow_way()

    @property
    def request(self) -> TrainingRequest:
        """The training as it was chosen; where its images are is said later."""
        return TrainingRequest(
            way=self.way.value,
            budget=self.time.value,
            noise=str(self.noise.value).strip(),
            seed=int(self.seed.value),
            device=self.device.value,
            axes=self.axes.axes,
            name=self.images.title,
        )

    @property
    def given(self) -> tuple[Source | Path, Source | Path | None]:
        """What to learn from: the images, and the second ones where there are some."""
        images = self.images.given(self.axes.axes)
        if not self.has_second:
            return images, None
        is_same = self.second.layers.value is self.layers.value
        return images, self.second.given(self.axes.axes if is_same else None)

    @property
    def has_second(self) -> bool:
        """Whether a second source is asked for."""
        return self.way.value in _SECONDS

    @property
    def model(self) -> Model | str:
        """The model to start from, "default" for the bundled one."""
        name = str(self.start.value)
        return self._store.get(name) if name in self._store.names else DEFAULT

    @property
    def problem(self) -> str:
        second = self.second.problem if self.has_second else ""
        return self.images.problem or second or self.axes.problem or self._budget_problem()

    @property
    def hint(self) -> str:
        return _READY[self.way.value].format(self.images.title)

    def _starts(self, choice: Choice) -> list[tuple[str, str]]:
        """The bundled model, and others of every task."""
        names = self._store.names
        return [(n, n) for n in names if not removes_noise_only(self._store.get(n))]

    def _budget_problem(self) -> str:
        try:
            parse_budget(self.time.value)
        except InputError as error:
            return str(error)
        return ""

    def _guess_axes(self) -> None:
        self.axes.guess(None if self.images.path is not None else self.layers.value)

    def _follow_way(self) -> None:
        self.second.visible = self.has_second
        self.second.label = _SECONDS.get(self.way.value, "")
        self.start.enabled = self.way.value != SCRATCH
