"""Results among the layers of a viewer, and what belongs to each: source, mask, samples.

This module imports neither Qt nor torch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari.layers import Image

from napari import Viewer
from napari_vae_restore._napari.layers.masks import Mask
from napari_vae_restore._napari.layers.placement import (
    FACTOR_KEY,
    MISSING_KEY,
    NOTE_KEY,
    PREVIEW_KEY,
    RECIPE_KEY,
    RESULT_KEY,
    SAMPLE_KEY,
    SPREAD_KEY,
    WARNINGS_KEY,
    appearance,
    layer_data,
    placement,
)
from napari_vae_restore._napari.layers.region import Region, visible_region, zoom_of
from napari_vae_restore._napari.layers.view import steady
from napari_vae_restore._napari.messages import Filling, Preview, Source
from napari_vae_restore._napari.words import as_paragraphs, done
from napari_vae_restore.errors import InputError

if TYPE_CHECKING:
    from napari_vae_restore.restoration.blocks.on_demand import OnDemand
    from napari_vae_restore.restoration.result import Restoration


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """A result with its source, taken when a button was pressed."""

    image: Source
    result: Any  # an array in the axes of the image, enlarged or not
    recipe: dict[str, Any]  # as Recipe.to_dict gives it
    missing: Mask | None  # what was filled, (Y, X) or of the image's shape
    region: Region  # the part to look at, in data coordinates of the image

    @property
    def result_region(self) -> Region:
        """The part in data coordinates of the result."""
        zoom = zoom_of(self.result.shape, self.image.data.shape)
        return tuple(
            slice(round(part.start * z), round(part.stop * z))
            for part, z in zip(self.region, zoom, strict=True)
        )


def show(
    viewer: Viewer,
    key: str,
    data: Any,
    options: dict[str, Any],
    renews: Sequence[str] = (),
    *,
    selects: bool = False,
    visible: bool = True,
) -> Image:
    """Show data in the layer of an owner, the value of a key in its metadata, or in a new one.

    An existing layer gets new data, place and metadata, and the options that `renews` names:
    on a removal, napari collects all garbage, and the window waits for tenths of a second.
    Without `selects`, the user goes on working with what was selected.
    """
    owner, ndim = options["metadata"][key], data.ndim
    for layer in viewer.layers:
        if layer.metadata.get(key) == owner and layer.data.ndim == ndim:
            layer.data, layer.visible = data, layer.visible or visible
            for name in ("scale", "translate", "metadata", *renews):
                if name in options:
                    setattr(layer, name, options[name])
            return layer
    selected = set(viewer.layers.selection)
    with steady(viewer):
        added: Image = viewer.add_image(data, visible=visible, **options)
    if not selects:
        viewer.layers.selection = selected
    return added


def show_preview(viewer: Viewer, source: Image, preview: Preview) -> Image:
    """Show the preview of a source; there is one."""
    options = {
        "name": f"{source.name} preview",
        "metadata": {PREVIEW_KEY: source.unique_id},
        **placement(source, start=preview.start, zoom=preview.zoom),
        **appearance(source),
    }
    return show(viewer, PREVIEW_KEY, preview.image, options)


def find_preview(viewer: Viewer, source: Image) -> Image | None:
    """The preview layer of a source, if there is one."""
    own = source.unique_id
    return next((each for each in viewer.layers if each.metadata.get(PREVIEW_KEY) == own), None)


def remove_preview(viewer: Viewer, source: Image) -> None:
    """Remove the preview layer of a source, if there is one."""
    layer = find_preview(viewer, source)
    if layer is not None:
        viewer.layers.remove(layer)


def show_filling(viewer: Viewer, source: Image, filling: Filling) -> Image:
    """Show a filled sample of a source, in place of the one before."""
    options = {
        "name": f"{source.name} filled, sample {filling.number}",
        "metadata": {SAMPLE_KEY: source.unique_id, RECIPE_KEY: filling.recipe.to_dict()},
        **placement(source),
        **appearance(source),
    }
    return show(viewer, SAMPLE_KEY, filling.image, options, ["name"], selects=True)


def show_result(
    viewer: Viewer,
    restoration: Restoration,
    *,
    like: Image | None,
    preview: Image | None = None,
) -> Image:
    """Show the mean of a restoration in the place of its source; a preview becomes the mean."""
    from napari_vae_restore.restoration.trust.invented import note_on

    metadata: dict[str, Any] = {RECIPE_KEY: restoration.recipe.to_dict()}
    name, place, look = "image", {}, {"rgb": False}
    if like is not None:
        metadata[RESULT_KEY] = like.unique_id
        zoom = zoom_of(restoration.mean.shape, layer_data(like).shape)
        name, place, look = like.name, placement(like, zoom=zoom), appearance(like)
    if note := note_on(restoration.recipe.tasks):
        metadata[NOTE_KEY] = note
    if warnings := getattr(restoration.diagnostics, "warnings", ()):
        metadata[WARNINGS_KEY] = [str(warning) for warning in warnings]
    title = f"{name} {done(task['kind'] for task in restoration.recipe.tasks)}"
    if preview is None:
        options = {"name": title, "metadata": metadata, **place, **look}
        mean: Image = viewer.add_image(restoration.mean, **options)
        return mean
    preview.data, preview.name, preview.metadata = restoration.mean, title, metadata
    preview.scale, preview.translate = place["scale"], place["translate"]
    preview.visible = True
    viewer.layers.selection.active = preview
    return preview


def show_on_demand(viewer: Viewer, restored: OnDemand, *, like: Image) -> Image:
    """Add the layer of a restoration that is computed where it is looked at."""
    zoom = zoom_of(restored.levels[0].shape, layer_data(like).shape)
    layer: Image = viewer.add_image(
        list(restored.levels) if len(restored.levels) > 1 else restored.levels[0],
        multiscale=len(restored.levels) > 1,
        name=f"{like.name} restored in view",
        metadata={RECIPE_KEY: restored.recipe.to_dict(), RESULT_KEY: like.unique_id},
        # A layer that is visible from the beginning is computed in the window's thread.
        visible=False,
        **placement(like, zoom=zoom),
        **appearance(like),
    )
    if (preview := find_preview(viewer, like)) is not None:
        preview.visible = False
    layer.visible = True
    return layer


def is_result(layer: Any) -> bool:
    """Whether a layer shows a restored image; uncertainty and samples are no results."""
    metadata = layer.metadata
    return (
        isinstance(layer, Image)
        and RECIPE_KEY in metadata
        and SPREAD_KEY not in metadata
        and "tasks" in metadata[RECIPE_KEY]
    )


def source_of(viewer: Viewer, result: Image) -> Image | None:
    """The layer that a result was made of; None if it was removed."""
    wanted = result.metadata.get(RESULT_KEY)
    return next((layer for layer in viewer.layers if layer.unique_id == wanted), None)


def samples_of(viewer: Viewer, result: Image | None) -> Image | None:
    """The layer of a result's samples, if there is one."""
    return _spread_of(viewer, result, is_map=False)


def uncertainty_of(viewer: Viewer, result: Image | None) -> Image | None:
    """The layer with a result's uncertainty map, if there is one."""
    return _spread_of(viewer, result, is_map=True)


def _spread_of(viewer: Viewer, result: Image | None, *, is_map: bool) -> Image | None:
    own = None if result is None else result.unique_id
    layers = (each for each in viewer.layers if own and each.metadata.get(SPREAD_KEY) == own)
    return next((each for each in layers if (FACTOR_KEY in each.metadata) == is_map), None)


def warnings_of(result: Image) -> str:
    """The warnings of a restoration as text; empty if there are none."""
    return as_paragraphs(result.metadata.get(WARNINGS_KEY, ()))


def subject_of(
    result: Image, source: Image, *, step: Sequence[int], all_planes: bool
) -> Subject:
    """A result and its source as checks take them: all planes, or the one at index `step`."""
    recipe = dict(result.metadata[RECIPE_KEY])
    image, restored, axes = layer_data(source), layer_data(result), str(recipe["axes"])
    fits = len(image.shape) == len(restored.shape) == len(axes) and all(
        _is_multiple(after, before, letter)
        for after, before, letter in zip(restored.shape, image.shape, axes, strict=False)
    )
    if not fits:
        raise InputError(
            f"“{result.name}” was not made of “{source.name}”: their shapes "
            f"{tuple(restored.shape)} and {tuple(image.shape)} do not fit. Choose its source."
        )
    region = tuple(slice(0, length) for length in image.shape)
    if not all_planes:
        whole = max(image.shape)
        region = visible_region(image.shape, axes, step=step, joint_channels=True, limit=whole)
    missing = result.metadata.get(MISSING_KEY)
    return Subject(Source(image, axes), restored, recipe, missing, region)


def _is_multiple(after: int, before: int, letter: str) -> bool:
    if letter not in "YX":
        return after == before
    return after >= before and math.isclose(after / before, round(after / before))
