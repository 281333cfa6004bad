"""The header that all widgets have in common: layer, axes, more rows, and *Advanced*."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, Qt, Signal
from qtpy.QtGui import QIcon, QShowEvent
from qtpy.QtWidgets import QFormLayout, QLabel, QVBoxLayout, QWidget
from superqt import QCollapsible

from napari_vae_restore._napari.forms.fields import AxesEdit, DeviceChoice
from napari_vae_restore._napari.forms.layer_choice import LayerChoice

if TYPE_CHECKING:
    from napari import Viewer

Fields = dict[str, QWidget]
"""Fields by label, in their order."""

_LABEL_WIDTH = 62
"""Least width of the labels in pixels, so that fields line up across the fold."""


class Header(QWidget):  # type: ignore[misc, unused-ignore]
    """Rows of labelled fields, the rarer ones folded away."""

    changed = Signal()

    def __init__(
        self,
        viewer: Viewer,
        *,
        rows: Fields,
        advanced: Fields,
        layers: LayerChoice | None = None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._labels: list[QLabel] = []
        self.layers = LayerChoice(viewer, self) if layers is None else layers
        self.axes = AxesEdit(self)
        self.device = DeviceChoice(self)
        shown, folded = self._arranged(rows, advanced)
        rare = _form(folded)
        self.fold = Fold("Advanced", rare, self)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        self._form = _form(shown)
        layout.addLayout(self._form)
        layout.addWidget(self.fold)
        self._labels = [*_labels(self._form), *_labels(rare)]
        self.layers.layer_changed.connect(self._on_layer_changed)
        self.axes.textChanged.connect(self._on_axes_changed)
        self.axes.guess(self.layers.layer)

    def disconnect_viewer(self) -> None:
        """Listen to the viewer no more, before this widget goes."""
        self.layers.disconnect_viewer()

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """Make room for the labels in the font of the window; see Qt."""
        super().showEvent(event)
        self._align_labels()

    def changeEvent(self, event: QEvent) -> None:  # noqa: N802 - Qt's name
        """Make room for the labels in another font, too; see Qt."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.StyleChange, QEvent.Type.FontChange):
            self._align_labels()

    def _align_labels(self) -> None:
        for label in self._labels:
            label.ensurePolished()
        width = max((label.sizeHint().width() for label in self._labels), default=0)
        for label in self._labels:
            label.setFixedWidth(max(width, _LABEL_WIDTH))

    def _arranged(self, rows: Fields, advanced: Fields) -> tuple[Fields, Fields]:
        """The fields that are always shown, and those in the fold."""
        shown = {"Layer": self.layers, "Axes": self.axes, **rows, "Device": self.device}
        return shown, advanced

    def _on_layer_changed(self) -> None:
        self.axes.guess(self.layers.layer)
        self.changed.emit()

    def _on_axes_changed(self, text: str) -> None:
        self.changed.emit()


class Title(QLabel):  # type: ignore[misc, unused-ignore]
    """A field that is a heading of those below it, made of its label."""


class Fold(QCollapsible):  # type: ignore[misc, unused-ignore]
    """Fields that are folded away until they are asked for."""

    def __init__(self, title: str, form: QFormLayout, parent: QWidget | None = None) -> None:
        super().__init__(title, parent, expandedIcon=QIcon(), collapsedIcon=QIcon())
        self._title = title
        self.setDuration(0)
        self.layout().setContentsMargins(0, 0, 0, 0)
        self.layout().setSpacing(0)
        form.setContentsMargins(0, 6, 0, 0)
        content = QWidget()
        content.setLayout(form)
        self.setContent(content)
        self.toggleButton().setToolTip("Show or hide the rarer settings")
        # An arrow in the text has the colour of the theme's text, an icon has not.
        self.toggleButton().toggled.connect(self._on_toggled)
        self.toggleButton().setStyleSheet(
            "text-align: left; background: transparent; border: none; padding: 2px 5px;"
        )
        self.collapse(animate=False)
        self._on_toggled(False)

    def unfold(self) -> None:
        """Show the fields."""
        self.toggleButton().setChecked(True)

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """Keep the fields in line with those above; see Qt."""
        super().showEvent(event)
        self._drop_frame()

    def changeEvent(self, event: QEvent) -> None:  # noqa: N802 - Qt's name
        """Keep the fields in line in another theme, too; see Qt."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.StyleChange:
            self._drop_frame()

    def _drop_frame(self) -> None:
        # A style sheet gives a frame the room of a border, whatever its shape.
        self.setContentsMargins(0, 0, 0, 0)

    def _on_toggled(self, is_open: bool) -> None:
        self.setText(f"{'▾' if is_open else '▸'}  {self._title}")


def _form(fields: Fields) -> QFormLayout:
    form = QFormLayout()
    form.setContentsMargins(0, 0, 0, 0)
    form.setVerticalSpacing(6)
    form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    form.setLabelAlignment(Qt.AlignmentFlag.AlignLeft)
    for label, field in fields.items():
        if isinstance(field, Title):
            field.setText(f"<b>{label}</b>")
            form.addRow(field)
            continue
        form.addRow(label, field)
        text = form.labelForField(field)
        if text is not None:
            text.setToolTip(field.toolTip())
    return form


def _labels(form: QFormLayout) -> list[QLabel]:
    items = (form.itemAt(row, QFormLayout.ItemRole.LabelRole) for row in range(form.rowCount()))
    return [item.widget() for item in items if item is not None]
