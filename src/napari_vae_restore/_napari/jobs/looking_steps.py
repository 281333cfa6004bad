"""Preparing a restoration of what is looked at, as a worker runs it.

No Qt and no napari here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_vae_restore._napari.jobs.restoration_steps import LOOKING, RestoreOptions, loaded
from napari_vae_restore._napari.messages import Update
from napari_vae_restore.images.lazy_arrays import is_lazy
from napari_vae_restore.restoration.tasks import Task

if TYPE_CHECKING:
    from napari_vae_restore.models.model import Model
    from napari_vae_restore.restoration.blocks.on_demand import Looked

_MANY_PIXELS: Final = 2**25
"""Of an image in memory from which it is offered: half a minute's work on two cores."""


def pays(levels: Sequence[Any]) -> bool:
    """Whether to offer it: for images that are read from somewhere, or large.

    Parameters
    ----------
    levels : sequence of array-like
        Of a layer, finest first.
    """
    return len(levels) > 1 or is_lazy(levels[0]) or math.prod(levels[0].shape) >= _MANY_PIXELS


def look_steps(
    levels: Sequence[Any],
    axes: str,
    tasks: Callable[[], Sequence[Task]],
    model: Model | str,
    options: RestoreOptions,
    step: Sequence[int],
) -> Generator[Update | None, None, Looked]:
    """Prepare the restoration of what is looked at, and begin with what is seen of all.

    Parameters
    ----------
    levels : sequence of array-like
        Of the layer, finest first; an image of one resolution gets coarser ones.
    axes : str
        One letter per dimension.
    tasks : callable
        Gives what was done to the image.
    model : Model or str
        As for :func:`~napari_vae_restore.restore`.
    options : RestoreOptions
        How; the tile is one of its own, and samples are not drawn.
    step : sequence of int
        The plane in view: an index along each axis of the finest level.

    Yields
    ------
    Update or None
        Now and then.

    Returns
    -------
    Looked
        For a layer of several levels.

    Raises
    ------
    InputError, ModelFileError, RestorationError
        As :func:`~napari_vae_restore.restore`.
    """
    placed = yield from loaded(model)
    yield Update(LOOKING)
    from napari_vae_restore.restoration.blocks.on_demand import pyramid, restore_levels

    listed = list(levels) if len(levels) > 1 else pyramid(levels[0], axes)
    looked = restore_levels(
        listed, tasks(), placed, axes=axes, seed=options.seed, device=options.device
    )
    yield None
    np.asarray(looked.levels[-1][_coarsest_plane(looked.levels, axes, step)])
    return looked


def _coarsest_plane(
    levels: Sequence[Any], axes: str, step: Sequence[int]
) -> tuple[int | slice, ...]:
    """Index of the plane in view in the coarsest level: what napari asks for first."""
    at = zip(axes, step, levels[0].shape, levels[-1].shape, strict=True)
    return tuple(
        slice(None) if letter in "YXS" else min(max(index * n // of, 0), n - 1)
        for letter, index, of, n in at
    )
