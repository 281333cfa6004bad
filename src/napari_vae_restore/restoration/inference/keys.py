"""What randomness is keyed to, so that a plane's tiles draw what the whole draws."""

from __future__ import annotations

from dataclasses import dataclass

from napari_vae_restore.images.tiling import Tile
from napari_vae_restore.models.latents import KeyedNoise


@dataclass(frozen=True, slots=True)
class LatentKeys:
    """What the latent noise of one plane is keyed to, beside its place."""

    # See :class:`~.latents.KeyedNoise`.
    seed: int
    plane: int
    strides: tuple[int, ...]  # pixels per latent cell of each level

    def noise(self, sample: int, tile: Tile) -> KeyedNoise:
        """The noise of one sample of one tile."""
        return KeyedNoise(self.seed, sample, self.plane, *tile.origin, self.strides)
