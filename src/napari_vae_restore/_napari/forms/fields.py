"""Fields on magicgui that several forms share: choices, axes, device, noise, numbers.

Each knows what it may hold and explains itself in a tooltip; none computes anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from magicgui.backends._qtpy.widgets import ComboBox as QtChoice
from magicgui.backends._qtpy.widgets import QBaseRangedWidget, QBaseValueWidget
from magicgui.backends._qtpy.widgets import SpinBox as QtNumber
from magicgui.widgets import LineEdit
from magicgui.widgets.bases import CategoricalWidget, RangedWidget, ValueWidget
from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QPaintEvent
from qtpy.QtWidgets import (
    QComboBox,
    QPushButton,
    QSizePolicy,
    QSpinBox,
    QStyle,
    QStyleOptionComboBox,
    QStylePainter,
    QWidget,
)
from superqt import QLabeledDoubleSlider

from napari_vae_restore._napari.forms.devices_found import device_entries
from napari_vae_restore._napari.forms.settings import preferences
from napari_vae_restore._napari.layers.placement import layer_axes, layer_data
from napari_vae_restore.errors import InputError
from napari_vae_restore.images.layout import checked_axes

if TYPE_CHECKING:
    from napari.layers import Image

_DECIMALS = 2
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


class _NarrowBox(QComboBox):  # type: ignore[misc, unused-ignore]
    """A combo box that never widens the dock: long entries are cut, with "…"."""

    opened = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.setMinimumContentsLength(8)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def showPopup(self) -> None:  # noqa: N802 - Qt's name
        """Open the list; see Qt."""
        self.opened.emit()
        super().showPopup()

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


class _NarrowChoice(QtChoice):
    """magicgui's combo box, made of the narrow one."""

    def __init__(self, **kwargs: Any) -> None:
        QBaseValueWidget.__init__(self, _NarrowBox, "", "", "", **kwargs)
        self._qwidget.currentIndexChanged.connect(self._emit_data)


class _EditableChoice(QBaseValueWidget):
    """A combo box whose text can be typed, as a backend of magicgui."""

    def __init__(self, **kwargs: Any) -> None:
        names = "currentText", "setCurrentText", "currentTextChanged"
        super().__init__(_NarrowBox, *names, **kwargs)
        self._qwidget.setEditable(True)
        self._qwidget.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)


class _NumberWithUnit(QtNumber):
    """magicgui's spin box, made of Qt's own, which can show a unit."""

    def __init__(self, **kwargs: Any) -> None:
        QBaseRangedWidget.__init__(self, QSpinBox, **kwargs)


class _NumberedSlider(QBaseRangedWidget):
    """A slider with its number, as a backend of magicgui."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(QLabeledDoubleSlider, **kwargs)
        self._qwidget.setOrientation(Qt.Orientation.Horizontal)
        self._qwidget.setDecimals(_DECIMALS)

    def _mgui_get_adaptive_step(self) -> bool:
        return False

    def _mgui_set_adaptive_step(self, value: bool) -> None:
        """Steps of a slider are even."""


class Choice(CategoricalWidget[Any]):
    """One of some entries, (title, value); what was chosen stays so under another title.

    With `none`, a first entry of this title stands for None; an empty box says `placeholder`.
    """

    def __init__(
        self,
        choices: Iterable[tuple[str, Any]] | Callable[[Any], Iterable[tuple[str, Any]]],
        *,
        placeholder: str = "",
        none: str = "",
        **options: Any,
    ) -> None:
        self.null_string = none
        super().__init__(
            choices=choices if callable(choices) else list(choices),
            nullable=bool(none),
            widget_type=_NarrowChoice,
            **options,
        )
        self.native.setPlaceholderText(placeholder)

    def reset_choices(self, *_: Any) -> None:
        """Offer the present choices; `changed` is emitted if the value changes."""
        before = self.value
        with self.changed.blocked():
            self._widget._mgui_set_choices([])
            super().reset_choices()
            # Magicgui knows entries by their titles, which may be renamed.
            if before in self.choices:
                self.value = before
        if self.value != before:
            self.changed.emit(self.value)


class TypedChoice(ValueWidget[str]):
    """Text that is typed, or one of some proposals."""

    def __init__(self, proposals: Iterable[str], value: str, **options: Any) -> None:
        super().__init__(widget_type=_EditableChoice, **options)
        self.native.addItems(list(proposals))
        self.value = value

    def get_value(self) -> str:
        """The text."""
        return str(self._widget._mgui_get_value())


class AxesEdit(LineEdit):  # type: ignore[misc, unused-ignore]
    """The axes of a layer, guessed and open to correction."""

    def __init__(self) -> None:
        super().__init__(label="Axes", tooltip=AXES_TOOLTIP)
        self._shape: tuple[int, ...] = ()
        self.native.setMaxLength(8)

    def guess(self, layer: Image | None) -> None:
        """Propose the axes of a layer."""
        self._shape = () if layer is None else tuple(layer_data(layer).shape)
        sizes = " × ".join(map(str, self._shape))
        self.tooltip = f"{AXES_TOOLTIP}\nThis layer: {sizes}" if sizes else AXES_TOOLTIP
        try:
            self.value = "" if layer is None else layer_axes(layer)
        except InputError:
            self.value = ""

    @property
    def axes(self) -> str:
        """The axes in capital letters."""
        return str(self.value).strip().upper()

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


def device_choice() -> Choice:
    """Where to compute; the list is opened with the memory that is free then."""
    choice = Choice(lambda _: device_entries(), label="Device", tooltip=DEVICE_TOOLTIP)
    if preferences().device in choice.choices:
        choice.value = preferences().device
    choice.native.opened.connect(choice.reset_choices)
    return choice


def noise_edit(placeholder: str) -> LineEdit:
    """A noise model in the core's notation; the placeholder says what none means."""
    edit = LineEdit(label="Noise", tooltip=NOISE_TOOLTIP)
    edit.native.setPlaceholderText(placeholder)
    return edit


def whole_number(
    value: int, least: int, most: int, *, step: int = 1, suffix: str = "", **options: Any
) -> RangedWidget[int]:
    """A whole number, left-aligned as the other fields."""
    box = RangedWidget[int](
        value=value,
        min=least,
        max=most,
        step=step,
        widget_type=_NumberWithUnit,
        **options,
    )
    box.native.setSuffix(suffix)
    box.native.setAlignment(Qt.AlignmentFlag.AlignLeft)
    box.native.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    return box


def slider(
    value: float, least: float, most: float, label: str, tooltip: str
) -> RangedWidget[float]:
    """A slider for a number, which can be typed as well."""
    return RangedWidget[float](
        value=value,
        min=least,
        max=most,
        step=(most - least) / 100,
        label=label,
        tooltip=tooltip,
        widget_type=_NumberedSlider,
    )


def button(text: str, tooltip: str, action: Callable[[], None]) -> QPushButton:
    """A button that does one thing; disabled until its widget knows better."""
    push = QPushButton(text)
    push.setToolTip(tooltip)
    push.setEnabled(False)
    # Qt hands over whether a button is checked; actions do not want to know.
    push.clicked.connect(lambda checked=False: action())
    return push


def small_button(text: str, tooltip: str, action: Callable[[], None]) -> QPushButton:
    """A button beside a field, as wide as its text."""
    push = button(text, tooltip, action)
    push.setEnabled(True)
    push.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
    return push
