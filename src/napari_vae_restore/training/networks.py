"""Network configurations from the few numbers that a user chooses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from napari_vae_restore.errors import InputError
from napari_vae_restore.images.layout import Layout
from napari_vae_restore.models.config import FlatVAEConfig, HVAEConfig, ModelConfig
from napari_vae_restore.training.settings import TrainingSettings, settings_for
from napari_vae_restore.training.sources import Loaded

KINDS: Final = ("hvae", "flat")
"""Kinds of network trained from nothing: hierarchical, and the textbook's."""

_MAX_FLAT_SIDE: Final = 64
_USUAL_FLAT_SIDE: Final = 32
"""Pixels: smaller pictures are seen whole; of larger ones, patches of the second side."""
_FLAT_MULTIPLE: Final = 4
_FLAT_WIDTH: Final = 4
"""Features of the finest layer; more would memorise a few hundred pictures."""
_MAX_BATCH: Final = 32


def network_config(
    kind: str,
    images: Sequence[Loaded],
    *,
    latent: int | None = None,
    levels: int | None = None,
    size: int | None = None,
) -> ModelConfig:
    """Configure a network for images.

    `size` is the side in pixels of the textbook VAE's input, a multiple of 4. By default it is
    the smallest image's side, rounded up, if that is at most 64, else 32.
    """
    if kind == "hvae":
        if size is not None:
            raise InputError("size: a hierarchical VAE takes any: leave it out")
        hvae = HVAEConfig()
        return replace(hvae, latent=latent or hvae.latent, levels=levels or hvae.levels)
    if kind != "flat":
        raise InputError(f"kind: expected {' or '.join(KINDS)}, got {kind!r}")
    layouts = [Layout.of(image.data, image.axes) for image in images]
    smallest = smallest_side(images)
    if size is None:
        whole = -(-smallest // _FLAT_MULTIPLE) * _FLAT_MULTIPLE
        size = whole if whole <= _MAX_FLAT_SIDE else _USUAL_FLAT_SIDE
    channels = 3 if all(layout.is_rgb for layout in layouts) else 1
    flat = FlatVAEConfig(channels=channels, size=size, width=_FLAT_WIDTH)
    return replace(flat, z_dim=latent or flat.z_dim)


def settings_on(
    config: ModelConfig, images: Sequence[Loaded], *, beta: float, stride: int
) -> TrainingSettings:
    """Settings to compare networks on small images; `stride` is their largest.

    Patches are at most the smallest image's side, rounded up to the stride; a step sees as many
    pixels as usual.
    """
    settings = replace(settings_for(config), beta=beta)
    if config.fixed_size is not None:
        return settings
    n_pixels = settings.batch * settings.patch**2
    fitting = max(-(-smallest_side(images) // stride) * stride, 8)
    patch = max(min(settings.patch, fitting), stride)
    batch = max(1, min(_MAX_BATCH, n_pixels // patch**2))
    return replace(settings, patch=patch, batch=batch)


def smallest_side(images: Sequence[Loaded]) -> int:
    """Smallest side of all images in pixels."""
    return min(min(Layout.of(i.data, i.axes).planes_shape[2:]) for i in images)
