"""The training loop: what it yields, keeps, resumes, survives and refuses."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import napari_vae_restore as vr
from napari_vae_restore.images.image_files import write_image
from napari_vae_restore.models.files import load_checkpoint, save
from napari_vae_restore.models.threads import fitting_threads
from napari_vae_restore.training import engine, objective, weight_updates

TINY = vr.HVAEConfig(levels=2, width=8, latent=4)
SETTINGS = vr.TrainingSettings(batch=2, patch=32)


def start(images: NDArray[np.float32], steps: int = 12, seed: int = 0) -> vr.Training:
    return vr.Training(
        images,
        noise="gaussian:25",
        steps=steps,
        config=TINY,
        settings=SETTINGS,
        seed=seed,
        device="cpu",
    )


def weights(model: vr.Model) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.network.parameters()])


def test_each_step_reports_itself(noisy: NDArray[np.float32]) -> None:
    steps = list(start(noisy).run())
    assert [p.step for p in steps] == list(range(1, 13))
    assert steps[-1].fraction == 1
    assert steps[-1].seconds_left == 0
    assert all(np.isfinite(p.loss) and len(p.kl) == 2 for p in steps)
    assert steps[-1].beta == SETTINGS.beta
    assert [p.learning_rate for p in steps[:3]] == sorted(p.learning_rate for p in steps[:3])
    assert any(p.held_out is not None for p in steps)


def test_the_loss_is_the_negative_elbo(noisy: NDArray[np.float32]) -> None:
    training = start(noisy, steps=60)
    last = list(training.run())[-1]
    assert last.held_out is not None
    assert training.model.record.elbo is not None
    assert training.model.record.elbo >= last.held_out
    assert abs(-last.loss - last.held_out) < 1.5


def test_same_seed_same_model_and_global_randomness_untouched(
    noisy: NDArray[np.float32],
) -> None:
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    expected = torch.rand(3), np.random.rand(3)  # noqa: NPY002
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    models = []
    for seed in (0, 0, 1):
        training = start(noisy, seed=seed)
        for _ in training.run():
            pass
        models.append(weights(training.model))
    assert torch.equal(models[0], models[1])
    assert not torch.equal(models[0], models[2])
    assert torch.equal(torch.rand(3), expected[0])
    assert np.array_equal(np.random.rand(3), expected[1])  # noqa: NPY002


def test_closing_keeps_the_best_weights(noisy: NDArray[np.float32]) -> None:
    training = start(noisy, steps=100)
    run = training.run()
    for _ in range(30):
        next(run)
    run.close()
    assert 0 < training.model.record.n_steps <= 30
    assert training.model.record.elbo is not None


def test_a_stopped_run_goes_on(noisy: NDArray[np.float32]) -> None:
    training = start(noisy)
    run = training.run()
    for _ in range(5):
        next(run)
    run.close()
    assert [p.step for p in training.run()] == list(range(6, 13))


def test_resuming_follows_the_unbroken_trajectory(
    noisy: NDArray[np.float32], tmp_path: Path
) -> None:
    unbroken, broken = start(noisy, steps=20), start(noisy, steps=20)
    losses = [p.loss for p in unbroken.run()]
    run = broken.run()
    for _ in range(9):
        next(run)
    run.close()
    broken.save_checkpoint(tmp_path / "c.safetensors")
    resumed = vr.Training.resume(
        tmp_path / "c.safetensors", noisy, noise="gaussian:25", device="cpu"
    )
    rest = [p.loss for p in resumed.run()]
    assert rest == losses[9:]
    assert torch.equal(weights(resumed.snapshot()), weights(unbroken.snapshot()))


def test_a_killed_run_keeps_what_the_unbroken_one_keeps(
    noisy: NDArray[np.float32], tmp_path: Path
) -> None:
    unbroken, killed = start(noisy, steps=30), start(noisy, steps=30)
    judged = [p.held_out for p in unbroken.run()]
    run = killed.run()
    for _ in range(10):
        next(run)
    # The run is not closed, as a killed process closes nothing.
    killed.save_checkpoint(tmp_path / "c.safetensors")
    resumed = vr.Training.resume(
        tmp_path / "c.safetensors", noisy, noise="gaussian:25", device="cpu"
    )
    assert [p.held_out for p in resumed.run()] == judged[10:]
    assert resumed.model.sha256 == unbroken.model.sha256
    run.close()


def test_a_checkpoint_is_a_model(noisy: NDArray[np.float32], tmp_path: Path) -> None:
    training = start(noisy)
    for _ in training.run():
        pass
    training.save_checkpoint(tmp_path / "c.safetensors")
    assert torch.equal(weights(vr.load(tmp_path / "c.safetensors")), weights(training.model))


def test_resuming_with_other_images_is_refused(
    noisy: NDArray[np.float32], tmp_path: Path
) -> None:
    training = start(noisy)
    next(training.run())
    training.save_checkpoint(tmp_path / "c.safetensors")
    with pytest.raises(vr.InputError, match="other images"):
        vr.Training.resume(
            tmp_path / "c.safetensors", noisy + 50 * noisy.T.mean(), device="cpu"
        )


@pytest.mark.parametrize("damage", ["a value lacks", "a value is foreign", "a tensor lacks"])
def test_a_damaged_checkpoint_is_refused(
    noisy: NDArray[np.float32], tmp_path: Path, damage: str
) -> None:
    training, path = start(noisy), tmp_path / "c.safetensors"
    next(training.run())
    training.save_checkpoint(path)
    model, tensors, values = load_checkpoint(path)
    if damage == "a value lacks":
        del values["seed"]
    elif damage == "a value is foreign":
        values["settings"]["batch"] = -3
    else:
        del tensors["generator"]
    save(model, path, overwrite=True, training_state=(tensors, values))
    with pytest.raises(vr.ModelFileError, match=r"checkpoint is not valid|file is damaged"):
        vr.Training.resume(path, noisy, device="cpu")


def test_a_time_budget_is_kept(
    noisy: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(10_000))
    # The engine's own clock: other threads of the tests look at the real one.
    ticking = SimpleNamespace(monotonic=lambda: float(next(clock)))
    monkeypatch.setattr(engine, "time", ticking)
    training = vr.Training(
        noisy, noise="gaussian:25", budget=50, config=TINY, settings=SETTINGS, device="cpu"
    )
    steps = list(training.run())
    assert 50 <= steps[-1].seconds <= 52
    assert steps[-1].fraction == 1
    assert steps[24].seconds_left == pytest.approx(25, abs=2)


def test_a_hundred_large_gradients_do_not_lock_the_training(noisy: NDArray[np.float32]) -> None:
    training = start(noisy, steps=400)
    run = training.run()
    next(run)
    hook = next(training._updates.trained.parameters()).register_hook(lambda g: g * 1e12)
    for _ in range(100):
        next(run)
    hook.remove()
    before = weights(training.snapshot())
    for _ in range(5):
        next(run)
    after = weights(training.snapshot())
    run.close()
    assert after.isfinite().all()
    assert not torch.equal(before, after)


def test_gradients_that_are_not_finite_are_survived(noisy: NDArray[np.float32]) -> None:
    training = start(noisy, steps=400)
    run = training.run()
    next(run)
    hook = next(training._updates.trained.parameters()).register_hook(
        lambda g: g * float("nan")
    )
    for _ in range(weight_updates.MAX_BAD_STEPS + 5):
        next(run)
    hook.remove()
    losses = [next(run).loss for _ in range(5)]
    run.close()
    assert np.isfinite(losses).all()
    assert weights(training.model).isfinite().all()


def test_hot_pixels_give_finite_losses(noisy: NDArray[np.float32]) -> None:
    hot = noisy.copy()
    hot[::30, ::30] = 60_000
    assert all(np.isfinite(p.loss) for p in start(hot, steps=20).run())


def test_the_faster_number_of_threads_is_taken(
    noisy: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen: list[int] = []
    tried: list[int] = []

    def trial(n: int) -> float:
        tried.append(n)
        return float(n)

    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    monkeypatch.setattr(torch, "set_num_threads", chosen.append)
    monkeypatch.setattr(engine, "fitting_threads", partial(fitting_threads, trial=trial))
    training = vr.Training(
        noisy, noise="gaussian:25", budget=0.5, config=TINY, settings=SETTINGS, device="cpu"
    )
    for _ in training.run():
        pass
    assert sorted(tried) == [1, 2, 4]
    assert chosen[0] == 1  # the fastest
    assert chosen[-1] == 4  # the caller's


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (torch.OutOfMemoryError("no memory"), "out of memory on cpu: use smaller"),
        (RuntimeError("can't allocate memory: you tried to"), "out of memory on cpu: use"),
        (MemoryError(), "out of memory on cpu: use smaller"),
        (RuntimeError("shape mismatch"), "failed at step 0: shape mismatch"),
    ],
)
def test_failures_of_torch_are_named(
    noisy: NDArray[np.float32],
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    message: str,
) -> None:
    def fail(*args: object) -> None:
        raise error

    monkeypatch.setattr(objective, "elbo", fail)
    with pytest.raises(vr.TrainingError, match=message):
        next(start(noisy).run())


def test_short_memory_means_smaller_batches(
    noisy: NDArray[np.float32],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def hungry(network: Any, y: torch.Tensor, *rest: Any, elbo: Any = objective.elbo) -> Any:
        if len(y) > 1 and torch.is_grad_enabled():
            raise torch.OutOfMemoryError("no memory")
        return elbo(network, y, *rest)

    monkeypatch.setattr(objective, "elbo", hungry)
    assert [p.step for p in start(noisy, steps=4).run()] == [1, 2, 3, 4]
    assert "batches of 1" in caplog.text


def test_a_full_graphics_card_leaves_the_cpu(
    noisy: NDArray[np.float32],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    training = start(noisy, steps=6)
    run = training.run()
    losses = [next(run).loss for _ in range(3)]
    training._updates.device = torch.device("cuda")  # as it would be there
    failures = iter([True, True])  # at a batch of 2, then of 1

    def full(*arguments: Any, elbo: Any = objective.elbo) -> Any:
        if next(failures, False):
            raise torch.OutOfMemoryError("no memory")
        return elbo(*arguments)

    monkeypatch.setattr(objective, "elbo", full)
    losses += [p.loss for p in run]
    assert len(losses) == 6
    assert np.isfinite(losses).all()
    assert "on the CPU" in caplog.text


def test_a_run_that_finds_nothing_better_ends_early(noisy: NDArray[np.float32]) -> None:
    hopeless = vr.TrainingSettings(
        batch=1, patch=64, learning_rate=1e-8, beta_warmup=0.0, patience=0.2
    )
    training = vr.Training(
        noisy, start="default", noise="gaussian:25", steps=50, settings=hopeless, device="cpu"
    )
    monotone = iter(range(0, -1000, -1))
    training._objective.judge = lambda *_: objective.Score(next(monotone))  # type: ignore[method-assign]
    assert len(list(training.run())) == 10
    assert training.is_complete


@pytest.mark.slow
def test_two_processes_share_every_batch(noisy: NDArray[np.float32], tmp_path: Path) -> None:
    pytest.importorskip("lightning_fabric")
    write_image(tmp_path / "noisy.tif", noisy, "YX")
    words = [sys.executable, "-m", "napari_vae_restore", "train", "noisy.tif", "--steps", "60"]
    words += ["--noise", "gaussian:25", "--device", "cpu"]
    held_out = {}
    for n in (1, 2):
        path = tmp_path / f"{n}.safetensors"
        done = subprocess.run(
            [*words, "-o", path, "--devices", str(n)],
            cwd=tmp_path,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        record = vr.load(path).record
        assert record.n_steps > 0
        held_out[n] = record.held_out
    assert held_out[1] is not None
    assert held_out[2] == pytest.approx(held_out[1], abs=0.05)


def test_the_flat_vae_trains_too(noisy: NDArray[np.float32]) -> None:
    training = vr.Training(
        noisy,
        noise="gaussian:25",
        steps=100,
        config=vr.FlatVAEConfig(size=32, width=8, z_dim=4),
        settings=SETTINGS,
        device="cpu",
    )
    measured = [p.held_out for p in training.run() if p.held_out is not None]
    assert measured[-1] > measured[0] + 0.1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps: expected at least 1"),
        ({"budget": "-1 min"}, "positive time"),
        ({"noise": "gaussian:-1"}, "sigma"),
        ({"device": "tpu"}, "device: expected one of"),
        ({"settings": vr.TrainingSettings(patch=36)}, "multiple of the network's stride"),
        ({"axes": "ZYX"}, "axes"),
    ],
    ids=str,
)
def test_bad_parameters_are_refused(
    noisy: NDArray[np.float32], options: dict[str, object], message: str
) -> None:
    with pytest.raises(vr.InputError, match=message):
        vr.Training(noisy, **options)
