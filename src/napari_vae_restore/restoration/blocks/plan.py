"""What is decided once for a whole image.

With a :class:`Plan` any block of any plane can be restored alone, here or on another machine,
and gets the numbers that it has in the whole. Blocks are whole planes where these are of
moderate size, and single tiles of larger ones. A plan holds no intensities.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from napari_vae_restore.images.layout import Layout
from napari_vae_restore.images.tiling import TILE, Tile
from napari_vae_restore.models.devices import choose_device, free_memory
from napari_vae_restore.models.error_calibration import ErrorCalibration
from napari_vae_restore.models.model import Model
from napari_vae_restore.noise.models import NoiseModel
from napari_vae_restore.restoration.blocks.measuring import MeasuredNoise
from napari_vae_restore.restoration.blocks.mending import Defects
from napari_vae_restore.restoration.blocks.parts import channel_groups, tile_grid
from napari_vae_restore.restoration.blocks.windows import (
    PLANE_PIXELS,
    Part,
    Rectangle,
    range_windows,
)
from napari_vae_restore.restoration.options import Options
from napari_vae_restore.restoration.problem import Problem
from napari_vae_restore.restoration.result import NoisyHoles
from napari_vae_restore.restoration.trust.intervals import kind_of, kind_of_holes
from napari_vae_restore.restoration.trust.verdict import NoiseCheck

# Memory that a pixel of a tile takes at most with the bundled model, halo included: for the
# mean, and for samples. Measured.
BYTES_PER_PIXEL: Final = (200, 600)

_HALVINGS: Final = 3  # the usual tile is halved at most so often where memory is short
_SHARE: Final = 0.5  # a tile may take half of the free memory
_MARGIN: Final = 8  # pixels read around a tile, for hot pixels and interpolation
# The same where holes are filled, whose smooth guess comes from further off. Windows start at
# multiples of it, so that the pyramids of neighbours share their cells.
_HOLE_MARGIN: Final = 128


@dataclass(frozen=True, slots=True)
class Block:
    """A part of every plane that is restored in one go."""

    core: Rectangle  # its place in the result, pixels of the output
    window: Rectangle  # what is read for it, pixels of the input
    tiles: tuple[Tile, ...]  # in the window, on the output's grid

    def core_in_window(self, factor: int) -> Rectangle:
        """The core's place in what was read, in pixels of the input."""
        rows, columns = (
            slice(core.start // factor - window.start, core.stop // factor - window.start)
            for core, window in zip(self.core, self.window, strict=True)
        )
        return rows, columns

    def in_result(self, core: Rectangle, factor: int) -> Rectangle:
        """The place in the result of a tile's core, pixels of the output."""
        rows, columns = (
            slice(side.start + window.start * factor, side.stop + window.start * factor)
            for side, window in zip(core, self.window, strict=True)
        )
        return rows, columns


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What each part of an image needs to know of the whole."""

    layout: Layout
    problem: Problem  # without its mask
    model: Model
    noise: tuple[NoiseModel, ...]  # one for each channel; none for a noise-free image
    groups: tuple[slice, ...]  # channels that are restored together
    blocks: tuple[Block, ...]  # of every plane; their cores cover it without overlap
    sample: tuple[Rectangle, ...]  # windows that a large plane's range is measured on
    halo: int  # pixels of the output
    tile: int  # the same, as asked for or chosen
    options: Options
    error_calibration: ErrorCalibration | None  # of the model, for samples of such a problem
    calibration_in_holes: ErrorCalibration | None  # the same in the holes of a noisy image
    defects: Defects
    stated: NoiseCheck | None  # what the image says of noise that was stated
    grain: tuple[NoiseModel, ...]  # what a drawn fill gets, of each channel; none for none

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(N, C, H, W) of the result."""
        n, c, height, width = self.layout.planes_shape
        return n, c, height * self.problem.factor, width * self.problem.factor

    @property
    def n_drawn(self) -> int:
        """Samples that are drawn of each tile."""
        return max(self.options.n_samples, int(self.problem.draws))

    @property
    def n_tiles(self) -> int:
        """Tiles of all planes."""
        per_plane = sum(len(block.tiles) for block in self.blocks)
        return self.layout.planes_shape[0] * len(self.groups) * per_plane

    def parts(self) -> Iterator[Part]:
        """In the order of the image."""
        for number in range(self.layout.planes_shape[0] * len(self.groups)):
            yield self.part(number)

    def part(self, number: int) -> Part:
        """A part by its place in that order."""
        plane, group = divmod(number, len(self.groups))
        return plane, self.groups[group]


def make_plan(
    layout: Layout,
    problem: Problem,
    model: Model,
    found: MeasuredNoise,
    options: Options,
    *,
    plane_pixels: int | None = None,
) -> Plan:
    """Decide what holds for the whole image.

    Planes of at most `plane_pixels` are one block, by default `PLANE_PIXELS`. Raises
    InputError if the model does not suit the image.
    """
    at_once = PLANE_PIXELS if plane_pixels is None else plane_pixels
    height, width = layout.planes_shape[2:]
    where = choose_device(options.device)
    tile = options.tile or fitting_tile(free_memory(where), options.n_samples)
    shape = height * problem.factor, width * problem.factor
    grid, halo = tile_grid(model.on(where), shape, problem, tile)
    is_large, is_noisy = height * width > at_once, bool(found.noise)
    kind = kind_of(problem.tasks, is_noisy=is_noisy)
    in_holes = kind_of_holes(problem.tasks, is_noisy=is_noisy) or ""
    return Plan(
        layout=layout,
        problem=problem.without_mask(),
        model=model,
        noise=found.noise,
        groups=tuple(channel_groups(model, problem, layout, is_noisy=is_noisy)),
        blocks=_blocks(grid, (height, width), problem, at_once),
        sample=tuple(range_windows(height, width)) if is_large else (),
        halo=halo,
        tile=tile,
        options=options,
        # Of a mixture that a model was not calibrated for, that of its noise.
        error_calibration=model.spreads.get(kind) or model.spreads.get(kind.split("+")[0]),
        calibration_in_holes=model.spreads.get(in_holes),
        defects=found.defects,
        stated=found.stated,
        grain=found.grain,
    )


def noisy_holes(plan: Plan, missing: Any) -> NoisyHoles | None:
    """The holes of a noisy image, (N, C, H, W) bool, with their calibration; None for none."""
    if not plan.noise or missing is None or plan.options.n_samples < 2:
        return None
    factor = plan.problem.factor
    large = missing.repeat(factor, axis=2).repeat(factor, axis=3)
    return NoisyHoles(plan.layout.from_planes(large), plan.calibration_in_holes)


def fitting_tile(free_bytes: int, n_samples: int) -> int:
    """The usual tile, or the largest of its halvings that fits into the free memory."""
    sides = [TILE >> halving for halving in range(_HALVINGS + 1)]
    affordable = math.sqrt(_SHARE * free_bytes / BYTES_PER_PIXEL[n_samples > 0])
    return next((side for side in sides if side <= affordable), sides[-1])


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
