"""Warnings about an image, by what a network sees in it, or in a spot of a large one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from napari_vae_restore.errors import InputError
from napari_vae_restore.images.arrays import as_image
from napari_vae_restore.images.layout import Layout
from napari_vae_restore.models.model import Model
from napari_vae_restore.restoration.blocks.measuring import measure_noise
from napari_vae_restore.restoration.blocks.plan import make_plan
from napari_vae_restore.restoration.blocks.result_buffer import ResultBuffer
from napari_vae_restore.restoration.blocks.solver import Solver
from napari_vae_restore.restoration.blocks.windows import in_memory, stack_windows
from napari_vae_restore.restoration.inference.description import Description
from napari_vae_restore.restoration.options import Options
from napari_vae_restore.restoration.problem import Problem
from napari_vae_restore.restoration.tasks import Denoise
from napari_vae_restore.restoration.trust.warnings import image_warnings

_N_WINDOWS: Final = 4  # windows that are read; the one with most contrast counts
_SIDE: Final = 256  # pixels a side of the spot, at most


@dataclass(frozen=True, slots=True, eq=False)
class ImageProbe:
    """What a network saw in an image; see :class:`~.result.Diagnostics` for the last two."""

    # (rows, columns, d) of each tile; none by a network whose features have no place.
    descriptions: list[Description]
    ood_score: float | None
    warnings: tuple[str, ...]  # none that a spot is empty


def probe_image(
    image: Any, model: Model, task: Denoise, *, axes: str | None, device: str
) -> ImageProbe:
    """Denoise an image for the sake of what the network sees in it.

    Raises InputError and RestorationError as :func:`~.restore.restore`.
    """
    array, axes = as_image(image, axes, min_side=1)
    layout = Layout.of(array, axes)
    planes, problem = layout.to_planes(array), Problem.of(task, layout)
    found = measure_noise(planes, problem, model)
    plan = make_plan(layout, problem, model, found, Options(device=device))
    solver = Solver(plan)
    for _ in solver.solve_all(ResultBuffer(plan), planes, None):
        pass
    score = solver.ood_score
    warnings = image_warnings(
        planes, None, layout, plan.noise, is_denoised=True, ood_score=score
    )
    tiles = [each for tiles in solver.descriptions.values() for each in tiles]
    return ImageProbe(tiles, score, warnings)


def probe_spot(
    planes: Any, layout: Layout, problem: Problem, model: Model, device: str
) -> ImageProbe | None:
    """Denoise a spot of planes (N, C, H, W), numpy's or dask's; a few windows are read.

    None for other tasks, and for a spot whose noise cannot be seen. Raises ImageFileError if
    the image cannot be read, RestorationError if the computation fails.
    """
    if problem.denoising is None or len(problem.tasks) > 1:
        return None
    windows = stack_windows(tuple(planes.shape))
    chosen = windows[:: max(1, len(windows) // _N_WINDOWS)][:_N_WINDOWS]
    spots = []
    for plane, (rows, columns) in chosen:
        place = (_middle(rows), _middle(columns))
        spots.append(in_memory(planes[(plane, slice(None), *place)]))
    # An empty corner is like nothing.
    spot = max(spots, key=lambda values: float(np.asarray(values, np.float64).std()))
    image, axes = (np.moveaxis(spot, 0, -1), "YXS") if "S" in layout.axes else (spot, "CYX")
    try:
        return probe_image(image, model, problem.denoising, axes=axes, device=device)
    except InputError:
        return None


def _middle(part: slice) -> slice:
    """At most `_SIDE` pixels of a window's side."""
    length = part.stop - part.start
    start = part.start + max(0, length - _SIDE) // 2
    return slice(start, start + min(length, _SIDE))
