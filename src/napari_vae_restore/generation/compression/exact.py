"""Networks computed exactly: the same bits on every processor and with any number of threads.

Sums of floating-point products depend on their order, and so on threads, libraries and
machines. Here weights and activations are rounded to fixed points, so that every product and
every sum is a multiple of 2^-28 below 2^25: float64 holds each of them exactly, in any order.
Smooth functions are rounded likewise, from arguments that are themselves on the grid.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from napari_vae_restore.errors import InputError

_Module = TypeVar("_Module", bound=nn.Module)

GRID: Final = 2.0**12  # activations are multiples of its inverse
_WEIGHT_GRID: Final = 2.0**16
_CEILING: Final = 2.0**8  # largest activation; those of the networks lie far below
_LARGEST_INPUT: Final = 2.0**12  # of a convolution: the sum of sixteen such activations
_EXACT: Final = 2.0**53  # integers up to it are exact in float64


def on_grid(values: Tensor) -> Tensor:
    """float64, rounded to the grid of activations."""
    return torch.round(values.double() * GRID) / GRID


class Exactly(TorchFunctionMode):
    """A context in which convolutions, SiLU and tanh give multiples of the grid."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Torch calls this in place of each of its functions."""
        name, kwargs = getattr(func, "__name__", ""), kwargs or {}
        if name == "conv2d":
            found = on_grid(func(args[0].double(), *args[1:], **kwargs))
            return found.clamp(-_CEILING, _CEILING)
        if name in ("silu", "tanh"):
            return on_grid(func(args[0].double()))
        return func(*args, **kwargs)


def exact_copy(network: _Module) -> _Module:
    """The network on the CPU with weights on a grid, to be run inside :class:`Exactly`.

    Raises InputError if its weights are so large that sums would not be exact.
    """
    exact = copy.deepcopy(network).cpu().double()
    with torch.no_grad():
        for parameter in exact.parameters():
            parameter.copy_(torch.round(parameter * _WEIGHT_GRID) / _WEIGHT_GRID)
    for module in exact.modules():
        if isinstance(module, nn.Conv2d):
            largest = float(module.weight.detach().abs().sum(dim=(1, 2, 3)).max())
            if not largest * _LARGEST_INPUT * GRID * _WEIGHT_GRID < _EXACT:
                raise InputError(
                    "this model's weights are too large to be computed exactly: compress with "
                    "model='default'"
                )
    return exact
