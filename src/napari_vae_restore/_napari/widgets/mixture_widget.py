"""What *Inpaint* and *Super-resolve* have in common: the image may be noisy as well."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QCheckBox, QWidget

from napari_vae_restore._napari.widgets.restoration_widget import RestorationWidget
from napari_vae_restore.restoration.tasks import Denoise

if TYPE_CHECKING:
    import napari.viewer


class MixtureWidget(RestorationWidget):
    """Restores an image layer that may be noisy too; subclasses say what else was done."""

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__(viewer)
        self.noisy.toggled.connect(self._on_changed)

    def _task_rows(self) -> dict[str, QWidget]:
        self.noisy = QCheckBox("image is noisy")
        self.noisy.setToolTip(
            "Remove noise as well, everywhere. Without it, the image's own pixels are\n"
            "taken to be right, and the result agrees with them"
        )
        return {"": self.noisy}

    def _remembered(self) -> dict[str, QWidget]:
        return {**super()._remembered(), "noisy": self.noisy}

    def _denoising_too(self) -> Denoise | None:
        """The removal of noise, if it is asked for."""
        return self._denoising() if self.noisy.isChecked() else None

    def _refresh(self) -> None:
        super()._refresh()
        self.noise.setEnabled(self.noisy.isChecked())
