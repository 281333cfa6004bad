"""Layers that show how sure a result is: uncertainty map, samples, residual, frames.

This module imports neither Qt nor torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Shapes
from numpy.typing import NDArray

from napari import Viewer
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
from napari_vae_restore._napari.layers.results import show
from napari_vae_restore._napari.layers.uncertainty import Uncertainty

if TYPE_CHECKING:
    from napari_vae_restore.reports.residual_check import ResidualCheck
    from napari_vae_restore.restoration.result import Restoration
    from napari_vae_restore.restoration.trust.evidence import Region

_COLORMAP = "inferno"
_LIMITS = ("contrast_limits",)


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
    the window alive.
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
        options = {
            "name": f"{name} uncertainty",
            "metadata": {**metadata, FACTOR_KEY: uncertainty.factor},
            **place,
            "contrast_limits": uncertainty.limits,
            "colormap": _COLORMAP,
        }
        yield show(viewer, SPREAD_KEY, uncertainty.error, options, _LIMITS, visible=False)
    if (samples := restoration.samples) is not None:
        options = {"name": f"{name} samples", "metadata": metadata, **sampled, **look}
        yield show(viewer, SPREAD_KEY, samples, options, _LIMITS, visible=False)


def show_residual(
    viewer: Viewer,
    source: Image,
    residual: NDArray[Any],
    limit: float,
    first: tuple[int, ...],
) -> Image:
    """Show what was removed from a source, on top of all layers; of colours, the mean.

    The contrast ends at -`limit` and `limit`; `first` is its first pixel in the source's data.
    """
    options = {
        "name": f"{source.name} residual",
        "metadata": {RESIDUAL_KEY: source.unique_id},
        **placement(source, start=first),
        "contrast_limits": (-limit, limit),
        "colormap": "gray",
    }
    shown = residual.mean(axis=-1) if source.rgb else residual
    layer = show(viewer, RESIDUAL_KEY, shown, options, _LIMITS)
    viewer.layers.move(viewer.layers.index(layer), len(viewer.layers))
    viewer.layers.selection.active = layer
    return layer


def show_regions(
    viewer: Viewer, source: Image, check: ResidualCheck, axes: str, first: tuple[int, ...]
) -> Shapes | None:
    """Frame the regions where a result should be looked at; None where there are none.

    `axes` are those of the source's data, `first` the first pixel that was checked in it.
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
    """Corners (4, dimensions) of rectangles, one for each channel that has a slider."""
    if is_rgb:
        axes, shape = axes[:-1], shape[:-1]
    sizes = dict(zip(axes, shape, strict=True))
    planes = [axis for axis in axes if axis not in "CSYX"]
    channels = [axis for axis in axes if axis in "CS"]
    found = []
    for region in regions:
        place = np.unravel_index(region.plane, [sizes[axis] for axis in planes] or (1,))
        top, bottom, left, right = np.subtract(
            (region.top, region.bottom, region.left, region.right), 0.5
        )
        corners = ((top, left), (top, right), (bottom, right), (bottom, left))
        for channel in np.ndindex(*(sizes[axis] for axis in channels)):
            at: dict[str, Any] = dict(zip(planes, place, strict=False))
            at |= dict(zip(channels, channel, strict=True))
            each = [[{**at, "Y": row, "X": column}[a] for a in axes] for row, column in corners]
            found.append(np.array(each, float))
    return found
