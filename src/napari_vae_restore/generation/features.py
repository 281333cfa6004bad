"""Latents as a table with a row for each region, for PCA, UMAP or a classifier."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_vae_restore.errors import InputError
from napari_vae_restore.generation.latents import Latents
from napari_vae_restore.images.arrays import is_layer
from napari_vae_restore.images.layout import Layout

SQUARE: Final = 64  # default side of the regions in pixels


def features(latents: Latents, regions: Any = None) -> dict[str, NDArray[Any]]:
    """Mean and spread of every latent in every region.

    Parameters
    ----------
    latents : Latents
        Of :func:`~.latents.encode`.
    regions : array-like of int, optional
        Labels on the image, 0 for background: of its shape without channels, or of height
        and width alone, which then count for every plane. By default squares of 64 pixels.

    Returns
    -------
    dict of numpy.ndarray
        Columns of one length, as ``pandas.DataFrame`` takes them: ``plane`` (0 for a single
        one), ``label``, ``y``, ``x`` (the centroid in pixels), ``area`` (pixels), then
        ``z{stride}_{channel}_mean`` and ``z{stride}_{channel}_std`` of each level, coarsest
        first; of several image channels each with a prefix ``c{channel}_``. Cells count by
        the pixels of theirs that lie in the region.

    Raises
    ------
    InputError
        If the labels are not integers of a fitting shape, or label nothing.
    """
    n_planes = latents.layout.planes_shape[0]
    labels = _labels(regions, latents)
    n_groups = len(latents.units) // n_planes
    tables = [
        _of_plane(latents, plane, labels[plane], n_groups)
        for plane in range(n_planes)
        if labels[plane].any()
    ]
    if not tables:
        raise InputError("regions: expected a label above 0 somewhere, got 0 everywhere")
    return {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}


def _of_plane(
    latents: Latents, plane: int, labels: NDArray[np.int64], n_groups: int
) -> dict[str, NDArray[Any]]:
    found, place = np.unique(labels, return_inverse=True)
    place = place.reshape(labels.shape)
    kept = found > 0
    area = np.bincount(place.ravel()).astype(float)
    positions = np.indices(labels.shape)

    def mean(values: NDArray[Any]) -> NDArray[np.float64]:
        return np.asarray(np.bincount(place.ravel(), values.ravel()) / area)

    table: dict[str, NDArray[Any]] = {
        "plane": np.full(len(found), plane),
        "label": found,
        "y": mean(positions[0]),
        "x": mean(positions[1]),
        "area": area.astype(np.int64),
    }
    for group in range(n_groups):
        prefix = f"c{group}_" if n_groups > 1 else ""
        for level in latents.levels:
            grids = level.mean[plane * n_groups + group]
            for channel in range(len(grids)):
                values = level.repeated(grids[channel], labels.shape).astype(np.float64)
                name = f"{prefix}z{level.stride}_{channel:02}"
                centre = mean(values)
                squares = mean((values - centre[place]) ** 2)
                table[f"{name}_mean"], table[f"{name}_std"] = centre, np.sqrt(squares)
    return {name: values[kept] for name, values in table.items()}


def _labels(regions: Any, latents: Latents) -> NDArray[np.int64]:
    """(N, H, W) labels; squares where no regions are given."""
    layout = latents.layout
    n_planes, _, height, width = layout.planes_shape
    if regions is None:
        across = -(-width // SQUARE)
        rows, columns = np.indices((height, width)) // SQUARE
        return np.broadcast_to(rows * across + columns + 1, (n_planes, height, width))
    labels = np.asarray(getattr(regions, "data", regions) if is_layer(regions) else regions)
    if labels.dtype.kind not in "iu":
        raise InputError(f"regions: expected integer labels, got {labels.dtype}")
    axes = layout.axes.translate(str.maketrans("", "", "CS"))
    stack = tuple(layout.shape[layout.axes.index(axis)] for axis in axes)
    if labels.shape == (height, width):
        return np.broadcast_to(labels.astype(np.int64), (n_planes, height, width))
    if labels.shape != stack:
        raise InputError(
            f"regions: expected the shape {stack} or {(height, width)} for an image "
            f"{layout.axes} {layout.shape}, got {labels.shape}"
        )
    return Layout.of(labels, axes).to_planes(labels)[:, 0].astype(np.int64)
