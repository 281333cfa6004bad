"""Noisy images as training patches in network units.

Every channel of every image is one acquisition with one noise model. Its
intensities are stabilised, after which the noise has a standard deviation of 1
whatever the camera, and then all acquisitions share one normalisation.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_vae_restore.errors import InputError
from napari_vae_restore.images.layout import Layout
from napari_vae_restore.models.model import Normalisation
from napari_vae_restore.noise.correlation import lag_one
from napari_vae_restore.noise.models import NoiseModel
from napari_vae_restore.training.sources import Loaded
from napari_vae_restore.training.training_planes import at_least, measured_planes
from napari_vae_restore.training.windows import WindowCache

_log = logging.getLogger(__name__)

_HELD_OUT_SHARE: Final = 0.03
_MAX_HELD_OUT: Final = 32
_MIN_TRAINING_SHARE: Final = 0.7  # of the patch positions, left to train on
_PERCENTILES: Final = (0.1, 99.9)  # of the normalisation; hot and dead pixels lie outside


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """Planes in network units; a part of them is held out."""

    planes: list[Tensor]  # (C, H, W) float32 each, sides at least the patch size
    # (H - patch + 1, W - patch + 1) bool for each plane: where a training patch may start
    # without touching a held-out one.
    positions: list[Tensor]
    weights: Tensor  # (number of planes,) positions in each plane, counted once
    held_out: Tensor  # (M, C, side, side)
    normalisation: Normalisation  # from stabilised intensities to network units
    # The noise model if all acquisitions share one, in intensity units.
    noise: NoiseModel | None
    patch: int  # side of the patches in pixels
    n_planes: int
    n_pixels: int  # in all planes and channels
    # False where there was too little data: `held_out` is then trained on, too.
    is_held_out: bool
    # Whether the noise correlates otherwise along Y than along X: patches are then not turned
    # by 90 degrees.
    has_direction: bool
    symmetries: int  # see :class:`~.settings.TrainingSettings`
    # Of images that do not fit into memory: planes to draw from in place of these.
    cache: WindowCache[list[Tensor]] | None = None

    def sample(self, n: int, generator: torch.Generator, step: int = 0) -> Tensor:
        """(n, C, patch, patch) patches, uniform over the area, turned and mirrored.

        One allowed symmetry is drawn for the whole batch.
        """
        planes: Sequence[Tensor] = self.planes
        positions: Sequence[Tensor | None] = self.positions
        if self.cache is None:
            chosen = torch.multinomial(self.weights, n, replacement=True, generator=generator)
        else:
            planes = [plane for member in self.cache.at(step) for plane in member]
            positions = [None] * len(planes)
            chosen = torch.randint(len(planes), (n,), generator=generator)
        patches = [self._patch(planes[i], positions[i], generator) for i in chosen.tolist()]
        return self._turned(torch.stack(patches), generator)

    def _patch(
        self, plane: Tensor, allowed: Tensor | None, generator: torch.Generator
    ) -> Tensor:
        while True:
            top, left = (
                int(torch.randint(length - self.patch + 1, (), generator=generator))
                for length in plane.shape[1:]
            )
            if allowed is None or allowed[top, left]:
                return plane[:, top : top + self.patch, left : left + self.patch]

    def _turned(self, patches: Tensor, generator: torch.Generator) -> Tensor:
        turns, mirrored = divmod(int(torch.randint(8, (), generator=generator)), 2)
        if self.symmetries == 8:
            turns = turns // 2 * 2 if self.has_direction else turns
            patches = patches.rot90(turns, (2, 3))
        return patches.flip(3) if mirrored and self.symmetries > 1 else patches


def prepare(
    images: Sequence[Loaded],
    *,
    noise: NoiseModel | str,
    channels: int,
    patch: int,
    held_out_side: int,
    seed: int,
    symmetries: int = 8,
) -> TrainingSet:
    """Stabilise and normalise images, and hold patches out whose side is at most `patch`."""
    found = [_stabilise(image, noise, channels) for image in images]
    stabilised = [plane for planes, _ in found for plane in planes]
    models = [model for _, of_image in found for model in of_image]
    normalisation = _normalisation(stabilised)
    tensors = _in_network_units(stabilised, normalisation, patch)
    held_out, is_held_out, positions = _hold_out(
        tensors, patch, held_out_side, np.random.default_rng(seed)
    )
    return TrainingSet(
        planes=tensors,
        positions=positions,
        weights=torch.stack([allowed.sum() for allowed in positions]).float(),
        held_out=held_out,
        normalisation=normalisation,
        noise=models[0] if all(model == models[0] for model in models) else None,
        patch=patch,
        n_planes=len(tensors),
        n_pixels=sum(plane.numel() for plane in tensors),
        is_held_out=is_held_out,
        has_direction=any(y != x for y, x in (lag_one(m.correlation) for m in models)),
        symmetries=symmetries,
    )


def planes_like(data: TrainingSet, image: Loaded, noise: NoiseModel | str) -> list[Tensor]:
    """Planes (C, H, W) of another image, prepared like those of a training set."""
    planes, _ = _stabilise(image, noise, data.held_out.shape[1])
    return _in_network_units(planes, data.normalisation, data.patch)


def _stabilise(
    image: Loaded, noise: NoiseModel | str, n_channels: int
) -> tuple[NDArray[np.float32], list[NoiseModel]]:
    """Planes (N, C, H, W) whose noise has a standard deviation of 1, and its models."""
    planes = Layout.of(image.data, image.axes).to_planes(image.data)
    completed, models = measured_planes(planes, noise)
    stabilised = [
        model.stabilise(completed[:, channel]).astype(np.float32)
        for channel, model in enumerate(models)
    ]
    stacked = np.stack(stabilised, axis=1)
    if n_channels == 1:
        return stacked.reshape(-1, 1, *stacked.shape[2:]), models
    if stacked.shape[1] != n_channels:
        raise InputError(
            f"the network takes {n_channels} channels jointly, and the image has "
            f"{stacked.shape[1]}: use channels=1, or images with {n_channels} channels"
        )
    return stacked, models


def _normalisation(planes: Sequence[NDArray[np.float32]]) -> Normalisation:
    every = max(1, sum(plane.size for plane in planes) // 2**22)
    values = np.concatenate([plane.ravel()[::every] for plane in planes]).astype(np.float64)
    low, high = np.percentile(values, _PERCENTILES)
    values = values[(values >= low) & (values <= high)]
    # Noise alone has a standard deviation of 1: anything below is a wrong noise model.
    return Normalisation(offset=float(values.mean()), scale=float(max(values.std(), 1.0)))


def _in_network_units(
    planes: Iterable[NDArray[np.float32]], normalisation: Normalisation, side: int
) -> list[Tensor]:
    return [
        torch.from_numpy(at_least(normalisation.to_network(plane), side)) for plane in planes
    ]


def _hold_out(
    planes: list[Tensor], patch: int, side: int, rng: np.random.Generator
) -> tuple[Tensor, bool, list[Tensor]]:
    """Take patches out as long as enough positions remain to train on."""
    positions = [
        torch.ones(plane.shape[1] - patch + 1, plane.shape[2] - patch + 1, dtype=torch.bool)
        for plane in planes
    ]
    areas = np.array([plane[0].numel() for plane in planes], np.float64)
    n = int(np.clip(_HELD_OUT_SHARE * areas.sum() / side**2, 1, _MAX_HELD_OUT))
    budget = (1 - _MIN_TRAINING_SHARE) * sum(allowed.numel() for allowed in positions)
    patches: dict[bool, list[Tensor]] = {True: [], False: []}  # by whether they are unseen
    for index in rng.choice(len(planes), size=n, p=areas / areas.sum()):
        for row, column in _cheap_places(planes[index].shape[1:], side, rng):
            near = positions[index][
                max(0, row - patch + 1) : row + side,
                max(0, column - patch + 1) : column + side,
            ]
            cost = int(near.sum())
            if is_unseen := cost <= budget:
                budget -= cost
                near.zero_()
                break
        found = planes[index][:, row : row + side, column : column + side]
        patches[is_unseen].append(found)
    if not patches[True]:
        _log.warning("too little data to hold any out: the ELBO is that of training pixels")
    return torch.stack(patches[True] or patches[False]), bool(patches[True]), positions


def _cheap_places(
    shape: torch.Size, side: int, rng: np.random.Generator
) -> list[tuple[int, int]]:
    """Places on the border and in a corner, which cost few training positions."""
    last = [length - side for length in shape]
    corner = [int(rng.choice([0, end])) for end in last]
    border = [int(rng.integers(end + 1)) for end in last]
    axis = int(rng.integers(2))
    border[axis] = corner[axis]
    return [(border[0], border[1]), (corner[0], corner[1])]
