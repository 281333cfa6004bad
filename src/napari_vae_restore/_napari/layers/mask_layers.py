"""Shapes and Labels layers as drawings over an image, and new layers to draw on.

napari's own `Shapes.to_masks` draws a line one pixel wide, and on the grid of its own layer;
here lines are as broad as they look, and any two transforms are allowed.
This module imports neither Qt nor torch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pint
from napari.layers import Image, Labels, Layer, Shapes

from napari import Viewer
from napari_vae_restore._napari.layers.masks import (
    Drawing,
    Grid,
    Outline,
    Outlines,
    Painting,
    Points,
)
from napari_vae_restore._napari.layers.placement import layer_data, placement, to_physical

MASK_KEY = "vae_restore_mask_of"  # in the metadata of a mask layer: the id of its image

MASK_COLOUR = "#ff3b6b"
MASK_OPACITY = 0.5
_CORNERS_OF_AN_ELLIPSE = 180


def new_mask(viewer: Viewer, image: Image) -> Shapes:
    """Add a Shapes layer to draw what is missing of an image, ready to draw on."""
    layer = viewer.add_shapes(
        None,
        ndim=image.ndim,
        name=f"mask of {image.name}",
        face_color=MASK_COLOUR,
        edge_color=MASK_COLOUR,
        opacity=MASK_OPACITY,
        metadata={MASK_KEY: image.unique_id},
        **placement(image),
    )
    viewer.layers.selection.active = layer
    layer.mode = "add_polygon"
    return layer


def missing_pixels(viewer: Viewer, image: Image) -> Labels | None:
    """Add Labels over pixels that are not a number; None without any, and for lazy data."""
    data = layer_data(image)
    if not isinstance(data, np.ndarray) or data.dtype.kind != "f":
        return None
    missing = np.asarray(~np.isfinite(data))
    if image.rgb:
        missing = np.asarray(missing.any(axis=-1))
    if not missing.any():
        return None
    return viewer.add_labels(
        missing.astype(np.uint8),
        name=f"missing pixels of {image.name}",
        opacity=MASK_OPACITY,
        metadata={MASK_KEY: image.unique_id},
        **placement(image),
    )


def grid_of(image: Image, axes: str) -> Grid:
    return Grid(axes, tuple(layer_data(image).shape), image.ndim)


def drawing_on(
    image: Image, mask: Shapes | Labels, axes: str, point: Sequence[float]
) -> Drawing:
    """The drawing that a mask layer holds now, over an image; for use in any thread.

    `point` is where the viewer's sliders stand, in world coordinates. A mask of fewer
    dimensions lies on the plane in view; of one of more, the leading ones do not count.
    """
    image_to_world, mask_to_world = _to_world(image, image), _to_world(mask, image)
    if isinstance(mask, Shapes):
        to_image = np.linalg.inv(image_to_world) @ _last(mask_to_world, image.ndim, point)
        return Outlines(tuple(_outlines(mask, to_image)))
    from_image = np.linalg.inv(mask_to_world) @ _last(image_to_world, mask.ndim, point)
    plane = None
    if mask.ndim < image.ndim:
        to_data = np.asarray(np.linalg.inv(image_to_world), float)
        step = _mapped(to_data, _padded(point, image.ndim))
        plane = tuple(math.floor(step[dim] + 0.5) for dim in grid_of(image, axes).plane_dims)
    return Painting(layer_data(mask), from_image, plane)


def _to_world(layer: Layer, like: Layer) -> Points:
    """(ndim + 1, ndim + 1) map from data to world coordinates, in units of another layer."""
    matrix = layer.affine.affine_matrix @ to_physical(layer).affine_matrix
    n = min(layer.ndim, like.ndim)
    ratios = np.ones(layer.ndim + 1)
    for axis, unit, wanted in zip(range(-n, 0), layer.units[-n:], like.units[-n:], strict=True):
        ratios[axis - 1] = _ratio(unit, wanted)
    return np.asarray(ratios[:, None] * matrix)


def _ratio(unit: Any, wanted: Any) -> float:
    """Size of a unit in another one; 1 where they measure different things."""
    try:
        return float(pint.Quantity(1, unit).m_as(wanted))
    except pint.DimensionalityError:
        return 1.0


def _last(matrix: Points, ndim: int, point: Sequence[float]) -> Points:
    """The last `ndim` coordinates of a map; the view's, where the map has fewer."""
    missing = ndim + 1 - len(matrix)
    if missing <= 0:
        return matrix[-ndim - 1 :]
    above = np.zeros((missing, matrix.shape[1]))
    above[:, -1] = _padded(point, ndim)[:missing]
    return np.concatenate([above, matrix])


def _padded(point: Sequence[float], ndim: int) -> Points:
    """The last `ndim` coordinates of a point, 0 where it has fewer."""
    values = np.zeros(ndim)
    known = np.asarray(point, float)[-ndim:]
    values[ndim - len(known) :] = known
    return values


def _outlines(shapes: Shapes, to_image: Points) -> list[Outline]:
    found = []
    for kind, corners, width in zip(
        shapes.shape_type, shapes.data, shapes.edge_width, strict=True
    ):
        points = np.asarray(corners, float)
        if kind in ("line", "path"):
            parts = [Outline(points, is_closed=False), *_stroke(points, float(width))]
        else:
            parts = [Outline(_ellipse(points) if kind == "ellipse" else points)]
        found += [Outline(_mapped(to_image, part.points), part.is_closed) for part in parts]
    return found


def _mapped(matrix: Points, points: Points) -> Points:
    return np.asarray(points @ matrix[:-1, :-1].T + matrix[:-1, -1])


def _ellipse(box: Points) -> Points:
    """The ellipse that touches the middles of the sides of a box, given by its corners."""
    centre = box.mean(axis=0)
    one, other = (box[1] - box[0]) / 2, (box[3] - box[0]) / 2
    angles = np.linspace(0, 2 * np.pi, _CORNERS_OF_AN_ELLIPSE, endpoint=False)[:, None]
    return np.asarray(centre + np.cos(angles) * one + np.sin(angles) * other)


def _stroke(points: Points, width: float) -> list[Outline]:
    """A line as broad as it is drawn: a bar for each part, a disc at each corner."""
    angles = np.linspace(0, 2 * np.pi, _CORNERS_OF_AN_ELLIPSE, endpoint=False)
    circle = np.zeros((len(angles), points.shape[1]))
    circle[:, -2], circle[:, -1] = width / 2 * np.sin(angles), width / 2 * np.cos(angles)
    parts = [Outline(point + circle) for point in points]
    for start, end in pairwise(points):
        dy, dx = (end - start)[-2:]
        length = float(np.hypot(dy, dx))
        if length > 0:
            side = np.zeros(points.shape[1])
            side[-2:] = np.array([-dx, dy]) * width / 2 / length
            parts.append(
                Outline(np.stack([start + side, end + side, end - side, start - side]))
            )
    return parts
