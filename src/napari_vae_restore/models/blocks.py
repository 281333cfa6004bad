"""Building blocks of the convolutional networks.

No block computes a statistic over the batch or over space, so an image in a
batch, or a tile of an image, gives what it gives alone.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_CEILING: Final = 4.0
"""Of an activation; fewer than one in 10 000 come near it on ordinary images."""


class ResidualBlock(nn.Module):
    """``x + conv(silu(conv(silu(x))))``; starts as the identity times almost one.

    The last convolution starts at a tenth of its usual size, which keeps deep
    stacks stable without normalisation layers (Zhang et al., Fixup, 2019,
    arXiv:1901.09321).
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(width, width, 3, padding=1)
        self.conv_out = nn.Conv2d(width, width, 3, padding=1)
        with torch.no_grad():
            self.conv_out.weight.mul_(0.1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, width, h, w) to the same shape."""
        update: Tensor = self.conv_out(_activate(self.conv_in(_activate(x))))
        return x + update


def _activate(x: Tensor) -> Tensor:
    """SiLU, bounded.

    What a block adds is bounded with it: without, a value far from those of training
    (one bright pixel is enough) can grow tenfold in each block.
    """
    return F.silu(x).clamp(max=_CEILING)


def stack(width: int, n_blocks: int) -> nn.Sequential:
    """`n_blocks` residual blocks in a row."""
    return nn.Sequential(*(ResidualBlock(width) for _ in range(n_blocks)))
