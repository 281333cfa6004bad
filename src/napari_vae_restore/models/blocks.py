"""Building blocks of the convolutional networks.

No block computes a statistic over the batch or over space: an image in a batch, or a tile of
an image, gives the same as alone.
"""

from __future__ import annotations

from typing import Final, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Bound of an activation; on ordinary images fewer than 1 in 10 000 come near it.
_CEILING: Final = 4.0
_REACH: Final = 2  # rows on each side that a row of a block's result depends on
# Size of the strips in which a CPU computes large grids. Their memory is reused; whole grids
# are allocated anew for each layer, which took a third of the time. Grids up to twice as large
# are not cut: the C library keeps their memory, and threads wait for each other at each strip.
_STRIP_BYTES: Final = 2**24


class ResidualBlock(nn.Module):
    """``x + conv(silu(conv(silu(x))))``; starts as the identity times almost one.

    The last convolution starts at a tenth of its usual size, which keeps deep
    stacks stable without normalisation layers (Zhang et al., Fixup, 2019,
    arXiv:1901.09321). If it overwrites, its result without gradients takes the input's place.
    """

    def __init__(
        self, width: int, *, overwrites: bool = False, strip_bytes: int = _STRIP_BYTES
    ) -> None:
        super().__init__()
        self._overwrites, self._strip_bytes = overwrites, strip_bytes
        self.conv_in = nn.Conv2d(width, width, 3, padding=1)
        self.conv_out = nn.Conv2d(width, width, 3, padding=1)
        with torch.no_grad():
            self.conv_out.weight.mul_(0.1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, width, h, w) to the same shape."""
        # A traced network is for grids of any size.
        is_traced = torch.jit.is_tracing()  # type: ignore[attr-defined,no-untyped-call]
        if torch.is_grad_enabled() or is_traced:
            return x + self._update(x)
        height, rows = x.shape[2], self._rows_at_once(x)
        if height <= rows:
            return x + self._update(x)
        result = x if self._overwrites else torch.empty_like(x)
        above = x[:, :, :0]  # rows that the strip looks back at, as they were
        for start in range(0, height, rows):
            stop = min(start + rows, height)
            seen = torch.cat([above, x[:, :, start : stop + _REACH]], dim=2)
            strip = slice(above.shape[2], above.shape[2] + stop - start)
            above = x[:, :, stop - _REACH : stop].clone()
            torch.add(
                seen[:, :, strip], self._update(seen)[:, :, strip], out=result[:, :, start:stop]
            )
        return result

    def _rows_at_once(self, x: Tensor) -> int:
        """Rows of (N, C, H, W) that are computed together."""
        n_bytes = x.numel() * x.element_size()
        if x.device.type != "cpu" or x.shape[0] > 1 or n_bytes <= 2 * self._strip_bytes:
            return x.shape[2]
        return max(self._strip_bytes * x.shape[2] // n_bytes, 8 * _REACH)

    def _update(self, x: Tensor) -> Tensor:
        """The residual that the block adds."""
        hidden = _activate(self.conv_in(_activate(x)), in_place=not torch.is_grad_enabled())
        return cast("Tensor", self.conv_out(hidden))


def _activate(x: Tensor, *, in_place: bool = False) -> Tensor:
    """SiLU, bounded: else a value far from those of training (one bright pixel is enough) can
    grow tenfold in each block."""
    return F.silu(x, inplace=in_place).clamp_(max=_CEILING)


def stack(width: int, n_blocks: int, *, strip_bytes: int = _STRIP_BYTES) -> nn.Sequential:
    """`n_blocks` residual blocks in a row."""
    return nn.Sequential(
        *(
            ResidualBlock(width, overwrites=number > 0, strip_bytes=strip_bytes)
            for number in range(n_blocks)
        )
    )
