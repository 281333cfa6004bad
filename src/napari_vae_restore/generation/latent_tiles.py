"""Large planes go through a network in tiles: only their latents have to fit into memory.

Tiles lie in the frame of a plane, which is mirrored on to multiples of the network's stride.
They overlap by the halo that restorations measure. A plane up to `TILE_SIDE` is one tile.
Latents are grids over the frame: a level has the frame's pixels over its stride as cells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

import psutil
from torch import Tensor

from napari_vae_restore.errors import RestorationError
from napari_vae_restore.images.tiling import Tile, tiles
from napari_vae_restore.models.model import Model
from napari_vae_restore.models.protocol import Chooser
from napari_vae_restore.restoration.blocks.halo import measured_halo

TILE_SIDE: Final = 1024  # of the tiles' cores in pixels: working memory stays below 2 GB

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


def traversed(
    model: Model,
    frame: tuple[int, int],
    inputs: Iterable[Tensor | None],
    choosing: Callable[[int, Tile], Chooser],
) -> Iterator[tuple[int, Tile, Tensor]]:
    """Go through the tiles of planes; `choosing` says how latents of a plane's tile are chosen.

    Inputs, (1, C, H, W) each, are encoded; for None latents come from the prior. Gives each
    tile with its plane's number and its decoded signal, halo included.
    """
    network = model.network
    for index, x in enumerate(inputs):
        for tile in frame_tiles(model, *frame):
            features = None if x is None else network.encode(x[(..., *window_of(tile))])
            shape = (1, len(tile.rows), len(tile.columns))
            yield index, tile, network.traverse(features, shape, choosing(index, tile))


def window_of(tile: Tile) -> Window:
    """The window of the frame that a tile reads."""
    row, column = tile.origin
    return slice(row, row + len(tile.rows)), slice(column, column + len(tile.columns))


def cells(window: Window, stride: int) -> Window:
    """A window of a frame, or of a tile, in the cells of a level."""
    rows, columns = (slice(each.start // stride, each.stop // stride) for each in window)
    return rows, columns


def check_memory(n_bytes: int, what: str, advice: str) -> None:
    """Raise RestorationError if the bytes are not free; `what` ends in "take" or "takes"."""
    free = psutil.virtual_memory().available
    if n_bytes > free:
        raise RestorationError(
            f"out of memory: {what} {n_bytes / _GIGABYTE:.1f} GB, and "
            f"{free / _GIGABYTE:.1f} GB are free: {advice}"
        )
