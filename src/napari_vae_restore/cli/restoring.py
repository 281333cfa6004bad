"""Checks, runs and reports of every command that restores images, one or many."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from napari_vae_restore.batch.choices import ALWAYS, MISSING, POLICIES, SAMPLES, n_drawn
from napari_vae_restore.batch.file_job import (
    Files,
    RestoredFile,
    iter_restore_file,
    sample_paths,
)
from napari_vae_restore.batch.inputs import is_several
from napari_vae_restore.batch.plan import Batch, Job, State, counted, iter_plan
from napari_vae_restore.batch.run import BatchProgress, iter_batch
from napari_vae_restore.cli import reports, terminal
from napari_vae_restore.cli.options import RestoreOptions
from napari_vae_restore.errors import InputError
from napari_vae_restore.generators import drain
from napari_vae_restore.images.zarr_files import is_store
from napari_vae_restore.models.bundled import DEFAULT, find_model
from napari_vae_restore.models.model import Model
from napari_vae_restore.restoration.recipes.replay import Request

# What a plan does with an image, by the state of its job.
_ACTIONS = {State.WAITING: "restore", State.KEPT: "keep", State.FAILED: "fail"}


def restore_files(
    given: RestoreOptions,
    request_of: Callable[[Path | None], Request],
    *,
    mask: Path | None = None,
    inputs: Sequence[Path] = (),
) -> None:
    """Restore one image file into another, or several into a folder.

    `request_of` is given an image's own mask, or None. `inputs` are further files that
    must not be written to. Exits with 1, if some of several files failed.
    """
    if given.existing not in POLICIES:
        raise InputError(
            f"Expected --overwrite {'|'.join(POLICIES)}, but {given.existing!r} came."
        )
    is_folder = given.output.is_dir() and not is_store(given.output)
    if not is_several(given.images) and not is_folder:
        _restore_file(given, request_of(None), [*inputs, *([mask] if mask else [])])
        return

    def own_request_of(own: Path | None) -> Request:
        # A recipe's axes are those of one image, and so is its mask; files say their own.
        request = replace(_with_options(given, request_of(own)), axes=given.axes)
        return request if own is None else replace(request, mask_sha256="")

    batch = Batch(
        given.images,
        given.output,
        own_request_of,
        find_model(given.model or DEFAULT),
        suffix=given.suffix,
        masks=mask if mask is not None and mask.is_dir() and not is_store(mask) else None,
        n_kept=given.samples or 0,
        uncertainty=given.uncertainty,
        overwrite=given.existing,
        device=given.device,
        shard=given.shard,
        client=given.scheduler,
    )
    _restore_batch(batch, dry_run=given.dry_run)


def _restore_file(given: RestoreOptions, request: Request, inputs: Sequence[Path]) -> None:
    """Restore an image file, write the outputs, and report; options outweigh the request."""
    _check_for_one_file(given)
    request = _with_options(given, request)
    image, output = given.images[0], given.output
    files = Files(image, output, sample_paths(output, given.samples or 0), given.uncertainty)
    is_left = given.existing == MISSING and output.is_file()
    if given.model not in (None, DEFAULT):
        inputs = [Path(str(given.model)), *inputs]
    overwrite = given.existing == ALWAYS
    files.check([image, *inputs], overwrite=overwrite or is_left)
    if given.dry_run or is_left:
        _show_plan([Job(files, state=State.KEPT if is_left else State.WAITING)])
        return
    model = find_model(given.model or DEFAULT)
    for departure in request.departures(model):
        terminal.complain("warning", departure)
    steps = iter_restore_file(
        files,
        request,
        model,
        device=given.device,
        overwrite=overwrite,
        shard=given.shard,
        client=given.scheduler,
    )
    try:
        done = terminal.run_restoration(steps, reports.title(request.tasks))
    except KeyboardInterrupt:
        if is_store(files.mean):
            terminal.note("what is done is kept: the same command goes on with the rest")
        raise
    _report_file(done, model)


def _check_for_one_file(given: RestoreOptions) -> None:
    """Raise InputError for an option of folders or stores that was given for one file."""
    if given.suffix:
        raise InputError(
            "Expected a folder as OUT with --suffix, which names the files in it: leave it out "
            "or name a folder."
        )
    if is_store(given.output):
        return
    for name, value in (("--scheduler", given.scheduler), ("--shard", given.shard)):
        if value:
            raise InputError(
                f"Expected an output that ends in .zarr for {name}, but {given.output.name} "
                "came: other files are written by this process, in one piece."
            )


def _with_options(given: RestoreOptions, request: Request) -> Request:
    """The request, its values replaced by given options."""
    if given.model is None and request.model != DEFAULT:
        raise InputError(
            f"The recipe was made with the model {request.model!r}, whose file it does not "
            "hold: give it, --model FILE."
        )
    return replace(
        request,
        axes=given.axes or request.axes,
        n_samples=n_drawn(
            given.samples,
            has_uncertainty=given.uncertainty is not None,
            usual=request.n_samples if request.n_samples > 1 else SAMPLES,
        ),
        tile=request.tile if given.tile is None else given.tile,
        seed=request.seed if given.seed is None else given.seed,
    )


def _report_file(done: RestoredFile, model: Model) -> None:
    files, diagnostics = done.files, done.diagnostics
    std = [] if files.std is None else [files.std]
    saved = ("Saved", ", ".join(map(str, [files.mean, *std, *files.samples])))
    if diagnostics is None:
        terminal.report([("Done", "before, by the same command: nothing to do"), saved])
        return
    where = f"{diagnostics.seconds:.1f} s on {diagnostics.device}"
    rows = [reports.describe_task(task, done.source, done.axes) for task in done.tasks]
    terminal.report(
        [
            ("Image", f"{done.axes} {reports.describe_size(done.source)}, {where}"),
            ("Model", model.name),
            *(row for each in rows for row in each),
            *reports.describe_diagnostics(diagnostics),
            saved,
        ]
    )
    for warning in diagnostics.warnings:
        terminal.complain("warning", warning)


def _restore_batch(batch: Batch, *, dry_run: bool) -> None:
    """Restore many files and report each, or show the plan; exits with 1 if some failed."""
    with terminal.working("Looking at what is there"):
        jobs = drain(iter_plan(batch))
    if waiting := next((job for job in jobs if job.state is State.WAITING), None):
        for departure in batch.request_of(waiting.mask).departures(batch.model):
            terminal.complain("warning", departure)
    if dry_run:
        _show_plan(jobs)
        return
    started = time.monotonic()
    ended = list(jobs)

    def shown(progress: BatchProgress) -> tuple[float, str]:
        ended[progress.number] = progress.job
        _report_progress(progress)
        name = progress.job.files.image.name
        return progress.fraction, f"{progress.number + 1} of {len(jobs)}: {name}"

    try:
        terminal.run_steps(iter_batch(batch, jobs), "Batch", shown)
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
    terminal.exit_if_failed([f"{job.files.image}: {job.reason}" for job in failed])


def _show_plan(jobs: Sequence[Job]) -> None:
    """Write the plan as a table: action, image, output, and mask or reason."""
    rows = [("Plan", "Image", "Output", "")]
    for job in jobs:
        more = job.reason or ("" if job.mask is None else f"mask {job.mask}")
        files = job.files
        rows.append((_ACTIONS[job.state], str(files.image), str(files.mean), more))
    terminal.table(rows)
    counts = counted(jobs, waiting="to restore")
    terminal.report([("In all", f"{counts}; nothing was done")])


def _report_progress(progress: BatchProgress) -> None:
    """One line for a file that is written or has failed."""
    files = progress.job.files
    if progress.job.state is State.FAILED:
        terminal.report([("Failed", str(files.image))])
    elif progress.restored is not None:
        diagnostics = progress.restored.diagnostics
        if diagnostics is None:
            terminal.report([("Done", f"{files.mean}, before")])
            return
        parts = [str(files.mean), f"{diagnostics.seconds:.1f} s"]
        if diagnostics.noise:
            parts.append(reports.describe_channels(diagnostics.noise))
        terminal.report([("Restored", ", ".join(parts))])
        for warning in diagnostics.warnings:
            terminal.complain("warning", f"{files.image.name}: {warning}")
