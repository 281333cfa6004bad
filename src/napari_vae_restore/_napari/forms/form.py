"""Forms on magicgui: rows of labelled fields whose values are one flat dict."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from magicgui.widgets import Container, Label
from magicgui.widgets.bases import BaseValueWidget, Widget
from qtpy.QtCore import QEvent
from qtpy.QtGui import QIcon, QShowEvent
from qtpy.QtWidgets import QLabel, QPushButton, QWidget
from superqt import QCollapsible

from napari_vae_restore._napari.forms.fields import AxesEdit, device_choice
from napari_vae_restore._napari.forms.layer_choice import image_choice

if TYPE_CHECKING:
    from napari import Viewer

_SPACING = 6  # pixels between rows
_BESIDE = 4  # pixels between a field and its button
_LABEL_WIDTH = 62
"""Least width of the labels in pixels, so that forms line up with each other."""


class Row(Container[Widget]):
    """Fields side by side, and buttons behind them."""

    def __init__(
        self, *fields: Widget, buttons: Sequence[QPushButton] = (), label: str = ""
    ) -> None:
        super().__init__(widgets=fields, layout="horizontal", labels=False, label=label)
        self.margins = (0, 0, 0, 0)
        self.native.layout().setSpacing(_BESIDE)
        for push in buttons:
            self.native.layout().addWidget(push)
        self.tooltip = next((each.tooltip for each in fields if each.tooltip), None)


class Form(Container[Widget]):
    """Rows of fields, the rarer ones in a fold; `changed` is emitted for each of them."""

    def __init__(self, rows: Sequence[Widget], rare: Sequence[Widget]) -> None:
        self.rare = Container(widgets=rare)
        super().__init__(widgets=rows)
        for each in (self, self.rare):
            each.margins = (0, 0, 0, 0)
            each.native.layout().setSpacing(_SPACING)
        self.rare.native.layout().setContentsMargins(0, _SPACING, 0, 0)
        self.fold = Fold("Advanced", self.rare.native)
        self.native.layout().addWidget(self.fold)
        self.rare.changed.connect(lambda: self.changed.emit(self))
        self.align_labels()

    def asdict(self) -> dict[str, Any]:
        """The values of all fields that have a name."""
        return {name: field.value for name, field in self._named().items()}

    def update(
        self, mapping: Mapping[Any, Any] | Iterable[tuple[str, Any]] = (), **kwargs: Any
    ) -> None:
        """Set fields by name; a value that a field cannot hold changes nothing."""
        fields = self._named()
        for name, value in {**dict(mapping), **kwargs}.items():
            if name in fields:
                with suppress(ValueError, TypeError):
                    fields[name].value = value

    def reset_choices(self, *_: Any) -> None:
        """Offer the layers, models and devices that there are now."""
        super().reset_choices()
        self.rare.reset_choices()

    def align_labels(self) -> None:
        """Make labels as wide as the widest, in the font that the window has now."""
        labels = [*_labels(self), *_labels(self.rare)]
        for label in labels:
            label.ensurePolished()
        width = max((label.sizeHint().width() for label in labels), default=0)
        for label in labels:
            label.setFixedWidth(max(width, _LABEL_WIDTH))

    def _named(self) -> dict[str, BaseValueWidget[Any]]:
        return {each.name: each for each in _fields(self) if each.name}

    def _insert_widget(self, index: int, widget: Widget) -> None:
        """A heading has no label before it."""
        self._labels = not isinstance(widget, Label)
        super()._insert_widget(index, widget)
        self._labels = True

    def _unify_label_widths(self) -> None:
        """Magicgui would measure labels once, before they have the font of the window."""


class LayerForm(Form):
    """A layer and its axes, more rows, and where to compute."""

    def __init__(
        self, viewer: Viewer, rows: Sequence[Widget], rare: Sequence[Widget] = ()
    ) -> None:
        self.layers, self.axes, self.device = image_choice(viewer), AxesEdit(), device_choice()
        # Before the form hears of another layer, its axes are guessed.
        self.layers.changed.connect(self.axes.guess)
        self.axes.guess(self.layers.value)
        super().__init__([self.layers, self.axes, *rows, self.device], rare)


class Fold(QCollapsible):  # type: ignore[misc, unused-ignore]
    """Fields that are folded away until they are asked for."""

    def __init__(self, title: str, content: QWidget) -> None:
        super().__init__(title, expandedIcon=QIcon(), collapsedIcon=QIcon())
        self._title = title
        self.setDuration(0)
        self.layout().setContentsMargins(0, 0, 0, 0)
        self.layout().setSpacing(0)
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


def title(text: str) -> Label:
    """The heading of the rows below it."""
    return Label(value=f"<b>{text}</b>")


def _fields(container: Container[Widget]) -> Iterator[BaseValueWidget[Any]]:
    """All fields, those in rows and folds included."""
    for each in container:
        if isinstance(each, Container):
            yield from _fields(each)
        elif isinstance(each, BaseValueWidget):
            yield each
    if isinstance(container, Form):
        yield from _fields(container.rare)


def _labels(container: Container[Widget]) -> list[QLabel]:
    """The labels before the rows, where magicgui puts them."""
    layout = container.native.layout()
    rows = (layout.itemAt(i).widget().layout() for i in range(len(container)))
    first = (row.itemAt(0).widget() for row in rows if row is not None)
    return [each for each in first if isinstance(each, QLabel)]
