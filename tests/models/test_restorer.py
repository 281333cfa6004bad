"""The model of all tasks: condition encoder, student posterior, and the bundled weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import napari_vae_restore as vr
from napari_vae_restore.models import bundled
from napari_vae_restore.models.condition import condition_tensor
from napari_vae_restore.models.config import RestorationConfig
from napari_vae_restore.models.latents import random_noise
from napari_vae_restore.models.model import build_network
from napari_vae_restore.models.restorer import RestorationVAE

CONFIG = RestorationConfig(widths=(8, 12), depths=(1, 1), width=8, latent=4)


@pytest.fixture
def network() -> RestorationVAE:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        built = build_network(CONFIG).eval()
    assert isinstance(built, RestorationVAE)
    return built


def condition(n: int = 2, side: int = 32) -> Tensor:
    rng = np.random.default_rng(0)
    image = rng.random((n, 1, side, side), np.float32)
    return condition_tensor(image, image > 0.3, (0.1, 0.5, 0.4, 1.0))


def test_the_condition_holds_what_is_known() -> None:
    packed = condition()
    assert packed.shape == (2, 6, 32, 32)
    assert set(packed[:, 1].unique().tolist()) == {0.0, 1.0}
    for channel, value in zip((2, 3, 4, 5), (0.1, 0.5, 0.4, 1.0), strict=True):
        assert (packed[:, channel] == np.float32(value)).all()


def test_features_live_on_the_latents_grids(network: RestorationVAE) -> None:
    found = network.infer(condition())
    assert found.mean.shape == (2, 1, 32, 32)
    assert found.mean.dtype == torch.float32
    shapes = [tuple(f.shape[1:]) for f in found.features]
    assert shapes == [(8, 16, 16), (12, 8, 8)]


def test_samples_come_from_the_latents(network: RestorationVAE) -> None:
    features = network.infer(condition()).features
    first, again, other = (
        network.decode_posterior(features, random_noise(torch.Generator().manual_seed(seed)))
        for seed in (1, 1, 2)
    )
    assert torch.equal(first.signal, again.signal)
    assert not torch.equal(first.signal, other.signal)
    assert all(z.std() > 0 for z in first.latents)


def test_where_noise_is_little_a_scaled_network_leaves_the_measurement_as_it_is() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = build_network(replace(CONFIG, scaled=True)).eval()
    assert isinstance(network, RestorationVAE)
    image = np.random.default_rng(0).random((1, 1, 32, 32), np.float32)
    observed = np.ones(image.shape, bool)
    observed[..., :8] = False

    def change(sigma: float, factor: float = 0.0) -> Tensor:
        slow = (sigma, 0.0, 0.0, factor)
        with torch.no_grad():
            found = network.infer(condition_tensor(image, observed, slow)).mean
        return (found - torch.from_numpy(image)).abs()

    weak, strong, enlarged = change(0.001), change(0.1), change(0.001, 1.0)
    assert weak[..., 8:].max() < 0.05 * strong[..., 8:].max()
    assert weak[..., :8].max() > 10 * weak[..., 8:].max()  # holes are filled all the same
    assert enlarged[..., 8:].max() > 10 * weak[..., 8:].max()


def test_each_channel_of_the_condition_matters(network: RestorationVAE) -> None:
    packed = condition()
    mean = network.infer(packed).mean
    for channel in range(packed.shape[1]):
        changed = packed.clone()
        changed[:, channel] += 0.5
        if channel == 0:
            changed[:, 0] -= 0.5 * torch.eye(32)
        assert not torch.allclose(network.infer(changed).mean, mean, atol=1e-6)


def test_a_gain_scales_how_far_samples_lie_from_the_mean(network: RestorationVAE) -> None:
    with torch.no_grad():
        found = network.infer(condition())
        centre = network.centre(found.features)

        def deviation() -> Tensor:
            noise = random_noise(torch.Generator().manual_seed(0))
            return network.sample(found, centre, noise) - found.mean

        before = deviation()
        network.gain.bias.fill_(float(np.log(2)))
        doubled = deviation()
        network.gain.bias.fill_(50)
        most = deviation()
        network.gain.bias.zero_()
    assert before.std() > 0
    torch.testing.assert_close(doubled, 2 * before, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(most, float(np.exp(1.5)) * before, rtol=1e-4, atol=1e-5)


def test_the_configuration_says_what_is_wrong() -> None:
    with pytest.raises(vr.InputError, match="2 depths"):
        RestorationConfig(widths=(8, 8), depths=(1,))
    with pytest.raises(vr.InputError, match="widths from 1"):
        RestorationConfig(widths=(8, 0), depths=(1, 1))
    with pytest.raises(vr.InputError, match="latent from 1"):
        RestorationConfig(widths=(8,), depths=(1,), latent=0)


def test_the_bundled_model_is_small_and_loads_once() -> None:
    assert bundled.WEIGHTS.stat().st_size < 12 * 2**20
    model = bundled.find_model("default")
    assert model is bundled.find_model(bundled.DEFAULT)
    assert model.name == "default"
    assert isinstance(model.network, RestorationVAE)
    assert not model.network.training
    assert all(p.dtype == torch.float32 for p in model.network.parameters())


def test_changed_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    damaged = tmp_path / "default.safetensors"
    damaged.write_bytes(bundled.WEIGHTS.read_bytes()[:-1] + b"x")
    monkeypatch.setattr(bundled, "WEIGHTS", damaged)
    bundled._bundled.cache_clear()
    with pytest.raises(vr.ModelFileError, match="install napari-vae-restore again"):
        bundled.find_model("default")
    damaged.unlink()
    with pytest.raises(vr.ModelFileError, match="missing"):
        bundled.find_model("default")
    bundled._bundled.cache_clear()


def test_a_model_file_is_found_by_its_path(tmp_path: Path, network: RestorationVAE) -> None:
    path = tmp_path / "mine.safetensors"
    vr.Model(network, None, None).save(path)
    found = bundled.find_model(path)
    assert found.normalisation is None
    assert found.network.config == CONFIG
    with pytest.raises(vr.ModelFileError, match="does not exist"):
        bundled.find_model(tmp_path / "other.safetensors")
