"""Preparing a restoration on demand, of the part in view, in a worker.

No Qt and no napari here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from napari_vae_restore._napari.jobs.restoration_steps import LOOKING, loaded
from napari_vae_restore._napari.messages import Update
from napari_vae_restore.images.lazy_arrays import is_lazy
from napari_vae_restore.restoration.options import Options
from napari_vae_restore.restoration.tasks import Task

if TYPE_CHECKING:
    from napari_vae_restore.models.model import Model
    from napari_vae_restore.restoration.blocks.on_demand import OnDemand

# An image in memory of this many pixels is worth it: half a minute's work on two cores.
_MANY_PIXELS: Final = 2**25


def pays(levels: Sequence[Any]) -> bool:
    """Whether it is worth while: for lazy or large images; levels are finest first."""
    return len(levels) > 1 or is_lazy(levels[0]) or math.prod(levels[0].shape) >= _MANY_PIXELS


def on_demand_steps(
    levels: Sequence[Any],
    axes: str,
    tasks: Callable[[], Sequence[Task]],
    model: Model | str,
    options: Options,
    step: Sequence[int],
) -> Generator[Update | None, None, OnDemand]:
    """Prepare a pyramid that is restored where it is looked at; compute its coarsest plane.

    An image of one level gets coarser ones. `step` is the plane in view, an index along each
    axis of the finest level. The tile and the samples of the options are not used.
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
    """Index of the plane in view in the coarsest level, which napari shows first."""
    at = zip(axes, step, levels[0].shape, levels[-1].shape, strict=True)
    return tuple(
        slice(None) if letter in "YXS" else min(max(index * n // of, 0), n - 1)
        for letter, index, of, n in at
    )
