"""The form of *Batch*: which files, where to, what to do; the rest is folded."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from magicgui.widgets import LineEdit
from psygnal import Signal
from qtpy.QtWidgets import QFileDialog

from napari import Viewer
from napari_vae_restore._napari.forms.fields import (
    AxesEdit,
    Choice,
    device_choice,
    small_button,
)
from napari_vae_restore._napari.forms.form import Form, Row
from napari_vae_restore._napari.forms.model_choice import ModelChoice, removes_noise_only
from napari_vae_restore._napari.jobs.batch_steps import (
    BatchRequest,
    BatchTask,
    paths_of,
    proposed_output,
    text_of,
)
from napari_vae_restore._napari.layers.placement import RECIPE_KEY
from napari_vae_restore.batch.choices import ALWAYS, MISSING, NEVER

_NO_FILES = "Choose a folder of images, or files, then where the results go."

_READY_MADE = (
    BatchTask("Denoise", {"tasks": [{"kind": "denoise"}]}),
    BatchTask("Fill holes", {"tasks": [{"kind": "inpaint"}]}),
    BatchTask("Enlarge × 2", {"tasks": [{"kind": "super-resolve", "factor": 2}]}),
)
_RECIPE_FILES = "Recipes and results (*.json *.tif *.tiff *.png)"
_IMAGE_FILES = "Images (*.tif *.tiff *.png *.jpg *.jpeg *.bmp);;All files (*)"
_EXISTING = (
    ("go on, replace nothing", NEVER),
    ("leave out their images", MISSING),
    ("replace them", ALWAYS),
)
_ABOUT_EXISTING = (
    "What becomes of result files that exist\n"
    "go on: those that this batch would make again are kept; any other is an error at the\n"
    "start · leave out: images that have a result, however it was made · replace: make all\n"
    "anew"
)


class PathField(Row):
    """A path, or several, to type or to choose by buttons; each title has what asks for it."""

    def __init__(
        self, label: str, placeholder: str, tooltip: str, choices: dict[str, Callable[[], str]]
    ) -> None:
        self._edit = LineEdit(tooltip=tooltip)
        self._edit.native.setPlaceholderText(placeholder)
        pushes = [
            small_button(title, tooltip, partial(self._choose, ask))
            for title, ask in choices.items()
        ]
        super().__init__(self._edit, buttons=pushes, label=label)
        self._edit.changed.connect(lambda text: setattr(self._edit, "tooltip", text or tooltip))

    @property
    def text(self) -> str:
        return str(self._edit.value).strip()

    @text.setter
    def text(self, value: str) -> None:
        self._edit.value = value

    def _choose(self, ask: Callable[[], str]) -> None:
        if chosen := ask():
            self.text = chosen


class TaskChoice(Choice):
    """What to do with every file: a plain task, as a result was made, or a recipe file."""

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        self._files: list[BatchTask] = []
        super().__init__(
            self._entries,
            tooltip="What to do with every file: denoise, fill or enlarge with the usual "
            "settings,\nthe same as was done for a result in this viewer, or what a recipe "
            "file says",
        )

    def add(self, what: BatchTask) -> None:
        """Offer what a file says, and choose it."""
        self._files = [*(each for each in self._files if each.title != what.title), what]
        self.reset_choices()
        self.choose(what.title)

    def choose(self, title: str) -> None:
        """Choose an entry by its title."""
        self.value = self.get_choice(title)

    def _entries(self, choice: Choice) -> list[tuple[str, BatchTask]]:
        offered = [*_READY_MADE, *self._files, *_results(self._viewer)]
        return [(what.title, what) for what in offered]


class BatchForm(Form):
    """What *Batch* asks for; results in the viewer are offered as recipes."""

    recipe_chosen = Signal(str)

    def __init__(self, viewer: Viewer) -> None:
        self.images = PathField(
            "Images",
            "folder, files or pattern",
            "Images to restore: a folder with all that is below it, files, or a pattern such\n"
            "as data/**/*.tif; several with ; between them",
            {"Folder…": self._ask_folder, "Files…": self._ask_files},
        )
        self.output = PathField(
            "Output",
            "folder",
            "Folder of the results, which keep their names",
            {"…": self._ask_folder},
        )
        self.what = TaskChoice(viewer)
        about = "Open a recipe file, or a result file that holds its recipe"
        opening = small_button("Open…", about, self._ask_recipe)
        task = Row(self.what, buttons=[opening], label="Task")
        self.masks = PathField(
            "Masks",
            "folder, or one for all",
            "Masks, any value but 0 where a pixel is missing: a folder with the names of the\n"
            "images, _mask or -mask behind them or not; or one image for all",
            {"…": self._ask_folder},
        )
        self.models, self.axes, self.device = ModelChoice(), AxesEdit(), device_choice()
        self.axes.native.setPlaceholderText("as each file says")
        self.suffix = LineEdit(
            label="Suffix",
            tooltip="Stands behind the names of the results, such as -denoised",
        )
        self.suffix.native.setPlaceholderText("none")
        self.existing = Choice(_EXISTING, label="Existing", tooltip=_ABOUT_EXISTING)
        self._proposed = ""
        # Before the form hears of it, another field may follow.
        self.images.changed.connect(self._propose_output)
        self.what.changed.connect(self._offer_masks)
        super().__init__(
            [self.images, self.output, task, self.masks, self.models, self.device],
            [self.axes, self.suffix, self.existing],
        )
        self._offer_masks()

    @property
    def problem(self) -> str:
        what = self.what.value
        if not paths_of(self.images.text):
            return _NO_FILES
        if not self.output.text:
            return "Choose the folder of the results."
        if what.fills and not self.masks.text and what.folder is None:
            return "Choose the folder of the masks, or one mask for all images."
        if removes_noise_only(self.models.model) and not what.only_denoises:
            return "This model removes noise only: choose another, or another task."
        return ""

    @property
    def hint(self) -> str:
        return (
            "Dry run shows what would be done; Run restores all images, and goes on with the "
            "rest if it was stopped before."
        )

    @property
    def request(self) -> BatchRequest:
        what = self.what.value
        return BatchRequest(
            images=self.images.text,
            output=self.output.text,
            what=what,
            masks=self.masks.text if what.fills else "",
            axes=self.axes.axes,
            suffix=str(self.suffix.value).strip(),
            overwrite=self.existing.value,
            device=self.device.value,
        )

    def _propose_output(self) -> None:
        proposed = proposed_output(self.images.text)
        if proposed and self.output.text in ("", self._proposed):
            self._proposed = proposed
            self.output.text = proposed

    def _offer_masks(self) -> None:
        self.masks.visible = self.what.value.fills

    def _ask_recipe(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self.native, "Open a recipe", "", _RECIPE_FILES)
        if path:
            self.recipe_chosen.emit(path)

    def _ask_folder(self) -> str:
        return str(QFileDialog.getExistingDirectory(self.native, "Choose a folder"))

    def _ask_files(self) -> str:
        paths, _ = QFileDialog.getOpenFileNames(
            self.native, "Images to restore", "", _IMAGE_FILES
        )
        return text_of(paths)


def _results(viewer: Viewer) -> list[BatchTask]:
    """What was done for the results in a viewer, the newest first; each of them once."""
    found: list[BatchTask] = []
    for layer in reversed(viewer.layers):
        recipe = layer.metadata.get(RECIPE_KEY)
        is_known = isinstance(recipe, dict) and isinstance(recipe.get("tasks"), list)
        if is_known and all(recipe != what.recipe for what in found):
            found.append(BatchTask(f"as for “{layer.name}”", recipe))
    return found
