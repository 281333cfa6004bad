"""One way through: what comes back, and that neither tiles nor threads change it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from skimage.restoration import denoise_nl_means

import napari_vae_restore as vr
from napari_vae_restore.restoration.blocks.halo import measured_halo
from napari_vae_restore.restoration.inference.posterior import DenoisingPosterior

SIGMA = 24.6
"""Standard deviation of the noise at the picture's middle intensity, 150."""

Picture = NDArray[np.float32]


def rmse(restored: NDArray[Any], clean: Picture) -> float:
    return float(np.sqrt(np.mean((restored.astype(float) - clean) ** 2)))


def test_less_error_than_the_noise_and_than_a_classic(
    model: vr.Model, noisy: Picture, clean: Picture
) -> None:
    restored = vr.denoise(noisy, model).mean
    classic = denoise_nl_means(
        noisy, h=0.8 * SIGMA, sigma=SIGMA, patch_size=5, patch_distance=6, fast_mode=True
    )
    assert rmse(restored, clean) < 0.5 * rmse(noisy, clean)
    assert rmse(restored, clean) < 0.95 * rmse(classic, clean)


def test_exactly_the_noise_is_taken_away(
    model: vr.Model, noisy: Picture, clean: Picture
) -> None:
    result = vr.denoise(noisy, model)
    assert 0.95 <= result.diagnostics.residual_std <= 1.05


def test_samples_are_alternatives_about_the_mean(model: vr.Model, noisy: Picture) -> None:
    result = vr.denoise(noisy, model, n_samples=6, keep_samples=True)
    assert result.samples is not None
    assert result.std is not None
    assert result.samples.shape == (6, *noisy.shape)
    np.testing.assert_allclose(
        result.std, result.samples.std(axis=0, ddof=1), rtol=1e-3, atol=1e-3
    )
    assert (result.std > 0).all()
    assert rmse(result.samples.mean(axis=0), result.mean) < rmse(result.samples[0], result.mean)


def test_samples_are_kept_only_when_asked(model: vr.Model, noisy: Picture) -> None:
    result = vr.denoise(noisy, model, n_samples=2)
    assert result.samples is None
    assert result.std is not None
    assert vr.denoise(noisy, model, n_samples=1).std is None


def test_same_seed_same_samples_and_global_randomness_untouched(
    model: vr.Model, noisy: Picture
) -> None:
    torch.manual_seed(1)
    expected = torch.rand(2)
    torch.manual_seed(1)
    a, b, c = (
        vr.denoise(noisy, model, n_samples=1, keep_samples=True, seed=seed).samples
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, c)
    assert torch.equal(torch.rand(2), expected)


def test_tiled_equals_whole_in_mean_and_samples(model: vr.Model, noisy: Picture) -> None:
    whole = vr.denoise(noisy, model, n_samples=2, keep_samples=True)
    tiled = vr.denoise(noisy, model, n_samples=2, keep_samples=True, tile=48)
    assert whole.diagnostics.n_tiles == 1
    assert tiled.diagnostics.n_tiles > 9
    assert np.abs(whole.mean - tiled.mean).max() < 0.01 * SIGMA
    assert whole.samples is not None
    assert tiled.samples is not None
    assert np.abs(whole.samples - tiled.samples).max() < 0.01 * SIGMA


def test_the_halo_is_measured_and_bounded(model: vr.Model) -> None:
    halo = measured_halo(model)
    assert halo % model.network.config.stride == 0
    assert 8 <= halo <= 128


def test_encoder_runs_once_per_tile(
    model: vr.Model, noisy: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = {"encode": 0, "decode": 0}

    def counted(name: str) -> Callable[..., Any]:
        original = getattr(type(model.network), name)

        def call(*args: Any) -> Any:
            calls[name] += 1
            return original(*args)

        return call

    for name in calls:
        monkeypatch.setattr(type(model.network), name, counted(name))
    vr.denoise(noisy, model, n_samples=16)
    assert calls == {"encode": 1, "decode": 17}


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(height=st.integers(8, 300), width=st.integers(17, 300))
def test_any_size(model: vr.Model, height: int, width: int) -> None:
    image = np.random.default_rng(height).normal(100, 30, (height, width)).astype(np.float32)
    result = vr.denoise(image, model, tile=128)
    assert result.mean.shape == image.shape
    assert np.isfinite(result.mean).all()


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((3, 40, 48), "ZYX"),
        ((40, 48, 3), "YXS"),
        ((40, 48, 4), "YXS"),
        ((2, 40, 48), "CYX"),
        ((2, 3, 40, 48), "TCYX"),
        ((40, 3, 48), "YZX"),
    ],
)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32, np.float64])
def test_axes_and_dtypes_come_back(
    model: vr.Model, noisy: Picture, shape: tuple[int, ...], axes: str, dtype: type
) -> None:
    image = np.resize(noisy.clip(0, 255), shape).astype(dtype)
    before = image.copy()
    result = vr.denoise(image, model, axes=axes)
    assert result.mean.shape == shape
    assert result.mean.dtype == dtype
    assert abs(float(result.mean.astype(float).mean()) - image.mean()) < 5
    np.testing.assert_array_equal(image, before)


def test_planes_are_restored_apart_but_alike(model: vr.Model, noisy: Picture) -> None:
    stack = np.stack([noisy, noisy[::-1]])
    result = vr.denoise(stack, model)
    np.testing.assert_array_equal(result.mean[0], vr.denoise(noisy, model).mean)


def test_alpha_is_kept_bit_for_bit(model: vr.Model) -> None:
    image = np.random.default_rng(0).integers(0, 255, (32, 32, 4), dtype=np.uint8)
    result = vr.denoise(image, model, axes="YXS", n_samples=2)
    np.testing.assert_array_equal(result.mean[..., 3], image[..., 3])
    assert result.std is not None
    assert result.std.shape == (32, 32, 3)


def test_noise_given_for_the_image_outranks_the_models(model: vr.Model, noisy: Picture) -> None:
    # The same picture in other units: ten times the intensities, ten times the noise.
    assert isinstance(model.noise, vr.PoissonGaussianNoise)
    noise = vr.PoissonGaussianNoise(10 * model.noise.a, 100 * model.noise.b)
    scaled = vr.denoise(10 * noisy, model, noise=noise)
    np.testing.assert_allclose(
        scaled.mean, 10 * vr.denoise(noisy, model).mean, rtol=1e-3, atol=0.1
    )
    assert scaled.recipe.noise == (str(noise),)


def test_the_recipe_is_json_and_says_all(model: vr.Model, noisy: Picture) -> None:
    recipe = vr.denoise(noisy, model, n_samples=2, seed=7).recipe
    values = json.loads(recipe.to_json())
    assert values["model_sha256"] == model.sha256
    assert values["noise"] == [str(model.noise)]
    assert values["tasks"] == [{"kind": "denoise", "noise": None}]
    assert (values["seed"], values["n_samples"], values["axes"]) == (7, 2, "YX")


def test_closing_cancels(model: vr.Model, noisy: Picture) -> None:
    steps = vr.iter_restore(noisy, vr.Denoise(), model, n_samples=50)
    first, second = next(steps), next(steps)
    assert (first.done, first.total, second.done) == (0, 51, 1)
    steps.close()
    with pytest.raises(StopIteration):
        next(steps)


def test_inference_mode_does_not_leak_to_the_caller(model: vr.Model, noisy: Picture) -> None:
    steps = vr.iter_restore(noisy, vr.Denoise(), model)
    next(steps)
    next(steps)
    assert not torch.is_inference_mode_enabled()
    steps.close()


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (torch.OutOfMemoryError("no memory"), "smaller tile"),
        (RuntimeError("bad shape"), "the restoration failed: bad shape"),
    ],
)
def test_failures_of_torch_are_named(
    model: vr.Model,
    noisy: Picture,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    message: str,
) -> None:
    def fail(*args: object) -> None:
        raise error

    monkeypatch.setattr(DenoisingPosterior, "signals", fail)
    with pytest.raises(vr.RestorationError, match=message):
        vr.denoise(noisy, model)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_samples": -1}, "n_samples: expected an integer of at least 0"),
        ({"tile": 0}, "tile: expected"),
        ({"seed": 1.5}, "seed: expected"),
        ({"axes": "YXC"}, "axes"),
        ({"noise": "pink"}, "noise"),
        ({"device": "quantum"}, "device: expected one of"),
    ],
    ids=str,
)
def test_bad_parameters_are_refused(
    model: vr.Model, noisy: Picture, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(vr.InputError, match=f"(?i){message}"):
        vr.denoise(noisy, model, **options)


def test_the_flat_vae_restores_in_tiles_of_its_size(noisy: Picture) -> None:
    training = vr.Training(
        noisy,
        noise="gaussian:25",
        steps=5,
        config=vr.FlatVAEConfig(size=32, width=8, z_dim=4),
        settings=vr.TrainingSettings(batch=2, patch=32),
        device="cpu",
    )
    for _ in training.run():
        pass
    result = vr.denoise(noisy[:50, :70], training.model, n_samples=2)
    assert result.mean.shape == (50, 70)
    assert result.diagnostics.n_tiles == 6


def test_hot_pixels_do_not_spread(noisy: NDArray[np.float32]) -> None:
    hot = noisy.copy()
    where = np.random.default_rng(0).choice(hot.size, 30, replace=False)
    hot.flat[where] = 60000
    out, calm = (
        vr.denoise(image, noise="poisson-gaussian:4,4", device="cpu") for image in (hot, noisy)
    )
    assert out.diagnostics.n_hot_pixels == 30
    assert calm.diagnostics.n_hot_pixels == 0
    assert np.abs(out.mean - calm.mean).max() < 60
    assert float(np.square(out.mean - calm.mean).mean()) < 2
    assert out.diagnostics.residual_std == pytest.approx(calm.diagnostics.residual_std, 0.05)


@pytest.mark.parametrize("sigma", [2.0, 5.0, 10.0])
def test_pixels_that_the_own_noise_of_an_image_reaches_are_not_hot(sigma: float) -> None:
    """A detector with gain: single photons of 50 grey levels; the noise is stated too low."""
    rng = np.random.default_rng(3)
    image = (50 * rng.poisson(0.2, (160, 160)) + rng.normal(10, 2, (160, 160))).astype("f4")
    hot = image.copy()
    hot[80, 80] = 5000
    for picture, expected in ((image, 0), (hot, 1)):
        out = vr.denoise(picture, noise=vr.GaussianNoise(sigma), device="cpu")
        assert out.diagnostics.n_hot_pixels == expected
