"""The fields that several widgets share: axes, device, noise, choices, whole numbers.

Each knows what it may hold and explains itself in a tooltip; none computes anything.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtGui import QPaintEvent
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QLineEdit,
    QPushButton,
    QSizePolicy,
    QSpinBox,
    QStyle,
    QStyleOptionComboBox,
    QStylePainter,
    QWidget,
)

from napari_vae_restore._napari.forms.devices_found import device_entries
from napari_vae_restore._napari.forms.settings import preferences
from napari_vae_restore._napari.layers.placement import layer_axes, layer_data
from napari_vae_restore.errors import InputError
from napari_vae_restore.images.layout import checked_axes

if TYPE_CHECKING:
    from napari.layers import Image

_TEXT_MARGIN = 4
"""Pixels that styles leave beside the text of a box."""

AXES_TOOLTIP = (
    "One letter per dimension of the layer's data.\n"
    "Y and X: height and width · Z, T, any other letter: planes, restored one by one\n"
    "C: channels · S: red, green and blue of a colour picture"
)
NOISE_TOOLTIP = (
    "The noise of the image, in its intensity units.\n"
    "auto · gaussian · poisson-gaussian: estimated from the image\n"
    "gaussian:12.5: standard deviation 12.5\n"
    "poisson-gaussian:0.8,4: variance 0.8 × signal + 4\n"
    "…@0.6,0.6: neighbours along Y and X correlated by 0.6"
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

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """Draw it with "…" where the entry is longer than the box; see Qt."""
        painter = QStylePainter(self)
        option = QStyleOptionComboBox()
        self.initStyleOption(option)
        if self.currentIndex() < 0:
            option.currentText = self.placeholderText()
        style, field = self.style(), QStyle.SubControl.SC_ComboBoxEditField
        box = QStyle.ComplexControl.CC_ComboBox
        room = style.subControlRect(box, option, field, self).width() - _TEXT_MARGIN
        right = Qt.TextElideMode.ElideRight
        option.currentText = self.fontMetrics().elidedText(option.currentText, right, room)
        painter.drawComplexControl(box, option)
        painter.drawControl(QStyle.ControlElement.CE_ComboBoxLabel, option)


class Options(Choice):
    """One of a few fixed values, each with a title."""

    def __init__(
        self, titles: dict[Any, str], tooltip: str, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        for value, title in titles.items():
            self.addItem(title, value)
        self.setToolTip(tooltip)

    @property
    def value(self) -> Any:
        """The chosen value."""
        return self.currentData()

    def choose(self, value: Any) -> None:
        """Choose a value."""
        self.setCurrentIndex(self.findData(value))


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
        self.setCurrentIndex(max(0, self.findData(preferences().device)))

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
    """A noise model in the core's notation."""

    def __init__(self, placeholder: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setPlaceholderText(placeholder)
        self.setToolTip(NOISE_TOOLTIP)

    @property
    def noise(self) -> str:
        """What was typed."""
        return str(self.text()).strip()


def field_value(field: QWidget) -> Any:
    """The value of a field, as it is kept between sessions: a number, a boolean or text."""
    if isinstance(field, QSpinBox):
        return int(field.value())
    if isinstance(field, QCheckBox):
        return bool(field.isChecked())
    return field.value if isinstance(field, Options) else str(field.currentText())


def fill_field(field: QWidget, value: Any) -> None:
    """Give a field a value that was kept; one that it cannot hold changes nothing."""
    if isinstance(field, QSpinBox) and isinstance(value, int):
        field.setValue(value)
    elif isinstance(field, QCheckBox):
        field.setChecked(bool(value))
    elif isinstance(field, Options):
        if field.findData(value) >= 0:
            field.choose(value)
    elif isinstance(field, QComboBox) and field.isEditable():
        field.setCurrentText(str(value))


def whole_number(
    value: int, least: int, most: int, tooltip: str, *, step: int = 1, suffix: str = ""
) -> QSpinBox:
    """A field for a whole number."""
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
    """A button that does one thing."""
    push = QPushButton(text)
    push.setToolTip(tooltip)
    push.setEnabled(False)
    # Qt hands over whether a button is checked; actions do not want to know.
    push.clicked.connect(lambda checked=False: action())
    return push
