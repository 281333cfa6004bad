"""What a network saw in an image, in a few numbers for each block of it.

The restoration computes these features anyway, so that describing costs next to nothing.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from torch.nn import functional as F

from napari_vae_restore.images.tiling import Tile
from napari_vae_restore.models.protocol import Features

# The finest ones: they tell kinds of images apart better than coarser ones, and than the KL
# of the latents (``benchmarks/cautions.py``).
_LEVELS: Final = 2
_BLOCK: Final = 64  # pixels a side
_MOST: Final = 512  # pixels of a tile that are looked at along each axis, in its middle

Description = NDArray[np.float32]  # (rows, columns, d), means of features over blocks


def described(features: Features, strides: tuple[int, ...], tile: Tile) -> Description | None:
    """Describe the middle of a tile."""
    if features[0].ndim != 4:
        return None
    rows, columns = (_middle(part) for part in tile.inner)
    shape = _count(rows), _count(columns)
    means = []
    for level, stride in zip(features[:_LEVELS], strides, strict=False):
        part = level[..., _cells(rows, stride), _cells(columns, stride)]
        means.append(F.adaptive_avg_pool2d(part.float(), shape)[0].cpu().numpy())
    return np.concatenate(means).transpose(1, 2, 0)


def _count(part: slice) -> int:
    return max(1, int(part.stop - part.start) // _BLOCK)


def _middle(part: slice) -> slice:
    length = part.stop - part.start
    start = part.start + max(0, (length - _MOST) // 2)
    return slice(start, start + min(length, _MOST))


def _cells(part: slice, stride: int) -> slice:
    """Those that lie in a part, or the one that it lies in."""
    first, last = -(-part.start // stride), part.stop // stride
    return slice(first, last) if first < last else slice(last, last + 1)
