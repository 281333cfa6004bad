"""Results among the layers of a viewer, and what belongs to each: source, mask, samples.

This module knows layers and the viewer's public API; it imports neither Qt nor torch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari.layers import Image

from napari_vae_restore._napari.layers.placement import (
    FACTOR_KEY,
    MISSING_KEY,
    RECIPE_KEY,
    RESULT_KEY,
    SPREAD_KEY,
    WARNINGS_KEY,
    layer_data,
)
from napari_vae_restore._napari.layers.region import Region, visible_region, zoom_of
from napari_vae_restore._napari.messages import Source
from napari_vae_restore._napari.words import cautious
from napari_vae_restore.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari import Viewer
    from napari_vae_restore._napari.layers.masks import Mask


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """A result with what it was made of, taken when a button was pressed.

    Attributes
    ----------
    image : Source
        What was restored.
    result : array
        The restored image, or an enlarged one, in the same axes.
    recipe : dict
        As :meth:`~napari_vae_restore.Recipe.to_dict` gives it.
    missing : numpy.ndarray of bool or None
        What was filled, (Y, X) or of the image's shape.
    region : tuple of slice
        The part to look at, in data coordinates of the image.
    """

    image: Source
    result: Any
    recipe: dict[str, Any]
    missing: Mask | None
    region: Region

    @property
    def result_region(self) -> Region:
        """The part in data coordinates of the result."""
        zoom = zoom_of(self.result.shape, self.image.data.shape)
        return tuple(
            slice(round(part.start * z), round(part.stop * z))
            for part, z in zip(self.region, zoom, strict=True)
        )


def is_result(layer: Any) -> bool:
    """Whether a layer shows a restored image, not how sure it is nor what could be."""
    metadata = layer.metadata
    return (
        isinstance(layer, Image)
        and RECIPE_KEY in metadata
        and SPREAD_KEY not in metadata
        and "tasks" in metadata[RECIPE_KEY]
    )


def source_of(viewer: Viewer, result: Image) -> Image | None:
    """The layer that a result was made of, if it is still there."""
    wanted = result.metadata.get(RESULT_KEY)
    return next((layer for layer in viewer.layers if layer.unique_id == wanted), None)


def spread_of(viewer: Viewer, result: Image) -> list[Image]:
    """Uncertainty map and samples of a result, as far as they are there."""
    own = result.unique_id
    return [layer for layer in viewer.layers if layer.metadata.get(SPREAD_KEY) == own]


def samples_of(viewer: Viewer, result: Image) -> Image | None:
    """The layer of a result's samples, if there is one."""
    layers = spread_of(viewer, result)
    return next((layer for layer in layers if FACTOR_KEY not in layer.metadata), None)


def uncertainty_of(viewer: Viewer, result: Image) -> Image | None:
    """The layer with a result's uncertainty map, if there is one."""
    layers = spread_of(viewer, result)
    return next((layer for layer in layers if FACTOR_KEY in layer.metadata), None)


def warnings_of(result: Image) -> str:
    """What the restoration warned of, in words; empty if of nothing."""
    return cautious(result.metadata.get(WARNINGS_KEY, ()))


def subject_of(
    result: Image, source: Image, *, step: Sequence[int], all_planes: bool
) -> Subject:
    """Take a result and its source.

    Parameters
    ----------
    result, source : napari.layers.Image
        Two layers.
    step : sequence of int
        Index of the current plane along each dimension of the source.
    all_planes : bool
        Whether to look at all planes, not only at the current one.

    Returns
    -------
    Subject
        What checks and drawings work on.

    Raises
    ------
    InputError
        If one cannot have been made of the other.
    """
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
