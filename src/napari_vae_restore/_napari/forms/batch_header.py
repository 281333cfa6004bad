"""The fields of *Batch*: which files, where to, what to do; the rest is folded."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QSizePolicy,
    QWidget,
)

from napari_vae_restore._napari.forms.fields import Choice, Options
from napari_vae_restore._napari.forms.header import Fields, Header
from napari_vae_restore._napari.forms.model_choice import ModelChoice, removes_noise_only
from napari_vae_restore._napari.jobs.batch_steps import (
    BatchTask,
    paths_of,
    proposed_output,
    text_of,
)
from napari_vae_restore._napari.layers.placement import RECIPE_KEY
from napari_vae_restore.batch.choices import ALWAYS, MISSING, NEVER

if TYPE_CHECKING:
    from napari import Viewer

NO_FILES = "Choose a folder of images, or files, then where the results go."

_READY_MADE = (
    BatchTask("Denoise", {"tasks": [{"kind": "denoise"}]}),
    BatchTask("Fill holes", {"tasks": [{"kind": "inpaint"}]}),
    BatchTask("Enlarge × 2", {"tasks": [{"kind": "super-resolve", "factor": 2}]}),
)
_RECIPE_FILES = "Recipes and results (*.json *.tif *.tiff *.png)"
_IMAGE_FILES = "Images (*.tif *.tiff *.png *.jpg *.jpeg *.bmp);;All files (*)"
_EXISTING = {
    NEVER: "go on, replace nothing",
    MISSING: "leave out their images",
    ALWAYS: "replace them",
}
_ABOUT_EXISTING = (
    "What becomes of result files that exist\n"
    "go on: those that this batch would make again are kept; any other is an error at the\n"
    "start · leave out: images that have a result, however it was made · replace: make all\n"
    "anew"
)


class PathField(QWidget):  # type: ignore[misc, unused-ignore]
    """A path, or several, to type or to choose."""

    changed = Signal()

    def __init__(
        self, placeholder: str, tooltip: str, choices: dict[str, Callable[[], str]]
    ) -> None:
        super().__init__()
        self._edit = QLineEdit(self)
        self._edit.setPlaceholderText(placeholder)
        self.setToolTip(tooltip)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self._edit, 1)
        for title, ask in choices.items():
            push = QPushButton(title, self)
            push.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
            push.clicked.connect(lambda checked=False, ask=ask: self._choose(ask))
            layout.addWidget(push)
        self._edit.textChanged.connect(self._on_changed)

    @property
    def text(self) -> str:
        """What was typed or chosen."""
        return str(self._edit.text()).strip()

    @text.setter
    def text(self, value: str) -> None:
        self._edit.setText(value)

    def _choose(self, ask: Callable[[], str]) -> None:
        if chosen := ask():
            self.text = chosen

    def _on_changed(self, text: str) -> None:
        self._edit.setToolTip(text)
        self.changed.emit()


class WhatChoice(QWidget):  # type: ignore[misc, unused-ignore]
    """What to do with every file: a plain task, as a result was made, or a recipe file."""

    changed = Signal()
    file_chosen = Signal(str)

    def __init__(self, viewer: Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._files: list[BatchTask] = []
        self._whats: list[BatchTask] = []
        self._box = Choice(self)
        self._open = QPushButton("Open…", self)
        self._open.setToolTip("Open a recipe file, or a result file that holds its recipe")
        self.setToolTip(
            "What to do with every file: denoise, fill or enlarge with the usual settings,\n"
            "the same as was done for a result in this viewer, or what a recipe file says"
        )
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self._box, 1)
        layout.addWidget(self._open)
        self._box.currentIndexChanged.connect(self._on_index_changed)
        self._open.clicked.connect(self._on_open)
        for event in self._events():
            event.connect(self._refill)
        self._refill()

    @property
    def what(self) -> BatchTask:
        """The choice."""
        return self._whats[max(0, int(self._box.currentIndex()))]

    def add(self, what: BatchTask) -> None:
        """Offer what a file says, and choose it."""
        self._files = [*(each for each in self._files if each.title != what.title), what]
        self._refill()
        self.choose(what.title)

    def choose(self, title: str) -> None:
        """Choose an entry by its title."""
        self._box.setCurrentText(title)

    def disconnect_viewer(self) -> None:
        """Listen to the viewer no more, before this widget goes."""
        for event in self._events():
            event.disconnect(self._refill)

    def _events(self) -> tuple[Any, ...]:
        events = self._viewer.layers.events
        return events.inserted, events.removed

    def _refill(self, event: Any = None) -> None:
        before = str(self._box.currentText())
        self._whats = [*_READY_MADE, *self._files, *_results(self._viewer)]
        titles = [what.title for what in self._whats]
        with QSignalBlocker(self._box):
            self._box.clear()
            self._box.addItems(titles)
            self._box.setCurrentIndex(titles.index(before) if before in titles else 0)
        if before and before not in titles:
            self.changed.emit()

    def _on_index_changed(self, index: int) -> None:
        self.changed.emit()

    def _on_open(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Open a recipe", "", _RECIPE_FILES)
        if path:
            self.file_chosen.emit(path)


class BatchHeader(Header):
    """What *Batch* asks for."""

    def __init__(self, viewer: Viewer, parent: QWidget | None = None) -> None:
        self.images = PathField(
            "folder, files or pattern",
            "Images to restore: a folder with all that is below it, files, or a pattern such\n"
            "as data/**/*.tif; several with ; between them",
            {"Folder…": self._ask_folder, "Files…": self._ask_files},
        )
        self.output = PathField(
            "folder", "Folder of the results, which keep their names", {"…": self._ask_folder}
        )
        self.what = WhatChoice(viewer)
        self.masks = PathField(
            "folder, or one for all",
            "Masks, any value but 0 where a pixel is missing: a folder with the names of the\n"
            "images, _mask or -mask behind them or not; or one image for all",
            {"…": self._ask_folder},
        )
        self.models = ModelChoice()
        self.suffix = QLineEdit()
        self.suffix.setPlaceholderText("none")
        self.suffix.setToolTip("Stands behind the names of the results, such as -denoised")
        self.existing = Options(_EXISTING, _ABOUT_EXISTING)
        self._proposed = ""
        super().__init__(
            viewer,
            rows={
                "Images": self.images,
                "Output": self.output,
                "Task": self.what,
                "Masks": self.masks,
                "Model": self.models,
            },
            advanced={"Suffix": self.suffix, "Existing": self.existing},
            parent=parent,
        )
        # Files come in place of the layer, and say their axes.
        self.layers.hide()
        self.axes.guess(None)
        self.axes.setPlaceholderText("as each file says")
        for field in (self.images, self.output, self.what, self.masks):
            field.changed.connect(self._on_field_changed)
        self.suffix.textChanged.connect(self._on_axes_changed)
        self.existing.currentIndexChanged.connect(self._on_field_changed)
        self._on_field_changed()

    @property
    def problem(self) -> str:
        """What is missing or wrong, in words; empty if nothing is."""
        what = self.what.what
        if not paths_of(self.images.text):
            return NO_FILES
        if not self.output.text:
            return "Choose the folder of the results."
        if what.fills and not self.masks.text and what.folder is None:
            return "Choose the folder of the masks, or one mask for all images."
        if removes_noise_only(self.models.model) and not what.only_denoises:
            return "This model removes noise only: choose another, or another task."
        return ""

    def disconnect_viewer(self) -> None:
        """Listen to the viewer no more, before this widget goes."""
        super().disconnect_viewer()
        self.what.disconnect_viewer()

    def _arranged(self, rows: Fields, advanced: Fields) -> tuple[Fields, Fields]:
        return {**rows, "Device": self.device}, {"Axes": self.axes, **advanced}

    def _on_layer_changed(self) -> None:
        """Layers are no matter here."""

    def _on_field_changed(self, *change: object) -> None:
        proposed = proposed_output(self.images.text)
        if proposed and self.output.text in ("", self._proposed):
            with QSignalBlocker(self.output):
                self.output.text = proposed
            self._proposed = proposed
        label = self._form.labelForField(self.masks)
        for each in (label, self.masks):
            each.setVisible(self.what.what.fills)
        self.changed.emit()

    def _ask_folder(self) -> str:
        return str(QFileDialog.getExistingDirectory(self, "Choose a folder"))

    def _ask_files(self) -> str:
        paths, _ = QFileDialog.getOpenFileNames(self, "Images to restore", "", _IMAGE_FILES)
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
