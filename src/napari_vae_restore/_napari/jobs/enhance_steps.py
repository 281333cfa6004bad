"""Enhancing as a worker runs it; no Qt and no napari here."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_vae_restore._napari.jobs.restoration_steps import loaded
from napari_vae_restore._napari.layers import region as regions
from napari_vae_restore._napari.layers.reading import read
from napari_vae_restore._napari.messages import Preview, Source, Stopwatch, Update
from napari_vae_restore.generation.tones import Tones
from napari_vae_restore.images.layout import checked_axes

if TYPE_CHECKING:
    from napari_vae_restore.generation.enhancement import Enhancement
    from napari_vae_restore.models.model import Model


@dataclass(frozen=True, slots=True)
class EnhanceOptions:
    """What a user chose; the values are those of :func:`~napari_vae_restore.enhance`.

    Attributes
    ----------
    detail : tuple of (int, float)
        Gain by the pixels of a level's cells.
    smoothing, variation : float
        As for :func:`~napari_vae_restore.enhance`.
    tones : Tones
        Contrast, brightness, gamma, local contrast.
    seed : int
        Of the variation.
    device : str
        Where it runs.
    """

    detail: tuple[tuple[int, float], ...]
    smoothing: float
    variation: float
    tones: Tones
    seed: int
    device: str


def enhance_steps(
    source: Source, model: Model | str, options: EnhanceOptions
) -> Generator[Update | None, None, Enhancement]:
    """Enhance a whole image.

    Parameters
    ----------
    source : Source
        The image.
    model : Model or str
        As for :func:`~napari_vae_restore.enhance`.
    options : EnhanceOptions
        How.

    Yields
    ------
    Update or None
        While it is read, and once more.

    Returns
    -------
    Enhancement
        The result.

    Raises
    ------
    InputError, ModelFileError, RestorationError
        As :func:`~napari_vae_restore.enhance`.
    """
    image = yield from read(source)
    placed = yield from loaded(model)
    yield Update("Enhancing…")
    from napari_vae_restore.generation.enhancement import enhance

    return enhance(
        image,
        placed,
        detail=dict(options.detail),
        smoothing=options.smoothing,
        variation=options.variation,
        tones=options.tones,
        axes=source.axes,
        seed=options.seed,
        device=options.device,
    )


def enhance_preview_steps(
    source: Source, region: regions.Region, model: Model | str, options: EnhanceOptions
) -> Generator[Update | None, None, Preview]:
    """Enhance a part of an image.

    Parameters
    ----------
    source : Source
        The image.
    region : tuple of slice
        The part.
    model, options
        As for :func:`enhance_steps`.

    Yields
    ------
    Update or None
        As :func:`enhance_steps`.

    Returns
    -------
    Preview
        The part, enhanced.

    Raises
    ------
    InputError, ModelFileError, RestorationError
        As :func:`~napari_vae_restore.enhance`.
    """
    from napari_vae_restore.restoration.result import Diagnostics

    watch = Stopwatch(0)
    axes = checked_axes(source.axes, tuple(source.data.shape))
    crop = Source(np.asarray(source.data[region]), axes)
    found = yield from enhance_steps(crop, model, options)
    diagnostics = Diagnostics(None, (), 0, 1, 0, watch.elapsed, options.device)
    return Preview(found.enhanced, regions.start(region), {}, diagnostics)
