"""The layers that say how sure a result is: uncertainty map, samples, residual.

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
    from napari_vae_restore._napari.jobs.check_steps import Checked
    from napari_vae_restore._napari.layers.uncertainty import Uncertainty
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
    """Show the uncertainty map and the samples of a restoration, hidden at first.

    Each new layer costs napari some hundredths of a second; who draws this iterator step by
    step lets the window live in between. Layers that are there are renewed: where one is
    removed, napari collects all garbage.

    Parameters
    ----------
    viewer : napari.Viewer
        Where the layers go.
    restoration : Restoration
        Of the whole source, or of a part of it.
    uncertainty : Uncertainty or None
        Its map.
    like : napari.layers.Image, optional
        The source.
    result : napari.layers.Image
        The layer that shows the mean.
    region : tuple of slice, optional
        The part, in data coordinates of the source; by default all of it.

    Yields
    ------
    napari.layers.Image
        The uncertainty; the samples along a first axis. Either is left out where there is
        none.
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
    viewer: Viewer, source: Image, checked: Checked, first: tuple[int, ...]
) -> Image:
    """Show what was removed from an image, on top of all layers; there is one such layer.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Where it is shown.
    source : napari.layers.Image
        The image before.
    checked : Checked
        With the residual.
    first : tuple of int
        Its first pixel in the source's data.

    Returns
    -------
    napari.layers.Image
        The layer; of colours the mean.
    """
    residual = checked.residual.residual
    shown = residual.mean(axis=-1) if source.rgb else residual
    limits = -checked.limit, checked.limit
    metadata = {RESIDUAL_KEY: source.unique_id}
    place = placement(source, start=first)
    layer = _with(viewer, RESIDUAL_KEY, source.unique_id, shown.ndim)
    if layer is not None:
        _renew(layer, shown, metadata, place, {"contrast_limits": limits})
        viewer.layers.move(viewer.layers.index(layer), len(viewer.layers))
        layer.visible = True
        viewer.layers.selection.active = layer
        return layer
    added: Image = viewer.add_image(
        shown,
        name=f"{source.name} residual",
        metadata=metadata,
        colormap="gray",
        contrast_limits=limits,
        **place,
    )
    return added


def show_regions(
    viewer: Viewer, source: Image, checked: Checked, axes: str, first: tuple[int, ...]
) -> Shapes | None:
    """Frame where a result should be looked at; there is one such layer, or none.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Where it is shown.
    source : napari.layers.Image
        The image before.
    checked : Checked
        With the regions.
    axes : str
        Of the source's data.
    first : tuple of int
        First pixel of what was checked in the source's data.

    Returns
    -------
    napari.layers.Shapes or None
        The layer; None where there is nothing to look at.
    """
    for layer in tuple(viewer.layers):
        if layer.metadata.get(LOOK_KEY) == source.unique_id:
            viewer.layers.remove(layer)
    regions = checked.residual.judged.regions
    if not regions:
        return None
    added: Shapes = viewer.add_shapes(
        frames(regions, axes, checked.residual.residual.shape, is_rgb=bool(source.rgb)),
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

    Parameters
    ----------
    regions : sequence of Region
        Of planes counted through in C order.
    axes : str
        One letter per dimension of the shape.
    shape : tuple of int
        Of what was checked.
    is_rgb : bool
        Whether the last dimension holds colours, which no layer counts as one.
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
    layer = _with(viewer, SPREAD_KEY, metadata[SPREAD_KEY], data.ndim)
    if layer is not None:
        _renew(layer, data, metadata, place, look)
        return layer
    selected = set(viewer.layers.selection)
    with steady(viewer):
        added: Image = viewer.add_image(
            data, name=name, metadata=metadata, visible=False, **place, **look
        )
    # The result stays selected: it is what one looks at.
    viewer.layers.selection = selected
    return added


def _with(viewer: Viewer, key: str, owner: Any, ndim: int) -> Image | None:
    """The layer that belongs to another and has so many dimensions of data."""
    for layer in viewer.layers:
        if layer.metadata.get(key) == owner and layer.data.ndim == ndim:
            found: Image = layer
            return found
    return None


def _renew(
    layer: Image,
    data: Any,
    metadata: dict[str, Any],
    place: dict[str, Any],
    look: dict[str, Any],
) -> None:
    layer.data, layer.metadata = data, metadata
    for name in ("scale", "translate"):
        setattr(layer, name, place[name])
    if "contrast_limits" in look:
        layer.contrast_limits = look["contrast_limits"]
