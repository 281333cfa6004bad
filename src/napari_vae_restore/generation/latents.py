"""Encode an image into latents, look at them or change them, decode them.

z is a list of grids, coarsest first. A level is named by its stride: the pixels of the image
along each side of one of its cells. Nothing here knows what the latents are used for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_vae_restore.errors import InputError
from napari_vae_restore.generation.latent_tiles import cells, check_memory, traversed, window_of
from napari_vae_restore.generation.network_inputs import Planes, torch_computing
from napari_vae_restore.images.layout import Layout, cast
from napari_vae_restore.images.tiling import Tile
from napari_vae_restore.models.bundled import DEFAULT, find_model
from napari_vae_restore.models.devices import choose_device
from napari_vae_restore.models.latents import DiagonalGaussian
from napari_vae_restore.models.model import Model
from napari_vae_restore.models.protocol import Chooser
from napari_vae_restore.restoration.inference.units import Units


@dataclass(frozen=True, slots=True, eq=False)
class LatentGrid:
    """q(z_l | z_{>l}, x) of one level, for every plane.

    Arrays are (N, channels, h, w) float32; N runs over planes, then groups of channels.
    """

    mean: NDArray[np.float32]
    std: NDArray[np.float32]
    # the mean of p(z_l | z_{>l}): the expectation from coarser levels alone
    prior: NDArray[np.float32]
    stride: int  # pixels along each side of a cell

    @classmethod
    def empty(cls, n: int, channels: int, frame: tuple[int, int], stride: int) -> Self:
        """For planes of a frame; raises RestorationError if they would not fit into memory."""
        shape = (n, channels, frame[0] // stride, frame[1] // stride)
        needed = 3 * math.prod(shape) * np.dtype(np.float32).itemsize
        what = f"the latents of {stride} px of this image take"
        check_memory(needed, what, "take parts of the image, or a smaller copy")
        mean, std, prior = (np.empty(shape, np.float32) for _ in range(3))
        return cls(mean, std, prior, stride)

    def put(
        self, index: int, tile: Tile, z: Tensor, p: DiagonalGaussian, q: DiagonalGaussian
    ) -> None:
        """Store z and what it was chosen from, (1, channels, h, w), halo included."""
        core, inner = cells(tile.core, self.stride), cells(tile.inner, self.stride)
        arrays = (self.mean, self.std, self.prior)
        for array, found in zip(arrays, (z, q.log_std.exp(), p.mean), strict=True):
            array[(index, ..., *core)] = found[(0, ..., *inner)].cpu().numpy()

    def part(self, index: int, tile: Tile) -> Tensor:
        """The mean of a tile of one plane, (1, channels, h, w), halo included."""
        here = cells(window_of(tile), self.stride)
        return torch.from_numpy(self.mean[(index, None, ..., *here)])

    def enlarged(self, shape: tuple[int, int]) -> NDArray[np.float32]:
        """The mean at image resolution, (N, channels, H, W): each cell repeated."""
        return self.repeated(self.mean, shape)

    def repeated(
        self, values: NDArray[np.float32], shape: tuple[int, ...]
    ) -> NDArray[np.float32]:
        """Values of the level's cells, (..., h, w), at image resolution, (..., H, W)."""
        rows, columns = (np.arange(side) // self.stride for side in shape)
        return values[..., rows[:, None], columns]


@dataclass(frozen=True, slots=True, eq=False)
class LatentMap:
    """One level as a layer that lies on the image."""

    name: str
    data: NDArray[np.float32]  # (N, channels, h, w) float32, or without N for a single plane
    # pixels of the image, one per dimension of `data`, as a napari layer takes them
    scale: tuple[float, ...]
    translate: tuple[float, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Latents:
    """An image as a model's latents.

    Attributes
    ----------
    levels : tuple of LatentGrid
        Coarsest first.
    layout : Layout
        Axes, shape and dtype of the image.
    units : tuple of Units
        The way of each of the N planes to network units and back.
    model, model_sha256 : str
        Name and hash of the model that the latents belong to.
    """

    levels: tuple[LatentGrid, ...]
    layout: Layout
    units: tuple[Units, ...]
    model: str
    model_sha256: str

    @property
    def strides(self) -> tuple[int, ...]:
        """Pixels along each side of a cell of each level, coarsest first."""
        return tuple(level.stride for level in self.levels)

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shape (N, channels, h, w) of each level, coarsest first."""
        return tuple(level.mean.shape for level in self.levels)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the image in pixels."""
        return self.layout.planes_shape[2:]

    @property
    def frame(self) -> tuple[int, int]:
        """Height and width in pixels that the latents cover, multiples of every stride."""
        height, width = self.shapes[0][2:]
        return height * self.strides[0], width * self.strides[0]

    def with_means(self, means: Sequence[NDArray[Any]]) -> Latents:
        """The same with other values of z, coarsest level first, for :func:`decode`.

        Raises
        ------
        InputError
            If there is not one array for each level, of its shape and finite.
        """
        came = tuple(np.shape(mean) for mean in means)
        if came != self.shapes:
            raise InputError(f"means: expected the shapes {self.shapes}, got {came}")
        if not all(np.isfinite(mean).all() for mean in means):
            raise InputError("means: expected finite values")
        levels = tuple(
            replace(level, mean=np.asarray(mean, np.float32))
            for level, mean in zip(self.levels, means, strict=True)
        )
        return replace(self, levels=levels)

    def maps(self) -> tuple[LatentMap, ...]:
        """Each level's mean with the scale and translation that lay it on the image."""
        found = []
        for level in self.levels:
            data = level.mean[0] if len(level.mean) == 1 else level.mean
            others = data.ndim - 2
            scale = (1.0,) * others + (float(level.stride),) * 2
            # A cell's centre is that of its pixels, and pixel 0 is centred at 0.
            translate = (0.0,) * others + ((level.stride - 1) / 2,) * 2
            found.append(LatentMap(f"latents of {level.stride} px", data, scale, translate))
        return tuple(found)


def encode(
    image: Any,
    model: Model | str | Path = DEFAULT,
    *,
    axes: str | None = None,
    device: str = "auto",
) -> Latents:
    """Infer the latents of an image.

    Parameters
    ----------
    image : array-like or napari.layers.Image
        Any real dtype but bool, any axes; finite. The bundled model knows clean images:
        restore a noisy one first. A model of noisy images takes them as they are.
    model : Model, str or Path
        "default" for the bundled model, a model file, or a trained model.
    axes : str, optional
        One letter per dimension, such as "TZCYX" or "YXS"; read or guessed by default.
    device : str
        "auto", "cpu", "cuda" or "mps".

    Returns
    -------
    Latents
        q's mean and standard deviation of every level, coarsest first; below the coarsest
        level given the means of those above. Large planes are computed in tiles; the
        latents themselves have to fit into memory, some 64 bytes for each pixel with the
        bundled model.

    Raises
    ------
    InputError
        For an image or device that cannot be used.
    ModelFileError
        If the model file cannot be used.
    RestorationError
        If the computation fails, for example when memory runs out.
    """
    placed = find_model(model).on(choose_device(device))
    planes = Planes.of(image, axes, placed)
    levels = chosen_latents(
        placed,
        len(planes.groups),
        planes.frame(placed),
        lambda _index, _tile: lambda _level, _p, q: q.mean,
        planes.network_inputs(placed),
    )
    return Latents(levels, planes.layout, planes.units, placed.name, placed.sha256)


def chosen_latents(
    model: Model,
    n: int,
    frame: tuple[int, int],
    choosing: Callable[[int, Tile], Chooser],
    inputs: Iterable[Tensor] | None = None,
) -> tuple[LatentGrid, ...]:
    """Latents of n planes, coarsest level first, chosen as :func:`~.latent_tiles.traversed`
    says, each with the deviation of q and the mean of p."""
    config = model.network.config
    grids = [LatentGrid.empty(n, config.latent, frame, stride) for stride in config.strides]

    def noting(index: int, tile: Tile) -> Chooser:
        choose = choosing(index, tile)

        def note(level: int, p: DiagonalGaussian, q: DiagonalGaussian) -> Tensor:
            z = choose(level, p, q)
            grids[level].put(index, tile, z, p, q)
            return z

        return note

    with torch_computing():
        for _ in traversed(model, frame, inputs or [None] * n, noting):
            pass
    return tuple(reversed(grids))


def decode(
    latents: Latents, model: Model | str | Path = DEFAULT, *, device: str = "auto"
) -> NDArray[Any]:
    """Draw the image that latents stand for.

    Parameters
    ----------
    latents : Latents
        Of :func:`encode`, changed or not.
    model : Model, str or Path
        The one that they were inferred with.
    device : str
        "auto", "cpu", "cuda" or "mps".

    Returns
    -------
    numpy.ndarray
        The signal in the image's axes, dtype and intensity range, without alpha. A decoder
        draws what its latents hold, which is less than the image held.

    Raises
    ------
    InputError
        If the latents are another model's.
    ModelFileError, RestorationError
        As :func:`encode`.
    """
    placed = model_of(latents, model, device)
    return assembled(latents.layout, decoded_groups(latents, placed))


def model_of(latents: Latents, model: Model | str | Path, device: str) -> Model:
    """The model on a device; raises InputError if the latents are another's."""
    placed = find_model(model).on(choose_device(device))
    if placed.sha256 != latents.model_sha256:
        raise InputError(
            f"these latents belong to model {latents.model!r}, and model {placed.name!r} is "
            "another one: decode with the model that encoded"
        )
    return placed


def decoded_groups(latents: Latents, model: Model) -> list[NDArray[np.float64]]:
    """The signal of each group of channels, (C, H, W) in intensity units."""
    device = next(model.network.parameters()).device
    n, channels = len(latents.levels[0].mean), model.network.config.channels
    signals = np.empty((n, channels, *latents.frame), np.float32)

    def given(index: int, tile: Tile) -> Chooser:
        z = [grid.part(index, tile).to(device) for grid in reversed(latents.levels)]
        return lambda level, _p, _q: z[level]

    with torch_computing():
        for index, tile, signal in traversed(model, latents.frame, [None] * n, given):
            signals[(index, ..., *tile.core)] = signal[(0, ..., *tile.inner)].cpu().numpy()
    height, width = latents.size
    return [
        units.from_network(signal[:, :height, :width])
        for units, signal in zip(latents.units, signals, strict=True)
    ]


def assembled(
    layout: Layout, groups: Iterable[NDArray[Any]], *, like: NDArray[Any] | None = None
) -> NDArray[Any]:
    """Groups of channels, (C, H, W) each, as an image of the layout; `like` gives the alpha."""
    n_planes, _, height, width = layout.planes_shape
    planes = np.concatenate(list(groups)).reshape(n_planes, -1, height, width)
    return layout.from_planes(cast(planes, layout.dtype), like=like)
