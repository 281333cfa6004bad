"""Tiny models, and what everything around a test keeps of it."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

import napari_vae_restore as vr
from strategies import TINY


@pytest.fixture(scope="session")
def picture() -> NDArray[np.float32]:
    """Waves with a little noise, (40, 36), 50 to 190."""
    waves = 120 + 60 * np.sin(np.add.outer(np.arange(40) / 4, np.arange(36) / 5))
    return (waves + np.random.default_rng(0).normal(0, 5, waves.shape)).astype(np.float32)


@pytest.fixture(scope="session")
def of_noise() -> vr.Model:
    """A tiny model of noisy images, trained for a moment."""
    image = 200 + 20 * np.random.default_rng(0).standard_normal((64, 64))
    return vr.train(image, steps=4, config=TINY, noise="gaussian:20", device="cpu")
