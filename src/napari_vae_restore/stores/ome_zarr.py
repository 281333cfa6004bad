"""OME-Zarr images that are written: NGFF 0.5 metadata and the levels of a pyramid.

`images.zarr_files` reads them. This module knows nothing of restorations. Specification:
https://ngff.openmicroscopy.org/0.5/
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_vae_restore.errors import InputError
from napari_vae_restore.images.image_metadata import PIXEL, UNKNOWN, Sizes
from napari_vae_restore.images.zarr_files import AXES

_TYPES: Final = {"T": "time", "C": "channel"}  # of axes; others are of space
_COARSEST: Final = 512  # pixels: a level with no longer side is the coarsest


def output_axes(axes: str) -> str:
    """The axes of a result in the standard's order; samples of colours become channels.

    Examples
    --------
    >>> output_axes("YXS"), output_axes("ZCYX")
    ('CYX', 'CZYX')
    """
    if "S" in axes and "C" in axes:
        raise InputError(
            f"Expected channels or colours for OME-Zarr, but the axes {axes} have both: split "
            "the channels."
        )
    letters = axes.replace("S", "C")
    if unknown := [letter for letter in letters if letter not in AXES]:
        raise InputError(
            f"Expected axes out of {', '.join(AXES)} for OME-Zarr, but {axes} came: name "
            f"{', '.join(unknown)} otherwise by --axes (axes=)."
        )
    return "".join(letter for letter in AXES if letter in letters)


def level_shapes(shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Shapes of the levels of a pyramid, finest first; each halves Y and X, rounded up."""
    shapes = [shape]
    while max(shapes[-1][-2:]) > _COARSEST:
        *lead, height, width = shapes[-1]
        shapes.append((*lead, (height + 1) // 2, (width + 1) // 2))
    return shapes


def attributes(
    axes: str, sizes: Sizes, n_levels: int, *, name: str, channel_names: Sequence[str] = ()
) -> dict[str, Any]:
    """The attribute "ome" of an image's group, whose levels are named "0", "1" and so on.

    `sizes` has the step and unit of an axis at the finest level; others are in pixels.
    """
    steps = np.array([sizes.get(letter, UNKNOWN)[0] for letter in axes])
    units = [sizes.get(letter, UNKNOWN)[1] for letter in axes]
    listed = [
        {"name": letter.lower(), "type": _TYPES.get(letter, "space")}
        | ({} if unit == PIXEL else {"unit": unit})
        for letter, unit in zip(axes, units, strict=True)
    ]
    levels = []
    for level in range(n_levels):
        grown = np.array([2**level if letter in "YX" else 1 for letter in axes])
        transforms = [{"type": "scale", "scale": (steps * grown).tolist()}]
        if level:
            # Centres of the coarse pixels lie between those of the fine ones.
            shift = steps * (grown - 1) / 2
            transforms.append({"type": "translation", "translation": shift.tolist()})
        levels.append({"path": str(level), "coordinateTransformations": transforms})
    image = {"name": name, "axes": listed, "datasets": levels, "type": "mean"}
    ome: dict[str, Any] = {"version": "0.5", "multiscales": [image]}
    if channel_names:
        ome["omero"] = {"channels": [{"label": name} for name in channel_names]}
    return ome


def reduced(values: NDArray[Any]) -> NDArray[Any]:
    """Means over 2 x 2 pixels of (..., H, W); at odd borders, over fewer."""
    padded = np.pad(
        values.astype(np.float64),
        [(0, 0)] * (values.ndim - 2) + [(0, side % 2) for side in values.shape[-2:]],
        mode="edge",
    )
    rows = padded[..., ::2, :] + padded[..., 1::2, :]
    mean: NDArray[Any] = (rows[..., ::2] + rows[..., 1::2]) / 4
    return mean
