"""The TorchScript gives what the library gives, for any size and number of images."""

from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
import torch
from skimage import data

import napari_vae_restore as vr
from napari_vae_restore.models.bundled import find_model
from napari_vae_restore.models.model import Normalisation
from napari_vae_restore.restoration.inference.blend import Blend
from napari_vae_restore.zoo.denoiser import denoiser, mirrored, noise_level, scripted
from untrained import EVERY_TASK, untrained

SIGMA = 15.0
PICTURES = ("camera", "coins", "moon", "immunohistochemistry")


@pytest.fixture(autouse=True)
def full_precision(monkeypatch):
    """As the script: the library itself computes in bfloat16 where that is fast."""
    place = "napari_vae_restore.restoration.inference.conditional.native_precision"
    monkeypatch.setattr(place, lambda device: nullcontext())


@pytest.fixture(autouse=True)
def the_answer_alone(monkeypatch):
    """As the script, which is the network's answer: no decision, and no local mean."""
    monkeypatch.setattr(Blend, "decide", lambda *_: None)
    monkeypatch.setattr(Blend, "mean_shift", lambda self, answer, tile: 0.0)


@pytest.fixture(scope="module")
def picture():
    clean = data.camera()[100:260, 100:244].astype(np.float32)
    noise = np.random.default_rng(0).normal(0, SIGMA, clean.shape)
    return clean, (clean + noise).astype(np.float32)


def run(module, image):
    with torch.inference_mode():
        return module(torch.from_numpy(image)[None, None])[0, 0].numpy()


def test_the_bundled_model_told_sigma_is_the_library(picture):
    _, noisy = picture
    expected = vr.denoise(noisy, noise=f"gaussian:{SIGMA}", device="cpu").mean
    module = scripted(denoiser(find_model("default")))
    sigma = torch.full((1, 1, 1, 1), SIGMA)
    with torch.inference_mode():
        found = module.denoise(torch.from_numpy(noisy)[None, None], sigma)[0, 0].numpy()
    assert np.abs(found - expected).max() < 0.01 * SIGMA


def test_blind_it_denoises_as_well(picture):
    clean, noisy = picture
    module = scripted(denoiser(find_model("default")))
    told = vr.denoise(noisy, noise=f"gaussian:{SIGMA}", device="cpu").mean
    rms = [np.sqrt(np.mean((x - clean) ** 2)) for x in (run(module, noisy), told, noisy)]
    assert rms[0] < 1.02 * rms[1] < 0.6 * rms[2]


@pytest.mark.parametrize("gain", [1.0, 1e-4, 300.0])
def test_blind_it_follows_gain_and_offset(picture, gain):
    _, noisy = picture
    module = scripted(denoiser(find_model("default")))
    offset = 100 * gain
    found = (run(module, (noisy * gain + offset).astype(np.float32)) - offset) / gain
    assert np.abs(found - run(module, noisy)).max() < 0.05 * SIGMA


def test_an_image_without_noise_stays_finite_and_near():
    module = scripted(denoiser(find_model("default")))
    flat = np.full((64, 64), 7.0, np.float32)
    assert np.allclose(run(module, flat), 7, atol=1e-3)
    ramp = np.add.outer(np.arange(64), np.arange(80)).astype(np.float32)
    assert np.abs(run(module, ramp) - ramp).max() < 3


PHOTONS = [
    vr.PoissonGaussianNoise(2.0, 9.0),
    vr.PoissonGaussianNoise(1.5, -300.0),
    vr.PoissonGaussianNoise(0.01, 4.0),
]


@pytest.mark.parametrize("noise", [vr.GaussianNoise(12.0), *PHOTONS], ids=str)
def test_models_of_noisy_images_are_the_library(picture, noise):
    noisy = noise.sample(picture[0] + 250, np.random.default_rng(0)).astype(np.float32)
    stabilised = noise.stabilise(noisy)
    normalisation = Normalisation(float(stabilised.mean()), float(stabilised.std()))
    model = untrained(vr.HVAEConfig(levels=3, width=8, latent=4), noise)
    model = replace(model, normalisation=normalisation)
    expected = vr.denoise(noisy, model, device="cpu").mean
    found = run(scripted(denoiser(model)), noisy)
    assert np.abs(found - expected).max() < 1e-2 * np.sqrt(noise.variance(300.0))


@pytest.mark.parametrize("noise", PHOTONS, ids=str)
def test_the_tabulated_inverse_is_exact(noise):
    model = untrained(vr.HVAEConfig(levels=1, width=4, latent=2), noise)
    dark = max(-noise.b / noise.a, 0)
    signal = dark + noise.a * np.array([-90, -2, 0, 0.3, 1, 5, 50, 199, 350, 5000])
    t = np.append(noise.stabilise(signal), [-5.0, 0.0])
    found = denoiser(model).unstabilise(torch.tensor(t, dtype=torch.float32)).numpy()
    expected = noise.unstabilise(t)
    assert np.abs(found - expected).max() < 1e-2 * np.sqrt(noise.variance(dark + noise.a))


def test_a_trained_model_is_the_library(model, noisy):
    expected = vr.denoise(noisy, model, device="cpu").mean
    found = run(scripted(denoiser(model)), noisy)
    assert np.abs(found - expected).max() < 1e-3 * np.ptp(expected)


def test_noise_that_differs_is_measured_in_each_image_and_channel():
    config = vr.HVAEConfig(levels=2, width=8, latent=4, channels=2)
    module = scripted(denoiser(untrained(config)))
    rng = np.random.default_rng(0)
    images = (100 + rng.normal(0, [[[[3]], [[9]]], [[[20]], [[1]]]], (2, 2, 64, 72))).astype(
        "f4"
    )
    with torch.inference_mode():
        both = module(torch.from_numpy(images))
        alone = module(torch.from_numpy(images[1:]))
    assert both.shape == images.shape
    assert torch.allclose(both[1:], alone, atol=1e-3)


def test_the_textbook_vae_takes_its_one_size():
    model = untrained(vr.FlatVAEConfig(size=32, width=8, z_dim=4), vr.GaussianNoise(5.0))
    image = np.random.default_rng(0).normal(100, 5, (32, 32)).astype(np.float32)
    expected = vr.denoise(image, model, device="cpu").mean
    assert np.abs(run(scripted(denoiser(model)), image) - expected).max() < 1e-3 * 100


# Python 3.14 and torch will drop TorchScript one day; the tools of bioimage.io run it.
@pytest.mark.filterwarnings("ignore:.*torch.jit.load:DeprecationWarning")
@pytest.mark.parametrize("shape", [(64, 64), (64, 80), (100, 77), (208, 64)])
def test_the_script_holds_for_any_size_and_survives_a_file(shape, tmp_path):
    module = denoiser(untrained(EVERY_TASK))
    scripted(module).save(str(tmp_path / "script.pt"))
    loaded = torch.jit.load(str(tmp_path / "script.pt"))
    image = np.random.default_rng(0).normal(100, 9, shape).astype(np.float32)
    assert np.allclose(run(loaded, image), run(module, image), atol=1e-4)


def test_the_model_itself_is_left_as_it_was():
    model = find_model("default")
    before = model.sha256
    denoiser(model)
    assert model.sha256 == before
    assert next(model.network.parameters()).requires_grad


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("sigma", [10, 25, 50])
def test_the_noise_level_is_found(name, sigma):
    clean = getattr(data, name)().astype(np.float32)
    clean = (clean[..., 0] if clean.ndim == 3 else clean)[:300, :300]
    noisy = clean + np.random.default_rng(0).normal(0, sigma, clean.shape)
    # Far from zero, as cameras with 16 bits are.
    image = torch.from_numpy((noisy + 30_000).astype(np.float32))[None, None]
    assert noise_level(image).item() == pytest.approx(sigma, rel=0.07)


@pytest.mark.parametrize("length", [5, 16, 33])
def test_the_frame_is_that_of_the_tiles(length):
    from napari_vae_restore.images.tiling import tiles

    (tile,) = tiles(length, length, size=999, halo=0, stride=16, margin=16)
    found = mirrored(length, 16, 16, torch.device("cpu"))
    assert np.array_equal(found.numpy(), tile.rows)
