"""The choice of a model: the bundled one, those of this session, or a file."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QPushButton, QWidget

from napari_vae_restore._napari.forms.fields import Choice
from napari_vae_restore._napari.forms.model_store import BUNDLED, model_store
from napari_vae_restore._napari.forms.settings import recent_models
from napari_vae_restore._napari.messages import Update

if TYPE_CHECKING:
    from napari_vae_restore.models.model import Model
    from napari_vae_restore.noise.models import NoiseModel

FILE_FILTER = "Models (*.safetensors)"

_RECENT = "recent file"

_ABOUT_WIDTH = 24
"""Of its button in pixels."""

_ABOUT_BUNDLED = (
    "Comes with the plugin and works at once, offline, on images that it has not seen.\n"
    "It removes noise, fills holes and enlarges"
)


class ModelChoice(QWidget):  # type: ignore[misc, unused-ignore]
    """Models to choose from, a button that opens a file, and one that tells of the model.

    The selection is shared by all widgets; one that offers no models that only denoise
    shows the bundled one while such a model is selected elsewhere.
    """

    file_chosen = Signal(str)
    about_asked = Signal()

    def __init__(self, *, denoising_only: bool = True, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.takes_denoising_only = denoising_only
        self._store = model_store()
        self._names = Choice(self)
        self._open = QPushButton("Open…", self)
        self._open.setToolTip("Open a model file (.safetensors)")
        self.about = QPushButton("i", self)
        self.about.setToolTip("About this model: what it saw, what it reached, samples")
        self.about.setAccessibleName("About this model")
        self.about.setFixedWidth(_ABOUT_WIDTH)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self._names, 1)
        layout.addWidget(self._open)
        layout.addWidget(self.about)
        self._open.clicked.connect(self._on_open)
        self.about.clicked.connect(self._on_about)
        self._names.currentIndexChanged.connect(self._on_chosen)
        self._store.changed.connect(self._refill)
        self._refill()

    @property
    def model(self) -> Model | str:
        """The chosen model, as :func:`~napari_vae_restore.restore` takes it."""
        return self._store.get(self._shown)

    @property
    def _shown(self) -> str:
        return self._store.selected_name if self._offers(self._store.selected_name) else BUNDLED

    def _offers(self, name: str) -> bool:
        return self.takes_denoising_only or not removes_noise_only(self._store.get(name))

    def _refill(self) -> None:
        with QSignalBlocker(self._names):
            self._names.clear()
            self._names.addItems([name for name in self._store.names if self._offers(name)])
            for path in recent_models():
                if path.stem not in self._store.names:
                    self._names.addItem(f"{path.stem} ({_RECENT})", path)
            self._names.setCurrentText(self._shown)
        self._names.setToolTip(_description(self.model))

    def _on_chosen(self, index: int) -> None:
        path = self._names.itemData(index)
        if path is None:
            self._store.select(self._names.itemText(index))
            return
        # Until it has been opened, what was chosen stays chosen.
        self._refill()
        self.file_chosen.emit(str(path))

    def _on_about(self) -> None:
        self.about_asked.emit()

    def _on_open(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Open a model", "", FILE_FILTER)
        if path:
            self.file_chosen.emit(path)


def load_steps(path: Path) -> Generator[Update, None, Model]:
    """Read a model file."""
    yield Update(f"Opening {path.name}…")
    from napari_vae_restore.models.files import load

    return load(path)


def removes_noise_only(model: Model | str) -> bool:
    """Whether a model was trained on noisy images and can neither fill nor enlarge."""
    return not isinstance(model, str) and model.normalisation is not None


def trained_noise(model: Model | str) -> NoiseModel | None:
    """The noise that a model was trained on; the bundled one has none of its own."""
    return None if isinstance(model, str) else model.noise


def joins_channels(model: Model | str) -> bool:
    """Whether a model takes all channels at once; the bundled one takes them one by one."""
    return not isinstance(model, str) and model.network.config.channels > 1


def _description(model: Model | str) -> str:
    if isinstance(model, str):
        return _ABOUT_BUNDLED
    record = model.record
    text = f"{model.name}\n{record.n_steps} training steps in {record.seconds:.0f} s"
    if record.elbo is not None:
        text += f"\nheld-out ELBO {record.elbo:.3f} nats per pixel"
    return text + f"\nnoise: {model.noise or 'measured in each image'}"
