"""Configurations of the networks: flat, frozen, and all that a network is built from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from napari_vae_restore.errors import InputError

_MOST = {"levels": 8, "layers": 8, "blocks": 64, "depths": 64, "patch": 64}
_MOST_ELSE = 2**16  # upper limits; a file beyond them is corrupt or hostile


def _require(condition: bool, expected: str, came: object) -> None:
    if not condition:
        raise InputError(f"model config: expected {expected}, got {came!r}")


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """What a network is built from; grids and levels are listed finest first."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    kind: ClassVar[str]  # in headers of model files

    @property
    def channels(self) -> int:
        """Image channels that the network sees jointly."""
        return 1

    @property
    def latent(self) -> int:
        """Latent channels of every layer."""
        raise NotImplementedError

    @property
    def grids(self) -> tuple[int, ...]:
        """Pixels per cell of each grid of features."""
        raise NotImplementedError

    @property
    def strides(self) -> tuple[int, ...]:
        """Pixels per latent cell of each layer."""
        return self.grids

    @property
    def stride(self) -> int:
        """Image sides that enter the network are multiples of this many pixels."""
        return self.grids[-1]

    @property
    def fixed_size(self) -> int | None:
        """The only side of image that the network takes; None for any multiple of `stride`."""
        return None

    def _check_sizes(self, *names: str) -> None:
        for name in names:
            found = getattr(self, name)
            most = _MOST.get(name, _MOST_ELSE)
            for value in found if isinstance(found, tuple) else (found,):
                is_valid = isinstance(value, int) and 1 <= value <= most
                _require(is_valid, f"{name} from 1 to {most}, an integer", value)


@dataclass(frozen=True, slots=True)
class HVAEConfig(ModelConfig):
    """Configuration of the hierarchical VAE, :class:`~.hvae.HVAE`.

    The defaults are the preset for two CPU cores and minutes of training.

    Parameters
    ----------
    channels : int
        Image channels that the network sees jointly.
    levels : int
        Grids; grid ``g`` is ``patch * 2**g`` times coarser than the image.
    width : int
        Feature channels on every grid.
    latent : int
        Latent channels of every layer.
    blocks : int
        Residual blocks per grid bottom-up, and per layer top-down.
    patch : int
        Pixels along each side that the stem folds into channels (pixel unshuffle).
    layers : tuple of int
        Latent layers on each grid, finest grid first; empty for one each.
    widths : tuple of int
        Feature channels on each grid in place of `width`; empty for the same on all.

    Raises
    ------
    InputError
        For a value outside its range.
    """

    kind: ClassVar = "hvae"

    channels: int = 1
    levels: int = 4
    width: int = 32
    latent: int = 16
    blocks: int = 1
    patch: int = 2
    layers: tuple[int, ...] = ()
    widths: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        self._check_sizes("channels", "levels", "width", "latent", "blocks", "patch")
        for name in ("layers", "widths"):
            values = getattr(self, name)
            fits = len(values) in (0, self.levels)
            _require(fits, f"{name}, one for each of {self.levels} levels, or none", values)
            self._check_sizes(name)

    @property
    def grids(self) -> tuple[int, ...]:
        """Pixels per cell of each grid, finest first."""
        return tuple(self.patch * 2**level for level in range(self.levels))

    @property
    def places(self) -> tuple[int, ...]:
        """The grid of each latent layer, finest first."""
        layers = self.layers or (1,) * self.levels
        return tuple(grid for grid, count in enumerate(layers) for _ in range(count))

    @property
    def grid_widths(self) -> tuple[int, ...]:
        """Feature channels on each grid, finest first."""
        return self.widths or (self.width,) * self.levels

    @property
    def strides(self) -> tuple[int, ...]:
        """Pixels per latent cell of each layer, finest first."""
        return tuple(self.grids[place] for place in self.places)


@dataclass(frozen=True, slots=True)
class FlatVAEConfig(ModelConfig):
    """Configuration of the textbook VAE with one latent vector, :class:`~.vanilla_vae.FlatVAE`.

    Parameters
    ----------
    channels : int
        Image channels.
    size : int
        Side of the square images in pixels; the only size the network accepts.
    width : int
        Feature channels after the first convolution, doubled at each halving.
    z_dim : int
        Length of the latent vector.

    Raises
    ------
    InputError
        For a value outside its range; `size` must be a multiple of 4.
    """

    kind: ClassVar = "flat"

    channels: int = 1
    size: int = 32
    width: int = 32
    z_dim: int = 32

    def __post_init__(self) -> None:
        self._check_sizes("channels", "size", "width", "z_dim")
        _require(self.size % 4 == 0, "size to be a multiple of 4", self.size)

    @property
    def latent(self) -> int:
        """The vector, as channels of a grid of one cell."""
        return self.z_dim

    @property
    def grids(self) -> tuple[int, ...]:
        """Pixels per cell of the features: the image has one."""
        return (self.size,)

    @property
    def fixed_size(self) -> int:
        """The only side of image that the network takes."""
        return self.size


@dataclass(frozen=True, slots=True)
class RestorationConfig(ModelConfig):
    """Configuration of :class:`~.restorer.RestorationVAE`, one model for every task.

    `width`, `latent`, `blocks`, `layers` and `vae_widths` are those of its :class:`HVAEConfig`.
    """

    kind: ClassVar = "restoration"

    widths: tuple[int, ...] = (48, 80, 128, 192)
    depths: tuple[int, ...] = (3, 2, 2, 2)
    width: int = 32
    latent: int = 16
    blocks: int = 1
    patch: int = 2
    scaled: bool = False
    layers: tuple[int, ...] = ()
    vae_widths: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for name in ("widths", "depths"):
            values = getattr(self, name)
            _require(len(values) > 0, f"{name}, one for each level", values)
            self._check_sizes(name)
        same_length = len(self.widths) == len(self.depths)
        _require(same_length, f"{len(self.widths)} depths, one for each width", self.depths)
        # The VAE's configuration checks its own values.
        _ = self.vae

    @property
    def vae(self) -> HVAEConfig:
        """The hierarchical VAE's own configuration."""
        return HVAEConfig(
            channels=self.channels,
            levels=len(self.widths),
            width=self.width,
            latent=self.latent,
            blocks=self.blocks,
            patch=self.patch,
            layers=self.layers,
            widths=self.vae_widths,
        )

    @property
    def grids(self) -> tuple[int, ...]:
        """Pixels per cell of each grid, finest first."""
        return self.vae.grids

    @property
    def strides(self) -> tuple[int, ...]:
        """Pixels per latent cell of each layer, finest first."""
        return self.vae.strides
