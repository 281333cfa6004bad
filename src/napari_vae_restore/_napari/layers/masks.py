"""Masks on an image's pixel grid, made of what a user drew over the image.

A drawing is in data coordinates of the image; :mod:`mask_layers` brings it there. A mask is
(H, W), or (planes..., H, W) with the planes' axes in the order of the image.
This module knows arrays and axes; no Qt, no napari and no torch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import affine_transform
from skimage.draw import line, polygon, set_color

from napari_vae_restore._napari.layers.region import Region
from napari_vae_restore.errors import InputError

Mask = NDArray[np.bool_]
Points = NDArray[np.float64]

# Half a plane's distance: how far the corners of one shape may lie apart across planes.
_MAX_TILT = 0.5


@dataclass(frozen=True, slots=True)
class Grid:
    """The pixel grid of an image or of a part of one."""

    axes: str  # one letter per dimension of the data
    shape: tuple[int, ...]
    ndim: int  # leading dimensions with coordinates; a colour axis behind them has none
    start: tuple[int, ...] = ()  # first pixel of a part in the whole image

    @property
    def spatial(self) -> tuple[int, int]:
        """Numbers of the dimensions height and width."""
        return self.axes.index("Y"), self.axes.index("X")

    @property
    def plane_dims(self) -> tuple[int, ...]:
        """Numbers of the dimensions with a slider: each of their planes is drawn on alone."""
        return tuple(d for d, a in enumerate(self.axes[: self.ndim]) if a not in "YXS")

    @property
    def plane_shape(self) -> tuple[int, ...]:
        """Number of planes along each of `plane_dims`."""
        return tuple(self.shape[d] for d in self.plane_dims)

    @property
    def size(self) -> tuple[int, int]:
        y, x = self.spatial
        return self.shape[y], self.shape[x]

    @property
    def origin(self) -> Points:
        """(ndim,) data coordinates of its first pixel in the whole image."""
        return np.array(self.start or (0,) * self.ndim, float)[: self.ndim]

    def part(self, region: Region) -> Grid:
        """The grid of a part of a whole image."""
        shape = tuple(each.stop - each.start for each in region)
        return Grid(self.axes, shape, self.ndim, tuple(each.start for each in region))

    def spread(self, mask: NDArray[Any]) -> NDArray[Any]:
        """View a mask (..., H, W) in the image's full shape, in its order of axes."""
        y, x = self.spatial
        dims = (*(self.plane_dims if mask.ndim > 2 else ()), y, x)
        ordered = mask.transpose(np.argsort(dims))
        kept = tuple(slice(None) if d in dims else None for d in range(len(self.shape)))
        return np.broadcast_to(ordered[kept], self.shape)

    def for_task(self, mask: Mask) -> Mask:
        """The smallest form of a mask (..., H, W) that :class:`Inpaint` takes."""
        y, x = self.spatial
        if mask.ndim == 2:
            return mask if y < x else mask.T
        return self.spread(mask)


class Drawing(Protocol):
    @property
    def is_blank(self) -> bool:
        """Whether nothing was drawn."""

    def on(self, grid: Grid, *, all_planes: bool) -> Mask:
        """Rasterise: (H, W) for all planes, else (planes..., H, W); True where drawn."""


@dataclass(frozen=True, slots=True, eq=False)
class Outline:
    """One polygon or line of one pixel; (n, ndim) corners in data coordinates of the image."""

    points: Points
    is_closed: bool = True  # a polygon, which has an inside


@dataclass(frozen=True, slots=True, eq=False)
class Outlines:
    """Polygons and lines; a pixel belongs to a polygon if its centre lies in it."""

    outlines: tuple[Outline, ...]

    @property
    def is_blank(self) -> bool:
        return not self.outlines

    def on(self, grid: Grid, *, all_planes: bool) -> Mask:
        """Rasterise; raises InputError if a shape was drawn across planes."""
        planes = () if all_planes else grid.plane_shape
        mask = np.zeros((*planes, *grid.size), bool)
        for outline in self.outlines:
            points = outline.points - grid.origin
            index = _plane(points, grid)
            if all_planes:
                index = ()
            elif any(not 0 <= i < n for i, n in zip(index, planes, strict=True)):
                continue
            _draw(points, mask[index], grid, is_closed=outline.is_closed)
        return mask


@dataclass(frozen=True, slots=True, eq=False)
class Painting:
    """Painted pixels of any grid, looked up at the centre of each pixel of the image."""

    labels: Any  # not 0 where it is painted
    from_image: Points  # (labels.ndim + 1, image.ndim + 1), affine map of data coordinates
    # Along `plane_dims`, the only plane that counts; None for labels that have as many
    # dimensions as the image, and so coordinates of their own.
    plane: tuple[int, ...] | None = None

    @property
    def is_blank(self) -> bool:
        """Whether all labels are 0; this reads them."""
        return not np.any(np.asarray(self.labels))

    def on(self, grid: Grid, *, all_planes: bool) -> Mask:
        """Rasterise; for all planes, what is painted on any of them."""
        labels = np.asarray(self.labels) != 0
        mask = np.zeros((*grid.plane_shape, *grid.size), bool)
        planes = list(np.ndindex(*grid.plane_shape))
        if self.plane is not None:
            first = grid.origin[list(grid.plane_dims)].astype(int)
            own = tuple(int(i) for i in np.subtract(self.plane, first))
            planes = [plane for plane in planes if plane == own]
        for index in planes:
            mask[index] = self._looked_up(labels, index, grid)
        if not all_planes:
            return mask
        return np.asarray(mask.any(axis=tuple(range(mask.ndim - 2))), dtype=bool)

    def _looked_up(self, labels: Mask, plane: tuple[int, ...], grid: Grid) -> Mask:
        """One plane of the image (H, W) by the nearest label.

        Unlike `skimage.transform.warp` and `scipy.ndimage.map_coordinates`, this needs no
        arrays of coordinates in the plane's size.
        """
        linear, offset = self.from_image[:-1, :-1], self.from_image[:-1, -1]
        first = grid.origin.copy()
        first[list(grid.plane_dims)] += plane
        # The plane gets leading axes of length 1, until it has as many as the labels.
        matrix = np.zeros((labels.ndim, labels.ndim))
        matrix[:, -2:] = linear[:, list(grid.spatial)]
        shape = (1,) * (labels.ndim - 2) + grid.size
        options: dict[str, Any] = {"order": 0, "mode": "grid-constant"}
        offset = offset + linear @ first
        found = affine_transform(labels.view(np.uint8), matrix, offset, shape, **options)
        return np.asarray(found.reshape(grid.size) != 0)


def _plane(points: Points, grid: Grid) -> tuple[int, ...]:
    """Index of the plane that a shape was drawn on, along the grid's `plane_dims`."""
    across = points[:, list(grid.plane_dims)]
    if across.size and bool((np.ptp(across, axis=0) > _MAX_TILT).any()):
        raise InputError(
            "The mask holds a shape that lies across planes: draw it on a plane in Y and X, "
            "the way the image is restored."
        )
    return tuple(math.floor(value + 0.5) for value in across.mean(axis=0))


def _draw(points: Points, plane: Mask, grid: Grid, *, is_closed: bool) -> None:
    """Set the pixels of one outline, in place."""
    points = points[:, list(grid.spatial)]
    if is_closed:
        plane[polygon(points[:, 0], points[:, 1], shape=plane.shape)] = True
        return
    for start, end in pairwise(np.floor(points + 0.5).astype(int)):
        set_color(plane, line(*start, *end), True)
