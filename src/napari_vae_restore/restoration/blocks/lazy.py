"""Restorations of lazy images: a task of dask for each block, computed when it is needed.

The plan is made at once, from a few megapixels; a block then reads its own surroundings
and computes what :func:`~.restore.iter_restore` would compute for it, to the bit.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
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
from napari_vae_restore.restoration.blocks.windows import Part, Rectangle, Window, read_window
from napari_vae_restore.restoration.options import Options
from napari_vae_restore.restoration.problem import Problem
from napari_vae_restore.restoration.result import Diagnostics, Restoration
from napari_vae_restore.restoration.tasks import Task

# Mean, standard deviation and samples of a block.
Planes = tuple[NDArray[Any], NDArray[Any] | None, NDArray[Any] | None]

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
    std, samples = graph.std_and_samples()
    if samples is not None:
        import dask.array as da

        stack = da.stack([layout.from_planes(sample, like=array) for sample in samples])
        samples = stack.astype(layout.dtype)
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
        samples,
        recipe_of(plan, problem),
        diagnostics,
        plan.error_calibration,
        noisy_holes(plan, problem.missing),
    )


def solve_alone(
    plan: Plan, part: Part, block: Block, window: Window, scale: Scale | None
) -> tuple[Planes, Tally]:
    """Restore one block by itself, and sum up; waits for others of this process.

    Mean and standard deviation are (1, C, h, w), samples (n, 1, C, h, w). Raises InputError for
    values that cannot be used, RestorationError if the computation fails.
    """
    buffer = ResultBuffer(plan, (*part, *block.core))

    def solve() -> Tally:
        solver = Solver(plan)
        for _ in solver.solve_block(buffer, part, block, window, scale):
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
        from dask.delayed import delayed

        self._plan, self._planes, self._missing = plan, planes, missing
        # One node, so that a worker is sent plan and model once.
        self._node = delayed(plan, pure=False, traverse=False)
        self._parts = list(plan.parts())
        self._scales = [self._scale(part) for part in self._parts]

    def mean(self) -> Any:
        """(N, C, H, W) in the image's dtype, without a single sample."""

        def mean(p: int, b: int) -> Any:
            place = (*self._parts[p], *self._plan.blocks[b].core)
            if self._is_kept(place):
                plane, *sides = place
                return self._planes[(slice(plane, plane + 1), *sides)]
            return self._array(self._solved(_mean, p, b), p, b, self._plan.layout.dtype)

        return self._assembled(mean)

    def std_and_samples(self) -> tuple[Any | None, list[Any] | None]:
        """(N, C, H, W) float32 for two samples or more, and each sample where it is kept."""
        n, keep = self._plan.options.n_samples, self._plan.options.keep_samples
        if n < 2 and not (keep and n):
            return None, None
        parts, blocks = range(len(self._parts)), range(len(self._plan.blocks))
        tasks = {(p, b): self._solved(_std_and_samples, p, b) for p in parts for b in blocks}

        def std(p: int, b: int) -> Any:
            return self._array(tasks[p, b][0], p, b, np.float32)

        def sample(number: int) -> Callable[[int, int], Any]:
            dtype = self._plan.layout.dtype
            return lambda p, b: self._array(tasks[p, b][1][number], p, b, dtype)

        return (
            self._assembled(std) if n >= 2 else None,
            [self._assembled(sample(number)) for number in range(n)] if keep else None,
        )

    def _solved(self, function: Callable[..., Any], p: int, b: int) -> Any:
        """The task of one block of a part."""
        from dask.delayed import delayed

        window = self._window(self._parts[p], self._plan.blocks[b].window)
        solve = delayed(function, pure=False)
        return solve(self._node, p, b, *window, self._scales[p])

    def _scale(self, part: Part) -> Any:
        from dask.delayed import delayed

        if not self._plan.sample:
            return None
        windows = [self._window(part, place) for place in self._plan.sample]
        return delayed(measure_scale, pure=False)(self._node, part[1], windows)

    def _window(self, part: Part, place: Rectangle) -> tuple[Any, Any]:
        where = (*part, *place)
        return self._planes[where], None if self._missing is None else self._missing[where]

    def _is_kept(self, place: tuple[Any, ...]) -> bool:
        """Whether a block is known to be the image itself: nothing of it is missing."""
        plan, missing = self._plan, self._missing
        if plan.noise or not plan.problem.keeps_observed or not isinstance(missing, np.ndarray):
            return False
        return not missing[place].any()

    def _array(self, task: Any, p: int, b: int, dtype: Any) -> Any:
        import dask.array as da

        sides = self._parts[p][1], *self._plan.blocks[b].core
        return da.from_delayed(task, (1, *(side.stop - side.start for side in sides)), dtype)

    def _assembled(self, array_of: Callable[[int, int], Any]) -> Any:
        """(N, C, H, W), from the array of each part and block, which are in reading order."""
        import dask.array as da

        n_groups, n_blocks = len(self._plan.groups), len(self._plan.blocks)
        width = n_blocks // len({block.core[0].start for block in self._plan.blocks})
        planes = [
            [
                [
                    [array_of(p, b) for b in range(first_block, first_block + width)]
                    for first_block in range(0, n_blocks, width)
                ]
                for p in range(first_part, first_part + n_groups)
            ]
            for first_part in range(0, len(self._parts), n_groups)
        ]
        # Joined arrays have the machine's byte order.
        return da.block(planes).astype(planes[0][0][0][0].dtype)


def _mean(plan: Plan, p: int, b: int, values: Any, missing: Any, scale: Any) -> NDArray[Any]:
    plan = replace(plan, options=replace(plan.options, n_samples=0))
    (mean, _, _), _ = solve_alone(plan, plan.part(p), plan.blocks[b], (values, missing), scale)
    return mean


def _std_and_samples(
    plan: Plan, p: int, b: int, values: Any, missing: Any, scale: Any
) -> tuple[NDArray[Any] | None, NDArray[Any] | None]:
    place = plan.part(p), plan.blocks[b]
    (_, std, samples), _ = solve_alone(plan, *place, (values, missing), scale)
    return std, samples
