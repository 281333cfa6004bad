"""The network that suits images, from the few numbers that a user chooses."""

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
"""Of networks that are trained from nothing: hierarchical, and that of the textbooks."""

_MAX_FLAT_SIDE: Final = 64
_USUAL_FLAT_SIDE: Final = 32
"""Pixels: pictures up to the first are seen whole, of larger ones patches of the second."""
_FLAT_MULTIPLE: Final = 4
_FLAT_WIDTH: Final = 4
"""Features of the finest layer: a few hundred pictures are learned by heart with more."""
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

    Parameters
    ----------
    kind : str
        "hvae", or "flat" for the textbook VAE.
    images : sequence of Loaded
        That it is to be trained on, or the first of them.
    latent : int, optional
        Latent channels of every level, or the length of the textbook VAE's vector.
    levels : int, optional
        Of the hierarchical VAE.
    size : int, optional
        Side in pixels of what the textbook VAE sees, a multiple of 4; by default that of
        the smallest image on to such a multiple, where it has at most 64, or 32.

    Returns
    -------
    HVAEConfig or FlatVAEConfig
        The textbook VAE sees colours jointly, the other takes channels apart.

    Raises
    ------
    InputError
        For another kind, or a number that the kind does not have or that is out of range.
    """
    if kind == "hvae":
        if size is not None:
            raise InputError("size: a hierarchical VAE takes any: leave it out")
        hvae = HVAEConfig()
        return replace(hvae, latent=latent or hvae.latent, levels=levels or hvae.levels)
    if kind != "flat":
        raise InputError(f"kind: expected {' or '.join(KINDS)}, got {kind!r}")
    if levels is not None:
        raise InputError("levels: the textbook VAE has one latent vector: leave them out")
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
    """Settings for comparing networks, of which `stride` is the largest, on small images.

    Patches are no larger than the smallest image on to multiples of the stride, and as many
    pixels are seen in a step.

    Parameters
    ----------
    config : ModelConfig
        Of the network.
    images : sequence of Loaded
        To train on.
    beta : float
        Weight of the KL.
    stride : int
        That patches are multiples of.

    Returns
    -------
    TrainingSettings
        With the defaults for everything else.

    Raises
    ------
    InputError
        For a weight out of range.
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
    """Of all images, pixels."""
    return min(min(Layout.of(i.data, i.axes).planes_shape[2:]) for i in images)
