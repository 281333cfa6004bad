"""Restorations from array to OME-Zarr, of any size: stopped, resumed, shared by a cluster.

They may be closed, or killed, at any moment; the same call resumes them.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np

from napari_vae_restore.errors import ImageFileError, InputError
from napari_vae_restore.generators import drain
from napari_vae_restore.images.arrays import as_lazy_image, is_lazy_image
from napari_vae_restore.images.atomic import why_not_written
from napari_vae_restore.images.image_metadata import ImageFile
from napari_vae_restore.images.layout import Layout
from napari_vae_restore.images.zarr_files import StoredImage, folder_of, open_store
from napari_vae_restore.models.bundled import DEFAULT, find_model
from napari_vae_restore.models.devices import choose_device, give_back_memory
from napari_vae_restore.models.model import Model
from napari_vae_restore.restoration.blocks.familiarity import probe_spot
from napari_vae_restore.restoration.blocks.measuring import measure_noise
from napari_vae_restore.restoration.blocks.plan import make_plan
from napari_vae_restore.restoration.blocks.recipe import diagnostics_of, recipe_of
from napari_vae_restore.restoration.blocks.tally import Tally
from napari_vae_restore.restoration.blocks.windows import in_memory, stack_windows
from napari_vae_restore.restoration.options import Options
from napari_vae_restore.restoration.problem import Problem
from napari_vae_restore.restoration.restore import RestoreProgress
from napari_vae_restore.restoration.result import Diagnostics, Recipe
from napari_vae_restore.restoration.tasks import Task, image_for
from napari_vae_restore.stores.cluster import connected, results
from napari_vae_restore.stores.outputs import (
    attributes_of,
    block_side,
    checked_path,
    output_shape,
    outputs_of,
    plane_places,
)
from napari_vae_restore.stores.target import StoredRequest, Target, finished_request
from napari_vae_restore.stores.work import Step, Work, do

_AT_ONCE: Final = 2  # blocks: one computes while the other reads or writes


@dataclass(frozen=True, slots=True)
class StoredRestoration:
    """What a restoration into a store did.

    Attributes
    ----------
    paths : tuple of Path
        The stores: mean, then standard deviation and samples where asked for.
    recipe : Recipe or None
        How to repeat it; None where all was there before.
    diagnostics : Diagnostics or None
        How well it went; None where all was there before.
    """

    paths: tuple[Path, ...]
    recipe: Recipe | None
    diagnostics: Diagnostics | None


def restore_store(
    image: Any,
    output: str | Path,
    tasks: Task | Sequence[Task],
    model: Model | str | Path = DEFAULT,
    **options: Any,
) -> StoredRestoration:
    """Restore an image of any size into an OME-Zarr store.

    Interrupted or killed, the same call goes on where it was; finished, it does nothing.
    What is unfinished lies beside the output and ends in ``.partial``.

    Parameters
    ----------
    image : str, Path or array-like
        An OME-Zarr image, a Zarr array, or whatever :func:`~.restore.restore` takes.
    output : str or Path
        Ends in ``.zarr``.
    tasks, model
        As for :func:`~.restore.restore`; a mask may be a dask or zarr array.
    **options
        The keyword parameters of :func:`iter_restore_store`.

    Returns
    -------
    StoredRestoration
        Where it is, and how it was made.

    Raises
    ------
    InputError, ImageFileError, ModelFileError, RestorationError
        As :func:`iter_restore_store`.
    """
    return drain(iter_restore_store(image, output, tasks, model, **options))


def iter_restore_store(  # noqa: PLR0913 - its options are the user's
    image: Any,
    output: str | Path,
    tasks: Task | Sequence[Task],
    model: Model | str | Path = DEFAULT,
    *,
    axes: str | None = None,
    n_samples: int = 0,
    tile: int | None = None,
    seed: int = 0,
    device: str = "auto",
    uncertainty: str | Path | None = None,
    sample_paths: Sequence[Path] = (),
    shard: bool = False,
    overwrite: bool = False,
    client: Any = None,
    like: StoredImage | ImageFile | None = None,
) -> Generator[RestoreProgress, None, StoredRestoration]:
    """Restore into a store step by step: yields progress; close it to stop.

    Parameters
    ----------
    image, output, tasks, model
        As for :func:`restore_store`.
    axes, n_samples, tile, seed, device
        As for :func:`~.restore.restore`.
    uncertainty : str or Path, optional
        Store for the standard deviation of at least two samples.
    sample_paths : sequence of Path
        Stores for that many samples.
    shard : bool
        Whether the chunks of a block go into one file: fewer files for file systems that
        mind them.
    overwrite : bool
        Whether finished stores of these names are replaced.
    client : distributed.Client, optional
        Whose workers compute; they must see the stores at the same paths. By default this
        process does, or one process for each of several graphics cards.
    like : StoredImage or ImageFile, optional
        Where pixel sizes and names come from; by default the image, where it is a store.

    Yields
    ------
    RestoreProgress
        After each block, those that were there before counted.

    Returns
    -------
    StoredRestoration
        Where it is, and how it was made.

    Raises
    ------
    InputError
        For anything that is wrong with the image, the paths or the options, or if the
        output is there or begun for something else.
    ImageFileError
        If a store cannot be read or written.
    ModelFileError
        If the model file cannot be used.
    RestorationError
        If the computation fails.
    """
    started = time.monotonic()
    path = checked_path(output, image)
    if uncertainty is not None and n_samples < 2:
        raise InputError(f"Expected n_samples of at least 2 for uncertainty, got {n_samples}.")
    if isinstance(image, str | Path):
        like = open_store(Path(image))
        image, axes = like.array, axes or like.axes
    source = folder_of(image)
    layout, planes = _planes_of(image, axes, tasks)
    problem, model = Problem.of(tasks, layout), find_model(model)
    options = Options(
        axes=layout.axes,
        n_samples=n_samples,
        keep_samples=bool(sample_paths),
        tile=tile,
        seed=seed,
        device=device,
    )
    target = Target(outputs_of(path, uncertainty, sample_paths, layout.dtype), (), 0, shard)
    key = _key(planes, problem, model, options, target)
    paths = tuple(output.path for output in target.outputs)
    if _is_finished(target, key, overwrite=overwrite):
        target.clear()
        return StoredRestoration(paths, None, None)
    with target.locked():
        if begun := target.begun():
            options = replace(options, tile=begun.tile)
        plan = make_plan(layout, problem, model, measure_noise(planes, problem, model), options)
        spot = probe_spot(planes, layout, problem, model, device)
        give_back_memory()
        target = replace(target, shape=output_shape(plan), side=block_side(plan))
        target.start(StoredRequest(key, plan.tile))
        work = Work(plan, planes, problem.missing, target, plane_places(layout), key, source)
        with _saying_what_is_kept(path):
            tally = yield from _computed(work, client)
            recipe = recipe_of(plan, problem)
            diagnostics = diagnostics_of(
                plan,
                tally,
                seconds=time.monotonic() - started,
                device=device if client is not None else str(choose_device(device)),
                warnings=() if spot is None else spot.warnings,
                ood_score=None if spot is None else spot.ood_score,
            )
            target.finish(attributes_of(work, like, recipe, diagnostics), overwrite=overwrite)
    return StoredRestoration(paths, recipe, diagnostics)


@contextmanager
def _saying_what_is_kept(path: Path) -> Iterator[None]:
    """Raise errors of the system as ImageFileError that says how to go on."""
    try:
        yield
    except OSError as error:
        place = f" ({error.filename})" if error.filename else ""
        raise ImageFileError(
            f"Cannot finish {path}: {why_not_written(error)}{place}. What is done is kept: "
            "the same command goes on with the rest."
        ) from error


def _planes_of(
    image: Any, axes: str | None, tasks: Task | Sequence[Task]
) -> tuple[Layout, Any]:
    """The layout of an image and its planes (N, C, H, W), lazy where the image is."""
    if is_lazy_image(image):
        array, axes = as_lazy_image(image, axes, min_side=1)
    else:
        array, axes = image_for(image, axes, tasks)
    layout = Layout(axes, tuple(array.shape), np.dtype(array.dtype))
    return layout, layout.to_planes(array)


def _key(planes: Any, problem: Problem, model: Model, options: Options, target: Target) -> str:
    """Hash of samples of the planes (N, C, H, W) and of all that the result depends on.

    Stores keep it, to recognise a restoration that goes on: the keys must stay.
    """
    shape, dtype = planes.shape, planes.dtype
    digest = hashlib.sha256(str((shape, dtype)).encode())
    for n, place in stack_windows(shape):
        digest.update(in_memory(planes[(n, slice(None), *place)]).tobytes())
    kinds = [output.kind for output in target.outputs]
    request = {
        "axes": options.axes,
        "n_samples": options.n_samples,
        "tile": options.tile,
        "seed": options.seed,
        "shard": target.is_sharded,
        "uncertainty": "std" in kinds,
        "n_kept": sum(kind.startswith("sample") for kind in kinds),
        "tasks": [
            {key: value for key, value in task.to_dict().items() if key != "mask"}
            for task in problem.tasks
        ],
        "model": model.sha256,
    }
    digest.update(json.dumps(request, sort_keys=True).encode())
    return digest.hexdigest()


def _is_finished(target: Target, key: str, *, overwrite: bool) -> bool:
    """Whether all outputs were made by this request; others may be replaced only if asked."""
    others = [each.path for each in target.outputs if finished_request(each.path) != key]
    for path in others:
        if path.exists() and not overwrite:
            raise InputError(
                f"Expected a new store, but {path} exists: choose another name, or give "
                "--overwrite (overwrite=True)."
            )
    return not others


def _computed(work: Work, client: Any) -> Generator[RestoreProgress, None, Tally]:
    """Do all steps, stage after stage; the total of their tallies."""
    stages = list(work.steps())
    total = sum(map(len, stages))
    yield RestoreProgress(0, total)
    tallies: list[Tally] = []
    with connected(client, work.plan.options.device) as client:
        for steps in stages:
            done = _here(work, steps) if client is None else results(client, work, steps)
            for tally in done:
                tallies.append(tally)
                yield RestoreProgress(len(tallies), total)
    return Tally.total(tallies)


def _here(work: Work, steps: list[Step]) -> Iterator[Tally]:
    """Steps done by this process; a few at once, so that it computes while it reads."""
    waiting = iter(steps)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        running = {pool.submit(do, work, step) for step in islice(waiting, _AT_ONCE)}
        try:
            while running:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                running |= {pool.submit(do, work, step) for step in islice(waiting, len(done))}
                for future in done:
                    yield future.result()
        finally:
            for future in running:
                future.cancel()
