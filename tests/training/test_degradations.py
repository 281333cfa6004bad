"""Simulated measurements: what the condition says is what the measurement has."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import data

from napari_vae_restore.models.condition import CONDITION_CHANNELS
from napari_vae_restore.operators.resampling import enlargement, reduction, separable
from napari_vae_restore.training.degradations import BUCKETS, TASKS, Example, simulate
from napari_vae_restore.training.holes import HOLES, draw_hole

SIDE = 96
N = 600
Examples = dict[str, list[Example]]


@pytest.fixture(scope="module")
def clean() -> NDArray[np.float32]:
    patch = data.astronaut()[100 : 100 + SIDE, 100 : 100 + SIDE, 0]
    return (patch / 255).astype(np.float32)


@pytest.fixture(scope="module")
def examples(clean: NDArray[np.float32]) -> Examples:
    by_bucket = defaultdict(list)
    for i in range(N):
        example = simulate(clean, np.random.default_rng([0, i]))
        by_bucket[BUCKETS[example.bucket]].append(example)
    return by_bucket


def of(examples: Examples, *starts: str) -> list[Example]:
    found = [e for name, group in examples.items() if name.startswith(starts) for e in group]
    assert found
    return found


def test_probabilities_sum_to_one_and_buckets_differ() -> None:
    assert sum(TASKS.values()) == pytest.approx(1)
    assert sum(HOLES.values()) == pytest.approx(1)
    assert len(set(BUCKETS)) == len(BUCKETS) == 39


def test_every_kind_occurs(examples: Examples) -> None:
    assert set(examples) == set(BUCKETS)


def test_shapes_types_and_finite_values(examples: Examples) -> None:
    for example in of(examples, ""):
        assert example.condition.shape == (CONDITION_CHANNELS, SIDE, SIDE)
        assert example.target.shape == example.weight.shape == (1, SIDE, SIDE)
        for array in (example.condition, example.target, example.weight):
            assert array.dtype == np.float32
            assert np.isfinite(array).all()
        assert example.weight.sum() > 0
        assert set(np.unique(example.condition[1])) <= {0.0, 1.0}


def test_the_generator_decides_everything_and_the_patch_is_left_alone(
    clean: NDArray[np.float32],
) -> None:
    before = clean.copy()
    for i in range(20):
        first, second = (simulate(clean, np.random.default_rng(i)) for _ in range(2))
        assert np.array_equal(first.condition, second.condition)
        assert np.array_equal(first.target, second.target)
        assert first.bucket == second.bucket
        first.target[:] = 0
    assert np.array_equal(clean, before)


def test_noise_has_the_strength_that_is_told(examples: Examples) -> None:
    # Few photons, clipped at black, have less noise than their transform promises.
    ratios = [
        float((e.condition[0] - e.target[0]).std() / e.condition[2, 0, 0])
        for e in of(examples, "noise, ", "correlated noise, ")
    ]
    assert np.median(ratios) == pytest.approx(1, abs=0.02)
    assert np.mean([abs(ratio - 1) < 0.1 for ratio in ratios]) > 0.9


def test_white_gaussian_noise_is_told_within_ten_per_cent_but_for_what_is_told_wrong(
    examples: Examples, clean: NDArray[np.float32]
) -> None:
    gaussian = [e for e in of(examples, "noise, ") if np.array_equal(e.target[0], clean)]
    ratios = [(e.condition[0] - clean).std() / e.condition[2, 0, 0] for e in gaussian]
    assert len(ratios) > 50
    assert all(abs(ratio - 1) < 0.15 for ratio in ratios)


def test_noise_has_the_correlation_that_is_told(examples: Examples) -> None:
    for example in of(examples, "noise, ", "correlated noise, "):
        noise = example.condition[0] - example.target[0]
        noise = noise - noise.mean()
        y, x = np.mean(noise[1:] * noise[:-1]), np.mean(noise[:, 1:] * noise[:, :-1])
        told = example.condition[3:5, 0, 0]
        assert np.array([y, x]) / noise.var() == pytest.approx(told, abs=0.1)
    assert all(e.condition[3:5].max() == 0 for e in of(examples, "hole", "factor"))


def test_noise_levels_are_sorted_into_their_buckets(examples: Examples) -> None:
    sigmas = [
        np.mean([e.condition[2, 0, 0] for e in examples[f"noise, level {i}"]]) for i in range(5)
    ]
    assert sigmas == sorted(sigmas)
    assert all(e.condition[3:5].max() > 0.15 for e in of(examples, "correlated"))
    assert all(e.condition[3:5].max() < 0.15 for e in of(examples, "noise, "))


def test_holes_without_noise_keep_the_observed_pixels(examples: Examples) -> None:
    for example in of(examples, "hole, "):
        observed = example.condition[1] == 1
        assert observed.any()
        assert not observed.all()
        assert np.array_equal(example.condition[0][observed], example.target[0][observed])
        assert np.array_equal(example.weight[0] == 1, ~observed)
        assert (example.condition[2:] == 0).all()


def test_the_loss_counts_everywhere_but_for_holes_alone(examples: Examples) -> None:
    tasks = [name for name in TASKS if name != "hole"]
    for example in of(examples, *tasks, "correlated"):
        assert (example.weight == 1).all()


def test_a_low_resolution_picture_is_the_reduced_target(examples: Examples) -> None:
    for example in of(examples, "factor "):
        factor = round(2 ** float(example.condition[5, 0, 0]))
        down = reduction(SIDE, factor, "bicubic")
        up = enlargement(SIDE // factor, factor)
        small = separable(down, down, example.target[0])
        image = separable(up, up, small)
        assert example.condition[0] == pytest.approx(image, abs=1e-5)
        assert f"factor {factor}" == BUCKETS[example.bucket]


def test_holes_of_a_low_resolution_picture_are_whole_pixels_of_it(examples: Examples) -> None:
    for example in of(examples, "hole+factor "):
        factor = int(BUCKETS[example.bucket][-1])
        blocks = example.condition[1].reshape(SIDE // factor, factor, SIDE // factor, factor)
        assert (blocks.min(axis=(1, 3)) == blocks.max(axis=(1, 3))).all()
        assert blocks.min() == 0


def test_the_target_of_photon_noise_is_what_its_mean_stabilises_to(examples: Examples) -> None:
    """A monotone map of the clean patch that the measurement scatters around."""
    for example in of(examples, "noise+factor", "noise, "):
        noise = example.condition[0] - example.target[0]
        assert abs(noise.mean()) < 0.35 * example.condition[2, 0, 0]


def test_holes_of_every_kind_leave_something_and_take_something() -> None:
    kinds = Counter()
    for i in range(300):
        hole, kind = draw_hole(24, np.random.default_rng(i))
        assert hole.shape == (24, 24)
        assert 0 < hole.sum() < hole.size
        kinds[kind] += 1
    for kind, share in HOLES.items():
        assert kinds[kind] / 300 == pytest.approx(share, abs=0.1)
