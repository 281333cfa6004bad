"""The view of a layer: its current plane and visible pixels; and how to keep the view."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from napari.layers import Image

from napari import Viewer
from napari_vae_restore._napari.layers.placement import layer_data
from napari_vae_restore._napari.layers.region import Region, visible_region
from napari_vae_restore.images.arrays import MIN_SIDE

MAX_SIDE = 512  # pixels, of a preview: a second or two on two busy cores


def current_step(viewer: Viewer, layer: Image) -> tuple[int, ...]:
    """Index of the current plane along each dimension of a layer's data, 0 along colours.

    A layer of fewer dimensions lies along the last ones. The index may lie outside the data.
    """
    world = viewer.dims.point[viewer.dims.ndim - layer.ndim :]
    step = tuple(int(np.rint(value)) for value in layer.world_to_data(world))
    # A colour axis is no dimension of the layer, but one of its data.
    return step + (0,) * (len(layer_data(layer).shape) - len(step))


def region_in_view(
    viewer: Viewer, layer: Image, axes: str, *, whole: bool = False, **options: Any
) -> Region:
    """The part of a layer's current plane that is in view, or all of it; `visible_region`."""
    shape, step = layer_data(layer).shape, current_step(viewer, layer)
    corners = None if whole else visible_pixels(viewer, layer)
    return visible_region(shape, axes, step=step, corners=corners, **options)


@contextmanager
def steady(viewer: Viewer) -> Iterator[None]:
    """Keep the view while layers are added; a new dimension makes napari reset it."""
    scene = viewer.scene if hasattr(viewer, "scene") else viewer  # before napari 0.9
    camera, ndim = scene.camera, viewer.dims.ndim
    seen = camera.center, camera.zoom, camera.angles
    yield
    if viewer.dims.ndim != ndim:
        camera.center, camera.zoom, camera.angles = seen


def visible_pixels(viewer: Viewer, layer: Image) -> list[tuple[float, float]] | None:
    """First and last visible pixel along each dimension, at the finest resolution.

    None in 3D, where no rectangle is in view, and where hardly a pixel is visible.
    """
    if viewer.dims.ndisplay != 2:
        return None
    corners = np.asarray(layer.corner_pixels, float)
    if layer.multiscale:
        factors = np.asarray(layer.downsample_factors)[layer.data_level]
        corners = np.stack([corners[0] * factors, (corners[1] + 1) * factors - 1])
    first, last = corners
    spread = np.sort(last - first)[::-1][:2]
    if spread.min() < MIN_SIDE:
        return None
    # A colour axis is no dimension of the layer, but one of its data.
    extra = len(layer_data(layer).shape) - layer.ndim
    return [*zip(first.tolist(), last.tolist(), strict=True), *[(0.0, 0.0)] * extra]
