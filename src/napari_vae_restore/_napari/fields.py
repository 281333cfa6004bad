"""The fields that several widgets share: layer, axes, device, noise, whole numbers.

Each knows what it may hold and explains itself in a tooltip; none computes anything.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from napari.layers import Image
from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QLineEdit,
    QPushButton,
    QSizePolicy,
    QSpinBox,
    QWidget,
)

from napari_vae_restore._napari.devices_found import device_entries
from napari_vae_restore._napari.layers import PREVIEW_KEY, layer_axes, layer_data
from napari_vae_restore.errors import InputError
from napari_vae_restore.layout import checked_axes

if TYPE_CHECKING:
    from napari import Viewer

MAX_SEED = 2**31 - 1
"""Largest value of a spin box."""

AXES_TOOLTIP = (
    "One letter per dimension of the layer's data.\n"
    "Y and X: height and width · Z, T, any other letter: planes, restored one by one\n"
    "C: channels · S: red, green and blue of a colour picture"
)
NOISE_TOOLTIP = (
    "The noise of the image, in its intensity units.\n"
    "auto · gaussian · poisson-gaussian: estimated from the image\n"
    "gaussian:12.5: standard deviation 12.5\n"
    "poisson-gaussian:0.8,4: variance 0.8 × signal + 4"
)
DEVICE_TOOLTIP = (
    "Where it is computed. Automatic takes a GPU if there is one.\n"
    "GPUs are listed after the first computation."
)


class Choice(QComboBox):  # type: ignore[misc, unused-ignore]
    """A combo box that never widens the dock: long entries are cut."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.setMinimumContentsLength(8)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)


class LayerChoice(Choice):
    """The image layers of a viewer.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Whose layers are offered.
    """

    layer_changed = Signal()

    def __init__(self, viewer: Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._layers: list[Image] = []
        self.setToolTip("The image layer to work on")
        for event in self._events():
            event.connect(self._refill)
        self._refill()
        active = viewer.layers.selection.active
        if active in self._layers:
            self.setCurrentIndex(self._layers.index(active))
        self.currentIndexChanged.connect(self._on_index_changed)

    @property
    def layer(self) -> Image | None:
        """The chosen layer."""
        index = self.currentIndex()
        return self._layers[index] if 0 <= index < len(self._layers) else None

    def choose(self, layer: Image) -> None:
        """Choose a layer of the viewer."""
        self.setCurrentIndex(self._layers.index(layer))

    def disconnect_viewer(self) -> None:
        """Listen to the viewer no more, before this widget goes."""
        for event in self._events():
            event.disconnect(self._refill)
        for layer in self._layers:
            layer.events.name.disconnect(self._refill)

    def _events(self) -> tuple[Any, ...]:
        events = self._viewer.layers.events
        return events.inserted, events.removed, events.reordered

    def _refill(self, event: Any = None) -> None:
        before = self.layer
        for layer in self._layers:
            layer.events.name.disconnect(self._refill)
        self._layers = [
            layer
            for layer in self._viewer.layers
            if isinstance(layer, Image) and PREVIEW_KEY not in layer.metadata
        ]
        for layer in self._layers:
            layer.events.name.connect(self._refill)
        with QSignalBlocker(self):
            self.clear()
            self.addItems([layer.name for layer in self._layers])
            if before in self._layers:
                self.setCurrentIndex(self._layers.index(before))
        if self.layer is not before:
            self.layer_changed.emit()

    def _on_index_changed(self, index: int) -> None:
        self.layer_changed.emit()


class AxesEdit(QLineEdit):  # type: ignore[misc, unused-ignore]
    """The axes of a layer, guessed and open to correction."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._shape: tuple[int, ...] = ()
        self.setToolTip(AXES_TOOLTIP)
        self.setMaxLength(8)

    def guess(self, layer: Image | None) -> None:
        """Propose the axes of a layer."""
        self._shape = () if layer is None else tuple(layer_data(layer).shape)
        try:
            self.setText("" if layer is None else layer_axes(layer))
        except InputError:
            self.setText("")
        sizes = " × ".join(map(str, self._shape))
        self.setToolTip(f"{AXES_TOOLTIP}\nThis layer: {sizes}" if sizes else AXES_TOOLTIP)

    @property
    def axes(self) -> str:
        """The axes in capital letters."""
        return str(self.text()).strip().upper()

    @property
    def problem(self) -> str:
        """What is wrong with the axes, in words; empty if nothing is."""
        if not self._shape:
            return ""
        try:
            checked_axes(self.axes, self._shape)
        except InputError as error:
            return str(error)
        return ""


class DeviceChoice(Choice):
    """Where to compute, with the memory that is free."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setToolTip(DEVICE_TOOLTIP)
        self.refresh()

    @property
    def device(self) -> str:
        """Name of the chosen device."""
        return str(self.currentData())

    def refresh(self) -> None:
        """Look again at devices and memory; the choice stays."""
        before = self.currentData()
        self.clear()
        for label, name in device_entries():
            self.addItem(label, name)
        self.setCurrentIndex(max(0, self.findData(before)))

    def showPopup(self) -> None:  # noqa: N802 - Qt's name
        """Open the list, with the memory that is free now."""
        self.refresh()
        super().showPopup()


class NoiseEdit(QLineEdit):  # type: ignore[misc, unused-ignore]
    """A noise model in the core's notation.

    Parameters
    ----------
    placeholder : str
        What an empty field means.
    """

    def __init__(self, placeholder: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setPlaceholderText(placeholder)
        self.setToolTip(NOISE_TOOLTIP)

    @property
    def noise(self) -> str:
        """What was typed."""
        return str(self.text()).strip()


def whole_number(
    value: int, least: int, most: int, tooltip: str, *, step: int = 1, suffix: str = ""
) -> QSpinBox:
    """A field for a whole number.

    Parameters
    ----------
    value, least, most : int
        Initial value and range.
    tooltip : str
        What it does.
    step : int
        Of its arrows.
    suffix : str
        Its unit.

    Returns
    -------
    QSpinBox
        Left-aligned, as the other fields.
    """
    box = QSpinBox()
    box.setRange(least, most)
    box.setSingleStep(step)
    box.setValue(value)
    box.setSuffix(suffix)
    box.setToolTip(tooltip)
    box.setAlignment(Qt.AlignmentFlag.AlignLeft)
    box.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    return box


def button(text: str, tooltip: str, action: Callable[[], None]) -> QPushButton:
    """A button that does one thing.

    Parameters
    ----------
    text, tooltip : str
        What it does, in a word and in a sentence.
    action : callable
        Called without arguments.

    Returns
    -------
    QPushButton
        Disabled until its widget knows better.
    """
    push = QPushButton(text)
    push.setToolTip(tooltip)
    push.setEnabled(False)
    # Qt hands over whether a button is checked; actions do not want to know.
    push.clicked.connect(lambda checked=False: action())
    return push
