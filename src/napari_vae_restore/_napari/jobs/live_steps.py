"""Enhancing images and drawing pictures in a worker; no Qt here.

No Qt and no napari here.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_vae_restore._napari.jobs.restoration_steps import loaded
from napari_vae_restore._napari.layers import region as regions
from napari_vae_restore._napari.messages import Preview, Source, Stopwatch, Update
from napari_vae_restore.images.layout import checked_axes

if TYPE_CHECKING:
    from napari_vae_restore.generation.enhancement import Enhancement
    from napari_vae_restore.models.model import Model


def enhance_steps(
    source: Source, model: Model | str, options: Mapping[str, Any]
) -> Generator[Update | None, None, Enhancement]:
    """Enhance a whole image; the options are those of :func:`~napari_vae_restore.enhance`."""
    image = yield from regions.read(source)
    placed = yield from loaded(model)
    yield Update("Enhancing…")
    from napari_vae_restore.generation.enhancement import enhance

    return enhance(image, placed, axes=source.axes, **options)


def enhance_preview_steps(
    source: Source, region: regions.Region, model: Model | str, options: Mapping[str, Any]
) -> Generator[Update | None, None, Preview]:
    from napari_vae_restore.restoration.result import Diagnostics

    watch = Stopwatch(0)
    axes = checked_axes(source.axes, tuple(source.data.shape))
    crop = Source(np.asarray(source.data[region]), axes)
    found = yield from enhance_steps(crop, model, options)
    diagnostics = Diagnostics(None, (), 0, 1, 0, watch.elapsed, options["device"])
    return Preview(found.enhanced, regions.start(region), {}, diagnostics)


@dataclass(frozen=True, slots=True)
class ExploreOptions:
    """Options that a user chose, named as in :func:`~napari_vae_restore.sample`."""

    side: int  # pixels; 0 for the model's own
    temperatures: tuple[float, ...]  # of the levels, coarsest first
    seed: int  # of the first picture; further ones have the seeds after it
    device: str


@dataclass(frozen=True, slots=True, eq=False)
class DrawnPictures:
    """Pictures from a model along the first axis, and how they were drawn."""

    pictures: NDArray[Any]
    recipe: dict[str, Any]


def draw_steps(
    model: Model | str, n: int, options: ExploreOptions
) -> Generator[Update | None, None, DrawnPictures]:
    """Draw n pictures from the prior, one for each seed: (n, H, W) or (n, C, H, W)."""
    placed = yield from loaded(model)
    from napari_vae_restore.generation.sampling import sample

    n_levels = len(placed.network.config.strides)
    # A slider for each of four levels: the first counts for all that are coarser.
    coarser = options.temperatures[:1] * (n_levels - len(options.temperatures))
    temperatures = (*coarser, *options.temperatures)[-n_levels:]
    side = options.side if placed.network.config.fixed_size is None else None
    common: dict[str, Any] = {"temperature": temperatures, "device": options.device}
    pictures = []
    for index in range(n):
        yield Update("Drawing…", index / n)
        pictures.append(sample(placed, 1, side, seed=options.seed + index, **common)[0])
    return DrawnPictures(np.stack(pictures), _recipe(placed, options, n))


def like_steps(
    source: Source, model: Model | str, n: int, levels: int, options: ExploreOptions
) -> Generator[Update | None, None, DrawnPictures]:
    """Draw n pictures (n, *shape) like an image: its finest `levels` latents are drawn anew."""
    image = yield from regions.read(source)
    placed = yield from loaded(model)
    yield Update("Drawing…")
    from napari_vae_restore.generation.latents import encode
    from napari_vae_restore.generation.sampling import vary

    latents = encode(image, placed, axes=source.axes, device=options.device)
    pictures = vary(
        latents,
        placed,
        n,
        levels=min(levels, len(latents.levels)),
        temperature=options.temperatures[-1],
        seed=options.seed,
        device=options.device,
    )
    return DrawnPictures(pictures, _recipe(placed, options, n) | {"like_levels": levels})


def _recipe(model: Model, options: ExploreOptions, n: int) -> dict[str, Any]:
    return {
        "generated": {
            "n": n,
            "seed": options.seed,
            "temperatures": list(options.temperatures),
            "note": "Drawn by a model; nothing of it was measured.",
        },
        "model": model.name,
        "model_sha256": model.sha256,
    }
