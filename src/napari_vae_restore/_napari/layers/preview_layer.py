"""The layers that a source layer has one of each: its preview, and its current sample."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_vae_restore._napari.layers.placement import (
    PREVIEW_KEY,
    RECIPE_KEY,
    SAMPLE_KEY,
    appearance,
    placement,
)

if TYPE_CHECKING:
    from napari.layers import Image

    from napari import Viewer
    from napari_vae_restore._napari.messages import Filling, Preview


def show_preview(viewer: Viewer, source: Image, preview: Preview) -> Image:
    """Add the preview of a layer, or renew the one that is there.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Where it is shown.
    source : napari.layers.Image
        The layer that was restored in part.
    preview : Preview
        The part.

    Returns
    -------
    napari.layers.Image
        The preview layer.
    """
    place = placement(source, start=preview.start, zoom=preview.zoom)
    layer = find_preview(viewer, source)
    if layer is not None:
        layer.data = preview.image
        layer.scale = place["scale"]
        layer.translate = place["translate"]
        layer.visible = True
        return layer
    selected = set(viewer.layers.selection)
    layer = viewer.add_image(
        preview.image,
        name=f"{source.name} preview",
        metadata={PREVIEW_KEY: source.unique_id},
        **place,
        **appearance(source),
    )
    # The user goes on working with what was selected, not with the preview.
    viewer.layers.selection = selected
    return layer


def find_preview(viewer: Viewer, source: Image) -> Image | None:
    """Return the preview layer of a layer, if there is one."""
    return _find(viewer, PREVIEW_KEY, source)


def remove_preview(viewer: Viewer, source: Image) -> None:
    """Remove the preview layer of a layer, if there is one."""
    layer = find_preview(viewer, source)
    if layer is not None:
        viewer.layers.remove(layer)


def show_filling(viewer: Viewer, source: Image, filling: Filling) -> Image:
    """Add a sample of a layer's fillings, or put it in the place of the one before.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Where it is shown.
    source : napari.layers.Image
        The layer that was filled.
    filling : Filling
        The sample.

    Returns
    -------
    napari.layers.Image
        The layer of samples, named after the one that it shows.
    """
    name = f"{source.name} filled, sample {filling.number}"
    recipe = filling.recipe.to_dict()
    layer = _find(viewer, SAMPLE_KEY, source)
    if layer is None:
        metadata = {SAMPLE_KEY: source.unique_id, RECIPE_KEY: recipe}
        return viewer.add_image(
            filling.image,
            name=name,
            metadata=metadata,
            **placement(source),
            **appearance(source),
        )
    layer.data, layer.name, layer.visible = filling.image, name, True
    layer.metadata = layer.metadata | {RECIPE_KEY: recipe}
    return layer


def _find(viewer: Viewer, key: str, source: Image) -> Image | None:
    for layer in viewer.layers:
        if layer.metadata.get(key) == source.unique_id:
            return layer
    return None
