"""What is odd about an image, by what a network sees in it, or in a spot of a large one."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from napari_vae_restore.errors import InputError
from napari_vae_restore.images.arrays import as_image
from napari_vae_restore.images.layout import Layout
from napari_vae_restore.models.model import Model
from napari_vae_restore.restoration.blocks.canvas import Canvas
from napari_vae_restore.restoration.blocks.plan import prepare
from napari_vae_restore.restoration.blocks.solver import Solver
from napari_vae_restore.restoration.blocks.windows import in_memory, stack_windows
from napari_vae_restore.restoration.inference.description import Description
from napari_vae_restore.restoration.problem import Problem
from napari_vae_restore.restoration.tasks import Denoise
from napari_vae_restore.restoration.trust.warnings import cautions

_LOOKED_AT: Final = 4
"""Windows, of which the one with most in it counts: an empty corner is like nothing."""
_SIDE: Final = 256
"""Pixels."""


class Glance:
    """An image, denoised for the sake of what the network saw in it.

    Parameters
    ----------
    image : array-like
        As for :func:`~.restore.restore`.
    model : Model
        That looks.
    task : Denoise
        With the image's noise.
    axes : str or None
        Of the image.
    device : str
        As for :func:`~.restore.restore`.

    Raises
    ------
    InputError, RestorationError
        As :func:`~.restore.restore`.
    """

    def __init__(
        self, image: Any, model: Model, task: Denoise, *, axes: str | None, device: str
    ) -> None:
        array, axes = as_image(image, axes, min_side=1)
        self._layout = Layout.of(array, axes)
        self._planes = self._layout.to_planes(array)
        problem = Problem.of(task, self._layout)
        options: dict[str, Any] = {"n_samples": 0, "tile": None, "seed": 0, "device": device}
        self._plan = prepare(self._planes, self._layout, problem, model, **options)
        self._solver = Solver(self._plan)
        canvas = Canvas(self._plan.shape, self._layout.dtype, 0, keep=False)
        for _ in self._solver.paint_all(canvas, self._planes, None):
            pass

    @property
    def descriptions(self) -> list[Description]:
        """(rows, columns, d) of each tile; none by a network whose features have no place."""
        return [each for tiles in self._solver.descriptions.values() for each in tiles]

    @property
    def unlikeness(self) -> float | None:
        """See :class:`~.result.Diagnostics`."""
        return self._solver.unlikeness

    @property
    def warnings(self) -> tuple[str, ...]:
        """See :class:`~.result.Diagnostics`; that nothing is in it says nothing of a spot."""
        return cautions(
            self._planes,
            None,
            self._layout,
            self._plan.noise,
            is_denoised=True,
            unlikeness=self.unlikeness,
        )


def glance_at_spot(
    planes: Any, layout: Layout, problem: Problem, model: Model, device: str
) -> Glance | None:
    """Denoise a spot of an image.

    Parameters
    ----------
    planes : array-like
        (N, C, H, W), of which a few windows are read.
    layout : Layout
        Of the image.
    problem : Problem
        What is going to be done to it.
    model : Model
        That does it.
    device : str
        As for :func:`~.restore.restore`.

    Returns
    -------
    Glance or None
        None for other tasks, and of a spot whose noise cannot be told.

    Raises
    ------
    ImageFileError, RestorationError
        If the image cannot be read, or the computation fails.
    """
    if problem.denoising is None or len(problem.tasks) > 1:
        return None
    windows = stack_windows(tuple(planes.shape))
    chosen = windows[:: max(1, len(windows) // _LOOKED_AT)][:_LOOKED_AT]
    spots = []
    for plane, (rows, columns) in chosen:
        place = (_middle(rows), _middle(columns))
        spots.append(in_memory(planes[(plane, slice(None), *place)]))
    spot = max(spots, key=lambda values: float(np.asarray(values, np.float64).std()))
    image, axes = (np.moveaxis(spot, 0, -1), "YXS") if "S" in layout.axes else (spot, "CYX")
    try:
        return Glance(image, model, problem.denoising, axes=axes, device=device)
    except InputError:
        return None


def _middle(part: slice) -> slice:
    """At most `_SIDE` pixels of a window's side."""
    length = part.stop - part.start
    start = part.start + max(0, length - _SIDE) // 2
    return slice(start, start + min(length, _SIDE))
