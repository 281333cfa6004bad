"""Masks with a margin: enlarged, and faded so that a fill joins what is around it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, find_objects

from napari_vae_restore.errors import InputError
from napari_vae_restore.images.arrays import as_image
from napari_vae_restore.images.layout import Layout, cast
from napari_vae_restore.noise.numbers import Mask
from napari_vae_restore.restoration.problem import missing_planes
from napari_vae_restore.restoration.tasks import Inpaint

if TYPE_CHECKING:
    from napari_vae_restore.restoration.result import Restoration


def feathered(result: Restoration, image: Any, mask: Any, width: int) -> Restoration:
    """Let a fill fade into the image over the rim of its mask.

    Parameters
    ----------
    result : Restoration
        Of :class:`~.tasks.Inpaint` with that mask, of an image without noise.
    image : array-like or napari.layers.Image
        What was filled.
    mask : array-like
        True where a pixel was taken as missing, those of the rim included, which the image
        shows; as for :class:`~.tasks.Inpaint`.
    width : int
        Of the rim in pixels. Pixels farther than that from all that was observed are the
        fill; towards the mask's edge it gives way to the image.

    Returns
    -------
    Restoration
        Mean and samples blended with the image, `std` reduced by as much; the recipe tells.

    Raises
    ------
    InputError
        If the width is no positive integer, or image, mask and result do not fit.

    Examples
    --------
    >>> import numpy as np
    >>> import napari_vae_restore as vr
    >>> image = np.add.outer(np.arange(32.0), np.arange(32.0)).astype(np.float32)
    >>> mask = np.zeros((32, 32), bool)
    >>> mask[8:24, 8:24] = True
    >>> out = vr.feathered(vr.inpaint(image, mask), image, mask, 4)
    >>> bool((out.mean[~mask] == image[~mask]).all())
    True
    """
    if not isinstance(width, int | np.integer) or width < 1:
        raise InputError(f"width: expected a positive integer, got {width!r}")
    array, axes = as_image(image, result.recipe.axes, may_have_holes=True, min_side=1)
    if array.shape != np.shape(result.mean):
        raise InputError(
            f"image: expected the one that was filled, {np.shape(result.mean)}, got "
            f"{array.shape}"
        )
    layout = Layout.of(array, axes)
    weights = fading(missing_planes(Inpaint(mask), layout), width)
    original, std, samples = layout.to_planes(array), result.std, result.samples

    def faded(fill: NDArray[Any]) -> NDArray[Any]:
        mixed = blended(layout.to_planes(fill), original, weights)
        return layout.from_planes(mixed, like=array)

    if std is not None:
        std = layout.from_planes(Layout.of(std, axes).to_planes(std) * weights)
    if samples is not None:
        samples = np.stack([faded(sample) for sample in samples], dtype=samples.dtype)
    tasks = tuple(
        {**form, "feather": int(width)} if form["kind"] == Inpaint.kind else form
        for form in result.recipe.tasks
    )
    recipe = replace(result.recipe, tasks=tasks)
    mean = faded(result.mean)
    return replace(result, mean=mean, std=std, samples=samples, recipe=recipe)


def grown(mask: Mask, radius: int) -> Mask:
    """Dilate a mask (..., H, W) by a disc of a radius in pixels, each plane apart."""
    if radius == 0:
        return mask
    result = mask.copy()
    for place, plane in _boxes(mask, radius + 1):
        result[place] = distance_transform_edt(~plane) <= radius
    return result


def fading(mask: Mask, width: int) -> NDArray[np.float32]:
    """Weights of a fill, float32, for a mask (..., H, W) that covers no plane.

    1 inside, falling as 3 t² − 2 t³ within `width` pixels of the edge, so that neither end
    shows. A mask enlarged by the width has the weight 1 wherever it was True before.
    """
    weights = mask.astype(np.float32)
    for place, plane in _boxes(mask, 1) if width else ():
        distance = distance_transform_edt(plane)
        t = np.where(distance > width, 1, distance / (width + 1))
        weights[place] = t * t * (3 - 2 * t)
    return weights


def blended(
    fill: NDArray[Any], original: NDArray[Any], weights: NDArray[np.float32]
) -> NDArray[Any]:
    """Mix a fill with what was there, which broadcasts to its shape, by weights of 0 to 1.

    Where a weight is 0 or 1, what was there or the fill is taken over bit for bit.
    """
    original, weights = (np.broadcast_to(each, fill.shape) for each in (original, weights))
    is_shown = np.isfinite(original)  # of what is no intensity nothing is mixed in
    result = np.where((weights > 0) | ~is_shown, fill, original).astype(fill.dtype, copy=False)
    part = (weights > 0) & (weights < 1) & is_shown
    if part.any():
        share = weights[part].astype(np.float64)
        mixed = share * fill[part] + (1 - share) * original[part]
        result[part] = cast(mixed, result.dtype)
    return result


def _boxes(mask: Mask, margin: int) -> Iterator[tuple[tuple[int | slice, ...], Mask]]:
    """The part of each plane that holds its mask, with a margin, and where that is."""
    for index in np.ndindex(*mask.shape[:-2]):
        plane = mask[index]
        for sides in find_objects(plane.astype(np.int8)):
            box = tuple(slice(max(0, s.start - margin), s.stop + margin) for s in sides)
            yield (*index, *box), plane[box]
