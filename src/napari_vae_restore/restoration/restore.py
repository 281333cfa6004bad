"""One way through: image and task in, restoration out, the same numbers everywhere.

:func:`iter_restore` is the only implementation. :func:`restore` and :func:`denoise`
drain it, as do the command line and napari's worker.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_vae_restore import __version__
from napari_vae_restore.arrays import as_image
from napari_vae_restore.devices import choose_device
from napari_vae_restore.errors import InputError, RestorationError
from napari_vae_restore.layout import Layout, cast
from napari_vae_restore.models.latents import KeyedNoise
from napari_vae_restore.models.model import Model
from napari_vae_restore.noise import NoiseModel
from napari_vae_restore.restoration.halo import measured_halo
from napari_vae_restore.restoration.posterior import TilePosterior
from napari_vae_restore.restoration.result import Diagnostics, Recipe, Restoration
from napari_vae_restore.restoration.tasks import Denoise, Task
from napari_vae_restore.tiling import Tile, tiles

TILE = 512
"""Default side of the tiles' cores in pixels."""


@dataclass(frozen=True, slots=True)
class RestoreProgress:
    """How far a restoration is: `done` of `total` passes through the decoder."""

    done: int
    total: int


def restore(
    image: Any,
    task: Task,
    model: Model,
    *,
    axes: str | None = None,
    n_samples: int = 0,
    keep_samples: bool = False,
    tile: int = TILE,
    seed: int = 0,
    device: str = "auto",
) -> Restoration:
    """Restore an image.

    Parameters
    ----------
    image : array-like or napari.layers.Image
        Any real dtype but bool, any axes; finite.
    task : Task
        What to undo, for example ``Denoise()``.
    model : Model
        A trained model.
    axes : str, optional
        One letter per dimension, such as "TZCYX" or "YXS"; read or guessed by default.
        Channels (C, S) with a one-channel model, and all other axes always, are
        restored plane by plane.
    n_samples : int
        Samples from the posterior; two or more give `std`. The encoder runs once for
        all of them.
    keep_samples : bool
        Whether the samples themselves are returned.
    tile : int
        Side of the tiles in pixels. It changes memory and time, not the result: latent
        noise is keyed to position, and each tile reads the surroundings it depends on.
    seed : int
        The same seed gives the same samples. Global random state is untouched.
    device : str
        "auto", "cpu", "cuda" or "mps".

    Returns
    -------
    Restoration
        Mean, uncertainty, samples, recipe and diagnostics.

    Raises
    ------
    InputError
        For an unusable image or parameter; nothing was computed.
    RestorationError
        If the computation fails, for example for want of memory.
    """
    return drain(
        iter_restore(
            image,
            task,
            model,
            axes=axes,
            n_samples=n_samples,
            keep_samples=keep_samples,
            tile=tile,
            seed=seed,
            device=device,
        )
    )


def denoise(
    image: Any, model: Model, *, noise: NoiseModel | str | None = None, **options: Any
) -> Restoration:
    """Denoise an image: :func:`restore` with ``Denoise(noise)``.

    Parameters
    ----------
    image : array-like or napari.layers.Image
        As for :func:`restore`.
    model : Model
        A trained model.
    noise : NoiseModel or str, optional
        As for :class:`~.tasks.Denoise`.
    **options
        The keyword parameters of :func:`restore`.

    Returns
    -------
    Restoration
        As :func:`restore`.

    Raises
    ------
    InputError, RestorationError
        As :func:`restore`.
    """
    return restore(image, Denoise(noise), model, **options)


def drain(steps: Generator[RestoreProgress, None, Restoration]) -> Restoration:
    """Run a restoration to its end and return its result."""
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            result: Restoration = stop.value
            return result


def iter_restore(
    image: Any,
    task: Task,
    model: Model,
    *,
    axes: str | None = None,
    n_samples: int = 0,
    keep_samples: bool = False,
    tile: int = TILE,
    seed: int = 0,
    device: str = "auto",
) -> Generator[RestoreProgress, None, Restoration]:
    """Restore step by step: yields progress, returns the result; close it to cancel.

    Parameters, result and errors are those of :func:`restore`. The input is checked at
    the first step.

    Yields
    ------
    RestoreProgress
        After each pass through the decoder.
    """
    started = time.monotonic()
    _check("n_samples", n_samples, 0)
    _check("tile", tile, 1)
    _check("seed", seed, 0)
    array, axes = as_image(image, axes)
    layout = Layout.of(array, axes)
    planes = layout.to_planes(array)
    noise = task.noise_models(planes, model)
    placed = model.on(choose_device(device))
    grid, halo = _tile_grid(placed, planes.shape[2:], tile)
    groups = _channel_groups(planes.shape[1], placed)
    canvas = _Canvas(planes.shape, layout.dtype, n_samples, keep_samples)
    progress = RestoreProgress(0, len(planes) * len(groups) * len(grid) * (1 + n_samples))
    yield progress
    try:
        for n, plane in enumerate(planes):
            for group in groups:
                scale = _Intensities(placed, noise[group])
                for part in grid:
                    y = scale.to_network(part.read(plane[group]))
                    signals = _signals(
                        placed, y, part, n * len(groups) + group.start, n_samples, seed
                    )
                    for signal in signals:
                        canvas.add(n, group, part, scale.from_network(signal))
                        progress = RestoreProgress(progress.done + 1, progress.total)
                        yield progress
    except torch.OutOfMemoryError as error:
        raise RestorationError(
            f"out of memory on {device}: use a smaller tile than {tile}, or device='cpu'"
        ) from error
    except RuntimeError as error:
        raise RestorationError(f"the restoration failed: {error}") from error
    recipe = Recipe(
        tasks=(task.to_dict(),),
        noise=tuple(str(channel) for channel in noise),
        model=model.name,
        model_sha256=model.sha256,
        axes=axes,
        n_samples=n_samples,
        tile=tile,
        seed=seed,
        package_version=__version__,
    )
    diagnostics = Diagnostics(
        residual_std=_residual_std(planes, canvas.mean, noise),
        n_tiles=len(planes) * len(groups) * len(grid),
        halo=halo,
        seconds=time.monotonic() - started,
        device=str(next(placed.network.parameters()).device),
    )
    return canvas.finish(layout, array, recipe, diagnostics)


class _Intensities:
    """Between the intensities of a group of channels and network units."""

    def __init__(self, model: Model, noise: tuple[NoiseModel, ...]) -> None:
        self._normalisation = model.normalisation
        self._noise = noise

    def to_network(self, intensities: NDArray[Any]) -> torch.Tensor:
        """(C, h, w) of any dtype to (1, C, h, w) float32."""
        stabilised = np.stack(
            [noise.stabilise(y) for noise, y in zip(self._noise, intensities, strict=True)]
        )
        return torch.from_numpy(self._normalisation.to_network(stabilised))[None]

    def from_network(self, signal: torch.Tensor) -> NDArray[np.float64]:
        """(1, C, h, w) to (C, h, w) intensities."""
        stabilised = self._normalisation.from_network(signal[0].cpu().numpy())
        return np.stack(
            [noise.unstabilise(t) for noise, t in zip(self._noise, stabilised, strict=True)]
        )


class _Canvas:
    """Where tiles are put together; mean and variance are streamed over the samples."""

    def __init__(
        self, shape: tuple[int, ...], dtype: np.dtype[Any], n_samples: int, keep: bool
    ) -> None:
        wide = np.result_type(dtype, np.float32)
        self._n_samples = n_samples
        self.mean = np.empty(shape, wide)
        self._std = np.empty(shape, np.float32) if n_samples >= 2 else None
        self._samples = np.empty((n_samples, *shape), dtype) if keep and n_samples else None
        self._count = 0
        self._running = self._squares = np.zeros(0)

    def add(self, n: int, group: slice, tile: Tile, values: NDArray[np.float64]) -> None:
        """Take the next signal of a tile: first its mean, then each of its samples."""
        place = (n, group, *tile.core)
        values = values[(slice(None), *tile.inner)]
        if self._count == 0:
            self.mean[place] = values
            self._running, self._squares = np.zeros_like(values), np.zeros_like(values)
        else:
            # Welford's update (1962), stable for any offset of the intensities.
            delta = values - self._running
            self._running += delta / self._count
            self._squares += delta * (values - self._running)
            if self._samples is not None:
                self._samples[(self._count - 1, *place)] = cast(values, self._samples.dtype)
        self._count += 1
        if self._count > self._n_samples:
            if self._std is not None:
                self._std[place] = np.sqrt(self._squares / (self._n_samples - 1))
            self._count = 0

    def finish(
        self, layout: Layout, image: NDArray[Any], recipe: Recipe, diagnostics: Diagnostics
    ) -> Restoration:
        """The result in the image's own axes and dtype."""

        def back(planes: NDArray[Any]) -> NDArray[Any]:
            return layout.from_planes(cast(planes, layout.dtype), like=image)

        samples = self._samples
        return Restoration(
            mean=back(self.mean),
            std=None if self._std is None else layout.from_planes(self._std),
            samples=None if samples is None else np.stack([back(each) for each in samples]),
            recipe=recipe,
            diagnostics=diagnostics,
        )


def _signals(
    model: Model, y: torch.Tensor, tile: Tile, plane: int, n_samples: int, seed: int
) -> Iterator[torch.Tensor]:
    """The mean and then the samples of one tile; the encoder runs once."""
    posterior = TilePosterior(model, y)
    yield posterior.mean()
    strides = model.network.config.strides
    for sample in range(n_samples):
        yield posterior.sample(KeyedNoise(seed, sample, plane, *tile.origin, strides))


def _tile_grid(model: Model, shape: tuple[int, ...], size: int) -> tuple[list[Tile], int]:
    config = model.network.config
    height, width = shape
    if config.fixed_size is not None:
        side = config.fixed_size
        return tiles(height, width, size=side, halo=0, stride=side, margin=0), 0
    stride = config.stride
    if max(height, width) + 2 * stride <= size:
        return tiles(height, width, size=size, halo=0, stride=stride, margin=stride), 0
    halo = measured_halo(model)
    return tiles(height, width, size=size, halo=halo, stride=stride, margin=stride), halo


def _channel_groups(n_channels: int, model: Model) -> list[slice]:
    width = model.network.config.channels
    if width not in (1, n_channels):
        raise InputError(
            f"the model takes {width} channels jointly, and the image has {n_channels}: use a "
            "one-channel model, or give the axes with C or S where the channels are"
        )
    return [slice(start, start + width) for start in range(0, n_channels, width)]


def _residual_std(
    planes: NDArray[Any], mean: NDArray[Any], noise: tuple[NoiseModel, ...]
) -> float:
    """RMS of what was removed over the RMS of the noise that was expected.

    The quotient of the sums, not the mean of quotients: where a signal-dependent model
    expects next to no noise, single dark pixels would outweigh the picture.
    """
    removed = expected = 0.0
    for plane, restored in zip(planes, mean, strict=True):
        for channel, model in enumerate(noise):
            residual = plane[channel].astype(np.float64) - restored[channel]
            removed += float(np.square(residual).mean())
            expected += float(model.variance(restored[channel]).mean())
    return math.sqrt(removed / expected)


def _check(name: str, value: int, least: int) -> None:
    if not isinstance(value, int | np.integer) or value < least:
        raise InputError(f"{name}: expected an integer of at least {least}, got {value!r}")
