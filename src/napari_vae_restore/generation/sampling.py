"""Pictures drawn from a model's prior, between two images, or similar to one.

p(z) is sampled coarsest level first. Noise is keyed to position (`models.latents`), so sample
i of a seed is one picture whatever the number of samples.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from napari_vae_restore.errors import InputError
from napari_vae_restore.generation.latent_tiles import check_memory
from napari_vae_restore.generation.latents import (
    Latents,
    assembled,
    chosen_latents,
    decoded_groups,
    encode,
    model_of,
)
from napari_vae_restore.images.arrays import MIN_SIDE
from napari_vae_restore.images.layout import Layout
from napari_vae_restore.images.tiling import Tile
from napari_vae_restore.models.bundled import DEFAULT, find_model
from napari_vae_restore.models.devices import choose_device
from napari_vae_restore.models.latents import DiagonalGaussian, KeyedNoise
from napari_vae_restore.models.model import Model, Normalisation
from napari_vae_restore.models.protocol import Chooser
from napari_vae_restore.restoration.inference.units import Units

SIDE: Final = 256  # default side of samples in pixels, of a model of any size
_UNIT: Final = Normalisation(0.0, 1.0)  # of a model of any image: black is 0 and white 1


def sample(
    model: Model | str | Path = DEFAULT,
    n: int = 1,
    size: int | tuple[int, int] | None = None,
    *,
    temperature: float | Sequence[float] = 1.0,
    seed: int = 0,
    device: str = "auto",
) -> NDArray[np.float32]:
    """Draw pictures from a model's prior, p(z), through its decoder.

    Parameters
    ----------
    model : Model, str or Path
        "default" for the bundled model, a model file, or a trained model.
    n : int
        Number of pictures.
    size : int or (int, int), optional
        Height and width in pixels, or the side of a square. A textbook VAE has one size only,
        which is its default; that of a hierarchical model is 256.
    temperature : float or sequence of float
        Factor on the prior's standard deviation: below 1 smoother and more typical. For all
        levels, or one for each, coarsest first.
    seed : int
        The same seed gives the same pictures. Global random state is untouched.
    device : str
        "auto", "cpu", "cuda" or "mps".

    Returns
    -------
    numpy.ndarray
        (n, H, W) float32, (n, C, H, W) for a model of several channels: in the intensity
        units of the images that the model was trained on; about 0 to 1 for the bundled one.

    Raises
    ------
    InputError
        For a parameter outside its range, or a size that the model does not have.
    ModelFileError
        If the model file cannot be used.
    RestorationError
        If the computation fails, for example when memory runs out.
    """
    _check_number("n", n, 1)
    placed = find_model(model).on(choose_device(device))
    shape = _size(placed, size)
    pictures = []
    for index in range(n):
        drawn = sample_latents(placed, shape, temperature=temperature, seed=seed, index=index)
        pictures.append(decoded_groups(drawn, placed)[0])
    stack = np.stack(pictures).astype(np.float32)
    return stack[:, 0] if placed.network.config.channels == 1 else stack


def sample_latents(
    model: Model,
    size: tuple[int, int],
    *,
    temperature: float | Sequence[float] = 1.0,
    seed: int = 0,
    index: int = 0,
) -> Latents:
    """Draw the latents of one picture from p(z), (H, W) or (C, H, W) float32, for `decode`.

    The model computes on its own device; `size` is height and width in pixels, `index` counts
    the samples of a seed. Raises as :func:`sample`.
    """
    height, width = _size(model, size)
    config = model.network.config
    temperatures = _temperatures(temperature, len(config.strides))
    seed = checked_seed(seed)
    n_bytes = config.channels * height * width * np.dtype(np.float32).itemsize
    check_memory(n_bytes, f"{height} × {width} pixels take", "draw fewer of them")

    def drawing(plane: int, tile: Tile) -> Chooser:
        noise = KeyedNoise(seed, index, plane, *tile.origin, config.strides)
        return lambda level, p, _q: p.sample(noise(level, p.mean), temperatures[level])

    rows, columns = (-(-side // config.stride) * config.stride for side in (height, width))
    levels = chosen_latents(model, 1, (rows, columns), drawing)
    is_grey = config.channels == 1
    shape = (height, width) if is_grey else (config.channels, height, width)
    layout = Layout("YX" if is_grey else "CYX", shape, np.dtype(np.float32))
    noises = () if model.noise is None else (model.noise,) * config.channels
    units = Units(noises, model.normalisation or _UNIT)
    return Latents(levels, layout, (units,), model.name, model.sha256)


def vary(
    latents: Latents,
    model: Model | str | Path = DEFAULT,
    n: int = 1,
    *,
    levels: int = 1,
    temperature: float = 1.0,
    seed: int = 0,
    device: str = "auto",
) -> NDArray[Any]:
    """Draw pictures similar to one: keep its coarse latents, draw the fine ones anew.

    Parameters
    ----------
    latents : Latents
        Of an image (:func:`~.latents.encode`) or of a sample (:func:`sample_latents`).
    model : Model, str or Path
        The one that they belong to.
    n : int
        Number of pictures.
    levels : int
        How many of the finest levels are drawn from their prior, given those that are kept.
    temperature, seed, device
        As for :func:`sample`.

    Returns
    -------
    numpy.ndarray
        (n, \\*shape) in the latents' axes, dtype and intensity range.

    Raises
    ------
    InputError
        For a parameter outside its range, or latents of another model.
    ModelFileError, RestorationError
        As :func:`sample`.
    """
    _check_number("n", n, 1)
    _check_temperature(temperature)
    placed = model_of(latents, model, device)
    if not 0 <= levels <= len(latents.levels):
        raise InputError(f"levels: expected 0 to {len(latents.levels)}, got {levels!r}")
    seed = checked_seed(seed)
    pictures = []
    for index in range(n):
        drawn = _redrawn(latents, placed, levels, temperature, seed, index)
        pictures.append(assembled(latents.layout, decoded_groups(drawn, placed)))
    return np.stack(pictures, dtype=latents.layout.dtype)


def interpolate(
    a: Any,
    b: Any,
    model: Model | str | Path = DEFAULT,
    n: int = 5,
    *,
    axes: str | None = None,
    device: str = "auto",
) -> NDArray[Any]:
    """Go from one image to another through their latents.

    Parameters
    ----------
    a, b : array-like or napari.layers.Image
        Of one shape.
    model : Model, str or Path
        As for :func:`~.latents.encode`.
    n : int
        Number of pictures, at least 2: the first and the last are what the decoder makes
        of `a` and `b`.
    axes : str, optional
        Of both images.
    device : str
        "auto", "cpu", "cuda" or "mps".

    Returns
    -------
    numpy.ndarray
        (n, \\*shape) in the dtype of `a`; every latent, and the intensity range, goes from
        that of `a` to that of `b` in even steps.

    Raises
    ------
    InputError
        If the images differ in shape or cannot be used, or `n` is below 2.
    ModelFileError, RestorationError
        As :func:`~.latents.encode`.
    """
    _check_number("n", n, 2)
    placed = find_model(model).on(choose_device(device))
    first, last = (encode(image, placed, axes=axes, device=device) for image in (a, b))
    if first.layout.planes_shape != last.layout.planes_shape:
        raise InputError(
            f"expected two images of one shape, got {first.layout.shape} and "
            f"{last.layout.shape}: crop them alike"
        )
    pictures = []
    for share in np.linspace(0.0, 1.0, n):
        means = [
            (1 - share) * one.mean + share * other.mean
            for one, other in zip(first.levels, last.levels, strict=True)
        ]
        between = first.with_means(means)
        # The same signal in the range of the one and of the other.
        in_range_of = [
            decoded_groups(replace(between, units=each.units), placed) for each in (first, last)
        ]
        groups = [(1 - share) * p + share * q for p, q in zip(*in_range_of, strict=True)]
        pictures.append(assembled(first.layout, groups))
    return np.stack(pictures, dtype=first.layout.dtype)


def _redrawn(
    latents: Latents, model: Model, levels: int, temperature: float, seed: int, index: int
) -> Latents:
    """The same with the finest `levels` drawn from their prior."""
    device = next(model.network.parameters()).device

    def drawing(plane: int, tile: Tile) -> Chooser:
        noise = KeyedNoise(seed, index, plane, *tile.origin, model.network.config.strides)

        def draw(level: int, p: DiagonalGaussian, _q: DiagonalGaussian) -> Tensor:
            if level < levels:
                return p.sample(noise(level, p.mean), temperature)
            return latents.levels[-1 - level].part(plane, tile).to(device)

        return draw

    drawn = chosen_latents(model, latents.shapes[0][0], latents.frame, drawing)
    return latents.with_means([level.mean for level in drawn])


def _size(model: Model, size: int | tuple[int, int] | None) -> tuple[int, int]:
    fixed = model.network.config.fixed_size
    if size is None:
        size = fixed or SIDE
    height, width = (size, size) if isinstance(size, int | np.integer) else size
    for side in (height, width):
        _check_number("size", side, MIN_SIDE)
    if fixed is not None and (height, width) != (fixed, fixed):
        raise InputError(
            f"model {model.name!r} draws pictures of {fixed} × {fixed} pixels only, and "
            f"{height} × {width} came: leave the size out, or use a hierarchical model"
        )
    return int(height), int(width)


def _check_number(name: str, value: int, least: int) -> None:
    if not isinstance(value, int | np.integer) or value < least:
        raise InputError(f"{name}: expected an integer of at least {least}, got {value!r}")


def checked_seed(seed: int) -> int:
    """An integer of at least 0, or InputError."""
    _check_number("seed", seed, 0)
    return int(seed)


def _temperatures(temperature: float | Sequence[float], n_levels: int) -> list[float]:
    """Temperatures of the levels, finest first."""
    given = list(temperature) if isinstance(temperature, Sequence) else [temperature] * n_levels
    if len(given) != n_levels:
        raise InputError(
            f"temperature: expected one number, or one for each of {n_levels} levels, got "
            f"{len(given)}"
        )
    for each in given:
        _check_temperature(each)
    return given[::-1]


def _check_temperature(temperature: float) -> None:
    if not (math.isfinite(temperature) and temperature >= 0):
        raise InputError(f"temperature: expected a number of at least 0, got {temperature!r}")
