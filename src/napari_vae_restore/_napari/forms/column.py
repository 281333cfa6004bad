"""A column of fields in a dock: it scrolls, and looks like one piece in any font and theme."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, Qt, Signal
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QFrame, QLabel, QScrollArea, QWidget

_MIN_WIDTH = 344  # pixels: a label, a choice and two buttons side by side, a scroll bar

# What napari's themes leave out: buttons that are as large as when they are disabled, so that
# nothing jumps, and text fields and tables in the size of the labels.
_STYLE = """
QPushButton:enabled {{ border: 1px solid transparent; }}
QLineEdit, QTableView, QHeaderView {{ font-size: {points}pt; }}
"""


class Column(QScrollArea):  # type: ignore[misc, unused-ignore]
    """Content that a low window can scroll, but never sideways: it is as wide as it needs."""

    restyled = Signal()
    """The window's font or theme is another."""

    def __init__(self, content: QWidget, parent: QWidget) -> None:
        super().__init__(parent)
        self._style = ""
        self._label = QLabel(self)
        self._label.hide()
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setMinimumWidth(_MIN_WIDTH)
        self.setWidget(content)

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        super().showEvent(event)
        self._match_style()

    def changeEvent(self, event: QEvent) -> None:  # noqa: N802 - Qt's name
        super().changeEvent(event)
        if event.type() in (QEvent.Type.StyleChange, QEvent.Type.FontChange):
            self._match_style()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 - Qt's name
        """Grow with the content, whose fonts may be large; see Qt."""
        content = self.widget()
        if event.type() == QEvent.Type.LayoutRequest and content is not None:
            bar = self.verticalScrollBar().sizeHint().width()
            needed = content.minimumSizeHint().width() + bar
            self.setMinimumWidth(max(_MIN_WIDTH, needed))
        return bool(super().eventFilter(watched, event))

    def _match_style(self) -> None:
        self.restyled.emit()
        self._label.ensurePolished()
        style = _STYLE.format(points=self._label.font().pointSize())
        if style != self._style:
            self._style = style
            self.setStyleSheet(style)
