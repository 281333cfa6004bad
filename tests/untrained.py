"""Tiny models with random weights, the same in every run. Shared by several tests."""

from __future__ import annotations

import torch

import napari_vae_restore as vr
from napari_vae_restore.models.config import ModelConfig, RestorationConfig
from napari_vae_restore.models.model import Normalisation, build_network

EVERY_TASK = RestorationConfig(widths=(8, 8), depths=(1, 1), width=8, latent=4)
TINY = vr.HVAEConfig(levels=2, width=8, latent=4)


def untrained(config: ModelConfig = TINY, noise: vr.NoiseModel | None = None) -> vr.Model:
    """A model; the global random state is kept."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = build_network(config).eval()
    normalisation = None if isinstance(config, RestorationConfig) else Normalisation(9.0, 4.0)
    return vr.Model(network, normalisation, noise, name="mine")
