"""The bundled model's training: its stages learn, and a killed run goes on."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage import data
from torch import Tensor

import napari_vae_restore as vr
import train_bundled
from bundled_model import training as bundled_training
from bundled_model.patch_batches import Stream, batches, simulated
from bundled_model.schedule import Plan
from bundled_model.stages import STAGES, MeanStage, Recipe, SpreadStage, Stage
from bundled_model.training import BundledTraining
from napari_vae_restore.errors import ModelFileError
from napari_vae_restore.models.config import RestorationConfig
from napari_vae_restore.models.files import load, save
from napari_vae_restore.models.latents import NoiseSource, random_noise
from napari_vae_restore.models.model import TrainingRecord, build_network
from napari_vae_restore.models.restorer import Encoded
from napari_vae_restore.training.degradations import N_BUCKETS
from napari_vae_restore.training.pictures import PatchSource, Picture

TINY = RestorationConfig(widths=(8, 8), depths=(1, 1), width=8, latent=4)
PLAN = Plan(steps=(3, 3, 3, 3, 3), side=24)
SMALL_BATCHES = 2


def photograph(scale: float = 1.0) -> Picture:
    planes = np.moveaxis(data.astronaut()[:128, 150:278], -1, 0)[None] / 255 * scale
    return Picture(planes.astype(np.float16), 1.0, True)


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    for stage in STAGES:
        recipe = replace(stage.recipe, batch=SMALL_BATCHES, warmup_steps=3)
        monkeypatch.setattr(stage, "recipe", recipe)


def start(path: Path, plan: Plan = PLAN, **options: object) -> BundledTraining:
    options = {"config": TINY, "device": "cpu", "workers": 0} | options
    return BundledTraining([photograph()], path / "run.safetensors", plan, **options)


def finish(training: BundledTraining) -> dict[str, Tensor]:
    for _ in training.run():
        pass
    return training.model.network.state_dict()


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build_network(TINY).eval()


def test_shares_of_the_budget_sum_to_one() -> None:
    assert sum(stage.recipe.share for stage in STAGES) == pytest.approx(1)


def test_the_learning_rate_rises_stays_and_falls() -> None:
    recipe = Recipe(simulated, 1.0, 1, 0.1, 10, 0.25, 0.9, 1.0)
    assert recipe.rate_at(0, 0.0) == pytest.approx(0.01)
    assert recipe.rate_at(100, 0.5) == pytest.approx(0.1)
    assert recipe.rate_at(100, 0.875) == pytest.approx(0.05)
    assert recipe.rate_at(100, 1.0) == 0


@pytest.mark.parametrize("stage_type", STAGES, ids=lambda stage: stage.name)
def test_each_stage_lowers_its_loss_on_one_batch(
    stage_type: type[Stage], network: torch.nn.Module
) -> None:
    stage = stage_type(network)
    stream = Stream(
        stage.recipe.draw, PatchSource([photograph()], 24), batch=4, seed=(0,), first=0
    )
    batch = next(iter(stream))
    optimiser = stage.optimiser()
    # The balance between tasks follows the error: start from the same one each time.
    balance = {
        name: torch.full_like(value, 1e6 if name == "seen" else 0.1)
        for name, value in stage.state().items()
    }

    def loss() -> Tensor:
        stage.load_state(balance)
        return stage.loss(batch, 0.5, random_noise(torch.Generator().manual_seed(0)))

    first = loss().detach()
    for _ in range(25):
        optimiser.zero_grad()
        loss().backward()
        torch.nn.utils.clip_grad_norm_(
            stage.part(network).parameters(), stage.recipe.max_gradient
        )
        optimiser.step()
    assert loss().detach() < first - 0.02 * first.abs()


def test_the_mean_is_by_least_squares_in_the_end(network: torch.nn.Module) -> None:
    """Errors of opposite sign, 1 and 3: twice the median's L1, but not its square."""
    stage = MeanStage(network)
    stage.load_state(
        {"typical": torch.full((N_BUCKETS,), 0.5), "seen": torch.ones(N_BUCKETS) * 1e9}
    )
    condition = torch.zeros(1, 6, 8, 8)
    with torch.no_grad():
        mean = network.infer(condition).mean
    weight, bucket = torch.zeros(1, 1, 8, 8), torch.zeros(1, dtype=torch.long)
    weight[..., 0, :2] = 1
    target = mean + 100.0
    target[..., 0, 0], target[..., 0, 1] = mean[..., 0, 0] - 1, mean[..., 0, 1] + 3
    batch, noise = (condition, target, weight, bucket), random_noise(torch.Generator())
    absolute = float(stage.loss(batch, 0.3, noise).detach())
    typical = 0.5 + 0.01 * (2 - 0.5)  # a hundredth of the way to the batch's
    assert absolute == pytest.approx(2 / typical, rel=1e-4)
    squared = float(stage.loss(batch, 0.9, noise).detach())
    typical += 0.01 * (2 - typical)
    assert squared == pytest.approx(5 / (2 * typical**2), rel=1e-4)


def test_errors_that_are_not_finite_do_not_stay_in_the_balance(
    network: torch.nn.Module,
) -> None:
    stage = MeanStage(network)
    bad = torch.full((1, 1, 8, 8), float("nan"))
    batch = torch.zeros(1, 6, 8, 8), bad, torch.ones(1, 1, 8, 8), torch.zeros(1).long()
    stage.loss(batch, 0.5, random_noise(torch.Generator()))
    assert all(value.isfinite().all() for value in stage.state().values())


@pytest.mark.parametrize("offset", [0.0, 0.5])
def test_the_spread_is_scored_alike_wherever_the_mean_lies(
    network: torch.nn.Module, monkeypatch: pytest.MonkeyPatch, offset: float
) -> None:
    """Images of few blocks, whose errors are now small, now large: the right spread wins."""
    generator = torch.Generator().manual_seed(0)
    target = offset + torch.randn(2000, 1, 1, 1, generator=generator).expand(-1, 1, 8, 8)
    batch = (
        torch.zeros(2000, 6, 8, 8),
        target,
        torch.ones_like(target),
        torch.zeros(2000).long(),
    )
    mean = torch.full_like(target, offset)
    monkeypatch.setattr(network, "infer", lambda condition: Encoded((), mean))
    monkeypatch.setattr(network, "centre", lambda features: torch.zeros_like(mean))

    def score(spread: float) -> float:
        def sample(found: Encoded, centre: Tensor, noise: NoiseSource) -> Tensor:
            return found.mean - centre + spread * noise(0, target[:, :, :1, :1])

        monkeypatch.setattr(network, "sample", sample)
        noise = random_noise(torch.Generator().manual_seed(1))
        return float(SpreadStage(network).loss(batch, 0.5, noise))

    half, narrow, right, wide, double = map(score, (0.5, 0.8, 1.0, 1.25, 2.0))
    assert half > narrow > right < wide < double


def test_the_stream_is_the_same_from_any_place_on() -> None:
    def taken(first: int, n: int) -> list[tuple[Tensor, ...]]:
        source = PatchSource([photograph()], 24)
        stream = Stream(simulated, source, batch=2, seed=(3, 0), first=first)
        return list(itertools.islice(batches(stream, 0), n))

    whole, rest = taken(0, 5), taken(3, 2)
    for expected, found in zip(whole[3:], rest, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))
    assert not torch.equal(whole[0][0], whole[1][0])


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")  # on one core
@pytest.mark.parametrize("workers", [1, 2])
def test_workers_give_the_same_stream(workers: int) -> None:
    stream = Stream(simulated, PatchSource([photograph()], 24), batch=2, seed=(3, 0), first=1)
    here = list(itertools.islice(batches(stream, 0), 4))
    there = list(itertools.islice(batches(stream, workers), 4))
    for expected, found in zip(here, there, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))


def test_a_run_trains_all_stages_and_the_rest_stays(tmp_path: Path) -> None:
    training = start(tmp_path)
    before = training.model.network.state_dict()
    stages = [progress.stage for progress in training.run()]
    names = ["mean", "mean, finished", "VAE", "student", "spread"]
    assert stages == [name for name in names for _ in range(3)]
    assert [(record.name, record.steps) for record in training.done] == [
        (name, 3) for name in names
    ]
    assert all(record.figures for record in training.done)
    after = training.model.network.state_dict()
    for part in ("condition", "vae", "student"):
        names = [name for name in before if name.startswith(part)]
        assert any(not torch.equal(before[name], after[name]) for name in names)
    record = training.model.record
    assert (record.n_steps, record.n_planes, record.n_pixels) == (15, 1, 3 * 128**2)


def test_the_spread_is_tuned_by_the_student_alone(tmp_path: Path) -> None:
    training = start(tmp_path)
    for progress in training.run():
        if progress.stage == "student" and progress.step == PLAN.steps[3]:
            before = training.model.network.state_dict()
    after = training.model.network.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert all(name.startswith(("student", "gain")) for name in changed)


@pytest.mark.parametrize("killed_after", [1, 3, 5, 8, 9, 11, 12])
def test_a_killed_run_goes_on_exactly(tmp_path: Path, killed_after: int) -> None:
    (tmp_path / "whole").mkdir()
    expected = finish(start(tmp_path / "whole"))
    first = start(tmp_path)
    run = first.run()
    for _ in range(killed_after):
        next(run)
    first.save_checkpoint()
    next(run, None)  # lost
    run.close()
    assert load(tmp_path / "run.safetensors").network.config == TINY
    found = finish(start(tmp_path))
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_another_seed_gives_another_model_and_global_randomness_is_untouched(
    tmp_path: Path,
) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    one = finish(start(tmp_path))
    (tmp_path / "other").mkdir()
    other = finish(start(tmp_path / "other", replace(PLAN, seed=1)))
    assert torch.equal(torch.rand(3), expected)
    assert not torch.equal(one["condition.stem.weight"], other["condition.stem.weight"])


def test_a_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    expected = finish(start(tmp_path))
    again = start(tmp_path)
    assert list(again.run()) == []
    found = again.model.network.state_dict()
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_a_time_budget_ends_every_stage(tmp_path: Path) -> None:
    training = start(tmp_path, Plan(budget=2.0, side=24))
    assert {progress.stage for progress in training.run()} == {s.name for s in STAGES}
    seconds = [record.seconds for record in training.done]
    assert seconds[0] >= 2.0 * STAGES[0].recipe.share
    assert sum(seconds) < 10


def test_a_run_starts_from_a_model(tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    first = start(tmp_path / "first")
    finish(first)
    second = start(tmp_path, start=first.model, config=None)
    assert second.plan.start == first.model.sha256
    started, given = second.model.network.state_dict(), first.model.network.state_dict()
    assert all(torch.equal(given[name], started[name]) for name in given)


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (Plan(steps=(1, 2, 3), side=24), "expected 5 numbers"),
        (Plan(steps=(1, 0, 2, 3, 1), side=24), "expected 5 numbers"),
        (Plan(side=26), "multiple of"),
    ],
)
def test_impossible_plans_are_refused(tmp_path: Path, plan: Plan, message: str) -> None:
    with pytest.raises(vr.InputError, match=message):
        start(tmp_path, plan)


def test_a_start_of_another_kind_is_refused(tmp_path: Path) -> None:
    hvae = vr.Model(build_network(TINY.vae), None, None)
    with pytest.raises(vr.InputError, match="a model for every task"):
        start(tmp_path, start=hvae)
    other = vr.Model(build_network(TINY), None, None)
    with pytest.raises(vr.InputError, match="another configuration"):
        start(tmp_path, start=other, config=replace(TINY, width=16))


def test_checkpoints_of_other_runs_are_refused(tmp_path: Path) -> None:
    start(tmp_path).save_checkpoint()
    with pytest.raises(vr.InputError, match="of another run"):
        start(tmp_path, replace(PLAN, seed=1))
    with pytest.raises(vr.InputError, match="of another run"):
        start(tmp_path, config=replace(TINY, width=16))
    pictures = [photograph(), photograph()]
    with pytest.raises(vr.InputError, match="of another run"):
        BundledTraining(
            pictures, tmp_path / "run.safetensors", PLAN, config=TINY, device="cpu", workers=0
        )


def test_damaged_checkpoints_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    training = start(tmp_path)
    record = TrainingRecord(n_planes=1, n_pixels=3 * 128**2)
    model = replace(training.model, record=record)
    save(model, path, training_state=({}, {"plan": 1}))
    with pytest.raises(ModelFileError, match="not valid"):
        start(tmp_path)
    values = {"plan": {"steps": (3, 3, 3, 3, 3), "side": 24}, "step": 1, "seconds": 1.0}
    values |= {"figures": {}, "done": ()}
    save(model, path, overwrite=True, training_state=({}, values))
    with pytest.raises(ModelFileError, match="damaged"):
        start(tmp_path)


def test_the_second_model_goes_on_from_its_condition_encoder() -> None:
    weights = Path(bundled_training.__file__).with_name("condition.safetensors")
    first, again = (train_bundled.begun(weights, seed=0) for _ in range(2))
    assert first.sha256 == again.sha256  # a run that goes on knows its start again
    image = data.camera()[100:196, 200:296].astype(np.float32)
    noisy = vr.GaussianNoise(25).sample(image, np.random.default_rng(0)).astype(np.float32)
    mean = vr.denoise(noisy, first, noise="gaussian:25", device="cpu").mean
    assert np.square(mean - image).mean() < 0.2 * 25**2
