"""The *Super-resolve* widget."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QWidget

from napari_vae_restore._napari.forms.fields import Options
from napari_vae_restore._napari.widgets.mixture_widget import MixtureWidget
from napari_vae_restore.restoration.tasks import MAX_FACTOR, SuperResolve, Task

if TYPE_CHECKING:
    import napari.viewer

_FACTORS = {factor: f"{factor} ×" for factor in range(2, MAX_FACTOR + 1)}
_KERNELS = {
    "bicubic": "Bicubic (resized picture)",
    "box": "Box (binned pixels)",
    "gaussian": "Gaussian (soft spot)",
}
_KERNEL_TOOLTIP = (
    "What a pixel of your image saw.\n"
    "Bicubic: the picture was made smaller by software\n"
    "Box: the mean over the pixel's square, as a camera bins it\n"
    "Gaussian: a soft spot around the pixel, as a slightly blurred lens shows it"
)


class SuperResolveWidget(MixtureWidget):
    """Enlarges an image layer; the result lies where the image lies."""

    does = "Enlarge"

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__(viewer)
        self.factor.currentIndexChanged.connect(self._on_changed)
        self._refresh()

    def _task_rows(self) -> dict[str, QWidget]:
        self.factor = Options(_FACTORS, "Pixels of the result for each pixel, along Y and X")
        self.kernel = Options(_KERNELS, _KERNEL_TOOLTIP)
        return {"Factor": self.factor, "Kernel": self.kernel, **super()._task_rows()}

    def _remembered(self) -> dict[str, QWidget]:
        return {**super()._remembered(), "factor": self.factor, "kernel": self.kernel}

    def _tasks(self) -> list[Task]:
        enlarging = SuperResolve(self._factor(), str(self.kernel.value))
        denoising = self._denoising_too()
        return [enlarging] if denoising is None else [enlarging, denoising]

    def _factor(self) -> int:
        return int(self.factor.value)

    def _ready_hint(self) -> str:
        layer, factor = self.header.layers.layer, self._factor()
        if layer is None:
            return ""
        axes, shape = self.header.axes.axes, self._source(layer).data.shape
        sides = (factor * shape[axes.index(letter)] for letter in "YX")
        return f"Run makes {' × '.join(map(str, sides))} pixels, in the place of the image."
