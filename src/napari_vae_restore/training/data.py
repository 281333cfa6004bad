"""Noisy images as training patches in network units.

Every channel of every image is one acquisition with one noise model. Its
intensities are stabilised, after which the noise has a standard deviation of 1
whatever the camera, and then all acquisitions share one normalisation.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from napari_vae_restore.errors import InputError
from napari_vae_restore.images.layout import Layout
from napari_vae_restore.models.model import Normalisation
from napari_vae_restore.noise.correlation import lag_one
from napari_vae_restore.noise.models import NoiseModel
from napari_vae_restore.training.measured_planes import measured_planes
from napari_vae_restore.training.sources import Loaded
from napari_vae_restore.training.window_cache import WindowCache

_log = logging.getLogger(__name__)

_HELD_OUT_SHARE = 0.03
_MAX_HELD_OUT = 32
_MIN_TRAINING_SHARE = 0.7
"""At least so many patch positions are left to train on."""

_PERCENTILES = (0.1, 99.9)
"""Percentiles that set the normalisation; hot and dead pixels lie outside."""


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
    # False where there was too little data: `held_out` is then trained on, too.
    is_held_out: bool
    # Whether the noise correlates otherwise along Y than along X: patches are then not turned
    # by 90 degrees.
    has_direction: bool = False
    symmetries: int = 8  # see :class:`~.settings.TrainingSettings`

    @property
    def n_pixels(self) -> int:
        """Number of pixels in all planes and channels."""
        return sum(plane.numel() for plane in self.planes)

    @property
    def n_planes(self) -> int:
        """Number of planes."""
        return len(self.planes)

    def sample(self, n: int, generator: torch.Generator, step: int = 0) -> Tensor:
        """(n, C, patch, patch) patches, uniform over the area, turned and mirrored.

        One allowed symmetry is drawn for the whole batch. The step does not matter.
        """
        chosen = torch.multinomial(self.weights, n, replacement=True, generator=generator)
        patches = torch.stack([self._patch(int(index), generator) for index in chosen])
        return self.turned(patches, generator)

    def turned(self, patches: Tensor, generator: torch.Generator) -> Tensor:
        """Patches in one of the allowed symmetries of the square, drawn at random."""
        turns, mirrored = divmod(int(torch.randint(8, (), generator=generator)), 2)
        if self.symmetries == 8:
            turns = turns // 2 * 2 if self.has_direction else turns
            patches = patches.rot90(turns, (2, 3))
        return patches.flip(3) if mirrored and self.symmetries > 1 else patches

    def _patch(self, index: int, generator: torch.Generator) -> Tensor:
        allowed = self.positions[index]
        height, width = allowed.shape
        while True:
            row = int(torch.randint(height, (), generator=generator))
            column = int(torch.randint(width, (), generator=generator))
            if allowed[row, column]:
                rows, columns = slice(row, row + self.patch), slice(column, column + self.patch)
                return self.planes[index][:, rows, columns]


@dataclass(frozen=True, slots=True)
class PooledSet:
    """A `TrainingSet` of images that do not fit into memory: a changing part is loaded."""

    # Held-out windows; their normalisation is that of all planes.
    unseen: TrainingSet
    # Planes (C, H, W) float32 in network units, sides at least the patch size.
    cache: WindowCache[list[Tensor]]
    n_planes: int
    n_pixels: int
    is_held_out: bool = True

    @property
    def held_out(self) -> Tensor:
        """See :class:`TrainingSet`."""
        return self.unseen.held_out

    @property
    def normalisation(self) -> Normalisation:
        """See :class:`TrainingSet`."""
        return self.unseen.normalisation

    @property
    def noise(self) -> NoiseModel | None:
        """See :class:`TrainingSet`."""
        return self.unseen.noise

    def sample(self, n: int, generator: torch.Generator, step: int) -> Tensor:
        """(n, C, patch, patch) patches; see :meth:`TrainingSet.sample`."""
        planes = [plane for member in self.cache.at(step) for plane in member]
        chosen = torch.randint(len(planes), (n,), generator=generator)
        patch = self.unseen.patch
        patches = torch.stack(
            [_random_patch(planes[int(index)], patch, generator) for index in chosen]
        )
        return self.unseen.turned(patches, generator)


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
    stabilised: list[np.ndarray] = []
    models: list[NoiseModel] = []
    for image in images:
        planes, found = _stabilise(image, noise, channels)
        models += found
        stabilised += list(planes)
    normalisation = _normalisation(stabilised)
    tensors = [
        _at_least(torch.from_numpy(normalisation.to_network(plane)), patch)
        for plane in stabilised
    ]
    held_out, is_held_out, positions = _hold_out(
        tensors, patch, held_out_side, np.random.default_rng(seed)
    )
    shared = models[0] if all(model == models[0] for model in models) else None
    return TrainingSet(
        planes=tensors,
        positions=positions,
        weights=torch.stack([allowed.sum() for allowed in positions]).float(),
        held_out=held_out,
        normalisation=normalisation,
        noise=shared,
        patch=patch,
        is_held_out=is_held_out,
        has_direction=any(y != x for y, x in (lag_one(m.correlation) for m in models)),
        symmetries=symmetries,
    )


def planes_like(data: TrainingSet, image: Loaded, noise: NoiseModel | str) -> list[Tensor]:
    """Planes (C, H, W) of another image, prepared like those of a training set."""
    planes, _ = _stabilise(image, noise, data.held_out.shape[1])
    normalised = (torch.from_numpy(data.normalisation.to_network(plane)) for plane in planes)
    return [_at_least(plane, data.patch) for plane in normalised]


def _stabilise(
    image: Loaded, noise: NoiseModel | str, n_channels: int
) -> tuple[np.ndarray, list[NoiseModel]]:
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


def _random_patch(plane: Tensor, side: int, generator: torch.Generator) -> Tensor:
    top, left = (
        int(torch.randint(length - side + 1, (), generator=generator))
        for length in plane.shape[1:]
    )
    return plane[:, top : top + side, left : left + side]


def _normalisation(planes: Sequence[np.ndarray]) -> Normalisation:
    every = max(1, sum(plane.size for plane in planes) // 2**22)
    values = np.concatenate([plane.ravel()[::every] for plane in planes]).astype(np.float64)
    low, high = np.percentile(values, _PERCENTILES)
    values = values[(values >= low) & (values <= high)]
    # Noise alone has a standard deviation of 1: anything below is a wrong noise model.
    return Normalisation(offset=float(values.mean()), scale=float(max(values.std(), 1.0)))


def _at_least(plane: Tensor, side: int) -> Tensor:
    """Mirror a plane outwards until both of its sides hold a patch."""
    indices = [
        torch.from_numpy(
            np.pad(np.arange(length), (0, max(0, side - length)), mode="symmetric")
        )
        for length in plane.shape[1:]
    ]
    return plane[:, indices[0]][:, :, indices[1]]


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
    patches, unseen = [], []
    for index in rng.choice(len(planes), size=n, p=areas / areas.sum()):
        for row, column in _cheap_places(planes[index].shape[1:], side, rng):
            near = positions[index][
                max(0, row - patch + 1) : row + side,
                max(0, column - patch + 1) : column + side,
            ]
            cost = int(near.sum())
            if cost <= budget:
                break
        unseen.append(cost <= budget)
        if unseen[-1]:
            budget -= cost
            near.zero_()
        patches.append(planes[index][:, row : row + side, column : column + side])
    if any(unseen):
        patches = [patch for patch, kept in zip(patches, unseen, strict=True) if kept]
    else:
        _log.warning("too little data to hold any out: the ELBO is that of training pixels")
    return torch.stack(patches), any(unseen), positions


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
