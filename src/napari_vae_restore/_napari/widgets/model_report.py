"""The report of a model in a window of its own: what it saw, reached and imagines.

What is said is worded in :mod:`napari_vae_restore.reports.model_report`; here it is laid out.
"""

from __future__ import annotations

from collections.abc import Generator
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from napari.utils.notifications import show_error
from numpy.typing import NDArray
from qtpy.QtCore import Qt
from qtpy.QtGui import QImage, QPixmap
from qtpy.QtWidgets import (
    QDialog,
    QFileDialog,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_vae_restore._napari.messages import Update
from napari_vae_restore.errors import VAERestoreError

if TYPE_CHECKING:
    from napari_vae_restore.models.model import Model
    from napari_vae_restore.reports.model_report import ModelReport
    from napari_vae_restore.reports.model_words import Rows

_LABEL_WIDTH, _TEXT_WIDTH = 90, 400
_BAR_WIDTH, _BAR_HEIGHT = 190, 10
_SHEET_SIDE = 524
"""Pixels: a sheet of 4 × 4 samples of 64 × 64, twice as large."""
_BAR_STYLE = "background: #4c9be8; border: none; border-radius: 2px;"
_BUTTON_STYLE = "padding: 5px 14px;"
_TITLE_STYLE = "font-weight: bold;"
_LABEL_STYLE = "color: #808998;"
"""A grey that differs from the text in dark and in light themes."""


def report_steps(model: Model | str) -> Generator[Update, None, ModelReport]:
    """Make the report of a model."""
    yield Update("Looking at the model…")
    from napari_vae_restore.models.bundled import find_model
    from napari_vae_restore.reports.model_report import report_of

    return report_of(find_model(model))


class ModelReportDialog(QDialog):  # type: ignore[misc, unused-ignore]
    """A report to read, and to save as a page."""

    def __init__(self, report: ModelReport, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        from napari_vae_restore.reports.model_report import sheet

        self._report = report
        self.setWindowTitle(f"About “{report.name}”")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        words = QVBoxLayout()
        words.setSpacing(8)
        words.addWidget(_table(report.rows()))
        words.addWidget(_title("KL per level, nats per pixel"))
        words.addLayout(_bars(report.kl_rows()))
        if figures := report.figure_rows():
            words.addWidget(_title("Figures"))
            words.addWidget(_table(figures))
        words.addStretch(1)
        pictures = QVBoxLayout()
        pictures.setSpacing(8)
        pictures.addWidget(_title("What it imagines: samples, nothing given"))
        self.samples = QLabel(self)
        self.samples.setPixmap(_pixmap(sheet(report.samples)))
        self.samples.setToolTip(
            "Drawn from the model's prior. Contrast stretched alike for all"
        )
        pictures.addWidget(self.samples)
        pictures.addStretch(1)
        both = QHBoxLayout()
        both.setSpacing(24)
        both.addLayout(words)
        both.addLayout(pictures)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(16, 16, 16, 12)
        layout.setSpacing(12)
        layout.addLayout(both)
        layout.addLayout(self._buttons())
        layout.setSizeConstraint(QVBoxLayout.SizeConstraint.SetFixedSize)

    def save(self, path: str) -> None:
        """Write the report as a page, over whatever is there: the file dialog has asked."""
        from napari_vae_restore.reports.model_page import write_report

        target = Path(path)
        if target.suffix.lower() != ".html":
            target = target.with_name(f"{target.name}.html")
        try:
            write_report(self._report, target, overwrite=True)
        except VAERestoreError as error:
            show_error(str(error))

    def _buttons(self) -> QHBoxLayout:
        save, close = QPushButton("Save as a page…", self), QPushButton("Close", self)
        save.setToolTip("One HTML file, with the samples in it")
        save.clicked.connect(self._choose_file)
        close.clicked.connect(self.close)
        close.setDefault(True)
        for each in (save, close):
            each.setStyleSheet(_BUTTON_STYLE)
        row = QHBoxLayout()
        row.addStretch(1)
        row.addWidget(save)
        row.addWidget(close)
        return row

    def _choose_file(self) -> None:
        name = f"{self._report.name}.report.html"
        path, _ = QFileDialog.getSaveFileName(self, "Save the report", name, "Page (*.html)")
        if path:
            self.save(path)


def _table(rows: Rows) -> QLabel:
    # One text, because labels of several lines do not line up in a grid. What stands in
    # it is escaped: a model's author chose its names.
    lines = (
        f"<tr><td width={_LABEL_WIDTH} style='{_LABEL_STYLE} padding: 3px 12px 3px 0px'>"
        f"{escape(label)}</td>"
        f"<td width={_TEXT_WIDTH} style='padding: 3px 0px'>{escape(text)}</td></tr>"
        for label, text in rows
    )
    table = QLabel(f"<table cellspacing=0>{''.join(lines)}</table>")
    table.setTextFormat(Qt.TextFormat.RichText)
    table.setWordWrap(True)
    table.setFixedWidth(_LABEL_WIDTH + _TEXT_WIDTH)
    table.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return table


def _bars(levels: list[tuple[str, float]]) -> QGridLayout:
    grid = QGridLayout()
    grid.setHorizontalSpacing(12)
    grid.setVerticalSpacing(4)
    largest = max([value for _, value in levels] + [1e-12])
    for row, (label, value) in enumerate(levels):
        bar = QFrame()
        bar.setFixedSize(max(round(_BAR_WIDTH * value / largest), 2), _BAR_HEIGHT)
        bar.setStyleSheet(_BAR_STYLE)
        grid.addWidget(_label(label, _LABEL_STYLE), row, 0)
        grid.addWidget(bar, row, 1)
        grid.addWidget(_label(f"{value:.4f}"), row, 2)
    if not levels:
        grid.addWidget(_label("not recorded"), 0, 0)
    grid.setColumnMinimumWidth(0, _LABEL_WIDTH)
    grid.setColumnMinimumWidth(1, _BAR_WIDTH)
    grid.setColumnStretch(2, 1)
    return grid


def _title(text: str) -> QLabel:
    return _label(text, _TITLE_STYLE)


def _label(text: str, style: str = "") -> QLabel:
    label = QLabel(text)
    label.setStyleSheet(style)
    return label


def _pixmap(pixels: NDArray[np.uint8]) -> QPixmap:
    """Grey (H, W) or colours (H, W, 3), enlarged to one size."""
    height, width = pixels.shape[:2]
    is_grey = pixels.ndim == 2
    form = QImage.Format.Format_Grayscale8 if is_grey else QImage.Format.Format_RGB888
    data = np.ascontiguousarray(pixels)
    image = QImage(data.data, width, height, data.strides[0], form).copy()
    scaled = QPixmap.fromImage(image).scaled(
        _SHEET_SIDE, _SHEET_SIDE, Qt.AspectRatioMode.KeepAspectRatio
    )
    return QPixmap(scaled)
