"""How sure a result is: its samples one after the other, its error under the cursor."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Image
from qtpy.QtCore import QSignalBlocker, Qt, QTimer
from qtpy.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QSlider, QSpinBox, QWidget

from napari_vae_restore._napari.forms.fields import toggle
from napari_vae_restore._napari.layers.comparing import ViewState, show_only
from napari_vae_restore._napari.layers.placement import FACTOR_KEY
from napari_vae_restore._napari.layers.uncertainty import LEVEL
from napari_vae_restore._napari.widgets.task_widget import TaskWidget

_PER_SECOND = 4
_FASTEST = 25

_NONE = "Under the cursor: –"
_ABOUT_LINE = (
    "How far the result may be off at this pixel, in intensity units: the error to be\n"
    f"expected, and the interval that holds the truth in {LEVEL:.0%} of the pixels of\n"
    "pictures with known truth"
)


class FlickerPanel(QWidget):  # type: ignore[misc, unused-ignore]
    """Plays through a layer of samples: what moves is not certain. Off, all is as it was."""

    def __init__(self, widget: TaskWidget) -> None:
        super().__init__(widget)
        self._viewer = widget.viewer
        self._samples: Image | None = None
        self._before: ViewState | None = None
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._next)
        about = "Show the samples one after the other: what stays is sure, what changes is not"
        self.play_button = toggle("Flicker", about, self._on_play)
        self.number = QSlider(Qt.Orientation.Horizontal)
        self.number.setToolTip("Which sample is shown")
        self.number.valueChanged.connect(self._show)
        self.speed = QSpinBox()
        self.speed.setRange(1, _FASTEST)
        self.speed.setValue(_PER_SECOND)
        self.speed.setSuffix(" / s")
        self.speed.setToolTip("How many samples are shown in a second")
        self.speed.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.speed.valueChanged.connect(self._on_speed)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.play_button)
        layout.addWidget(self.number, 1)
        layout.addWidget(self.speed)
        widget.on_leaving(self.stop)
        self.take(None)

    def take(self, samples: Image | None) -> None:
        """Take the layer of samples; None stops and disables."""
        if samples is not self._samples:
            self.stop()
        self._samples = samples
        self.setEnabled(samples is not None)
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
            self._on_speed(self.speed.value())
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


class UncertaintyLine(QLabel):  # type: ignore[misc, unused-ignore]
    """Follows the cursor over an uncertainty map, whether the map is shown or hidden."""

    def __init__(self, widget: TaskWidget) -> None:
        super().__init__(_NONE, widget)
        self._cursor = widget.viewer.cursor
        self._map: Image | None = None
        self.setToolTip(_ABOUT_LINE)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        widget.listen(self._cursor.events.position, self._on_moved)
        self.take(None)

    def take(self, uncertainty: Image | None) -> None:
        """Take a layer with an uncertainty map, or none."""
        self._map = uncertainty
        self.setVisible(uncertainty is not None)
        self._on_moved()

    def _on_moved(self, event: object = None) -> None:
        if self._map is None:
            return
        error = _value(self._map, tuple(self._cursor.position))
        if error is None:
            self.setText(_NONE)
            return
        half = error * float(self._map.metadata[FACTOR_KEY])
        self.setText(f"Under the cursor: error {error:.3g}, {LEVEL:.0%} interval ± {half:.3g}")


def _value(layer: Image, position: tuple[float, ...]) -> float | None:
    """The value of a layer at a place in the world; None beside its data."""
    if len(position) < layer.ndim:
        return None
    place = np.rint(layer.world_to_data(position[-layer.ndim :])).astype(int)
    if (place < 0).any() or (place >= layer.data.shape).any():
        return None
    return float(layer.data[tuple(place)])
