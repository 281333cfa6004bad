"""The *Batch* widget: many files restored as one, into a folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_vae_restore._napari.forms.batch_form import BatchForm
from napari_vae_restore._napari.forms.fields import button
from napari_vae_restore._napari.jobs.batch_steps import (
    BatchPlanned,
    BatchRequest,
    batch_steps,
    open_steps,
    plan_steps,
    recipe_steps,
)
from napari_vae_restore._napari.messages import Stopwatch, Update, duration
from napari_vae_restore._napari.widgets.batch_table import JobTable
from napari_vae_restore._napari.widgets.task_widget import TaskWidget

if TYPE_CHECKING:
    import napari.viewer

    from napari_vae_restore._napari.jobs.batch_steps import BatchTask
    from napari_vae_restore._napari.layers.files import OpenedFile
    from napari_vae_restore.batch.plan import Job
    from napari_vae_restore.batch.run import BatchProgress


class BatchWidget(TaskWidget):
    """Restores files of folders, one after the other, past those that cannot be restored."""

    header: BatchForm

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__(viewer)
        self._watch = Stopwatch(0)
        self._output = ""
        self.table = JobTable(self)
        self.dry_button = button(
            "Dry run", "Show what would be done with which image, and do nothing", self.dry_run
        )
        self.run_button = button("Run", "Restore all images into the folder", self.run)
        self.cancel_button = button(
            "Cancel", "Stop; what is restored stays, and Run goes on with the rest", self.cancel
        )
        form = BatchForm(viewer)
        self._show_form(form, form.models)
        self._add_buttons(self.dry_button, self.run_button, self.cancel_button)
        self._layout.addWidget(self.panel)
        self._layout.addWidget(self.table, 1)
        form.what.file_chosen.connect(self.open_recipe)
        self.table.opened.connect(self.show_result)
        self._refresh()

    def dry_run(self) -> None:
        """Show what would be done, and do nothing."""
        if not self.is_busy and not self.header.problem:
            steps = plan_steps(self._wanted(), self.header.models.model)
            self._launch(steps, layer=None, on_success=self._on_planned)

    def run(self) -> None:
        """Restore all images."""
        if not self.is_busy and not self.header.problem:
            self._watch, self._output = Stopwatch(0), self.header.output.text
            steps = batch_steps(self._wanted(), self.header.models.model)
            self._launch(steps, layer=None, on_success=self._on_ended)

    def open_recipe(self, path: str) -> None:
        """Offer what a file says as a task, and choose it."""
        if not self.is_busy:
            self._launch(recipe_steps(Path(path)), layer=None, on_success=self._on_recipe)

    def show_result(self, job: Job) -> None:
        """Show an image and its result as layers, if there is one."""
        if not self.is_busy and job.files.mean.exists():
            self._launch(open_steps(job), layer=None, on_success=self._on_opened)

    def _wanted(self) -> BatchRequest:
        header = self.header
        what = header.what.what
        return BatchRequest(
            images=header.images.text,
            output=header.output.text,
            what=what,
            masks=header.masks.text if what.fills else "",
            axes=header.axes.axes,
            suffix=str(header.suffix.value).strip(),
            overwrite=header.existing.value,
            device=header.device.value,
        )

    def _hint(self) -> str:
        return self.header.problem or (
            "Dry run shows what would be done; Run restores all images, and goes on with the "
            "rest if it was stopped before."
        )

    def _refresh(self) -> None:
        super()._refresh()
        ready = not self.is_busy and not self.header.problem
        self.header.enabled = not self.is_busy
        self.dry_button.setEnabled(ready)
        self.run_button.setEnabled(ready)
        self.cancel_button.setEnabled(self._job is not None and not self._job.is_cancelled)

    def _on_message(self, message: Any) -> None:
        super()._on_message(message)
        if isinstance(message, BatchPlanned):
            self.table.show_jobs(message.jobs)
        elif not isinstance(message, Update):
            self._on_progress(message)

    def _on_progress(self, progress: BatchProgress) -> None:
        share = progress.share if progress.share < 1 else None
        self.table.show_job(progress.number, progress.job, share)
        name = self.table.name(progress.job)
        text = f"{progress.number + 1} of {len(self.table.jobs)}: {name}"
        self.panel.update_progress(Update(text, progress.fraction, progress.seconds_left))

    def _on_planned(self, jobs: Sequence[Job]) -> None:
        self._say(f"{_counted(jobs, waiting='to restore')}. Nothing was done.")

    def _on_ended(self, jobs: Sequence[Job]) -> None:
        took = duration(self._watch.elapsed)
        self._say(f"{_counted(jobs)}, in {took}. The results are in {self._output}.")

    def _on_cancelled(self) -> None:
        super()._on_cancelled()
        self.table.interrupt()
        if self.table.jobs:
            self._say(f"Cancelled: {_counted(self.table.jobs)}. Run goes on with the rest.")

    def _on_recipe(self, what: BatchTask) -> None:
        self.header.what.add(what)

    def _on_opened(self, opened: tuple[OpenedFile, OpenedFile]) -> None:
        for each in opened:
            self._viewer.add_image(each.data, **each.options)


def _counted(jobs: Sequence[Job], **words: str) -> str:
    """What became of jobs; torch, which this brings in, is there after the first run."""
    from napari_vae_restore.batch.plan import counted

    return counted(jobs, **words)
