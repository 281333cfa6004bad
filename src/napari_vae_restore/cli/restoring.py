"""Checks, run and report of every command that restores images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from napari_vae_restore.batch.choices import MISSING, POLICIES, SAMPLES, n_drawn
from napari_vae_restore.batch.file_job import (
    Files,
    RestoredFile,
    StoreOptions,
    iter_restore_file,
    sample_path,
)
from napari_vae_restore.batch.inputs import is_several
from napari_vae_restore.batch.plan import Batch, Job, State
from napari_vae_restore.cli import batches, reports, runs, terminal
from napari_vae_restore.cli.options import Restoring
from napari_vae_restore.errors import InputError
from napari_vae_restore.models.bundled import DEFAULT, find_model
from napari_vae_restore.models.model import Model
from napari_vae_restore.restoration.recipes.replay import Request
from napari_vae_restore.restoration.tasks import Denoise
from napari_vae_restore.stores.ome_zarr import is_store


def restore_files(
    given: Restoring,
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
        restore_file(given, request_of(None), inputs=[*inputs, *([mask] if mask else [])])
        return
    masks = mask if mask is not None and mask.is_dir() and not is_store(mask) else None

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
        masks=masks,
        n_kept=given.samples or 0,
        uncertainty=given.uncertainty,
        overwrite=given.existing,
        device=given.device,
        storing=StoreOptions(given.shard, given.scheduler),
    )
    batches.restore_batch(batch, dry_run=given.dry_run)


def restore_file(given: Restoring, request: Request, *, inputs: Sequence[Path] = ()) -> None:
    """Restore an image file, write the outputs, and report; options outweigh the request."""
    if given.suffix:
        raise InputError(
            "Expected a folder as OUT with --suffix, which names the files in it: leave it out "
            "or name a folder."
        )
    if not is_store(given.output):
        _check_for_files(given)
    request = _with_options(given, request)
    numbers = range(1, (given.samples or 0) + 1)
    samples = tuple(sample_path(given.output, number) for number in numbers)
    files = Files(given.image, given.output, samples, given.uncertainty)
    is_left = given.existing == MISSING and given.output.is_file()
    files.check([*_inputs(given), *inputs], overwrite=given.overwrite or is_left)
    if given.dry_run or is_left:
        batches.show_plan([Job(files, state=State.KEPT if is_left else State.WAITING)])
        return
    model = find_model(given.model or DEFAULT)
    for departure in request.departures(model):
        terminal.complain("warning", departure)
    steps = iter_restore_file(
        files,
        request,
        model,
        device=given.device,
        overwrite=given.overwrite,
        storing=StoreOptions(given.shard, given.scheduler),
    )
    try:
        done = runs.run_restoration(steps, reports.title(request.tasks))
    except KeyboardInterrupt:
        if is_store(files.mean):
            terminal.note("what is done is kept: the same command goes on with the rest")
        raise
    _report(done, model)


def _report(done: RestoredFile, model: Model) -> None:
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


def denoising_too(noise: str | None) -> tuple[Denoise, ...]:
    """Denoising as a second task, where an option asks for it."""
    return () if noise is None else (Denoise(noise),)


def _inputs(given: Restoring) -> list[Path]:
    model = [] if given.model in (None, DEFAULT) else [Path(str(given.model))]
    return [given.image, *model]


def _with_options(given: Restoring, request: Request) -> Request:
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


def _check_for_files(given: Restoring) -> None:
    """Raise InputError for an option of stores that was given for a file."""
    for name, value in (("--scheduler", given.scheduler), ("--shard", given.shard)):
        if value:
            raise InputError(
                f"Expected an output that ends in .zarr for {name}, but {given.output.name} "
                "came: other files are written by this process, in one piece."
            )
