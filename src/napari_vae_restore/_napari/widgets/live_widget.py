"""What *Enhance* and *Explore* have in common: a picture that follows the sliders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QTimer

from napari_vae_restore._napari.forms.model_choice import ModelChoice
from napari_vae_restore._napari.forms.model_store import model_store
from napari_vae_restore._napari.widgets.task_widget import TaskWidget

if TYPE_CHECKING:
    from magicgui.widgets.bases import BaseValueWidget

    from napari import Viewer

_PAUSE_MS = 80  # after the last movement of a slider


class LiveWidget(TaskWidget):
    """A widget whose live picture is computed anew whenever a setting changes.

    Changes while a picture is being computed are made up for by one more picture after it.
    """

    def __init__(self, viewer: Viewer) -> None:
        super().__init__(viewer)
        self._is_stale = False
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_PAUSE_MS)
        self._timer.timeout.connect(self._on_pause)
        self.models = ModelChoice()
        self.models.about.hide()

    def _follow(self, *fields: BaseValueWidget[Any]) -> None:
        """Compute the picture anew when one of these, or the model, changes."""
        for each in fields:
            each.changed.connect(self._renew)
        model_store().changed.connect(self._renew)

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
