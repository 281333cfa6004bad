"""Masks with a margin: enlarged, and faded so that a fill joins what is around it.

This module knows arrays; neither napari, Qt nor torch.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from napari_vae_restore._napari.masks import Mask
from napari_vae_restore._napari.region import bounding_region
from napari_vae_restore.layout import cast


def grown(mask: Mask, radius: int) -> Mask:
    """Dilate by a disc, each plane apart.

    Parameters
    ----------
    mask : numpy.ndarray of bool
        (..., H, W).
    radius : int
        In pixels.

    Returns
    -------
    numpy.ndarray of bool
        True within `radius` of a pixel of the mask.
    """
    if radius == 0:
        return mask
    result = mask.copy()
    for place, distance in _distances(mask, radius):
        result[place] = distance <= radius
    return result


def ramp(mask: Mask, width: int) -> NDArray[np.float32]:
    """Weights of a fill: 1 on the mask, falling smoothly to 0 around it.

    Parameters
    ----------
    mask : numpy.ndarray of bool
        (..., H, W).
    width : int
        Pixels beyond the mask that have a weight; 0 for none.

    Returns
    -------
    numpy.ndarray of float32
        3 t^2 - 2 t^3 of the distance, so that neither end shows an edge.
    """
    weights = mask.astype(np.float32)
    for place, distance in _distances(mask, width) if width else ():
        t = np.clip(1 - distance / (width + 1), 0, 1)
        weights[place] = t * t * (3 - 2 * t)
    return weights


def blended(
    fill: NDArray[Any], original: NDArray[Any], weights: NDArray[np.float32]
) -> NDArray[Any]:
    """Mix a fill with what was there.

    Parameters
    ----------
    fill, original : numpy.ndarray
        Of one dtype, `original` of a shape that broadcasts to that of `fill`.
    weights : numpy.ndarray of float32
        Of the fill, 0 to 1, broadcast as `original`. Where it is 0 or 1, what was there
        or the fill is taken over bit for bit.

    Returns
    -------
    numpy.ndarray
        A new array of their dtype.
    """
    original, weights = (np.broadcast_to(each, fill.shape) for each in (original, weights))
    result = np.where(weights > 0, fill, original)
    part = (weights > 0) & (weights < 1)
    if part.any():
        share = weights[part].astype(np.float64)
        mixed = share * fill[part] + (1 - share) * original[part]
        result[part] = cast(mixed, result.dtype)
    return result


def _distances(
    mask: Mask, reach: int
) -> Iterator[tuple[tuple[int | slice, ...], NDArray[np.float64]]]:
    """Distances from the mask, in a box of each plane that holds all up to a reach."""
    for index in np.ndindex(*mask.shape[:-2]):
        plane = mask[index]
        if plane.any():
            box = bounding_region(plane, "YX", margin=reach + 1)
            yield (*index, *box), distance_transform_edt(~plane[box])
