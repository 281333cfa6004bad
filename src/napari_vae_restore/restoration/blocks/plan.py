"""A restoration prepared: all that is decided or measured once for a whole image.

A :class:`Plan` says into which blocks a plane is cut, what each of them reads, and what the
noise is; with it any block of any plane can be restored alone, here or on another machine,
and gives the numbers that it has in the whole. Blocks are whole planes where these are of
moderate size, and single tiles of larger ones. A plan holds no intensities.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_vae_restore.errors import InputError
from napari_vae_restore.images.layout import Layout
from napari_vae_restore.images.tiling import TILE, Tile
from napari_vae_restore.models.devices import choose_device, free_memory
from napari_vae_restore.models.model import Model
from napari_vae_restore.models.spread import Spread
from napari_vae_restore.noise.estimation.hot import (
    MIN_FRAMES,
    persistent_hot_pixels,
    rise_beyond_texture,
)
from napari_vae_restore.noise.estimation.unmeasured import repeat_side
from napari_vae_restore.noise.models import NoiseModel
from napari_vae_restore.restoration.blocks.mending import Defects, without_measurement
from napari_vae_restore.restoration.blocks.parts import channel_groups, tile_grid
from napari_vae_restore.restoration.blocks.windows import (
    PLANE_PIXELS,
    Rectangle,
    in_memory,
    range_windows,
    stack_fits,
    stack_windows,
)
from napari_vae_restore.restoration.problem import Problem
from napari_vae_restore.restoration.result import Filled
from napari_vae_restore.restoration.trust.intervals import kind_of, kind_of_holes
from napari_vae_restore.restoration.trust.verdict import Found, found_noise

BYTES_PER_PIXEL: Final = (200, 600)
"""Of a tile that the bundled model takes at most, halo included, for its mean and for
samples; measured."""

_SERIES: Final = 9
"""Planes of a series whose median shows hot pixels."""
_SERIES_PIXELS: Final = 2**24
_REPEAT_PLANES: Final = 4
"""That are looked at for repeated values."""

_HALVINGS: Final = 3
"""Of the usual tile, where memory is short."""
_SHARE: Final = 0.5  # of the free memory that a tile may take
_MARGIN: Final = 8
"""Pixels read around a tile: hot pixels and interpolation look a few pixels further."""
_HOLE_MARGIN: Final = 128
"""The same where holes are filled, whose smooth guess comes from further off; windows
start at multiples of it, so that the pyramids of neighbours share their cells."""


@dataclass(frozen=True, slots=True)
class Block:
    """A part of every plane that is restored in one go.

    Attributes
    ----------
    core : (slice, slice)
        Its place in the result, in pixels of the output.
    window : (slice, slice)
        What is read for it, in pixels of the input.
    tiles : tuple of Tile
        In the window's coordinates, on the output's grid.
    """

    core: Rectangle
    window: Rectangle
    tiles: tuple[Tile, ...]

    def core_in_window(self, factor: int) -> Rectangle:
        """The core's place in what was read, in pixels of the input."""
        rows, columns = (
            slice(core.start // factor - window.start, core.stop // factor - window.start)
            for core, window in zip(self.core, self.window, strict=True)
        )
        return rows, columns


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What each part of an image needs to know of the whole.

    Attributes
    ----------
    layout : Layout
        The image's.
    problem : Problem
        Without its mask.
    model : Model
        On any device.
    noise : tuple of NoiseModel
        Of each channel; empty for a noise-free image.
    groups : tuple of slice
        Channels that are restored together.
    blocks : tuple of Block
        Of every plane; their cores cover it without overlap.
    sample : tuple of (slice, slice)
        Windows of a large plane that its range is measured on, whatever its tiles; empty
        where that is the plane.
    halo, tile : int
        In pixels of the output.
    n_samples, seed : int
        As for :func:`~.restore.restore`.
    device : str
        Where to compute: "auto" is settled by who computes.
    spread : Spread or None
        What the model's calibration says of such a problem's samples.
    spread_in_holes : Spread or None
        The same in the holes of a noisy image; None where there are none.
    defects : Defects
        What the detector does to single pixels.
    stated : Found or None
        What the image says of noise that was stated; None where it was measured.
    """

    layout: Layout
    problem: Problem
    model: Model
    noise: tuple[NoiseModel, ...]
    groups: tuple[slice, ...]
    blocks: tuple[Block, ...]
    sample: tuple[Rectangle, ...]
    halo: int
    tile: int
    n_samples: int
    seed: int
    device: str
    spread: Spread | None
    spread_in_holes: Spread | None
    defects: Defects
    stated: Found | None

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(N, C, H, W) of the result."""
        n, c, height, width = self.layout.planes_shape
        return n, c, height * self.problem.factor, width * self.problem.factor

    @property
    def n_tiles(self) -> int:
        """Tiles of all planes."""
        per_plane = sum(len(block.tiles) for block in self.blocks)
        return self.layout.planes_shape[0] * len(self.groups) * per_plane

    def parts(self) -> Iterator[tuple[int, slice]]:
        """Planes and groups of channels, in the order of the image."""
        for number in range(self.layout.planes_shape[0] * len(self.groups)):
            yield self.part(number)

    def part(self, number: int) -> tuple[int, slice]:
        """Plane and group of channels by their place in that order."""
        plane, group = divmod(number, len(self.groups))
        return plane, self.groups[group]


def prepare(
    planes: Any,
    layout: Layout,
    problem: Problem,
    model: Model,
    *,
    n_samples: int,
    tile: int | None,
    seed: int,
    device: str,
    plane_pixels: int | None = None,
) -> Plan:
    """Decide and measure what holds for the whole image.

    Parameters
    ----------
    planes : numpy.ndarray or dask.array.Array
        (N, C, H, W), the image. Of a large one, a few megapixels are read.
    layout : Layout
        The image's.
    problem : Problem
        With its mask.
    model : Model
        On any device.
    n_samples, tile, seed, device
        As for :func:`~.restore.restore`.
    plane_pixels : int, optional
        Planes of at most so many pixels are one block; by default `PLANE_PIXELS`.

    Raises
    ------
    InputError
        For parameters that do not suit each other, the image or the model.
    """
    for name, value, least in (("n_samples", n_samples, 0), ("seed", seed, 0)):
        _check(name, value, least)
    if tile is not None:
        _check("tile", tile, 1)
    where = choose_device(device)
    size = fitting_tile(free_memory(where), n_samples) if tile is None else tile
    noise, defects, stated = _measured_noise(planes, problem, model)
    shape = planes.shape[2] * problem.factor, planes.shape[3] * problem.factor
    grid, halo = tile_grid(model.on(where), shape, problem, size)
    at_once = PLANE_PIXELS if plane_pixels is None else plane_pixels
    is_large = planes.shape[2] * planes.shape[3] > at_once
    return Plan(
        layout=layout,
        problem=problem.without_mask(),
        model=model,
        noise=noise,
        groups=tuple(channel_groups(model, problem, layout, is_noisy=bool(noise))),
        blocks=_blocks(grid, planes.shape[2:], problem, at_once),
        sample=tuple(range_windows(*planes.shape[2:])) if is_large else (),
        halo=halo,
        tile=size,
        n_samples=n_samples,
        seed=seed,
        device=device,
        spread=_spread(model, kind_of(problem.tasks, is_noisy=bool(noise))),
        spread_in_holes=model.spreads.get(
            kind_of_holes(problem.tasks, is_noisy=bool(noise)) or ""
        ),
        defects=defects,
        stated=stated,
    )


def _spread(model: Model, kind: str) -> Spread | None:
    """Of a mixture that a model was not calibrated for, that of its noise."""
    return model.spreads.get(kind) or model.spreads.get(kind.split("+")[0])


def filled_of(plan: Plan, missing: Any) -> Filled | None:
    """The holes of a noisy image, with what is known of samples there.

    Parameters
    ----------
    plan : Plan
        Of the image.
    missing : numpy.ndarray, dask.array.Array or None
        (N, C, H, W) bool.
    """
    if not plan.noise or missing is None or plan.n_samples < 2:
        return None
    factor = plan.problem.factor
    large = missing.repeat(factor, axis=2).repeat(factor, axis=3)
    return Filled(plan.layout.from_planes(large), plan.spread_in_holes)


def fitting_tile(free_bytes: int, n_samples: int) -> int:
    """The usual tile, or the largest of its halvings that fits into the free memory."""
    sides = [TILE >> halving for halving in range(_HALVINGS + 1)]
    affordable = math.sqrt(_SHARE * free_bytes / BYTES_PER_PIXEL[n_samples > 0])
    return next((side for side in sides if side <= affordable), sides[-1])


def _measured_noise(
    planes: Any, problem: Problem, model: Model
) -> tuple[tuple[NoiseModel, ...], Defects, Found | None]:
    """The noise of each channel, what departs from it, and what is seen of one stated."""
    if problem.denoising is None:
        return (), Defects(), None
    # Noise that is known needs no pixels, only what departs from it does.
    n_windows = len(stack_windows(planes.shape))
    step = 1 if problem.measures_noise(model) else max(1, n_windows // _REPEAT_PLANES)
    whole, missing = planes, problem.missing
    is_here = isinstance(planes, np.ndarray) and isinstance(missing, np.ndarray | None)
    if is_here and stack_fits(planes.shape):
        planes, missing = (a if a is None else a[::step] for a in (planes, missing))
    else:
        windows = stack_windows(planes.shape)[::step]
        planes = _read(planes, windows)
        missing = None if missing is None else _read(missing, windows)
    sample = planes[:: max(1, len(planes) // _REPEAT_PLANES)]
    side = repeat_side(sample.reshape(-1, *planes.shape[2:]))
    missing = without_measurement(planes, missing, side)
    noise = problem.noise_models(planes, missing, model)
    rises = []
    for channel, found in enumerate(noise):
        values = planes[:, channel]
        measured = values if missing is None else values[~missing[:, channel]]
        rises.append(rise_beyond_texture(measured, found))
    stated = None if problem.measures_noise(model) else found_noise(planes, missing, noise)
    excess = 1.0 if stated is None else stated.excess
    persistent = _persistent(whole, problem.missing, noise)
    defects = Defects(side, tuple(rises), persistent, excess)
    return noise, defects, stated


def _persistent(
    planes: Any, missing: Any, noise: tuple[NoiseModel, ...]
) -> tuple[NDArray[np.bool_], ...]:
    """Pixels, (H, W) of each channel, that are hot in all planes; empty for none."""
    n, _, height, width = planes.shape
    count = min(n, _SERIES)
    if n < MIN_FRAMES or count * height * width > _SERIES_PIXELS or missing is not None:
        return ()
    chosen = np.linspace(0, n - 1, count).round().astype(int)
    whole = slice(0, height), slice(0, width)
    frames = _read(planes, [(int(index), whole) for index in chosen])
    if frames.dtype.kind == "f" and not np.isfinite(frames).all():
        return ()
    found = [persistent_hot_pixels(frames[:, c], model) for c, model in enumerate(noise)]
    return tuple(found) if any(each.any() for each in found) else ()


def _read(planes: Any, windows: list[tuple[int, Rectangle]]) -> NDArray[Any]:
    """(K, C, h, w), windows of planes."""
    return np.stack([in_memory(planes[(n, slice(None), *place)]) for n, place in windows])


def _blocks(
    grid: list[Tile], plane: tuple[int, int], problem: Problem, at_once: int
) -> tuple[Block, ...]:
    height, width = plane
    factor = problem.factor
    whole = slice(0, height), slice(0, width)
    if height * width <= at_once or len(grid) == 1:
        return (Block(scaled(whole, factor), whole, tuple(grid)),)
    blocks = []
    for tile in grid:
        rows, columns = (
            _window(indices, factor, length, holes=problem.fills)
            for indices, length in zip((tile.rows, tile.columns), plane, strict=True)
        )
        moved = tile.moved(rows.start * factor, columns.start * factor)
        blocks.append(Block(tile.core, (rows, columns), (moved,)))
    return tuple(blocks)


def scaled(window: Rectangle, factor: int) -> Rectangle:
    """A rectangle of the measurement on the output's grid."""
    rows, columns = (slice(part.start * factor, part.stop * factor) for part in window)
    return rows, columns


def _window(indices: NDArray[np.intp], factor: int, length: int, *, holes: bool) -> slice:
    """What is read along one axis for pixels of the output."""
    margin = _HOLE_MARGIN if holes else _MARGIN
    first, last = int(indices.min()) // factor, int(indices.max()) // factor + 1
    first, last = first - margin, last + margin
    if holes:
        first, last = first // margin * margin, -(-last // margin) * margin
    return slice(max(first, 0), min(last, length))


def _check(name: str, value: object, least: int) -> None:
    if not isinstance(value, int | np.integer) or value < least:
        raise InputError(f"{name}: expected an integer of at least {least}, got {value!r}")
