"""Pictures and a small trained model that several tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings
from numpy.typing import NDArray
from skimage import data

from napari_vae_restore import (
    HVAEConfig,
    Model,
    PoissonGaussianNoise,
    Training,
    TrainingSettings,
)
from napari_vae_restore.models.config import RestorationConfig
from napari_vae_restore.models.model import build_network, channels_last

pytest.register_assert_rewrite("strategies", "mutations", "command_lines")

SLOW = (
    "arbitrary",
    "faults",
    "bundled_model/test_training.py",
    "cli/test_cli_train.py",
    "cli/test_demo_and_doctor.py",
    "cli/test_json_lines.py",
    "generation/test_compression.py",
    "napari/test_console_training.py",
    "napari/test_every_layer.py",
    "napari/test_soak.py",
    "restoration/trust/test_intervals.py",
    "stores",
    "training/test_likeness.py",
    "training/test_streaming.py",
    "test_docs.py",
)
"""Folders and files of tests that a developer's run leaves out; CI and releases run all."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the slow groups."""
    here = Path(__file__).parent
    slow = [here / name for name in SLOW]
    for item in items:
        if any(item.path.is_relative_to(group) for group in slow):
            item.add_marker(pytest.mark.slow)


NOISE = PoissonGaussianNoise(4.0, 4.0)
TINY = HVAEConfig(levels=3, width=16, latent=8)

# Every day the same cases, so that nothing fails by chance on somebody's change; at night
# new ones, and more (pytest --hypothesis-profile=nightly).
settings.register_profile(
    "everyday", derandomize=True, deadline=None, suppress_health_check=list(HealthCheck)
)
settings.register_profile("nightly", settings.get_profile("everyday"), derandomize=False)
settings.load_profile("everyday")


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Small networks gain nothing from threads, and sums round alike on any machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def clean() -> NDArray[np.float32]:
    """A clean micrograph, (192, 160), range 255."""
    return data.immunohistochemistry()[:192, :160, 0].astype(np.float32)


@pytest.fixture(scope="session")
def noisy(clean: NDArray[np.float32]) -> NDArray[np.float32]:
    """The same with the noise of NOISE, which is not told to anyone."""
    return NOISE.sample(clean, np.random.default_rng(0)).astype(np.float32)


@pytest.fixture(scope="session")
def model(noisy: NDArray[np.float32]) -> Model:
    """A tiny HVAE trained on the noisy picture alone for a few hundred steps."""
    training = Training(
        noisy,
        steps=500,
        config=TINY,
        settings=TrainingSettings(batch=4, learning_rate=1e-2),
        device="cpu",
    )
    for _ in training.run():
        pass
    return training.model


@pytest.fixture(scope="session")
def every_task() -> Model:
    """A tiny model of every task, untrained: what holds must hold whatever the weights are."""
    config = RestorationConfig(widths=(8, 8), depths=(1, 1), width=8, latent=4)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Model(channels_last(build_network(config).eval()), None, None)
