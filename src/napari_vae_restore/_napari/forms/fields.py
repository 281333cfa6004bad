"""Fields on magicgui that several forms share: choices, axes, device, noise, numbers."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any

import psutil
from magicgui.widgets import ComboBox, FloatSlider, LineEdit, SpinBox
from napari.layers import Image
from qtpy.QtCore import QEvent, QObject, Qt, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QPushButton,
    QSizePolicy,
    QStyle,
    QStyleOptionComboBox,
    QStylePainter,
)

from napari_vae_restore._napari.forms.settings import preferences
from napari_vae_restore._napari.layers.placement import layer_axes, layer_data
from napari_vae_restore._napari.messages import MAX_SEED
from napari_vae_restore.errors import InputError
from napari_vae_restore.images.layout import checked_axes

_GIB = 2**30
_TEXT_MARGIN = 4  # pixels that styles leave beside the text of a box

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


class _Narrow(QObject):  # type: ignore[misc, unused-ignore]
    """Keeps a combo box from widening the dock: long entries are cut, with "…"."""

    pressed = Signal()  # before the list opens

    def __init__(self, box: QComboBox) -> None:
        super().__init__(box)
        box.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        box.setMinimumContentsLength(8)
        box.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        box.installEventFilter(self)

    def eventFilter(self, box: QComboBox, event: QEvent) -> bool:  # noqa: N802 - Qt's name
        if event.type() == QEvent.Type.MouseButtonPress:
            self.pressed.emit()
        if event.type() != QEvent.Type.Paint or box.isEditable():
            return False
        painter, option = QStylePainter(box), QStyleOptionComboBox()
        box.initStyleOption(option)
        if box.currentIndex() < 0:
            option.currentText = box.placeholderText()
        kind, field = QStyle.ComplexControl.CC_ComboBox, QStyle.SubControl.SC_ComboBoxEditField
        room = box.style().subControlRect(kind, option, field, box).width() - _TEXT_MARGIN
        right = Qt.TextElideMode.ElideRight
        option.currentText = box.fontMetrics().elidedText(option.currentText, right, room)
        painter.drawComplexControl(kind, option)
        painter.drawControl(QStyle.ControlElement.CE_ComboBoxLabel, option)
        return True


class Choice(ComboBox):  # type: ignore[misc, unused-ignore]
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
        offered = choices if callable(choices) else list(choices)
        super().__init__(choices=offered, nullable=bool(none), **options)
        self.native.setPlaceholderText(placeholder)
        self.narrow = _Narrow(self.native)

    def reset_choices(self, *_: Any) -> None:
        """Offer the present choices; `changed` is emitted if the value changes."""
        before = self.value
        with self.changed.blocked():
            self.native.clear()
            super().reset_choices()
            # Magicgui knows entries by their titles, which may be renamed.
            if before in self.choices:
                self.value = before
        if self.value != before:
            self.changed.emit(self.value)


class TypedChoice(ComboBox):  # type: ignore[misc, unused-ignore]
    """Text that is typed, or one of some proposals."""

    def __init__(self, proposals: Iterable[str], value: str, **options: Any) -> None:
        super().__init__(choices=list(proposals), **options)
        self.native.setEditable(True)
        self.native.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.narrow = _Narrow(self.native)
        self.native.currentTextChanged.connect(lambda text: self.changed.emit(text))
        self.value = value

    @property
    def value(self) -> str:
        return str(self.native.currentText())

    @value.setter
    def value(self, text: str) -> None:
        self.native.setCurrentText(text)

    def reset_choices(self, *_: Any) -> None:
        """The proposals stay: offering them again would undo what was typed."""
        if not self.native.count():
            super().reset_choices()


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
    choice.narrow.pressed.connect(choice.reset_choices)
    return choice


def device_entries() -> list[tuple[str, str]]:
    """Devices with their free memory; before a computation has imported torch, what is sure."""
    free = psutil.virtual_memory().available / _GIB
    entries = [("Automatic", "auto"), (f"CPU ({free:.0f} GB free)", "cpu")]
    torch = sys.modules.get("torch")
    # While another thread imports torch, its parts come one by one.
    if torch is None or not hasattr(torch, "compile"):
        return entries
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            label = f"CUDA {index}"
            # Asking a device that is not in use would start it, which takes a second.
            if torch.cuda.is_initialized():
                name = torch.cuda.get_device_properties(index).name
                free = torch.cuda.mem_get_info(index)[0] / _GIB
                label += f" ({name}, {free:.0f} GB free)"
            entries.append((label, f"cuda:{index}"))
    if torch.backends.mps.is_available():
        entries.append(("Apple GPU (shared memory)", "mps"))
    return entries


def noise_edit(placeholder: str) -> LineEdit:
    """A noise model in the core's notation; the placeholder says what none means."""
    edit = LineEdit(label="Noise", tooltip=NOISE_TOOLTIP)
    edit.native.setPlaceholderText(placeholder)
    return edit


def whole_number(value: int, least: int, most: int, step: int = 1, **options: Any) -> SpinBox:
    """A whole number, left-aligned as the other fields."""
    box = SpinBox(value=value, min=least, max=most, step=step, **options)
    box.native.setAlignment(Qt.AlignmentFlag.AlignLeft)
    box.native.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    return box


def seed_number(about: str = "The same seed gives the same samples") -> SpinBox:
    return whole_number(0, 0, MAX_SEED, label="Seed", tooltip=about)


def slider(value: float, least: float, most: float, label: str, tooltip: str) -> FloatSlider:
    """A slider for a number, which can be typed as well."""
    step = (most - least) / 100
    field = FloatSlider(
        value=value, min=least, max=most, step=step, label=label, tooltip=tooltip
    )
    # The room of napari's buttons, which the number has not, is for the slider.
    number = field.native.findChild(QDoubleSpinBox)
    number.setStyleSheet("background: transparent; border: 0; padding: 0;")
    field.native.layout().setStretch(0, 1)
    return field


def button(text: str, tooltip: str, action: Callable[[], Any]) -> QPushButton:
    push = QPushButton(text)
    push.setToolTip(tooltip)
    # Qt hands over whether a button is checked; actions do not want to know.
    push.clicked.connect(lambda checked=False: action())
    return push


def toggle(text: str, tooltip: str, action: Callable[[bool], Any]) -> QPushButton:
    push = QPushButton(text)
    push.setCheckable(True)
    push.setToolTip(tooltip)
    push.toggled.connect(action)
    return push


def small_button(text: str, tooltip: str, action: Callable[[], Any]) -> QPushButton:
    """A button beside a field, as wide as its text."""
    push = button(text, tooltip, action)
    push.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
    return push
