"""What is odd about a large image, by a spot of it, before hours are spent on the whole."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from napari_vae_restore.errors import InputError
from napari_vae_restore.layout import Layout
from napari_vae_restore.models.model import Model
from napari_vae_restore.restoration.problem import Problem
from napari_vae_restore.restoration.restore import restore
from napari_vae_restore.restoration.result import Diagnostics
from napari_vae_restore.restoration.sampling import in_memory, stack_windows

_LOOKED_AT: Final = 4
"""Windows, of which the one with most in it counts: an empty corner is like nothing."""
_SIDE: Final = 256
"""Pixels."""


def spot_check(
    planes: Any, layout: Layout, problem: Problem, model: Model, device: str
) -> Diagnostics | None:
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
    Diagnostics or None
        Of the spot: its warnings, `unlikeness` and device hold for the image. None for
        other tasks, and of a spot whose noise cannot be told.

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
        return restore(image, problem.denoising, model, axes=axes, device=device).diagnostics
    except InputError:
        return None


def _middle(part: slice) -> slice:
    """At most `_SIDE` pixels of a window's side."""
    length = part.stop - part.start
    start = part.start + max(0, length - _SIDE) // 2
    return slice(start, start + min(length, _SIDE))
