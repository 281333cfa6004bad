"""Enhancing in a worker; no Qt and no napari here."""

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
    """Options that a user chose, named as in :func:`~napari_vae_restore.enhance`."""

    detail: tuple[tuple[int, float], ...]  # pixels of a level's cells, and its gain
    smoothing: float
    variation: float
    tones: Tones
    seed: int
    device: str


def enhance_steps(
    source: Source, model: Model | str, options: EnhanceOptions
) -> Generator[Update | None, None, Enhancement]:
    """Enhance a whole image."""
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
    """Enhance a part of an image."""
    from napari_vae_restore.restoration.result import Diagnostics

    watch = Stopwatch(0)
    axes = checked_axes(source.axes, tuple(source.data.shape))
    crop = Source(np.asarray(source.data[region]), axes)
    found = yield from enhance_steps(crop, model, options)
    diagnostics = Diagnostics(None, (), 0, 1, 0, watch.elapsed, options.device)
    return Preview(found.enhanced, regions.start(region), {}, diagnostics)
