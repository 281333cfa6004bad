"""The *Batch* widget: many files restored as one, into a folder."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import napari.viewer

from napari_vae_restore._napari.forms.batch_form import BatchForm
from napari_vae_restore._napari.jobs.batch_steps import (
    BatchPlanned,
    batch_steps,
    open_steps,
    plan_steps,
    recipe_steps,
)
from napari_vae_restore._napari.layers.files import OpenedFile
from napari_vae_restore._napari.messages import Stopwatch, Update, duration
from napari_vae_restore._napari.widgets.batch_table import JobTable
from napari_vae_restore._napari.widgets.task_widget import TaskWidget

if TYPE_CHECKING:
    from napari_vae_restore.batch.plan import Job
    from napari_vae_restore.batch.run import BatchProgress


class BatchWidget(TaskWidget):
    """Restores files of folders, one after the other, past those that cannot be restored."""

    header: BatchForm

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        form = BatchForm(viewer)
        super().__init__(viewer, form, form.models)
        self._watch = Stopwatch(0)
        self.table = JobTable(self)
        about = "Show what would be done with which image, and do nothing"
        self.dry_button = self.button("Dry run", about, self.dry_run)
        self.run_button = self.button("Run", "Restore all images into the folder", self.run)
        about = "Stop; what is restored stays, and Run goes on with the rest"
        self.cancel_button = self.make_cancel_button(about)
        self.add_row(self.dry_button, self.run_button, self.cancel_button)
        self.add(self.panel)
        self._layout.addWidget(self.table, 1)
        form.recipe_chosen.connect(self.open_recipe)
        self.table.opened.connect(self.show_result)
        self.refresh()

    def dry_run(self) -> None:
        """Show what would be done, and do nothing."""
        if self.is_ready:
            steps = plan_steps(self.header.request, self.header.models.model)
            self.launch(steps, self._on_planned)

    def run(self) -> None:
        if self.is_ready:
            self._watch, request = Stopwatch(0), self.header.request
            steps = batch_steps(request, self.header.models.model)
            self.launch(steps, partial(self._on_ended, request.output))

    def open_recipe(self, path: str) -> None:
        """Offer what a file says as a task, and choose it."""
        if not self.is_busy:
            self.launch(recipe_steps(Path(path)), self.header.what.add)

    def show_result(self, job: Job) -> None:
        """Show an image and its result as layers, if there is one."""
        if not self.is_busy and job.files.mean.exists():
            self.launch(open_steps(job), self._on_opened)

    def _on_message(self, message: Any) -> None:
        super()._on_message(message)
        if isinstance(message, BatchPlanned):
            self.table.show_jobs(message.jobs)
        elif not isinstance(message, Update):
            self._on_progress(message)

    def _on_progress(self, progress: BatchProgress) -> None:
        share = progress.share if progress.share < 1 else None
        self.table.show_job(progress.number, progress.job, share)
        name = self.table.name(progress.job.files.image)
        text = f"{progress.number + 1} of {len(self.table.jobs)}: {name}"
        self.panel.update_progress(Update(text, progress.fraction, progress.seconds_left))

    def _on_planned(self, jobs: Sequence[Job]) -> None:
        self.say(f"{_counted(jobs, waiting='to restore')}. Nothing was done.")

    def _on_ended(self, output: str, jobs: Sequence[Job]) -> None:
        took = duration(self._watch.elapsed)
        self.say(f"{_counted(jobs)}, in {took}. The results are in {output}.")

    def _on_cancelled(self) -> None:
        super()._on_cancelled()
        self.table.interrupt()
        if self.table.jobs:
            self.say(f"Cancelled: {_counted(self.table.jobs)}. Run goes on with the rest.")

    def _on_opened(self, opened: tuple[OpenedFile, OpenedFile]) -> None:
        for each in opened:
            self.viewer.add_image(each.data, **each.options)


def _counted(jobs: Sequence[Job], **words: str) -> str:
    """What became of jobs; torch, which this brings in, is there after the first run."""
    from napari_vae_restore.batch.plan import counted

    return counted(jobs, **words)
