"""Restorations of lazy images: a task of dask for each block, computed when it is looked at.

The plan is made at once, from a few megapixels; a block then reads its own surroundings
and computes what :func:`~.restore.iter_restore` would compute for it, to the bit. Stores
and clusters are none of this module's business.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_vae_restore.images.arrays import as_lazy_image
from napari_vae_restore.images.layout import Layout
from napari_vae_restore.models.bundled import DEFAULT, find_model
from napari_vae_restore.models.devices import give_back_memory
from napari_vae_restore.models.model import Model
from napari_vae_restore.restoration.blocks.canvas import Canvas
from napari_vae_restore.restoration.blocks.parts import Scale
from napari_vae_restore.restoration.blocks.plan import Block, Plan, filled_of, prepare
from napari_vae_restore.restoration.blocks.recipe import recipe_of
from napari_vae_restore.restoration.blocks.solver import Solver
from napari_vae_restore.restoration.blocks.tally import Tally
from napari_vae_restore.restoration.blocks.windows import Window
from napari_vae_restore.restoration.problem import Problem
from napari_vae_restore.restoration.result import Diagnostics, Restoration
from napari_vae_restore.restoration.tasks import Task

Planes = tuple[NDArray[Any], NDArray[Any] | None, NDArray[Any] | None]
"""Mean, standard deviation and samples of a block."""

# One thread computes, whoever asks: torch's own threads share the processor, so that blocks
# at once would only take each other's turns, and each thread keeps working memory of its
# own. Reading and writing go on meanwhile.
_computing = ThreadPoolExecutor(1, "computing")


def restore_lazily(
    image: Any,
    tasks: Task | Sequence[Task],
    model: Model | str | Path = DEFAULT,
    *,
    axes: str | None = None,
    n_samples: int = 0,
    keep_samples: bool = False,
    tile: int | None = None,
    seed: int = 0,
    device: str = "auto",
) -> Restoration:
    """Prepare the restoration of a lazy image, which is computed block by block when asked for.

    Parameters are those of :func:`~.restore.restore`.

    Parameters
    ----------
    image : dask.array.Array, zarr.Array, xarray.DataArray or napari.layers.Image
        Of any size.
    tasks, model, axes, n_samples, keep_samples, tile, seed, device
        As for :func:`~.restore.restore`. "auto" is the device of who computes.

    Returns
    -------
    Restoration
        Whose arrays are dask arrays: mean, and, computed together, standard deviation and
        samples. The diagnostics know nothing of what is not computed yet.

    Raises
    ------
    InputError, ModelFileError
        As :func:`~.restore.restore`.
    """
    started = time.monotonic()
    array, axes = as_lazy_image(image, axes, min_side=1)
    layout = Layout(axes, tuple(array.shape), array.dtype)
    problem = Problem.of(tasks, layout)
    planes = layout.to_planes(array)
    options: dict[str, Any] = {"n_samples": n_samples, "tile": tile, "seed": seed}
    plan = prepare(planes, layout, problem, find_model(model), device=device, **options)
    graph = _Graph(plan, planes, problem.missing, keep_samples)
    samples = graph.samples()
    diagnostics = Diagnostics(
        residual_std=None,
        noise=plan.noise,
        n_hot_pixels=0,
        n_tiles=plan.n_tiles,
        halo=plan.halo,
        seconds=time.monotonic() - started,
        device=plan.device,
    )
    std = graph.std()
    return Restoration(
        layout.from_planes(graph.mean(), like=array),
        None if std is None else layout.from_planes(std),
        None if samples is None else _stacked(layout, samples, array),
        recipe_of(plan, problem),
        diagnostics,
        plan.spread,
        filled_of(plan, problem.missing),
    )


def solve_block(
    plan: Plan,
    part: tuple[int, slice],
    block: Block,
    window: Window,
    scale: Scale | None,
    *,
    keep_samples: bool = False,
) -> tuple[Planes, Tally]:
    """Restore one block; waits for others of this process.

    Parameters
    ----------
    plan : Plan
        Of the image.
    part : (int, slice)
        Plane and group of channels.
    block : Block
        Of the plan.
    window : Window
        What was read for it.
    scale : Scale or None
        Of the plane; None where it is measured on the window, which is the plane.
    keep_samples : bool
        Whether the samples are returned.

    Returns
    -------
    planes : (ndarray, ndarray or None, ndarray or None)
        Mean (1, C, h, w), standard deviation, and samples (n, 1, C, h, w).
    tally : Tally
        What the block adds to the diagnostics.

    Raises
    ------
    InputError, RestorationError
        If the values cannot be used, or the computation fails.
    """
    rows, columns = block.core
    group = part[1]
    shape = (
        1,
        group.stop - group.start,
        rows.stop - rows.start,
        columns.stop - columns.start,
    )
    canvas = Canvas(shape, plan.layout.dtype, plan.n_samples, keep_samples)
    at = 0, slice(0, shape[1]), rows.start, columns.start

    def solve() -> Tally:
        solver = Solver(plan)
        for _ in solver.paint(canvas, part, block, window, scale, at=at):
            pass
        give_back_memory()
        return solver.tally

    tally = _computing.submit(solve).result()
    return canvas.planes(), tally


def measure_scale(plan: Plan, group: slice, windows: list[Window]) -> Scale | None:
    """What a plane's blocks share, from the windows that the plan names."""
    return _computing.submit(lambda: Solver(plan).scale(group, windows)).result()


class _Graph:
    """The tasks of one image; those of a plane's blocks share its scale.

    Parameters
    ----------
    plan : Plan
        Of the image.
    planes, missing : dask.array.Array
        (N, C, H, W); missing may also be a numpy array, or None.
    keep_samples : bool
        Whether samples are asked for.
    """

    def __init__(self, plan: Plan, planes: Any, missing: Any, keep_samples: bool) -> None:
        from dask import delayed

        self._plan, self._planes, self._missing = plan, planes, missing
        self._keep = keep_samples and plan.n_samples > 0
        # One node, so that a worker is sent plan and model once.
        self._node = delayed(plan, pure=False, traverse=False)
        self._parts = list(plan.parts())
        self._scales = [self._scale(part) for part in self._parts]
        self._spreads = self._spread_tasks() if plan.n_samples >= 2 or self._keep else {}

    def mean(self) -> Any:
        """(N, C, H, W) in the image's dtype, without a single sample."""
        from dask import delayed

        mean, tasks = delayed(_mean, pure=False), {}
        for p, b in self._places():
            part, block = self._parts[p], self._plan.blocks[b]
            if self._is_kept(part, block):
                kept = slice(part[0], part[0] + 1), part[1], *block.core
                tasks[p, b] = self._planes[kept]
                continue
            window = self._window(part, block.window)
            task = mean(self._node, p, b, *window, self._scales[p])
            tasks[p, b] = self._array(task, p, b, self._plan.layout.dtype)
        return self._assembled(tasks)

    def std(self) -> Any:
        """(N, C, H, W) float32, or None for fewer than two samples."""
        if self._plan.n_samples < 2:
            return None
        stds = {place: spread[0] for place, spread in self._spreads.items()}
        return self._assembled(
            {place: self._array(std, *place, np.float32) for place, std in stds.items()}
        )

    def samples(self) -> list[Any] | None:
        """Each sample, (N, C, H, W), or None where they were not asked for."""
        if not self._keep:
            return None
        dtype = self._plan.layout.dtype
        return [
            self._assembled(
                {
                    place: self._array(spread[1][number], *place, dtype)
                    for place, spread in self._spreads.items()
                }
            )
            for number in range(self._plan.n_samples)
        ]

    def _spread_tasks(self) -> dict[tuple[int, int], Any]:
        from dask import delayed

        spread, tasks = delayed(_spread, pure=False, nout=2), {}
        for p, b in self._places():
            window = self._window(self._parts[p], self._plan.blocks[b].window)
            tasks[p, b] = spread(self._node, p, b, *window, self._scales[p], self._keep)
        return tasks

    def _scale(self, part: tuple[int, slice]) -> Any:
        from dask import delayed

        if not self._plan.sample:
            return None
        windows = [self._window(part, place) for place in self._plan.sample]
        return delayed(measure_scale, pure=False)(self._node, part[1], windows)

    def _window(self, part: tuple[int, slice], place: tuple[slice, slice]) -> tuple[Any, Any]:
        where = (*part, *place)
        return self._planes[where], None if self._missing is None else self._missing[where]

    def _is_kept(self, part: tuple[int, slice], block: Block) -> bool:
        """Whether a block is known to be the image itself: nothing of it is missing."""
        plan, missing = self._plan, self._missing
        if plan.noise or not plan.problem.keeps_observed or not isinstance(missing, np.ndarray):
            return False
        return not missing[(*part, *block.core)].any()

    def _array(self, task: Any, p: int, b: int, dtype: Any) -> Any:
        import dask.array as da

        group, core = self._parts[p][1], self._plan.blocks[b].core
        rows, columns = (each.stop - each.start for each in core)
        return da.from_delayed(task, (1, group.stop - group.start, rows, columns), dtype)

    def _places(self) -> list[tuple[int, int]]:
        """Numbers of parts and blocks."""
        parts, blocks = range(len(self._parts)), range(len(self._plan.blocks))
        return [(p, b) for p in parts for b in blocks]

    def _assembled(self, tasks: dict[tuple[int, int], Any]) -> Any:
        import dask.array as da

        n_groups, n_blocks = len(self._plan.groups), len(self._plan.blocks)
        planes = []
        for first in range(0, len(self._parts), n_groups):
            parts = range(first, first + n_groups)
            planes.append([self._rows([tasks[p, b] for b in range(n_blocks)]) for p in parts])
        # Joined arrays have the machine's byte order.
        return da.block(planes).astype(tasks[0, 0].dtype)

    def _rows(self, blocks: list[Any]) -> list[list[Any]]:
        """Blocks in reading order as the rows of a plane."""
        n_rows = len({block.core[0].start for block in self._plan.blocks})
        n = len(blocks) // n_rows
        return [blocks[start : start + n] for start in range(0, len(blocks), n)]


def _mean(plan: Plan, p: int, b: int, values: Any, missing: Any, scale: Any) -> NDArray[Any]:
    plan = replace(plan, n_samples=0)
    (mean, _, _), _ = solve_block(plan, plan.part(p), plan.blocks[b], (values, missing), scale)
    return mean


def _spread(
    plan: Plan, p: int, b: int, values: Any, missing: Any, scale: Any, keep_samples: bool
) -> tuple[NDArray[Any] | None, NDArray[Any] | None]:
    place = plan.part(p), plan.blocks[b]
    (_, std, samples), _ = solve_block(
        plan, *place, (values, missing), scale, keep_samples=keep_samples
    )
    return std, samples


def _stacked(layout: Layout, samples: list[Any], like: Any) -> Any:
    import dask.array as da

    stack = da.stack([layout.from_planes(sample, like=like) for sample in samples])
    return stack.astype(layout.dtype)
