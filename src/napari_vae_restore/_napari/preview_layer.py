"""The one preview layer that a source layer has, put where its pixels belong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_vae_restore._napari.layers import PREVIEW_KEY, appearance, placement

if TYPE_CHECKING:
    from napari.layers import Image

    from napari import Viewer
    from napari_vae_restore._napari.messages import Preview


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
    place = placement(source, start=preview.start)
    layer = find_preview(viewer, source)
    if layer is not None:
        layer.data = preview.image
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
    for layer in viewer.layers:
        if layer.metadata.get(PREVIEW_KEY) == source.unique_id:
            return layer
    return None


def remove_preview(viewer: Viewer, source: Image) -> None:
    """Remove the preview layer of a layer, if there is one."""
    layer = find_preview(viewer, source)
    if layer is not None:
        viewer.layers.remove(layer)
