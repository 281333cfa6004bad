"""The factor of the spread: what is too narrow or too wide is made right."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from bundled_model.sample_spread import calibrate
from bundled_model.synthetic import synthetic_pictures
from napari_vae_restore.models.config import RestorationConfig
from napari_vae_restore.models.model import build_network
from napari_vae_restore.models.restorer import RestorationVAE
from napari_vae_restore.training.pictures import PatchSource


def test_the_same_spread_comes_of_too_little_and_too_much() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = RestorationConfig(widths=(8, 12), depths=(1, 1), width=8, latent=4)
        network = build_network(config).eval()
    assert isinstance(network, RestorationVAE)
    source = PatchSource(synthetic_pictures(3, 64, 1.0, 0), 24)
    found = []
    for log_gain in (0.0, 0.3, -0.2):
        with torch.no_grad():
            network.gain.bias.fill_(log_gain)
        factor = calibrate(network, source, n_patches=12)
        found.append(math.exp(log_gain) * factor)
        assert float(network.gain.bias.detach().mean()) == pytest.approx(
            log_gain + math.log(factor)
        )
    np.testing.assert_allclose(found, found[0], rtol=0.05)
