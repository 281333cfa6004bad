"""The fields of *Train & Adapt*: what one has, where it is, how long; the rest is folded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QSizePolicy,
    QWidget,
)

from napari_vae_restore._napari.forms.fields import (
    Choice,
    NoiseEdit,
    Options,
    whole_number,
)
from napari_vae_restore._napari.forms.header import Fields, Header
from napari_vae_restore._napari.forms.layer_choice import LayerChoice
from napari_vae_restore._napari.forms.model_choice import removes_noise_only
from napari_vae_restore._napari.forms.model_store import BUNDLED, model_store
from napari_vae_restore._napari.messages import MAX_SEED
from napari_vae_restore._napari.training.runs import ADAPT, CLEAN, PAIRS, SCRATCH, SHOTS
from napari_vae_restore.errors import InputError
from napari_vae_restore.models.bundled import DEFAULT
from napari_vae_restore.training.settings import parse_budget

if TYPE_CHECKING:
    from napari import Viewer
    from napari_vae_restore.models.model import Model

BUDGETS = ("30 s", "2 min", "5 min", "15 min")
DEFAULT_BUDGET = "2 min"

NO_IMAGES = "Open an image first, choose a folder, or try File ▸ Open Sample ▸ VAE Restore."

_WAYS = {
    ADAPT: "Noisy images (adapt)",
    SHOTS: "Two noisy shots",
    PAIRS: "Noisy and clean images",
    CLEAN: "Clean images (simulate)",
    SCRATCH: "Noisy images (new VAE)",
}
_ABOUT_WAYS = (
    "What there is to learn from\n"
    "Noisy images (adapt): the bundled model is made yours; nothing else is needed\n"
    "Two noisy shots of the same scenes: each is learned from the other\n"
    "Noisy and clean images, pixel on pixel, or clean ones 2, 3 or 4 times as large\n"
    "Clean images: noise, holes and down-sampling are simulated on them\n"
    "Noisy images (new VAE): a VAE is trained from nothing, and knows only these images"
)
_SECONDS = {SHOTS: "2nd shot", PAIRS: "Clean"}


class SourceChoice(QWidget):  # type: ignore[misc, unused-ignore]
    """A layer, or in its place the path of a file or folder."""

    changed = Signal()

    def __init__(self, layers: LayerChoice, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.layers = layers
        self._edit = QLineEdit(self)
        self._edit.setPlaceholderText("folder or file")
        self._edit.setVisible(False)
        self._toggle = QPushButton("Folder…", self)
        self._toggle.setToolTip("Take all images of a folder in place of a layer")
        self._toggle.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.setToolTip("The layer to learn from, or a folder of images, or a file")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for each, stretch in ((layers, 1), (self._edit, 1), (self._toggle, 0)):
            layout.addWidget(each, stretch)
        self._toggle.clicked.connect(self._on_toggled)
        self._edit.textChanged.connect(self._on_typed)
        layers.layer_changed.connect(self.changed)

    @property
    def path(self) -> Path | None:
        """The path, if a path is given and not a layer."""
        text = str(self._edit.text()).strip()
        return Path(text).expanduser().absolute() if text else None

    @property
    def problem(self) -> str:
        """What is wrong with it, in words; empty if nothing is."""
        path = self.path
        if path is not None:
            return "" if path.exists() else f"There is no file or folder {path}."
        return "" if self.layers.layer is not None else NO_IMAGES

    @property
    def name(self) -> str:
        """What to call it."""
        if (path := self.path) is not None:
            return path.stem
        return "image" if self.layers.layer is None else str(self.layers.layer.name)

    def use_path(self, path: str) -> None:
        """Take a file or folder; an empty path goes back to the layers."""
        self._edit.setText(path)
        has_path = bool(path)
        self._edit.setVisible(has_path)
        self.layers.setVisible(not has_path)
        self._toggle.setText("Layer" if has_path else "Folder…")

    def _on_toggled(self) -> None:
        if self.path is not None or self._edit.isVisible():
            self.use_path("")
            return
        if path := QFileDialog.getExistingDirectory(self, "Images to learn from"):
            self.use_path(path)

    def _on_typed(self, text: str) -> None:
        self.changed.emit()


class StartChoice(Choice):
    """The model to start from: the bundled one, or another model of every task."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._store = model_store()
        self.setToolTip("The model to go on from; held-out pixels tell if it gets better")
        self._store.changed.connect(self._refill)
        self._refill()

    @property
    def model(self) -> Model | str:
        """The chosen model, "default" for the bundled one."""
        name = str(self.currentText())
        return self._store.get(name) if name in self._store.names else DEFAULT

    def _refill(self) -> None:
        before = self.currentText() or BUNDLED
        with QSignalBlocker(self):
            self.clear()
            self.addItems(
                [n for n in self._store.names if not removes_noise_only(self._store.get(n))]
            )
            self.setCurrentIndex(max(0, self.findText(before)))


class TrainHeader(Header):
    """What *Train & Adapt* asks for; the budget is the main knob."""

    def __init__(self, viewer: Viewer, parent: QWidget | None = None) -> None:
        way, time, noise = Options(_WAYS, _ABOUT_WAYS), _time_choice(), NoiseEdit("auto")
        seed = whole_number(0, 0, MAX_SEED, "Of the first weights and the order of the patches")
        start, second = StartChoice(), SourceChoice(LayerChoice(viewer))
        super().__init__(
            viewer,
            rows={"I have": way, "2nd shot": second, "Time": time},
            advanced={"Noise": noise, "Model": start, "Seed": seed},
            parent=parent,
        )
        self.way, self.time, self.noise, self.seed = way, time, noise, seed
        self.start, self.second = start, second
        self.way.currentIndexChanged.connect(self._on_way_changed)
        for source in (self.images, self.second):
            source.changed.connect(self._on_source_changed)
        self.time.currentTextChanged.connect(self._on_axes_changed)
        self._on_way_changed()

    @property
    def has_second(self) -> bool:
        """Whether a second source is asked for."""
        return self.way.value in _SECONDS

    @property
    def problem(self) -> str:
        """What is wrong with what was chosen, in words; empty if nothing is."""
        second = self.second.problem if self.has_second else ""
        return self.images.problem or second or self.axes.problem or self._budget_problem()

    def disconnect_viewer(self) -> None:
        """Listen to the viewer no more, before this widget goes."""
        self.layers.disconnect_viewer()
        self.second.layers.disconnect_viewer()

    def _arranged(self, rows: Fields, advanced: Fields) -> tuple[Fields, Fields]:
        self.images = SourceChoice(self.layers)
        shown = {"I have": rows["I have"], "Images": self.images, **rows}
        return shown, {"Axes": self.axes, "Device": self.device, **advanced}

    def _budget_problem(self) -> str:
        try:
            parse_budget(str(self.time.currentText()))
        except InputError as error:
            return str(error)
        return ""

    def _on_way_changed(self, index: int = 0) -> None:
        way = self.way.value
        label = self._form.labelForField(self.second)
        for each in (label, self.second):
            each.setVisible(self.has_second)
        label.setText(_SECONDS.get(way, ""))
        self.start.setEnabled(way != SCRATCH)
        self.changed.emit()

    def _on_source_changed(self) -> None:
        self.axes.guess(None if self.images.path is not None else self.layers.layer)
        self.changed.emit()


def _time_choice() -> Choice:
    """A time budget, one of those offered or any other."""
    choice = Choice()
    choice.setEditable(True)
    choice.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
    choice.addItems(BUDGETS)
    choice.setCurrentText(DEFAULT_BUDGET)
    choice.setToolTip(
        "How long to train: 90 s, 10 min, 1 h. Two minutes adapt the bundled model; a VAE\n"
        "from nothing gains from more. It can be stopped at any time"
    )
    return choice
