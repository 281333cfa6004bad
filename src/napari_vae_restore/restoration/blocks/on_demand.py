"""Restorations of pyramids, computed where they are looked at.

Each level is restored by itself: a coarse one is a small picture, there within a second,
where a reduced restoration would need all of the finest first. The finest level has the
pixels of :func:`~.restore.restore`.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_vae_restore.errors import InputError
from napari_vae_restore.images.arrays import as_lazy_image
from napari_vae_restore.images.layout import Layout, cast
from napari_vae_restore.images.lazy_arrays import as_dask
from napari_vae_restore.models.bundled import DEFAULT, find_model
from napari_vae_restore.models.model import Model
from napari_vae_restore.models.restorer import RestorationVAE
from napari_vae_restore.restoration.blocks.lazy import PlaneScales, solve_alone
from napari_vae_restore.restoration.blocks.measuring import measure_noise
from napari_vae_restore.restoration.blocks.parts import channel_groups, tile_grid
from napari_vae_restore.restoration.blocks.plan import Plan, make_plan
from napari_vae_restore.restoration.blocks.recipe import recipe_of
from napari_vae_restore.restoration.blocks.windows import read_window
from napari_vae_restore.restoration.options import Options
from napari_vae_restore.restoration.problem import Problem
from napari_vae_restore.restoration.result import Recipe
from napari_vae_restore.restoration.tasks import Denoise, Inpaint, Task

# Side of the chunks, pixels: half a second's work on two cores, halo included.
TILE: Final = 512

_COARSEST: Final = 1024  # pixels: a plane of at most so many a side has no coarser level

# Pixels: a plane of at most so many a side is one chunk, without any halo.
_AT_ONCE: Final = 1280

# Of restored chunks that are remembered: those of some hundred views.
_MOST_BYTES: Final = 2**29


@dataclass(frozen=True, slots=True, eq=False)
class OnDemand:
    """A restoration that is computed where it is looked at; levels of dask, finest first."""

    levels: tuple[Any, ...]
    recipe: Recipe  # of the finest level


def restore_levels(
    levels: Sequence[Any],
    tasks: Sequence[Task],
    model: Model | str | Path = DEFAULT,
    **options: Any,
) -> OnDemand:
    """Prepare the restoration of an image and its coarser levels, finest first; see `pyramid`.

    Next to nothing is read. Coarser levels have noise of their own, which is measured, and
    miss what any of their pixels' parts miss. A model that was trained on noisy images knows no
    other pixel size: coarser levels are then restored by the bundled model. The options are
    those of :func:`~.restore.restore`, `tile` 512 by default; the latest chunks are remembered.
    """
    found = find_model(model)
    general = found if isinstance(found.network, RestorationVAE) else find_model(DEFAULT)
    asked = Options(**{"tile": TILE} | options)
    memory, made = _Memory(), []
    for number, level in enumerate(levels):
        own = [_on(task, levels, number) for task in tasks]
        made.append(_Level(level, own, general if number else found, asked, memory))
    return OnDemand(tuple(level.array() for level in made), made[0].recipe())


def pyramid(image: Any, axes: str) -> list[Any]:
    """An image and its coarser levels, means over 2 x 2 pixels, as dask arrays, finest first.

    The coarsest is at most 1024 pixels a side. A coarse level reads all of a plane.
    """
    import dask.array as da

    spatial = [axes.index(letter) for letter in "YX"]
    levels = [as_dask(image)]
    while max(levels[-1].shape[axis] for axis in spatial) > _COARSEST:
        # Blocks of even sides, so that no row is lost between them.
        even = levels[-1].rechunk(dict.fromkeys(spatial, _COARSEST))
        coarse = da.coarsen(np.mean, even, dict.fromkeys(spatial, 2), trim_excess=True)
        dtype = levels[0].dtype
        levels.append(coarse.map_blocks(cast, dtype, dtype=dtype, meta=levels[0]._meta))
    return levels


def reduced_mask(mask: NDArray[np.bool_], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """A mask on a coarser grid: True where any of a pixel's parts is.

    Examples
    --------
    >>> reduced_mask(np.array([False, True, False, False, False]), (2,))
    array([ True, False])
    """
    for axis, (length, wanted) in enumerate(zip(mask.shape, shape, strict=True)):
        if length != wanted:
            starts = np.arange(wanted) * length // wanted
            mask = np.logical_or.reduceat(mask, starts, axis=axis)
    return mask


def _on(task: Task, levels: Sequence[Any], number: int) -> Task:
    """A task on one of the levels."""
    if number == 0:
        return task
    if isinstance(task, Denoise):
        return Denoise("auto")
    if isinstance(task, Inpaint):
        if not isinstance(task.mask, np.ndarray):
            raise InputError("Expected a mask in memory for several levels, got a lazy one.")
        fine, coarse = levels[0].shape, levels[number].shape
        if task.mask.ndim != len(fine):
            raise InputError("Expected a mask of the image's shape for several levels.")
        whole = np.broadcast_to(task.mask, fine)
        return replace(task, mask=reduced_mask(whole, coarse))
    return task


class _Memory:
    """The chunks that were computed last."""

    def __init__(self) -> None:
        self._chunks: OrderedDict[tuple[int, ...], NDArray[Any]] = OrderedDict()
        self._lock, self._n_bytes = threading.Lock(), 0

    def get(self, key: tuple[int, ...]) -> NDArray[Any] | None:
        with self._lock:
            if key in self._chunks:
                self._chunks.move_to_end(key)
            return self._chunks.get(key)

    def put(self, key: tuple[int, ...], chunk: NDArray[Any]) -> None:
        with self._lock:
            if key not in self._chunks:
                self._n_bytes += chunk.nbytes
            self._chunks[key] = chunk
            while self._n_bytes > _MOST_BYTES:
                self._n_bytes -= self._chunks.popitem(last=False)[1].nbytes


class _Level:
    """One level; its noise is measured when it is first looked at."""

    def __init__(
        self, image: Any, tasks: list[Task], model: Model, options: Options, memory: _Memory
    ) -> None:
        self._image, axes = as_lazy_image(image, options.axes, min_side=1)
        self._layout = Layout(axes, tuple(self._image.shape), self._image.dtype)
        self._problem, self._model = Problem.of(tasks, self._layout), model
        self._planes = self._layout.to_planes(self._image)
        longest = max(self._layout.planes_shape[2:]) * self._problem.factor
        self._tile = longest if longest <= _AT_ONCE else options.tile or TILE
        self._options, self._memory = replace(options, tile=self._tile), memory
        self._plan: Plan | None = None
        self._scales = PlaneScales(most=math.prod(self._layout.planes_shape[:2]))
        self._lock = threading.Lock()

    def array(self) -> Any:
        """The level restored, in the axes of the image."""
        import dask.array as da

        n, _, height, width = self._layout.planes_shape
        is_noisy = any(isinstance(task, Denoise) for task in self._problem.tasks)
        groups = channel_groups(self._model, self._problem, self._layout, is_noisy=is_noisy)
        shape = height * self._problem.factor, width * self._problem.factor
        grid, _ = tile_grid(self._model, shape, self._problem, self._tile)
        chunks = (
            (1,) * n,
            tuple(group.stop - group.start for group in groups),
            _sizes([tile.core[0] for tile in grid]),
            _sizes([tile.core[1] for tile in grid]),
        )
        dtype = self._layout.dtype
        meta = np.empty((0,) * len(chunks), dtype)
        planes = da.map_blocks(self._chunk, chunks=chunks, dtype=dtype, meta=meta)
        return self._layout.from_planes(planes, like=self._image)

    def recipe(self) -> Recipe:
        """How the level is restored; the noise is measured now."""
        return recipe_of(self._prepared(), self._problem)

    def _chunk(self, block_id: tuple[int, int, int, int] = (0, 0, 0, 0)) -> NDArray[Any]:
        """(1, C, h, w), from memory if it was computed lately."""
        key = (id(self), *block_id)
        known = self._memory.get(key)
        if known is not None:
            return known
        plan, (plane, group, i, j) = self._prepared(), block_id
        number = plane * len(plan.groups) + group
        part = plan.part(number)
        n_columns = len({block.core[1].start for block in plan.blocks})
        block = plan.blocks[i * n_columns + j]
        window = read_window(self._planes, self._problem.missing, part, block.window)
        scale = self._scales.of(plan, number, self._planes, self._problem.missing)
        (mean, _, _), _ = solve_alone(plan, part, block, window, scale)
        self._memory.put(key, mean)
        return mean

    def _prepared(self) -> Plan:
        with self._lock:
            if self._plan is None:
                found = measure_noise(self._planes, self._problem, self._model)
                self._plan = make_plan(
                    self._layout,
                    self._problem,
                    self._model,
                    found,
                    self._options,
                    plane_pixels=self._tile**2,
                )
            return self._plan


def _sizes(cores: list[slice]) -> tuple[int, ...]:
    """Lengths of the stretches of one axis, in their order."""
    found = {core.start: core.stop - core.start for core in cores}
    return tuple(int(found[start]) for start in sorted(found))
