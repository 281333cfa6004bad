"""Before and after in one viewer: a wipe of two slices, and the view as it was before.

This module imports neither Qt nor torch.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.layers import Image, Layer
from numpy.typing import NDArray

from napari import Viewer
from napari_vae_restore._napari.layers.placement import appearance, layer_data, placement
from napari_vae_restore._napari.layers.region import start, zoom_of
from napari_vae_restore._napari.layers.view import current_step
from napari_vae_restore.errors import InputError

WIPE_KEY = "vae_restore_wipe"  # in the metadata of a wipe: the id of the result
_LINE_SHARE = 300  # the line between before and after is 1/300 of the width


@dataclass(frozen=True, slots=True, eq=False)
class ViewState:
    """State of a viewer that a comparison changes, to be restored after it."""

    visible: dict[Layer, bool]
    selection: set[Layer]
    step: tuple[int, ...]
    grid: tuple[bool, Any, Any]  # whether it is on, stride, shape

    @classmethod
    def of(cls, viewer: Viewer) -> ViewState:
        """Take the state of a viewer."""
        grid = grid_of(viewer)
        return cls(
            {layer: bool(layer.visible) for layer in viewer.layers},
            set(viewer.layers.selection),
            tuple(viewer.dims.current_step),
            (bool(grid.enabled), grid.stride, grid.shape),
        )

    def restore(self, viewer: Viewer) -> None:
        """Bring a viewer back to this state; newer layers stay as they are."""
        for layer in viewer.layers:
            if layer in self.visible:
                layer.visible = self.visible[layer]
        viewer.layers.selection = {each for each in self.selection if each in viewer.layers}
        last = len(self.step)
        if last == viewer.dims.ndim:
            viewer.dims.set_current_step(range(last), self.step)
        grid = grid_of(viewer)
        grid.enabled, grid.stride, grid.shape = self.grid


def grid_of(viewer: Viewer) -> Any:
    """The grid of a viewer, which napari 0.9 moved."""
    return viewer.canvas.grid if hasattr(viewer, "canvas") else viewer.grid


def show_only(viewer: Viewer, shown: Iterable[Layer]) -> None:
    """Hide all image layers but some; masks and points stay as they are."""
    wanted = set(shown)
    for layer in viewer.layers:
        if layer in wanted:
            layer.visible = True
        elif isinstance(layer, Image):
            layer.visible = False


@dataclass(frozen=True, slots=True, eq=False)
class Slices:
    """The current 2D slice before and after, on the result's grid, in all its dimensions."""

    before: NDArray[Any]
    after: NDArray[Any]
    first: tuple[int, ...]  # their first pixel in data coordinates of the result
    across: int  # the dimension that runs across the canvas

    def joined(self, share: float, line: Any = None) -> NDArray[Any]:
        """The left `share` (0 to 1) before, the rest after, with a line of a value between."""
        length = self.after.shape[self.across]
        cut = round(min(max(share, 0.0), 1.0) * length)
        image = self.after.copy()
        image[self._columns(0, cut)] = self.before[self._columns(0, cut)]
        if line is not None and 0 < cut < length:
            half = max(1, length // _LINE_SHARE)
            image[self._columns(max(0, cut - half), cut + half)] = line
        return image

    def _columns(self, first: int, stop: int) -> tuple[slice, ...]:
        return (slice(None),) * self.across + (slice(first, stop),)


def current_slices(viewer: Viewer, source: Image, result: Image) -> Slices:
    """The slice in view of a source and its result; the source's pixels are repeated.

    Raises InputError in 3D, or if the result was not made of the source.
    """
    if viewer.dims.ndisplay != 2:
        raise InputError("A wipe needs the 2D view: leave 3D by Ctrl+Y, then try again.")
    before, after = layer_data(source), layer_data(result)
    if len(before.shape) != len(after.shape):
        raise InputError(f"“{result.name}” and “{source.name}” differ in their dimensions.")
    zoom = [round(z) for z in zoom_of(after.shape, before.shape)]
    if any(z * n != m for z, n, m in zip(zoom, before.shape, after.shape, strict=True)):
        raise InputError(f"“{result.name}” was not made of “{source.name}”: choose its source.")
    shown = [d - (viewer.dims.ndim - result.ndim) for d in viewer.dims.displayed]
    if min(shown) < 0:
        raise InputError(
            "The layer has no extent along what is shown: change the order of axes."
        )
    step = current_step(viewer, result)
    cut_before, cut_after = [], []
    for dim, (length, z) in enumerate(zip(after.shape, zoom, strict=True)):
        if dim in shown or dim >= result.ndim:
            cut_before.append(slice(0, length // z))
            cut_after.append(slice(0, length))
        else:
            index = min(max(step[dim], 0), length - 1)
            cut_before.append(slice(index // z, index // z + 1))
            cut_after.append(slice(index, index + 1))
    old = np.asarray(before[tuple(cut_before)])
    for dim in shown:
        old = old.repeat(zoom[dim], axis=dim)
    new = np.asarray(after[tuple(cut_after)])
    return Slices(old.astype(new.dtype, copy=False), new, start(tuple(cut_after)), shown[-1])


def show_wipe(viewer: Viewer, source: Image, result: Image, share: float) -> Image:
    """Add the layer of a wipe on top, selected so that dragging moves its line."""
    slices = current_slices(viewer, source, result)
    layer: Image = viewer.add_image(
        slices.joined(share, line_value(result)),
        name=f"wipe: {source.name} | {result.name}",
        metadata={WIPE_KEY: result.unique_id},
        **placement(result, start=slices.first),
        **appearance(result),
    )
    # The camera does not pan while the line is dragged.
    layer.mouse_pan = False
    viewer.layers.selection.active = layer
    return layer


def move_wipe(layer: Image, slices: Slices, result: Image, share: float) -> None:
    """Redraw a wipe for another place of its line or another slice."""
    layer.data = slices.joined(share, line_value(result))
    layer.translate = placement(result, start=slices.first)["translate"]


def share_at(layer: Image, slices: Slices, position: Iterable[float]) -> float:
    """The share of the image before for a line through a place in world coordinates."""
    place = layer.world_to_data(list(position)[-layer.ndim :])[slices.across]
    return float(np.clip((place + 0.5) / slices.after.shape[slices.across], 0.0, 1.0))


def line_value(result: Image) -> Any:
    """A bright value in the result's dtype: the upper contrast limit, or white."""
    dtype = np.dtype(layer_data(result).dtype)
    if not result.rgb:
        value = result.contrast_limits[1]
    else:
        value = np.iinfo(dtype).max if dtype.kind in "iu" else 1.0
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return dtype.type(np.clip(round(value), limits.min, limits.max))
    return dtype.type(value)
