"""Layers that a source has one of: its preview, and its current filled sample."""

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
    """Add the preview of a source, or give new data to the one that exists."""
    place = placement(source, start=preview.start, zoom=preview.zoom)
    layer = find_preview(viewer, source)
    if layer is not None:
        layer.data, layer.visible = preview.image, True
        layer.scale, layer.translate = place["scale"], place["translate"]
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
    """The preview layer of a source, if there is one."""
    return _find(viewer, PREVIEW_KEY, source)


def remove_preview(viewer: Viewer, source: Image) -> None:
    """Remove the preview layer of a source, if there is one."""
    layer = find_preview(viewer, source)
    if layer is not None:
        viewer.layers.remove(layer)


def show_filling(viewer: Viewer, source: Image, filling: Filling) -> Image:
    """Add a filled sample of a source, or show it in place of the one before."""
    name = f"{source.name} filled, sample {filling.number}"
    recipe = filling.recipe.to_dict()
    layer = _find(viewer, SAMPLE_KEY, source)
    if layer is None:
        return viewer.add_image(
            filling.image,
            name=name,
            metadata={SAMPLE_KEY: source.unique_id, RECIPE_KEY: recipe},
            **placement(source),
            **appearance(source),
        )
    layer.data, layer.name, layer.visible = filling.image, name, True
    layer.metadata = layer.metadata | {RECIPE_KEY: recipe}
    return layer


def _find(viewer: Viewer, key: str, source: Image) -> Image | None:
    own = source.unique_id
    return next((layer for layer in viewer.layers if layer.metadata.get(key) == own), None)
