"""The latent layer: quantised latents of chosen levels, coded under the model's own prior.

p(z_l | z_{>l}) is computed exactly (`exact`) from the decoded latents, so both sides have the
same. A latent is written as its distance from the prior's mean in steps; the prior's standard
deviation gives the probability of each distance.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_vae_restore.generation.compression.coder import (
    LARGEST,
    Coder,
    code_values,
    positive,
)
from napari_vae_restore.generation.compression.exact import GRID, on_grid
from napari_vae_restore.models.latents import DiagonalGaussian
from napari_vae_restore.models.restorer import RestorationVAE

STEP_UNIT: Final = 64  # steps are in 64ths, integers
_PER_OCTAVE: Final = 4
_LEAST, _MOST = -16, 48  # deviations in quarter octaves of the step: 1/16 to 4096 steps


def code_latents(
    coder: Coder,
    network: RestorationVAE,
    image: Tensor | None,
    size: tuple[int, int],
    n_levels: int,
    step: int,
) -> Tensor:
    """Code the coarsest levels of an image; return the signal (1, 1, H, W) that is decoded.

    `network` is of :func:`~.exact.exact_copy`, and this runs inside :class:`~.exact.Exactly`.
    `image` is (1, 1, H, W) network units, None for a reader; its sides, and the signal's, are
    those of `size` on to multiples of the stride. `step` is in 64ths. Finer levels stay at
    their prior's mean.
    """
    total, stride = len(network.config.strides), network.config.stride
    height, width = (-(-side // stride) * stride for side in size)
    unit = step / STEP_UNIT

    def choose(level: int, p: DiagonalGaussian, q: DiagonalGaussian) -> Tensor:
        mean = on_grid(p.mean)
        if total - level > n_levels:
            return mean
        given = None
        if image is not None:
            given = torch.round((q.mean.double() - mean) / unit).long().numpy().ravel()
        spread = on_grid(p.log_std).numpy().ravel() / math.log(2) - math.log2(unit)
        octaves = np.rint(np.rint(spread * GRID) / GRID * _PER_OCTAVE).astype(int)
        rows = _TABLES[octaves.clip(_LEAST, _MOST) - _LEAST]
        found = code_values(coder, given, rows, np.zeros(len(rows), np.int64))
        return mean + torch.from_numpy(found).reshape(mean.shape) * unit

    features = None if image is None else network.encode(image.double())
    return network.traverse(features, (1, height, width), choose)


def _tables() -> NDArray[np.float32]:
    """Discretised Gaussians for each standard deviation: 0, 1, -1, 2, ..., and beyond."""
    stds = 2.0 ** (np.arange(_LEAST, _MOST + 1) / _PER_OCTAVE)
    edges = (np.arange(LARGEST + 1) + 0.5)[None] / stds[:, None] / math.sqrt(2)
    below = np.array([[math.erf(edge) for edge in row] for row in edges])
    each = np.diff(below, axis=1) / 2
    rows = np.concatenate([below[:, :1], np.repeat(each, 2, axis=1), 1 - below[:, -1:]], axis=1)
    return positive(rows)


_TABLES: Final[NDArray[np.float32]] = _tables()
