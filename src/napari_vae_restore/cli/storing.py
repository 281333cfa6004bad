"""Restorations into OME-Zarr on the command line: any size, stopped and resumed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from napari_vae_restore.cli import reports, runs, terminal
from napari_vae_restore.cli.options import Restoring
from napari_vae_restore.errors import InputError
from napari_vae_restore.image_files import read_image
from napari_vae_restore.image_metadata import ImageFile
from napari_vae_restore.models.model import Model
from napari_vae_restore.restoration.recipes import Request
from napari_vae_restore.restoration.tasks import Task
from napari_vae_restore.scale.ome_zarr import StoredImage, is_store, open_store
from napari_vae_restore.scale.stores import Stored, iter_restore_store


def store_file(
    given: Restoring,
    request: Request,
    model: Model,
    tasks: Sequence[Task],
    n_samples: int,
    samples: Sequence[Path],
) -> None:
    """Restore an image file or store into a store, and say what was done.

    Parameters
    ----------
    given : Restoring
        The options; they outweigh the request.
    request : Request
        What is to be done.
    model : Model
        That does it.
    tasks : sequence of Task
        Of the request, named for the recipe.
    n_samples : int
        To draw.
    samples : sequence of Path
        Where those that are kept go.

    Raises
    ------
    InputError, ImageFileError, RestorationError
        As :func:`~.stores.iter_restore_store`.
    """
    source = open_source(given.image)
    is_stored = isinstance(source, StoredImage)
    array = source.array if isinstance(source, StoredImage) else source.data
    steps = iter_restore_store(
        given.image if is_stored else array,
        given.output,
        tasks,
        model,
        axes=given.axes or request.axes or source.axes,
        n_samples=n_samples,
        uncertainty=given.uncertainty,
        sample_paths=samples,
        tile=request.tile if given.tile is None else given.tile,
        seed=request.seed if given.seed is None else given.seed,
        device=given.device,
        shard=given.shard,
        overwrite=given.overwrite,
        client=given.scheduler,
        like=source,
    )
    stored: Stored = runs.run_steps(steps, reports.title(tasks))
    saved = ("Saved", ", ".join(map(str, stored.paths)))
    if stored.diagnostics is None:
        terminal.report([("Done", "before, by the same command: nothing to do"), saved])
        return
    size = f"{' × '.join(map(str, array.shape))} {array.dtype}"
    terminal.report(
        [
            ("Image", f"{size}, {stored.diagnostics.seconds:.1f} s"),
            ("Model", model.name),
            *reports.describe_diagnostics(stored.diagnostics),
            saved,
        ]
    )


def check_paths(outputs: Sequence[Path], inputs: Sequence[Path]) -> None:
    """Make sure that no store is written to twice, or to what is read.

    Raises
    ------
    InputError
        If one would be.
    """
    taken = {path.resolve(): path for path in inputs}
    for path in outputs:
        if other := taken.get(path.resolve()):
            raise InputError(
                f"Expected an output beside the inputs and of a name of its own, but {path} "
                f"and {other} are one: rename it."
            )
        taken[path.resolve()] = path


def open_source(path: Path) -> StoredImage | ImageFile:
    """An image file, read, or a store, opened.

    Raises
    ------
    ImageFileError
        If it cannot be read.
    """
    return open_store(path) if is_store(path) else read_image(path)


def check_for_files(given: Restoring) -> None:
    """Make sure that no option of stores was given for a file.

    Raises
    ------
    InputError
        If one was.
    """
    for name, value in (("--scheduler", given.scheduler), ("--shard", given.shard)):
        if value:
            raise InputError(
                f"Expected an output that ends in .zarr for {name}, but {given.output.name} "
                "came: other files are written by this process, in one piece."
            )
