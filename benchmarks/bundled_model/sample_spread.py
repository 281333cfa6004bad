"""Last step of a bundled model: one factor for the spread of its samples."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import torch

from bundled_model.patch_batches import simulated
from napari_vae_restore.models.devices import native_precision
from napari_vae_restore.models.latents import random_noise
from napari_vae_restore.models.restorer import RestorationVAE
from napari_vae_restore.training.degradations import BUCKETS
from napari_vae_restore.training.pictures import PatchSource

COVERAGE: Final = 0.9
"""Coverage of the 90 % interval after calibration."""

_WIDTH: Final = 1.645  # standard deviations of half the central 90 % of a Gaussian
_N_SAMPLES: Final = 16  # what users take; so few make intervals cover less
_FACTORS: Final = np.geomspace(0.5, 3, 73)


def calibrate(
    network: RestorationVAE, source: PatchSource, *, n_patches: int = 96, seed: int = 0
) -> float:
    """Scale the samples' deviation so that their intervals cover what they should.

    The share of pixels within mean ± 1.645 standard deviations of 16 samples is
    measured on noisy patches, and one factor goes into the network's gain (scaling of
    the standard deviation; Levi et al. 2022, Sensors 22(15), doi:10.3390/s22155540).

    Parameters
    ----------
    network : RestorationVAE
        In evaluation mode; its gain is changed in place.
    source : PatchSource
        Of clean patches.
    n_patches : int
        How many noisy patches to look at.
    seed : int
        Of patches, noise and latents.

    Returns
    -------
    float
        The factor, 0.5 to 3.
    """
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    device = next(network.parameters()).device
    covered = np.zeros(len(_FACTORS))
    n = 0
    while n < n_patches:
        condition, target, _, bucket = simulated(source, rng)
        if not BUCKETS[int(bucket)].startswith(("noise,", "correlated noise,")):
            continue
        n += 1
        told, truth = (torch.from_numpy(a)[None].to(device) for a in (condition, target))
        with torch.no_grad(), native_precision(device):
            found = network.infer(told)
            centre = network.centre(found.features)
            drawn = [
                network.sample(found, centre, random_noise(generator)) - found.mean
                for _ in range(_N_SAMPLES)
            ]
        std, mean = torch.std_mean(torch.stack(drawn), dim=0)
        error = truth - found.mean
        for i, factor in enumerate(_FACTORS):
            within = (error - factor * mean).abs() <= _WIDTH * factor * std
            covered[i] += float(within.float().mean()) / n_patches
    factor = float(_FACTORS[int(np.abs(covered - COVERAGE).argmin())])
    with torch.no_grad():
        bias = network.gain.bias
        assert bias is not None
        bias.add_(math.log(factor))
    return factor
