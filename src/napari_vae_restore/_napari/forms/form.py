"""Forms on magicgui: rows of labelled fields whose values are one flat dict."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from magicgui.widgets import Container, Label
from magicgui.widgets.bases import BaseValueWidget, Widget
from qtpy.QtWidgets import QLabel, QPushButton

from napari import Viewer
from napari_vae_restore._napari.forms.fields import AxesEdit, device_choice, toggle
from napari_vae_restore._napari.forms.layer_choice import image_choice
from napari_vae_restore._napari.layers.placement import layer_data
from napari_vae_restore._napari.messages import Source

NO_LAYER = "Open an image first, or try one from File ▸ Open Sample ▸ VAE Restore."

_SPACING = 6  # pixels between rows
_BESIDE = 4  # pixels between a field and its button
_LABEL_WIDTH = 62  # pixels at least, so that forms line up with each other


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
    """Rows of fields, the rarer ones folded away; `changed` is emitted for each of them."""

    def __init__(self, rows: Sequence[Widget], rare: Sequence[Widget]) -> None:
        super().__init__(widgets=[*rows, *rare])
        self.margins = (0, 0, 0, 0)
        layout = self.native.layout()
        layout.setSpacing(_SPACING)
        self._rare = rare
        self.fold = toggle("", "Show or hide the rarer settings", self._on_fold)
        # An arrow in the text has the colour of the theme's text, an icon has not.
        self.fold.setStyleSheet(
            "text-align: left; background: transparent; border: none; padding: 2px 5px;"
        )
        layout.insertWidget(len(rows), self.fold)
        self._on_fold(False)
        self.align_labels()

    @property
    def problem(self) -> str:
        """What is missing or wrong, in words; empty if nothing is."""
        return ""

    @property
    def hint(self) -> str:
        """What to do next, in words, when there is no problem."""
        return ""

    def follow(self) -> None:
        """Enable and show the fields that depend on others."""

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

    def align_labels(self) -> None:
        """Make labels as wide as the widest, in the font that the window has now."""
        layout = self.native.layout()
        rows = (layout.itemAt(i).widget().layout() for i in range(layout.count()))
        first = (row.itemAt(0).widget() for row in rows if row is not None)
        labels = [each for each in first if isinstance(each, QLabel)]
        for label in labels:
            label.ensurePolished()
        width = max((label.sizeHint().width() for label in labels), default=0)
        for label in labels:
            label.setFixedWidth(max(width, _LABEL_WIDTH))

    def _named(self) -> dict[str, BaseValueWidget[Any]]:
        """All fields that have a name, those in rows included."""
        rows = (each if isinstance(each, Container) else [each] for each in self)
        fields = (each for row in rows for each in row if isinstance(each, BaseValueWidget))
        return {each.name: each for each in fields if each.name}

    def _on_fold(self, is_open: bool) -> None:
        self.fold.setText(f"{'▾' if is_open else '▸'}  Advanced")
        for each in self._rare:
            each.visible = is_open

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

    @property
    def problem(self) -> str:
        return NO_LAYER if self.layers.value is None else self.axes.problem

    @property
    def source(self) -> Source:
        """The chosen layer's pixels and axes."""
        return Source(layer_data(self.layers.value), self.axes.axes)


def title(text: str) -> Label:
    """The heading of the rows below it."""
    return Label(value=f"<b>{text}</b>")
