"""Inference by the model of all tasks: condition in, mean and samples out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from napari_vae_restore.errors import InputError
from napari_vae_restore.images.tiling import Tile
from napari_vae_restore.models.condition import condition_tensor
from napari_vae_restore.models.devices import native_precision
from napari_vae_restore.models.latents import NoiseSource
from napari_vae_restore.models.model import Model
from napari_vae_restore.models.restorer import RestorationVAE
from napari_vae_restore.noise.correlation import WHITE, nearest_blur
from napari_vae_restore.operators.consistency import consistent
from napari_vae_restore.operators.resampling import enlargement, separable
from napari_vae_restore.restoration.inference.blend import Blend, TileDecision, with_decision
from napari_vae_restore.restoration.inference.description import Description, described
from napari_vae_restore.restoration.inference.keys import LatentKeys
from napari_vae_restore.restoration.inference.local_mean import local_shift, mean_sigma
from napari_vae_restore.restoration.inference.posterior import inferred
from napari_vae_restore.restoration.inference.units import Units
from napari_vae_restore.restoration.measurement import Measurement
from napari_vae_restore.restoration.problem import Problem

_T = TypeVar("_T")


class Inference:
    """q(x | c) of one tile in network units; the condition encoder has run once.

    `condition` (1, 6, h, w) is as :func:`~.condition.condition_tensor` gives it.
    """

    def __init__(self, network: RestorationVAE, condition: Tensor) -> None:
        self._network = network
        self._device = next(network.parameters()).device
        self._n_pixels = condition.shape[2] * condition.shape[3]
        placed = condition.to(self._device)
        self._found = self._run(lambda: network.infer(placed))
        self._centre: Tensor | None = None

    def describe(self, tile: Tile) -> Description | None:
        """What the condition encoder saw in the tile; see :func:`~.description.described`."""
        return described(self._found.features, self._network.config.grids, tile)

    def mean(self) -> NDArray[np.float64]:
        """E[x | c] by the mean head, (1, h, w)."""
        return _as_array(self._found.mean)

    def sample(self, noise: NoiseSource) -> NDArray[np.float64]:
        """A sample, (1, h, w): decoded from latents of the student, about the mean head."""
        network, found = self._network, self._found
        if self._centre is None:
            self._centre = self._run(lambda: network.centre(found.features))
        centre = self._centre
        return _as_array(self._run(lambda: network.sample(found, centre, noise)))

    def _run(self, compute: Callable[[], _T]) -> _T:
        with native_precision(self._device):
            return inferred(self._network, self._n_pixels, compute)


class ConditionalPosterior:
    """q(x | c) of one channel (1, H, W), made consistent with a noise-free measurement."""

    def __init__(
        self, model: Model, problem: Problem, measurement: Measurement, scale: Units
    ) -> None:
        self._network = conditional_network(model)
        self._problem, self._units = problem, scale
        self._observed = measurement.observed
        self._measured = measurement.filled(scale.to_network(measurement.intensities))
        self._slow = _slow_values(scale, problem.factor)
        self.description: Description | None = None
        self._image = enlarged(self._measured, problem.factor)
        rows = measurement.seen.repeat(problem.factor, axis=1)
        self._seen = rows.repeat(problem.factor, axis=2)
        self._blend = None
        if scale.noise:
            self._blend = Blend(model, problem, measurement, scale, self._measured)

    @classmethod
    def scale_of(cls, model: Model, sample: Measurement) -> Units:
        """The units in which a plane, or a sample of it, spans about [0, 1]."""
        units, network = Units.of(sample), conditional_network(model)
        stride = network.config.stride

        def answer(values: NDArray[np.float32]) -> NDArray[np.float64]:
            sides = [-(-n // stride) * stride for n in values.shape[1:]]
            padded = np.pad(
                values,
                [(0, 0), *((0, s - n) for s, n in zip(sides, values.shape[1:], strict=True))],
                mode="symmetric",
            )
            seen = np.ones((1, *padded.shape), bool)
            condition = condition_tensor(padded[None], seen, _slow_values(units, 1))
            mean = Inference(network, condition).mean()
            return mean[:, : values.shape[1], : values.shape[2]]

        return with_decision(units, sample, answer)

    @property
    def decided(self) -> TileDecision | None:
        return None if self._blend is None else self._blend.decided

    def signals(
        self, tile: Tile, n_samples: int, keys: LatentKeys
    ) -> Iterator[NDArray[np.float64]]:
        """See :meth:`~.posterior.PlanePosterior.signals`."""
        inference = self._inference(self._image, tile)
        if self._units.noise and self._problem.is_denoising_alone:
            self.description = inference.describe(tile)
        mean = inference.mean()
        if self._blend is None:
            yield self._agreeing(mean, tile)
            for sample in range(n_samples):
                yield self._agreeing(inference.sample(keys.noise(sample, tile)), tile)
            return
        mean += (shift := self._shift(self._blend, tile, mean))

        def again(measured: NDArray[np.float32]) -> NDArray[np.float64]:
            perturbed = enlarged(measured, self._problem.factor)
            return self._inference(perturbed, tile).mean() + shift

        def draw(sample: int) -> NDArray[np.float64]:
            return inference.sample(keys.noise(sample, tile)) + shift

        yield from self._blend.signals(tile, mean, again, draw, n_samples, keys)

    def _inference(self, image: NDArray[np.float32], tile: Tile) -> Inference:
        values, seen = tile.read(image), tile.read(self._seen)
        return Inference(self._network, condition_tensor(values[None], seen[None], self._slow))

    def _shift(
        self, blend: Blend, tile: Tile, mean: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """What keeps the brightness."""
        sigma = mean_sigma(*self._slow)
        if sigma is None:
            return blend.mean_shift(mean, tile)
        return local_shift(tile.read(self._image), tile.read(self._seen), mean, sigma)

    def _agreeing(self, values: NDArray[np.float64], tile: Tile) -> NDArray[np.float64]:
        """Intensities of a noise-free problem's signal, projected on {x : A x = y}.

        That part of a tile which lies in the plane. The plane's border is treated as the
        whole's. At a tile's own border the projection differs, and the difference has died
        away before the halo ends.
        """
        factor = self._problem.factor
        inside, place = tile.within(self._image.shape[1:])
        part = (slice(None), *inside)
        small = (slice(None), *(slice(p.start // factor, p.stop // factor) for p in place))
        observed = None if self._observed is None else self._observed[small]
        y = self._measured[small].astype(np.float64)
        values[part] = consistent(values[part], y, self._problem.operator(observed))
        return self._units.from_network(values)


def conditional_network(model: Model) -> RestorationVAE:
    """The network of the model of all tasks; raises InputError if it removes noise only."""
    if not isinstance(model.network, RestorationVAE):
        raise InputError(
            f"model {model.name!r} was trained on noisy images and only removes noise: use "
            "model='default' for other tasks"
        )
    return model.network


def enlarged(plane: NDArray[np.float32], factor: int) -> NDArray[np.float32]:
    """(C, H, W) to the output grid, by bicubic interpolation."""
    if factor == 1:
        return plane
    rows, columns = (enlargement(side, factor) for side in plane.shape[1:])
    return separable(rows, columns, plane).astype(np.float32)


def _slow_values(units: Units, factor: int) -> tuple[float, float, float, float]:
    """What the condition says of the whole plane: sigma, correlation along y and x, scale."""
    rho_y, rho_x = nearest_blur(units.noise[0].correlation) if units.noise else WHITE
    return units.sigma, rho_y, rho_x, math.log2(factor)


def _as_array(signal: Tensor) -> NDArray[np.float64]:
    return signal[0].float().cpu().numpy().astype(np.float64)
