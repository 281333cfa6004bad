"""Drawing pictures from a model in a worker; no Qt and no napari here."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_vae_restore._napari.jobs.restoration_steps import loaded
from napari_vae_restore._napari.layers.reading import read
from napari_vae_restore._napari.messages import Source, Update

if TYPE_CHECKING:
    from napari_vae_restore.models.model import Model


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
    pictures = []
    for index in range(n):
        yield Update("Drawing…", index / n)
        seed = options.seed + index
        drawn = sample(
            placed, 1, side, temperature=temperatures, seed=seed, device=options.device
        )
        pictures.append(drawn[0])
    return DrawnPictures(np.stack(pictures), _recipe(placed, options, n))


def like_steps(
    source: Source, model: Model | str, n: int, levels: int, options: ExploreOptions
) -> Generator[Update | None, None, DrawnPictures]:
    """Draw n pictures (n, *shape) like an image: only its finest latents are drawn anew.

    `levels` says how many of them; the temperature of the finest level counts.
    """
    image = yield from read(source)
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
