"""Flicker: the samples of a result one after the other; what moves is not certain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSignalBlocker, Qt, QTimer
from qtpy.QtWidgets import QHBoxLayout, QPushButton, QSlider, QWidget

from napari_vae_restore._napari.forms.fields import whole_number
from napari_vae_restore._napari.layers.comparing import ViewState, show_only

if TYPE_CHECKING:
    from napari.layers import Image

    from napari import Viewer

_PER_SECOND = 4
_FASTEST = 25


class FlickerPanel(QWidget):  # type: ignore[misc, unused-ignore]
    """Plays through a layer of samples; off, the viewer is as it was."""

    def __init__(self, viewer: Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._samples: Image | None = None
        self._before: ViewState | None = None
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._next)
        self.play_button = QPushButton("Flicker")
        self.play_button.setCheckable(True)
        self.play_button.setToolTip(
            "Show the samples one after the other: what stays is sure, what changes is not"
        )
        self.number = QSlider(Qt.Orientation.Horizontal)
        self.number.setToolTip("Which sample is shown")
        self.speed = whole_number(
            _PER_SECOND,
            1,
            _FASTEST,
            suffix=" / s",
            tooltip="How many samples are shown in a second",
        )
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.play_button)
        layout.addWidget(self.number, 1)
        layout.addWidget(self.speed.native)
        self.play_button.toggled.connect(self._on_play)
        self.number.valueChanged.connect(self._show)
        self.speed.changed.connect(self._on_speed)
        self.take(None)

    def take(self, samples: Image | None) -> None:
        """Take the layer of samples; None stops and disables."""
        if samples is not self._samples:
            self.stop()
        self._samples = samples
        for each in (self.play_button, self.number, self.speed.native):
            each.setEnabled(samples is not None)
        with QSignalBlocker(self.number):
            self.number.setRange(0, 0 if samples is None else len(samples.data) - 1)

    def stop(self) -> None:
        """Stop: the viewer looks as before."""
        self.play_button.setChecked(False)

    def _on_play(self, is_on: bool) -> None:
        if is_on and self._samples is not None:
            self._before = ViewState.of(self._viewer)
            show_only(self._viewer, [self._samples])
            self._show(self.number.value())
            self._on_speed(self.speed.value)
            return
        self._timer.stop()
        if self._before is not None:
            self._before.restore(self._viewer)
            self._before = None

    def _on_speed(self, per_second: int) -> None:
        if self._before is not None:
            self._timer.start(round(1000 / per_second))

    def _next(self) -> None:
        self.number.setValue((self.number.value() + 1) % (self.number.maximum() + 1))

    def _show(self, number: Any) -> None:
        if self._before is None or self._samples is None:
            return
        axis = self._viewer.dims.ndim - self._samples.ndim
        self._viewer.dims.set_current_step(axis, int(number))
