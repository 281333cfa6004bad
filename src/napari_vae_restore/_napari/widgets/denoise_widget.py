"""The *Denoise* widget."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt

from napari_vae_restore._napari.forms.fields import button
from napari_vae_restore._napari.widgets.restoration_widget import RestorationWidget
from napari_vae_restore.restoration.tasks import Task

if TYPE_CHECKING:
    import napari.viewer

_LINK = "background: transparent; border: none; text-decoration: underline;"


class DenoiseWidget(RestorationWidget):
    """Removes the noise of an image layer."""

    does = "Denoise"
    denoises_only = True

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__(viewer)
        self.train_button = button(
            "Train a model on this layer…",
            "For images unlike those that the bundled model knows: opens Train & Adapt",
            self._open_train,
        )
        self.train_button.setFlat(True)
        self.train_button.setStyleSheet(_LINK)
        below = self._layout.indexOf(self.panel) + 1
        self._layout.insertWidget(below, self.train_button, 0, Qt.AlignmentFlag.AlignLeft)
        self._refresh()

    def _tasks(self) -> list[Task]:
        return [self._denoising()]

    def _ready_hint(self) -> str:
        return "Preview shows the current view at once; Run denoises the whole layer."

    def _open_train(self) -> None:
        self._show_widget("Train & Adapt", self.header.layers.layer)

    def _refresh(self) -> None:
        super()._refresh()
        self.train_button.setEnabled(self.header.layers.layer is not None)
