"""Processes that train together, each on its own device.

Lightning Fabric starts them as its ``ddp`` strategy does: it runs the present command again
for every further device. Gradients are averaged here, without a wrapper around the network,
so that objectives may call any of its methods.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from napari_vae_restore.errors import InputError
from napari_vae_restore.models.devices import choose_device

if TYPE_CHECKING:
    from lightning_fabric import Fabric


class Processes:
    """The n processes of a training; `rank` is the number of this one."""

    def __init__(self, n: int, device: str) -> None:
        if n < 1:
            raise InputError(f"devices: expected at least 1, got {n}")
        self.n, self.rank = n, 0
        self.device = choose_device(device)
        self._fabric: Fabric | None = None
        if n > 1:
            self._fabric = _launched(n, self.device)
            self.rank, self.device = self._fabric.global_rank, self._fabric.device

    def average_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Replace every gradient by its mean over the processes."""
        if self._fabric is None:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        self._fabric.all_reduce(flat, reduce_op="mean")
        start = 0
        for gradient in gradients:
            gradient.copy_(flat[start : start + gradient.numel()].view_as(gradient))
            start += gradient.numel()

    def agreed(self, value: float) -> float:
        """The first process's value, for all processes: clocks differ."""
        return value if self._fabric is None else float(self._fabric.broadcast(value))


def _launched(n: int, device: torch.device) -> Fabric:
    if device.type == "cuda" and torch.cuda.device_count() < n:
        raise InputError(
            f"devices: expected at most {torch.cuda.device_count()}, the graphics cards of "
            f"this machine, got {n}"
        )
    if device.type == "mps":
        raise InputError(f"devices: this machine has one graphics processor, got {n}")
    try:
        from lightning_fabric import Fabric
    except ImportError as error:
        raise InputError(
            "training on several devices needs Lightning Fabric: "
            "pip install 'napari-vae-restore[distributed]'"
        ) from error
    options: dict[str, Any] = {"accelerator": device.type, "devices": n, "strategy": "ddp"}
    fabric = Fabric(**options)
    fabric.launch()
    return fabric
