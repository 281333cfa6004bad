"""Restorations of lazy images: a task of dask for each block, computed when it is looked at.

The plan is made at once, from a few megapixels; a block then reads its own surroundings
and computes what :func:`~.restore.iter_restore` would compute for it, to the bit. This module
knows nothing of stores and clusters.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_vae_restore.images.arrays import as_lazy_image
from napari_vae_restore.images.layout import Layout
from napari_vae_restore.models.devices import give_back_memory
from napari_vae_restore.models.model import Model
from napari_vae_restore.restoration.blocks.measuring import measure_noise
from napari_vae_restore.restoration.blocks.parts import Scale
from napari_vae_restore.restoration.blocks.plan import Block, Plan, make_plan, noisy_holes
from napari_vae_restore.restoration.blocks.recipe import recipe_of
from napari_vae_restore.restoration.blocks.result_buffer import ResultBuffer
from napari_vae_restore.restoration.blocks.solver import Solver
from napari_vae_restore.restoration.blocks.tally import Tally
from napari_vae_restore.restoration.blocks.windows import Window, read_window
from napari_vae_restore.restoration.options import Options
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
    image: Any, tasks: Task | Sequence[Task], model: Model, options: Options
) -> Restoration:
    """Prepare the restoration of a lazy image; blocks are computed when they are asked for.

    Arrays of the result are dask's: the mean, and, computed together, standard deviation and
    samples. The diagnostics know nothing of what is not computed yet.
    """
    started = time.monotonic()
    array, axes = as_lazy_image(image, options.axes, min_side=1)
    layout = Layout(axes, tuple(array.shape), array.dtype)
    problem = Problem.of(tasks, layout)
    planes = layout.to_planes(array)
    found = measure_noise(planes, problem, model)
    plan = make_plan(layout, problem, model, found, options)
    graph = _Graph(plan, planes, problem.missing)
    samples, std = graph.samples(), graph.std()
    diagnostics = Diagnostics(
        residual_std=None,
        noise=plan.noise,
        n_hot_pixels=0,
        n_tiles=plan.n_tiles,
        halo=plan.halo,
        seconds=time.monotonic() - started,
        device=options.device,
    )
    return Restoration(
        layout.from_planes(graph.mean(), like=array),
        None if std is None else layout.from_planes(std),
        None if samples is None else _stacked(layout, samples, array),
        recipe_of(plan, problem),
        diagnostics,
        plan.spread,
        noisy_holes(plan, problem.missing),
    )


def solve_alone(
    plan: Plan, part: tuple[int, slice], block: Block, window: Window, scale: Scale | None
) -> tuple[Planes, Tally]:
    """Restore one block by itself, and sum up; waits for others of this process.

    Mean and standard deviation are (1, C, h, w), samples (n, 1, C, h, w). Raises InputError for
    values that cannot be used, RestorationError if the computation fails.
    """
    rows, columns = (side.stop - side.start for side in block.core)
    shape = 1, part[1].stop - part[1].start, rows, columns
    buffer = ResultBuffer(plan, shape)

    def solve() -> Tally:
        solver = Solver(plan)
        for _ in solver.solve_block(buffer, part, block, window, scale, is_alone=True):
            pass
        give_back_memory()
        return solver.tally

    tally = _computing.submit(solve).result()
    return buffer.planes(), tally


def measure_scale(plan: Plan, group: slice, windows: list[Window]) -> Scale | None:
    """Measure what a plane's blocks share, in the windows that the plan names."""
    return _computing.submit(lambda: Solver(plan).scale(group, windows)).result()


class PlaneScales:
    """Scales of the planes that were computed last, each measured once in a process."""

    def __init__(self, most: int = 64) -> None:
        self._most, self._lock = most, threading.Lock()
        self._scales: OrderedDict[tuple[object, int], Scale | None] = OrderedDict()

    def of(
        self, plan: Plan, number: int, planes: Any, missing: Any, key: object = None
    ) -> Scale | None:
        """Of the part with a number; None where it is measured on the window, or nothing is.

        `key` names the restoration where several share the object.
        """
        if not plan.sample:
            return None
        with self._lock:
            if (key, number) not in self._scales:
                part = plan.part(number)
                windows = [read_window(planes, missing, part, each) for each in plan.sample]
                self._scales[key, number] = measure_scale(plan, part[1], windows)
                if len(self._scales) > self._most:
                    self._scales.popitem(last=False)
            return self._scales[key, number]


class _Graph:
    """Dask's tasks of one image (N, C, H, W); a plane's blocks share its scale."""

    def __init__(self, plan: Plan, planes: Any, missing: Any) -> None:
        from dask import delayed

        self._plan, self._planes, self._missing = plan, planes, missing
        self._n_samples = plan.options.n_samples
        self._keep = plan.options.keep_samples and self._n_samples > 0
        # One node, so that a worker is sent plan and model once.
        self._node = delayed(plan, pure=False, traverse=False)
        self._parts = list(plan.parts())
        self._scales = [self._scale(part) for part in self._parts]
        self._spreads = self._spread_tasks() if self._n_samples >= 2 or self._keep else {}

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
        if self._n_samples < 2:
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
            for number in range(self._n_samples)
        ]

    def _spread_tasks(self) -> dict[tuple[int, int], Any]:
        from dask import delayed

        spread, tasks = delayed(_spread, pure=False, nout=2), {}
        for p, b in self._places():
            window = self._window(self._parts[p], self._plan.blocks[b].window)
            tasks[p, b] = spread(self._node, p, b, *window, self._scales[p])
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
    plan = replace(plan, options=replace(plan.options, n_samples=0))
    (mean, _, _), _ = solve_alone(plan, plan.part(p), plan.blocks[b], (values, missing), scale)
    return mean


def _spread(
    plan: Plan, p: int, b: int, values: Any, missing: Any, scale: Any
) -> tuple[NDArray[Any] | None, NDArray[Any] | None]:
    place = plan.part(p), plan.blocks[b]
    (_, std, samples), _ = solve_alone(plan, *place, (values, missing), scale)
    return std, samples


def _stacked(layout: Layout, samples: list[Any], like: Any) -> Any:
    import dask.array as da

    stack = da.stack([layout.from_planes(sample, like=like) for sample in samples])
    return stack.astype(layout.dtype)
