"""Images described by a model, as a restoration of them would."""

from __future__ import annotations

from typing import Any

from napari_vae_restore.arrays import as_image
from napari_vae_restore.layout import Layout
from napari_vae_restore.models.model import Model
from napari_vae_restore.restoration.canvas import Canvas
from napari_vae_restore.restoration.description import Description
from napari_vae_restore.restoration.plan import prepare
from napari_vae_restore.restoration.problem import Problem
from napari_vae_restore.restoration.solver import Solver
from napari_vae_restore.restoration.tasks import Denoise


def descriptions(
    image: Any, model: Model, task: Denoise, *, axes: str | None, device: str
) -> list[Description]:
    """Denoise an image, and keep what the network saw in it.

    Parameters
    ----------
    image : array-like
        As for :func:`~.restore.restore`.
    model : Model
        That describes it.
    task : Denoise
        With the image's noise.
    axes : str or None
        Of the image.
    device : str
        As for :func:`~.restore.restore`.

    Returns
    -------
    list of numpy.ndarray
        (rows, columns, d), blocks of each plane and channel; none by a network whose
        features have no place in the image.

    Raises
    ------
    InputError, RestorationError
        As :func:`~.restore.restore`.
    """
    array, axes = as_image(image, axes)
    layout = Layout.of(array, axes)
    planes = layout.to_planes(array)
    problem = Problem.of(task, layout)
    plan = prepare(
        planes, layout, problem, model, n_samples=0, tile=None, seed=0, device=device
    )
    solver, canvas = Solver(plan), Canvas(plan.shape, layout.dtype, 0, keep=False)
    for _ in solver.paint_all(canvas, planes, None):
        pass
    return [each for tiles in solver.descriptions.values() for each in tiles]
