"""Many files on the command line: the plan as a table, the run with a bar, the results."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import typer

from napari_vae_restore.batch.inputs import FoundImage
from napari_vae_restore.batch.plan import Batch, Job, State, counted, iter_plan
from napari_vae_restore.batch.run import BatchProgress, iter_batch
from napari_vae_restore.cli import reports, terminal
from napari_vae_restore.errors import VAERestoreError
from napari_vae_restore.generators import drain

SOME_FAILED = 1
"""Exit status where some of several files could not be restored."""

_ACTIONS = {State.WAITING: "restore", State.KEPT: "keep", State.FAILED: "fail"}
"""What a plan does with an image, by the state of its job."""


def restore_batch(batch: Batch, *, dry_run: bool) -> None:
    """Restore many files and report each, or show the plan; exits with 1 if some failed."""
    with terminal.working("Looking at what is there"):
        jobs = drain(iter_plan(batch))
    waiting = [job for job in jobs if job.state is State.WAITING]
    if waiting:
        for departure in batch.request_of(waiting[0].mask).departures(batch.model):
            terminal.complain("warning", departure)
    if dry_run:
        show_plan(jobs)
        return
    started = time.monotonic()
    ended = list(jobs)
    try:
        with terminal.progress_bar("Batch") as update:
            for progress in iter_batch(batch, jobs):
                ended[progress.number] = progress.job
                _report(progress)
                name = progress.job.files.image.name
                update(progress.fraction, f"{progress.number + 1} of {len(jobs)}: {name}")
    except KeyboardInterrupt:
        terminal.note(f"{counted(ended)}: the same command goes on with the rest")
        raise
    terminal.report(
        [
            ("Batch", f"{counted(ended)}, in {time.monotonic() - started:.1f} s"),
            ("Results", str(batch.output)),
        ]
    )
    failed = [job for job in ended if job.state is State.FAILED]
    for job in failed:
        terminal.complain("failed", f"{job.files.image}: {job.reason}")
    if failed:
        raise typer.Exit(SOME_FAILED)


def show_plan(jobs: Sequence[Job]) -> None:
    """Write the plan as a table: action, image, output, and mask or reason."""
    rows = [("Plan", "Image", "Output", "")]
    for job in jobs:
        more = job.reason or ("" if job.mask is None else f"mask {job.mask}")
        files = job.files
        rows.append((_ACTIONS[job.state], str(files.image), str(files.mean), more))
    terminal.table(rows)
    counts = counted(jobs, waiting="to restore")
    terminal.report([("In all", f"{counts}; nothing was done")])


def each_file(found: Sequence[FoundImage], act: Callable[[FoundImage], None]) -> None:
    """Do the same with many files; lists those that failed, and then exits with 1."""
    failed = []
    for each in found:
        try:
            act(each)
        except VAERestoreError as error:
            failed.append(f"{each.path}: {error}")
    for reason in failed:
        terminal.complain("failed", reason)
    if failed:
        raise typer.Exit(SOME_FAILED)


def _report(progress: BatchProgress) -> None:
    """One line for a file that is written or has failed."""
    files = progress.job.files
    if progress.job.state is State.FAILED:
        terminal.report([("Failed", str(files.image))])
    elif progress.restored is not None:
        diagnostics = progress.restored.diagnostics
        if diagnostics is None:
            terminal.report([("Done", f"{files.mean}, before")])
            return
        found = reports.describe_channels(diagnostics.noise) if diagnostics.noise else ""
        parts = [str(files.mean), f"{diagnostics.seconds:.1f} s", found]
        terminal.report([("Restored", ", ".join(part for part in parts if part))])
        for warning in diagnostics.warnings:
            terminal.complain("warning", f"{files.image.name}: {warning}")
