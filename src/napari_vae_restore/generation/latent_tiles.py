"""Large planes go through a network in tiles: only their latents have to fit into memory.

Tiles lie in the frame of a plane, which is mirrored on to multiples of the network's stride.
They overlap by the halo that restorations measure. A plane up to `TILE_SIDE` is one tile.
Latents are grids over the frame: a level has the frame's pixels over its stride as cells.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import psutil
from numpy.typing import NDArray
from torch import Tensor

from napari_vae_restore.errors import RestorationError
from napari_vae_restore.images.tiling import Tile, tiles
from napari_vae_restore.models.model import Model
from napari_vae_restore.restoration.blocks.halo import measured_halo

TILE_SIDE: Final = 1024
"""Side of the tiles' cores in pixels: working memory stays below 2 GB."""

_GIGABYTE = 2**30

Window = tuple[slice, slice]


def frame_tiles(model: Model, height: int, width: int) -> list[Tile]:
    """Cover a frame, of multiples of the stride, with overlapping tiles in reading order.

    A model of a fixed size takes all at once.
    """
    config, longest = model.network.config, max(height, width)
    if config.fixed_size is not None or longest <= TILE_SIDE:
        return tiles(height, width, size=longest, halo=0, stride=config.stride, margin=0)
    halo = measured_halo(model)
    return tiles(height, width, size=TILE_SIDE, halo=halo, stride=config.stride, margin=0)


def window_of(tile: Tile) -> Window:
    """The window of the frame that a tile reads."""
    row, column = tile.origin
    return slice(row, row + len(tile.rows)), slice(column, column + len(tile.columns))


def cells(window: Window, stride: int) -> Window:
    """A window of a frame, or of a tile, in the cells of a level."""
    rows, columns = (slice(each.start // stride, each.stop // stride) for each in window)
    return rows, columns


class Grids:
    """Latents of one level while the tiles of all planes are computed.

    `values` are mean, standard deviation and the prior's mean, (n, channels, h, w) float32;
    empty before the first tile.
    """

    def __init__(self, n: int, frame: tuple[int, int], stride: int) -> None:
        self.stride = stride
        self.values: tuple[NDArray[np.float32], ...] = ()
        self._n, self._height, self._width = n, frame[0] // stride, frame[1] // stride

    def put(self, index: int, tile: Tile, found: tuple[Tensor, Tensor, Tensor]) -> None:
        """Store the arrays of a tile of one plane, halo included.

        Raises RestorationError, at the first tile, if all of them would not fit into memory.
        """
        if not self.values:
            self.values = self._empty(found[0].shape[1])
        core, inner = cells(tile.core, self.stride), cells(tile.inner, self.stride)
        for array, each in zip(self.values, found, strict=True):
            array[(index, slice(None), *core)] = each[(0, slice(None), *inner)].cpu().numpy()

    def _empty(self, channels: int) -> tuple[NDArray[np.float32], ...]:
        shape = (self._n, channels, self._height, self._width)
        needed = 3 * math.prod(shape) * np.dtype(np.float32).itemsize
        what = f"the latents of {self.stride} px of this image take"
        check_memory(needed, what, "take parts of the image, or a smaller copy")
        return tuple(np.empty(shape, np.float32) for _ in range(3))


def check_memory(n_bytes: int, what: str, advice: str) -> None:
    """Raise RestorationError if the bytes are not free; `what` ends in "take" or "takes"."""
    free = psutil.virtual_memory().available
    if n_bytes > free:
        raise RestorationError(
            f"out of memory: {what} {n_bytes / _GIGABYTE:.1f} GB, and "
            f"{free / _GIGABYTE:.1f} GB are free: {advice}"
        )
