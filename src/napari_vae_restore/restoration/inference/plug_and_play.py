"""Plug-and-play inference: degradations that no network was trained on, such as a blur.

Half-quadratic splitting takes turns between the physics, which only knows the operator
and the noise, and the VAE's posterior mean of x given x plus white noise, which only
knows images (Zhang et al. 2021, arXiv:2008.13751, algorithm 1). The samples' latents are
those of the last turn.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_vae_restore.images.tiling import Tile
from napari_vae_restore.models.condition import condition_tensor
from napari_vae_restore.models.model import Model
from napari_vae_restore.operators import Operator
from napari_vae_restore.operators.consistency import data_step
from napari_vae_restore.restoration.inference.conditional import (
    Inference,
    conditional_network,
    enlarged,
)
from napari_vae_restore.restoration.inference.description import Description
from napari_vae_restore.restoration.inference.keys import LatentKeys
from napari_vae_restore.restoration.inference.units import Units, variances
from napari_vae_restore.restoration.measurement import Measurement
from napari_vae_restore.restoration.problem import Problem

_N_TURNS = 10
_FIRST_SIGMA = 49 / 255  # noise of the first turn's proposal, network units; Zhang et al., 4.2
# Noise of a measurement that is taken as noise-free: what 8 bits resolve.
_LEAST_SIGMA = 1 / 255
_LAMBDA = 0.23  # weight of the prior; Zhang et al., section 4.2
_TOLERANCE = 1e-3  # of each data step: the next turn starts from its result


class PlugAndPlayPosterior:
    """p(x | y) of one channel (1, H, W) for an operator that no network was trained on."""

    def __init__(
        self, model: Model, problem: Problem, measurement: Measurement, scale: Units
    ) -> None:
        self._network = conditional_network(model)
        self._units = scale
        y = self._units.to_network(measurement.intensities).astype(np.float64)
        self._y = measurement.filled(y)
        self._operator: Operator = problem.operator(measurement.observed)
        self._factor = problem.factor
        self.description: Description | None = None
        self.decided = None  # its data steps weigh the measurement themselves
        self._variance = np.full(y.shape, _LEAST_SIGMA**2)
        if noise := measurement.noise:
            unit = self._units.normalisation.scale
            signal = self._units.from_network(self._y)
            self._variance = np.maximum(variances(noise, signal) / unit**2, self._variance)

    @classmethod
    def scale_of(cls, model: Model, sample: Measurement) -> Units:
        """The units in which a plane, its noise not stabilised, spans about [0, 1]."""
        # The transform that stabilises noise does not commute with a blur: the noise's
        # variance goes into the data step instead.
        return Units.of(replace(sample, noise=()))

    def signals(
        self, tile: Tile, n_samples: int, keys: LatentKeys
    ) -> Iterator[NDArray[np.float64]]:
        """See :meth:`~.posterior.PlanePosterior.signals`; the tile is the whole plane."""
        proposal = enlarged(self._y.astype(np.float32), self._factor).astype(np.float64)
        inside, place = tile.within(proposal.shape[1:])
        seen = np.ones((1, 1, len(tile.rows), len(tile.columns)), bool)
        for sigma in np.geomspace(_FIRST_SIGMA, np.sqrt(self._variance.mean()), _N_TURNS):
            agreed = data_step(
                proposal,
                self._y,
                self._operator,
                self._variance,
                _LAMBDA / sigma**2,
                tolerance=_TOLERANCE,
            )
            image = tile.read(agreed).astype(np.float32)[None]
            condition = condition_tensor(image, seen, (float(sigma), 0.0, 0.0, 0.0))
            inference = Inference(self._network, condition)
            proposal[(slice(None), *place)] = inference.mean()[(slice(None), *inside)]
        yield self._units.from_network(inference.mean())
        for sample in range(n_samples):
            drawn = inference.sample(keys.noise(sample, tile))
            yield self._units.from_network(drawn)
