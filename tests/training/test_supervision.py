"""Every way to teach the model of every task: what comes out is better, or what went in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

import napari_vae_restore as vr
from napari_vae_restore.models.bundled import find_model
from napari_vae_restore.models.files import load_checkpoint
from napari_vae_restore.operators import Downsampling
from napari_vae_restore.training.settings import TrainingSettings

NOISE = vr.GaussianNoise(25.0)
FAST = TrainingSettings(batch=2, patch=64, learning_rate=2e-4, ema=0.9, max_gradient=1.0)


def shot(clean: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    return NOISE.sample(clean, np.random.default_rng(seed)).astype(np.float32)


def taught(source: Any, steps: int = 12, **options: Any) -> vr.Model:
    options = {"noise": NOISE, "settings": FAST, "device": "cpu"} | options
    return vr.train(source, steps=steps, **options)


def weights(model: vr.Model) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.network.parameters()])


@pytest.fixture(scope="module")
def small_error(clean: NDArray[np.float32]) -> float:
    """Of the bundled model on a shot that none of the trainings sees."""
    return error(find_model("default"), clean)


def error(model: vr.Model, clean: NDArray[np.float32]) -> float:
    restored = vr.denoise(shot(clean, 9), model, noise=NOISE, device="cpu").mean
    return float(np.square(restored - clean).mean())


def test_adapting_helps_on_images_of_the_same_kind(
    clean: NDArray[np.float32], small_error: float
) -> None:
    model = vr.adapt(
        [shot(clean, seed) for seed in range(3)],
        noise=NOISE,
        steps=90,  # processors that compute in bfloat16 need more than 70
        settings=FAST,
        device="cpu",
    )
    assert model.record.n_steps > 0
    assert model.record.supervision == "noisy images"
    assert model.record.start == "default"
    assert model.record.held_out is not None
    assert model.record.held_out_first is not None
    assert model.record.held_out > model.record.held_out_first
    assert error(model, clean) < 0.995 * small_error


@pytest.mark.parametrize("way", ["shots", "pairs"])
def test_supervised_training_helps(
    clean: NDArray[np.float32], small_error: float, way: str
) -> None:
    one = shot(clean, 0)
    source = vr.Shots(one, shot(clean, 1)) if way == "shots" else vr.Pairs(one, clean)
    model = taught(source, steps=40)
    assert model.record.n_steps > 0
    assert error(model, clean) < 0.995 * small_error


def test_targets_on_another_scale_keep_the_measurements_units(
    clean: NDArray[np.float32],
) -> None:
    model = taught(vr.Pairs(shot(clean, 0), clean.astype(np.float64) * 40 - 700))
    restored = vr.denoise(shot(clean, 9), model, noise=NOISE, device="cpu").mean
    assert float(restored.mean()) == pytest.approx(float(clean.mean()), rel=0.01)


def test_small_and_large_pairs_teach_to_super_resolve(clean: NDArray[np.float32]) -> None:
    small = Downsampling(2).apply(clean)
    model = taught(vr.Pairs(small, clean), noise="none")
    assert model.record.held_out is not None
    large = vr.super_resolve(small, 2, model, device="cpu").mean
    bundled = vr.super_resolve(small, 2, device="cpu").mean
    assert np.square(large - clean).mean() < 1.02 * np.square(bundled - clean).mean()


def test_clean_images_teach_what_is_simulated_on_them(clean: NDArray[np.float32]) -> None:
    model = taught(vr.Clean(clean, ("inpaint", "denoise")), steps=6)
    assert model.record.supervision == "clean images"
    assert np.isfinite(error(model, clean))


@pytest.mark.parametrize(("way", "share"), [("noisy", 0.5), ("pairs", 1.0)])
def test_adapted_weights_stay_half_way(
    clean: NDArray[np.float32], tmp_path: Path, way: str, share: float
) -> None:
    source = shot(clean, 0) if way == "noisy" else vr.Pairs(shot(clean, 0), clean)
    training = vr.Training(
        source, start="default", noise=NOISE, steps=3, settings=FAST, device="cpu"
    )
    for _ in training.run():
        pass
    training.save_checkpoint(tmp_path / "c.safetensors")
    averaged = {
        name.removeprefix("averaged."): tensor
        for name, tensor in load_checkpoint(tmp_path / "c.safetensors")[1].items()
        if name.startswith("averaged.")
    }
    start = find_model("default").network.condition.state_dict()
    kept = training.snapshot().network.condition.state_dict()
    moved = max(float((averaged[name] - start[name]).abs().max()) for name in start)
    assert moved > 0
    for name, weight in kept.items():
        way_there = start[name] + share * (averaged[name] - start[name])
        assert torch.allclose(weight, way_there, rtol=0, atol=1e-3 * moved)


def test_speckle_does_not_teach_itself(clean: NDArray[np.float32]) -> None:
    rng = np.random.default_rng(0)
    smooth = gaussian_filter(clean, 8)
    speckle = smooth + 20 * np.log(rng.exponential(size=clean.shape))
    with pytest.raises(vr.InputError, match="speckle"):
        vr.adapt(speckle.astype(np.float32), steps=1, settings=FAST, device="cpu")


def test_what_does_not_help_is_not_kept(
    clean: NDArray[np.float32], caplog: pytest.LogCaptureFixture
) -> None:
    wild = TrainingSettings(batch=1, patch=64, learning_rate=1.0, ema=0.0, max_gradient=1e6)
    model = vr.adapt(shot(clean, 0), noise=NOISE, steps=4, settings=wild, device="cpu")
    assert model.record.n_steps == 0
    assert torch.equal(weights(model), weights(find_model("default")))
    assert "did not improve" in caplog.text


def test_samples_of_an_adapted_model_still_spread(clean: NDArray[np.float32]) -> None:
    model = taught(vr.Shots(shot(clean, 0), shot(clean, 1)))
    out = vr.denoise(shot(clean, 9), model, noise=NOISE, n_samples=8, device="cpu")
    before = vr.denoise(shot(clean, 9), noise=NOISE, n_samples=8, device="cpu")
    assert out.std is not None
    assert before.std is not None
    assert 0.7 < float(out.std.mean() / before.std.mean()) < 1.4


def test_a_stopped_adapting_goes_on_to_the_same_weights(
    clean: NDArray[np.float32], tmp_path: Path
) -> None:
    def training() -> vr.Training:
        return vr.Training(
            shot(clean, 0), start="default", noise=NOISE, steps=6, settings=FAST, device="cpu"
        )

    unbroken, broken = training(), training()
    losses = [p.loss for p in unbroken.run()]
    run = broken.run()
    for _ in range(3):
        next(run)
    run.close()
    broken.save_checkpoint(tmp_path / "c.safetensors")
    resumed = vr.Training.resume(tmp_path / "c.safetensors", shot(clean, 0), device="cpu")
    assert [p.loss for p in resumed.run()] == losses[3:]
    assert torch.equal(weights(resumed.snapshot()), weights(unbroken.snapshot()))
    with pytest.raises(vr.InputError, match="other images"):
        vr.Training.resume(tmp_path / "c.safetensors", shot(clean, 0)[::-1], device="cpu")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (vr.Shots(np.eye(64), np.eye(64, 65)), "same shape"),
        (vr.Pairs(np.eye(64), np.eye(100, 64)), "2, 3 or 4 times"),
        (vr.Pairs([np.eye(64)], []), "got 1 and 0"),
        ([], "empty sequence"),
    ],
)
def test_what_does_not_belong_together_is_refused(source: Any, words: str) -> None:
    with pytest.raises(vr.InputError, match=words):
        taught(source)


def test_shots_of_different_things_are_refused(clean: NDArray[np.float32]) -> None:
    with pytest.raises(vr.InputError, match="contrast"):
        taught(vr.Shots(shot(clean, 0), shot(clean, 1) * 20))
    with pytest.raises(vr.InputError, match="inverted"):
        taught(vr.Pairs(shot(clean, 0), 255 - clean))


def test_a_model_of_noise_alone_cannot_learn_from_pairs(
    clean: NDArray[np.float32], model: vr.Model
) -> None:
    with pytest.raises(vr.InputError, match="model for every task"):
        taught(vr.Pairs(shot(clean, 0), clean), start=model)
    with pytest.raises(vr.InputError, match="give one of them"):
        taught(shot(clean, 0), start=model, config=vr.HVAEConfig())


def test_a_small_image_and_mixed_dtypes(clean: NDArray[np.float32]) -> None:
    tiny = shot(clean, 0)[:40, :37].clip(0, 255).astype(np.uint8)
    mixed = [tiny, shot(clean, 1).astype(np.float64)]
    model = taught(mixed, steps=2, start="default")
    assert np.isfinite(model.record.held_out)
