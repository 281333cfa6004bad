"""The table of a batch: one row an image, with what became of it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QModelIndex, Qt, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableWidget,
    QTableWidgetItem,
)

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget

    from napari_vae_restore.scale.plan import Job

_IMAGE, _STATUS = range(2)
_ROWS_SHOWN = 8


class _CutAtTheEnd(QStyledItemDelegate):  # type: ignore[misc, unused-ignore]
    """Cuts long text at its end, where the names of files are cut in the middle."""

    def initStyleOption(  # noqa: N802 - Qt's name
        self, option: QStyleOptionViewItem, index: QModelIndex
    ) -> None:
        """Say how to cut; see Qt."""
        super().initStyleOption(option, index)
        option.textElideMode = Qt.TextElideMode.ElideRight


class JobTable(QTableWidget):  # type: ignore[misc, unused-ignore]
    """Images and their states; a double click asks for the result of one."""

    opened = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(0, 2, parent)
        self._jobs: list[Job] = []
        self.setHorizontalHeaderLabels(["Image", "Status"])
        self.verticalHeader().hide()
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setItemDelegateForColumn(_STATUS, _CutAtTheEnd(self))
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        header = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        header.setHighlightSections(False)
        row = self.verticalHeader().defaultSectionSize()
        self.setMinimumHeight(_ROWS_SHOWN * row)
        self.setToolTip("Double-click an image that is restored to see it beside its result")
        self.cellDoubleClicked.connect(self._on_double_clicked)

    @property
    def jobs(self) -> tuple[Job, ...]:
        """What is shown."""
        return tuple(self._jobs)

    def statuses(self) -> list[str]:
        """What the rows say."""
        return [str(self.item(row, _STATUS).text()) for row in range(self.rowCount())]

    def show_jobs(self, jobs: Sequence[Job]) -> None:
        """Show a plan."""
        self._jobs = list(jobs)
        self.setRowCount(0)
        self.setRowCount(len(jobs))
        names = _names([job.files.image for job in jobs])
        for row, (job, name) in enumerate(zip(jobs, names, strict=True)):
            item = QTableWidgetItem(name)
            item.setToolTip(f"{job.files.image}\n→ {job.files.mean}")
            self.setItem(row, _IMAGE, item)
            self.setItem(row, _STATUS, QTableWidgetItem())
            self.show_job(row, job)

    def show_job(self, row: int, job: Job, share: float | None = None) -> None:
        """Show how far one image is.

        Parameters
        ----------
        row : int
            Which.
        job : Job
            As it is now.
        share : float, optional
            Of the image, where it is being restored.
        """
        state = job.state.value
        text = f"{state} {share:.0%}" if share is not None else state
        if job.reason:
            # The image is named beside it.
            why = job.reason.removeprefix(f"Cannot read {job.files.image}: ")
            text = f"{state}: {why.rstrip('.')}"
        began = self._jobs[row].state is not job.state
        self._jobs[row] = job
        item = self.item(row, _STATUS)
        item.setText(text)
        item.setToolTip(job.reason)
        if began:
            self.scrollToItem(item)

    def interrupt(self) -> None:
        """Say of an image that was at work when all was stopped that it is waiting."""
        for row, job in enumerate(self._jobs):
            if job.state.name == "RUNNING":
                self.show_job(row, replace(job, state=type(job.state).WAITING))

    def _on_double_clicked(self, row: int, column: int) -> None:
        self.opened.emit(self._jobs[row])


def _names(images: Sequence[Path]) -> list[str]:
    """Images as short as they stay different: without the folder that they share."""
    parents = {str(path.absolute().parent) for path in images}
    try:
        shared = os.path.commonpath(parents) if parents else ""
    except ValueError:  # on several drives
        return [str(path) for path in images]
    return [os.path.relpath(path.absolute(), shared) for path in images]
