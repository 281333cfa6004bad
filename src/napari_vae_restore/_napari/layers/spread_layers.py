"""Layers that show how sure a result is: uncertainty map, samples, residual, frames.

This module knows layers and the viewer's public API; it imports neither Qt nor torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_vae_restore._napari.layers import region as regions
from napari_vae_restore._napari.layers.placement import (
    FACTOR_KEY,
    LOOK_KEY,
    RECIPE_KEY,
    RESIDUAL_KEY,
    SPREAD_KEY,
    appearance,
    layer_data,
    placement,
)
from napari_vae_restore._napari.layers.view import steady

if TYPE_CHECKING:
    from napari.layers import Image, Shapes
    from numpy.typing import NDArray

    from napari import Viewer
    from napari_vae_restore._napari.layers.uncertainty import Uncertainty
    from napari_vae_restore.reports.residual_check import ResidualCheck
    from napari_vae_restore.restoration.result import Restoration
    from napari_vae_restore.restoration.trust.evidence import Region

_COLORMAP = "inferno"


def show_spread(
    viewer: Viewer,
    restoration: Restoration,
    uncertainty: Uncertainty | None,
    *,
    like: Image | None,
    result: Image,
    region: regions.Region | None = None,
) -> Iterator[Image]:
    """Show a restoration's uncertainty and samples (along a first axis), hidden at first.

    `region` is the part of the source `like` that was restored; None for all of it. Each
    layer costs napari some hundredths of a second: a caller that takes one at a time keeps
    the window alive. Existing layers get new data: on a removal, napari collects all garbage.
    """
    name, look = ("image", {"rgb": False}) if like is None else (like.name, appearance(like))
    place: dict[str, Any] = {}
    sampled: dict[str, Any] = {}
    if like is not None:
        whole = tuple(layer_data(like).shape)
        shape = whole if region is None else tuple(part.stop - part.start for part in region)
        first = None if region is None else regions.start(region)
        zoom = regions.zoom_of(restoration.mean.shape, shape)
        place = placement(like, start=first, zoom=zoom)
        sampled = placement(like, start=first, zoom=zoom, leading="sample")
    metadata = {RECIPE_KEY: restoration.recipe.to_dict(), SPREAD_KEY: result.unique_id}
    if uncertainty is not None:
        yield _shown(
            viewer,
            uncertainty.error,
            f"{name} uncertainty",
            {**metadata, FACTOR_KEY: uncertainty.factor},
            place,
            {"contrast_limits": uncertainty.limits, "colormap": _COLORMAP},
        )
    if (samples := restoration.samples) is not None:
        yield _shown(viewer, samples, f"{name} samples", metadata, sampled, look)


def show_residual(
    viewer: Viewer,
    source: Image,
    residual: NDArray[Any],
    limit: float,
    first: tuple[int, ...],
) -> Image:
    """Show what was removed from a source, on top of all layers; of colours, the mean.

    The contrast ends at -`limit` and `limit`; `first` is the residual's first pixel in the
    source's data. A source has one such layer.
    """
    shown = residual.mean(axis=-1) if source.rgb else residual
    metadata = {RESIDUAL_KEY: source.unique_id}
    place = placement(source, start=first)
    look = {"contrast_limits": (-limit, limit), "colormap": "gray"}
    layer = _renewed(viewer, RESIDUAL_KEY, shown, metadata, place, look)
    if layer is None:
        name = f"{source.name} residual"
        added: Image = viewer.add_image(shown, name=name, metadata=metadata, **place, **look)
        return added
    viewer.layers.move(viewer.layers.index(layer), len(viewer.layers))
    layer.visible = True
    viewer.layers.selection.active = layer
    return layer


def show_regions(
    viewer: Viewer, source: Image, check: ResidualCheck, axes: str, first: tuple[int, ...]
) -> Shapes | None:
    """Frame the regions where a result should be looked at; None where there are none.

    `axes` are those of the source's data, `first` the first pixel that was checked in it. The
    frames of an earlier check are removed.
    """
    for layer in tuple(viewer.layers):
        if layer.metadata.get(LOOK_KEY) == source.unique_id:
            viewer.layers.remove(layer)
    found = check.judged.regions
    if not found:
        return None
    added: Shapes = viewer.add_shapes(
        frames(found, axes, check.residual.shape, is_rgb=bool(source.rgb)),
        shape_type="rectangle",
        name=f"{source.name} look here",
        metadata={LOOK_KEY: source.unique_id},
        edge_color="magenta",
        edge_width=1,
        face_color="transparent",
        **placement(source, start=first),
    )
    return added


def frames(
    regions: Sequence[Region], axes: str, shape: tuple[int, ...], *, is_rgb: bool
) -> list[NDArray[np.float64]]:
    """Corners (4, dimensions) of rectangles, one for each channel that has a slider.

    A region's plane is counted in C order. Of an RGB layer, the last axis is no dimension.
    """
    if is_rgb:
        axes, shape = axes[:-1], shape[:-1]
    sizes = dict(zip(axes, shape, strict=True))
    planes = [axis for axis in axes if axis not in "CSYX"]
    channels = [axis for axis in axes if axis in "CS"]
    found = []
    for region in regions:
        place = np.unravel_index(region.plane, [sizes[axis] for axis in planes] or (1,))
        rows, columns = (region.top, region.bottom), (region.left, region.right)
        for channel in np.ndindex(*(sizes[axis] for axis in channels)):
            at: dict[str, Any] = dict(zip(planes, place, strict=False))
            at |= dict(zip(channels, channel, strict=True))
            corners = np.zeros((4, len(axes)))
            for number, (row, column) in enumerate(((0, 0), (0, 1), (1, 1), (1, 0))):
                values = at | {"Y": rows[row] - 0.5, "X": columns[column] - 0.5}
                corners[number] = [values[axis] for axis in axes]
            found.append(corners)
    return found


def _shown(
    viewer: Viewer,
    data: Any,
    name: str,
    metadata: dict[str, Any],
    place: dict[str, Any],
    look: dict[str, Any],
) -> Image:
    layer = _renewed(viewer, SPREAD_KEY, data, metadata, place, look)
    if layer is not None:
        return layer
    selected = set(viewer.layers.selection)
    options = {"name": name, "metadata": metadata, **place, **look}
    with steady(viewer):
        added: Image = viewer.add_image(data, visible=False, **options)
    # The result stays selected: it is what one looks at.
    viewer.layers.selection = selected
    return added


def _renewed(
    viewer: Viewer,
    key: str,
    data: Any,
    metadata: dict[str, Any],
    place: dict[str, Any],
    look: dict[str, Any],
) -> Image | None:
    """Give new data to the layer of one owner and as many dimensions; None without one."""
    for layer in viewer.layers:
        if layer.metadata.get(key) == metadata[key] and layer.data.ndim == data.ndim:
            renewed: Image = layer
            renewed.data, renewed.metadata = data, metadata
            renewed.scale, renewed.translate = place["scale"], place["translate"]
            if "contrast_limits" in look:
                renewed.contrast_limits = look["contrast_limits"]
            return renewed
    return None
