"""An image as the planes in network units that a VAE encodes, and back.

A plane is mirrored on to multiples of the network's stride, so that any size runs. This is
also the one place where errors of torch become errors of this package.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_vae_restore.errors import InputError, RestorationError, shortened
from napari_vae_restore.images.arrays import as_image
from napari_vae_restore.images.layout import Layout
from napari_vae_restore.models.devices import is_out_of_memory
from napari_vae_restore.models.model import Model
from napari_vae_restore.noise.estimation.estimate import resolve_noise
from napari_vae_restore.restoration.inference.units import Units
from napari_vae_restore.restoration.measurement import Measurement


@dataclass(frozen=True, slots=True, eq=False)
class Planes:
    """An image, taken apart into the groups of channels that the network encodes one by one."""

    image: NDArray[Any]
    layout: Layout  # of the image
    # (C, H, W) each in the image's dtype, C as the network takes: all of the first plane,
    # then all of the next
    groups: tuple[NDArray[Any], ...]
    units: tuple[Units, ...]  # one for each group

    @classmethod
    def of(cls, image: Any, axes: str | None, model: Model) -> Planes:
        """Check an image and take it apart for a model; raises InputError."""
        array, axes = as_image(image, axes)
        layout = Layout.of(array, axes)
        planes = layout.to_planes(array)
        config = model.network.config
        n_channels, width = planes.shape[1], config.channels
        if n_channels % width:
            raise InputError(
                f"the model takes {width} channels jointly, and the image has {n_channels}: "
                "use a one-channel model, or give the axes with C or S where the channels are"
            )
        parts = [slice(start, start + width) for start in range(0, n_channels, width)]
        # One acquisition has one range and one noise: all planes of a channel are alike.
        units = [_units(planes[:, part], model) for part in parts]
        groups = tuple(plane[part] for plane in planes for part in parts)
        return cls(array, layout, groups, tuple(units) * len(planes))

    def frame(self, model: Model) -> tuple[int, int]:
        """Height and width of :meth:`network_inputs`."""
        stride = model.network.config.stride
        height, width = (-(-side // stride) * stride for side in self.layout.planes_shape[2:])
        return height, width

    def network_inputs(self, model: Model) -> Iterator[Tensor]:
        """(1, C, H', W') float32 for each group, H' and W' multiples of the stride.

        Raises InputError if the image is larger than the only size that the network takes.
        """
        _, _, height, width = self.layout.planes_shape
        fixed = model.network.config.fixed_size
        if fixed is not None and max(height, width) > fixed:
            raise InputError(
                f"model {model.name!r} takes images of {fixed} × {fixed} pixels only, "
                f"and {height} × {width} came: crop or resize the image"
            )
        device = next(model.network.parameters()).device
        for group, units in zip(self.groups, self.units, strict=True):
            padded = padded_to(units.to_network(group), model.network.config.stride)
            yield torch.from_numpy(padded)[None].to(device)


def padded_to(plane: NDArray[Any], stride: int) -> NDArray[Any]:
    """(..., H, W), mirrored at the end on to multiples of the stride."""
    missing = [(0, -side % stride) for side in plane.shape[-2:]]
    return np.pad(plane, [(0, 0)] * (plane.ndim - 2) + missing, mode="symmetric")


@contextmanager
def torch_computing() -> Iterator[None]:
    """No gradients; errors of torch become RestorationError, which Qt's threads do not hide."""
    try:
        with torch.inference_mode():
            yield
    except (MemoryError, RuntimeError) as error:
        if is_out_of_memory(error):
            raise RestorationError(
                "out of memory: use a smaller image or device='cpu'"
            ) from error
        raise RestorationError(f"the network failed: {shortened(error)}") from error


def _units(planes: NDArray[Any], model: Model) -> Units:
    """Units of (N, C, H, W) planes of one acquisition."""
    if model.normalisation is not None:
        noise = tuple(
            resolve_noise(model.noise or "auto", planes[:, channel])
            for channel in range(planes.shape[1])
        )
        return Units(noise, model.normalisation)
    stacked = np.concatenate(list(planes), axis=1)  # (C, N * H, W)
    return Units.of(Measurement(stacked, None, ()))
