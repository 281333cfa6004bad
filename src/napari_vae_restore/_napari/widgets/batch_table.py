"""The table of a batch: one row an image, with what became of it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QAbstractTableModel, QModelIndex, Qt, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
    QWidget,
)

if TYPE_CHECKING:
    from napari_vae_restore.batch.plan import Job

_HEADINGS = _IMAGE, _STATUS = "Image", "Status"
_ROWS_SHOWN = 8
_NO_PARENT = QModelIndex()


class JobModel(QAbstractTableModel):  # type: ignore[misc, unused-ignore]
    """Jobs as rows; text is made of those only that are in view, however many there are."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.jobs: list[Job] = []
        self._shares: dict[int, float] = {}
        self._folder: str | None = None

    def reset(self, jobs: Sequence[Job]) -> None:
        self.beginResetModel()
        self.jobs, self._shares = list(jobs), {}
        self._folder = _shared_folder([job.files.image for job in jobs])
        self.endResetModel()

    def change(self, row: int, job: Job, share: float | None) -> None:
        """Show what became of a job, and its share while it is at work."""
        self.jobs[row] = job
        self._shares.pop(row, None)
        if share is not None:
            self._shares[row] = share
        cell = self.index(row, _HEADINGS.index(_STATUS))
        self.dataChanged.emit(cell, cell)

    def status(self, row: int) -> str:
        job = self.jobs[row]
        state = str(job.state.value)
        if job.reason:
            # The image is named beside it.
            why = job.reason.removeprefix(f"Cannot read {job.files.image}: ")
            return f"{state}: {why.rstrip('.')}"
        return f"{state} {self._shares[row]:.0%}" if row in self._shares else state

    def rowCount(self, parent: QModelIndex = _NO_PARENT) -> int:  # noqa: N802 - Qt's name
        return 0 if parent.isValid() else len(self.jobs)

    def columnCount(self, parent: QModelIndex = _NO_PARENT) -> int:  # noqa: N802 - Qt's name
        return 0 if parent.isValid() else len(_HEADINGS)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        job = self.jobs[index.row()]
        is_image = _HEADINGS[index.column()] == _IMAGE
        if role == Qt.ItemDataRole.DisplayRole:
            return self.name(job.files.image) if is_image else self.status(index.row())
        if role == Qt.ItemDataRole.ToolTipRole:
            return f"{job.files.image}\n→ {job.files.mean}" if is_image else job.reason
        return None

    def headerData(  # noqa: N802 - Qt's name
        self,
        section: int,
        orientation: Qt.Orientation,
        role: int = Qt.ItemDataRole.DisplayRole,
    ) -> Any:
        is_text = role == Qt.ItemDataRole.DisplayRole
        return _HEADINGS[section] if is_text and orientation == _ACROSS else None

    def name(self, image: Path) -> str:
        """An image without the folder that all share."""
        if self._folder is None:
            return str(image)
        return os.path.relpath(image.absolute(), self._folder)


_ACROSS = Qt.Orientation.Horizontal


class JobTable(QTableView):  # type: ignore[misc, unused-ignore]
    """Images and their states; a double click asks for the result of one."""

    opened = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._rows = JobModel(self)
        self.setModel(self._rows)
        self.show_jobs, self.name = self._rows.reset, self._rows.name
        self.verticalHeader().hide()
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setItemDelegateForColumn(_HEADINGS.index(_STATUS), _CutAtTheEnd(self))
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        header = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        header.setHighlightSections(False)
        self.setMinimumHeight(_ROWS_SHOWN * self.verticalHeader().defaultSectionSize())
        self.setToolTip("Double-click an image that is restored to see it beside its result")
        self.doubleClicked.connect(lambda cell: self.opened.emit(self._rows.jobs[cell.row()]))

    @property
    def jobs(self) -> tuple[Job, ...]:
        return tuple(self._rows.jobs)

    def statuses(self) -> list[str]:
        return [self._rows.status(row) for row in range(self._rows.rowCount())]

    def show_job(self, row: int, job: Job, share: float | None = None) -> None:
        began = self._rows.jobs[row].state is not job.state
        self._rows.change(row, job, share)
        if began:
            self.scrollTo(self._rows.index(row, 0))

    def interrupt(self) -> None:
        """Say of an image that was at work when all was stopped that it is waiting."""
        for row, job in enumerate(self._rows.jobs):
            if job.state.name == "RUNNING":
                self.show_job(row, replace(job, state=type(job.state).WAITING))


class _CutAtTheEnd(QStyledItemDelegate):  # type: ignore[misc, unused-ignore]
    """Cuts long text at its end, where the names of files are cut in the middle."""

    def initStyleOption(  # noqa: N802 - Qt's name
        self, option: QStyleOptionViewItem, index: QModelIndex
    ) -> None:
        super().initStyleOption(option, index)
        option.textElideMode = Qt.TextElideMode.ElideRight


def _shared_folder(images: Sequence[Path]) -> str | None:
    """The folder that all images lie below; None where they lie on several drives."""
    parents = {str(path.absolute().parent) for path in images}
    try:
        return os.path.commonpath(parents) if parents else None
    except ValueError:
        return None
