"""The choice of a model: those of this session, a file, or a training that makes one."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QPushButton, QWidget

from napari_vae_restore._napari.fields import Choice
from napari_vae_restore._napari.messages import Update
from napari_vae_restore._napari.model_store import model_store

if TYPE_CHECKING:
    from napari_vae_restore.models.model import Model

FILE_FILTER = "Models (*.safetensors)"

_NO_MODEL = "no model yet"


class ModelChoice(QWidget):  # type: ignore[misc, unused-ignore]
    """Models to choose from, with a button that opens a file."""

    file_chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._store = model_store()
        self._names = Choice(self)
        self._open = QPushButton("Open…", self)
        self._open.setToolTip("Open a model file (.safetensors)")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._names, 1)
        layout.addWidget(self._open)
        self._open.clicked.connect(self._on_open)
        self._names.currentTextChanged.connect(self._store.select)
        self._store.changed.connect(self._refill)
        self._refill()

    @property
    def model(self) -> Model | None:
        """The chosen model."""
        return self._store.selected

    def _refill(self) -> None:
        with QSignalBlocker(self._names):
            self._names.clear()
            self._names.addItems(self._store.names or (_NO_MODEL,))
            self._names.setCurrentText(self._store.selected_name or _NO_MODEL)
        self._names.setEnabled(bool(self._store.names))
        self._names.setToolTip(_description(self._store.selected))

    def _on_open(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Open a model", "", FILE_FILTER)
        if path:
            self.file_chosen.emit(path)


def load_steps(path: Path) -> Generator[Update, None, Model]:
    """Read a model file.

    Parameters
    ----------
    path : pathlib.Path
        A model or a checkpoint.

    Yields
    ------
    Update
        Once.

    Returns
    -------
    Model
        What the file holds.

    Raises
    ------
    ModelFileError
        If it cannot be used.
    """
    yield Update(f"Opening {path.name}…")
    from napari_vae_restore.models.files import load

    return load(path)


def _description(model: Model | None) -> str:
    if model is None:
        return "Train a model on your image, or open a model file"
    record = model.record
    text = f"{model.name}\n{record.n_steps} training steps in {record.seconds:.0f} s"
    if record.elbo is not None:
        text += f"\nheld-out ELBO {record.elbo:.3f} nats per pixel"
    return text + f"\nnoise: {model.noise or 'estimated for each image'}"
