"""One process or several that train together, each on a device of its own.

Several are started by Lightning Fabric, as its ``ddp`` strategy does: the command that is
running is run again for every further device. Gradients are averaged here, and not by a
wrapper around the network, so that objectives may call whatever method of it they like.
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
    """The processes of a training, seen from one of them.

    Parameters
    ----------
    n : int
        How many. More than one needs the extra ``distributed``, and a script or command
        that can be run again: no interactive session.
    device : str
        "auto", "cpu", "cuda" or "mps".

    Attributes
    ----------
    n, rank : int
        How many there are, and which one this is; 0 is the one that saves and reports.
    device : torch.device
        This one's.

    Raises
    ------
    InputError
        If there are not as many devices, or the extra is missing.
    """

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
        """The value of the first process, for all: clocks differ."""
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
