"""What *Enhance* and *Explore* have in common: a picture that follows the sliders."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QHBoxLayout, QWidget

from napari_vae_restore._napari.model_choice import ModelChoice, load_steps
from napari_vae_restore._napari.model_store import model_store
from napari_vae_restore._napari.task_widget import TaskWidget
from napari_vae_restore._napari.warm_up import warm_up

if TYPE_CHECKING:
    from napari import Viewer
    from napari_vae_restore.models.model import Model

_PAUSE_MS = 80  # after the last movement of a slider
_SETTLED_MS = 200  # until a new widget has been drawn


class LiveWidget(TaskWidget):
    """A widget whose live picture is computed anew whenever a setting changes.

    Changes while a picture is being computed are made up for by one more picture after it.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        The viewer that the widget belongs to.
    """

    def __init__(self, viewer: Viewer) -> None:
        super().__init__(viewer)
        self._is_stale = False
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_PAUSE_MS)
        self._timer.timeout.connect(self._on_pause)
        self.models = ModelChoice(parent=self)
        self.models.file_chosen.connect(self.open_model)
        self.models.about.hide()
        QTimer.singleShot(_SETTLED_MS, warm_up)

    def open_model(self, path: str) -> None:
        """Open a model file and select its model.

        Parameters
        ----------
        path : str
            A ``.safetensors`` file.
        """
        if not self.is_busy:
            self._launch(load_steps(Path(path)), layer=None, on_success=self._on_model)

    def show_live(self) -> None:
        """Compute the live picture now; subclasses know how."""
        raise NotImplementedError

    @property
    def strides(self) -> tuple[int, ...]:
        """Pixels of the cells of the chosen model's levels, finest first."""
        from napari_vae_restore.models.config import RestorationConfig

        model = self.models.model
        config = RestorationConfig() if isinstance(model, str) else model.network.config
        return config.strides

    def _renew(self, *change: object) -> None:
        """A setting has changed: the live picture follows, if there is to be one."""
        if self._wants_live():
            self._is_stale = True
            self._timer.start()

    def _wants_live(self) -> bool:
        """Whether the picture is to follow; subclasses know."""
        raise NotImplementedError

    def _on_pause(self) -> None:
        if self._is_stale and not self.is_busy and self._wants_live():
            self._is_stale = False
            self.show_live()

    def _end(self) -> None:
        super()._end()
        if self._is_stale:
            self._timer.start()

    def cancel(self) -> None:
        """End the computation, and the live picture with it."""
        self._is_stale = False
        super().cancel()

    def _on_model(self, model: Model) -> None:
        name = model_store().add(model, model.name)
        self._say(f"Model “{name}” opened.")

    def _add_row(self, widgets: Iterable[QWidget]) -> None:
        row = QHBoxLayout()
        for each in widgets:
            row.addWidget(each)
        self._layout.addLayout(row)
