"""Noisy images that judge what was learned from them: windows, noise as it is, speckle."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import distance_transform_edt, gaussian_filter, grey_dilation

import napari_vae_restore as vr
from napari_vae_restore.noise.estimation.blocks import clipped_levels
from napari_vae_restore.restoration.inference.risk import WindowRisk, difference
from napari_vae_restore.restoration.inference.units import Units
from napari_vae_restore.restoration.measurement import Measurement
from napari_vae_restore.training.examples import TrainingPlane
from napari_vae_restore.training.local_noise import (
    LocalNoise,
    NoiseLaw,
    measure_skewness,
    skewness_of,
)
from napari_vae_restore.training.self_supervised import RiskTerms, SelfSupervisedExamples
from napari_vae_restore.training.settings import TrainingSettings

INFINITE = (-np.inf, np.inf)
NO_CLIP = vr.GaussianNoise(1.0)


def structure(side=192, seed=3):
    """Soft structures between 0 and 1."""
    field = gaussian_filter(np.random.default_rng(seed).standard_normal((side, side)), 5)
    return ((field - field.min()) / np.ptp(field)) ** 3


def units_of(y, noise):
    return Units.of(Measurement(np.asarray(y, float)[None], None, (noise,)))


def examples_of(y, noise, signal, clipped=INFINITE, side=64):
    """Examples whose pilot is the clean signal."""
    units = units_of(y, noise)
    values, pilot = (units.to_network(each[None])[0] for each in (y, signal))
    local = LocalNoise(
        np.zeros_like(values), np.zeros(values.shape, np.uint8), np.zeros((1, 57))
    )
    terms = RiskTerms.of(np.asarray(y, float), pilot, noise, units, clipped)
    constants = (units.sigma, 0.1, 0.1, 0.0)
    plane = TrainingPlane(values, constants, local, None, noise.correlation, terms)
    return SelfSupervisedExamples([plane], noise, side=side, stride=8, seed=0)


@pytest.mark.parametrize("side", [64, 100, 200])
def test_what_judges_is_never_learned_from(side):
    y = np.random.default_rng(0).permutation(side * side).reshape(side, side).astype(float)
    examples = examples_of(y, NO_CLIP, y)
    patches = examples.held_out(np.random.default_rng(0))
    judged = {
        float(value)
        for patch in patches
        for window in patch.windows
        for value in patch.conditions[0, 0][window].flatten()
    }
    learned: set[float] = set()
    for _ in range(40):
        batch = examples.draw(4, np.random.default_rng(len(learned)))
        learned |= set(batch.target[batch.weight > 0].flatten().tolist())
    assert len(judged) > 0.05 * y.size * (64 * 64 / y.size if side == 100 else 1)
    assert len(learned) > 0.5 * y.size
    assert not judged & learned


def test_the_same_probes_judge_every_state():
    y = 50 * structure(128)
    examples = examples_of(y, NO_CLIP, y)
    one, other = (examples.held_out(np.random.default_rng(5)) for _ in range(2))
    for a, b in zip(one, other, strict=True):
        assert torch.equal(a.conditions, b.conditions)
        np.testing.assert_array_equal(a.noise_probe, b.noise_probe)


@pytest.mark.parametrize(
    ("form", "level"),
    [
        ("gaussian:25", 60.0),
        ("gaussian:25@0.6,0.6", 60.0),
        ("gaussian:40@0.6,0.6", 0.0),
        ("poisson-gaussian:8,200@0.5,0.5", 0.0),
        ("poisson-gaussian:8,200", 20.0),
    ],
)
def test_the_risk_ranks_answers_as_the_truth_does(form, level):
    """Also where half of the pixels are clipped, which feigns that noise is weak."""
    noise = vr.parse_noise(form)
    truth = level + 150 * structure(320)
    y = noise.sample(truth, np.random.default_rng(11)).clip(0, 255)
    examples = examples_of(y, noise, truth, clipped_levels(y))
    patches = examples.held_out(np.random.default_rng(2))
    scale = noise.variance(truth).mean()
    corners = places(examples)

    def judged(width, lift):
        """The risk of a Gaussian filter and a change of brightness, and their true error."""
        risks, errors = [], []
        for patch, corner in zip(patches, corners, strict=True):
            filtered = [
                gaussian_filter(back(patch.units, each[0]), width) + lift
                for each in patch.conditions
            ]
            answers = [forth(patch.units, each) for each in filtered]
            risks.append(patch.risk(np.stack(answers)))
            error = np.square(filtered[0] - truth[corner])
            errors += [error[window].mean() for window in patch.windows]
        return WindowRisk.joined(risks), float(np.mean(errors)) / scale

    first_risk, first_error = judged(1.0, 0.0)
    for width, lift in [(2.0, 0.0), (4.0, 0.0), (1.0, 12.0), (1.0, -12.0), (2.0, 15.0)]:
        other_risk, other_error = judged(width, lift)
        found, true = difference(other_risk, first_risk).mean, other_error - first_error
        assert found == pytest.approx(true, abs=0.05 + 0.15 * abs(true)), (width, lift)


def back(units, t):
    """Stabilised values to intensities without the correction of the bias of means."""
    low, high = -400.0, 700.0
    y = np.linspace(low, high, 4096)
    return np.interp(t.numpy(), units.to_network(y[None, None])[0, 0], y)


def forth(units, intensities):
    """Network units that come back as these intensities."""
    t = np.linspace(-3, 4, 4096)
    return np.interp(intensities, units.from_network(t[None, None])[0, 0], t)


def places(examples):
    return [place for _, place, _ in examples._held_out]


@pytest.mark.parametrize("form", ["gaussian:30", "poisson-gaussian:8,100"])
def test_the_law_of_clipped_noise_is_what_is_drawn(form):
    noise, rng = vr.parse_noise(form), np.random.default_rng(0)
    signal = np.linspace(0, 255, 40)[:, None]
    y = noise.sample(np.repeat(signal, 4000, 1), rng).clip(0, 255)
    units = units_of(y, noise)
    law = NoiseLaw.of(noise, units, (0.0, 255.0), (0.0, 255.0))
    t = units.to_network(y[None])[0].astype(float)
    found = np.interp(t.mean(1), law.mean, law.strength)
    drawn = np.minimum(t.std(1) / units.sigma, 1)  # what stabilising promises is the most
    np.testing.assert_allclose(found, drawn, atol=0.04)
    assert (np.diff(law.mean) >= 0).all()
    assert law.strength[0] < 0.1 < 0.9 < law.strength.max() <= 1


def membranes(seed):
    """Soft lines and an empty part, as a camera of few photons sees them."""
    points = np.ones((256, 256), bool)
    points[tuple(np.random.default_rng(1).integers(0, 256, (2, 180)))] = False
    _, cell = distance_transform_edt(points, return_indices=True)
    label = cell[0] * 256 + cell[1]
    edge = (grey_dilation(label, 3) != label).astype(float)
    edge[:, 150:] = 0
    rng = np.random.default_rng(seed)
    photons = 10 + 40 * gaussian_filter(edge, 1)
    counts = rng.poisson(photons) + 100 + 2 * rng.standard_normal(photons.shape)
    return np.rint(counts).astype(np.uint16)


@pytest.mark.parametrize("seed", range(2))
def test_an_ordinary_camera_is_no_speckle(seed):
    training = vr.Training(membranes(seed), start="default", steps=1, device="cpu")
    assert training.data_noise is not None


@pytest.mark.parametrize(("looks", "is_speckle"), [(1, True), (4, True), (100, False)])
def test_speckle_is_told_by_its_tails(looks, is_speckle):
    rng = np.random.default_rng(looks)
    pilot = structure(256).astype(np.float32)
    y = np.log(rng.gamma(looks, 1 / looks, pilot.shape))
    removed = (y / y.std()).astype(np.float32)
    noise = vr.GaussianNoise(float(y.std()))
    law = NoiseLaw.of(noise, units_of(y + pilot, noise), (-3.0, 3.0), INFINITE)
    found = measure_skewness(removed, pilot, law, rng)
    assert found.is_speckle == is_speckle
    assert found.error < 0.1


def test_the_error_of_a_skewness_is_what_it_varies_by():
    rng = np.random.default_rng(0)
    pilot = np.zeros((96, 96), np.float32)
    noise = vr.GaussianNoise(1.0)
    law = NoiseLaw.of(noise, units_of(rng.standard_normal((96, 96)), noise), (0, 1), INFINITE)
    found = [
        measure_skewness(rng.standard_normal(pilot.shape).astype(np.float32), pilot, law, rng)
        for _ in range(30)
    ]
    varies = np.std([each.excess for each in found])
    assert 0.6 < np.mean([each.error for each in found]) / varies < 1.6
    assert not any(each.is_speckle for each in found)
    assert abs(skewness_of(law.shape_at(pilot))) < 0.01


def test_clipped_noise_that_neighbours_share_does_no_harm():
    """Recorrupted targets call each step a gain here, and half way is 1 dB worse."""
    truth = 120 * structure(160) + 8
    e = vr.parse_noise("gaussian:1@0.6,0.6").sample(0 * truth, np.random.default_rng(5))
    sigma = 40 * np.sqrt((truth + 10) / (truth.mean() + 10))
    y = np.rint(np.clip(truth + sigma * e, 0, 255)).astype(np.uint8)
    fast = TrainingSettings(batch=2, patch=64, learning_rate=1e-3, ema=0.9, max_gradient=1.0)
    model = vr.adapt(y, steps=12, settings=fast, device="cpu")

    def error(used):
        return np.square(vr.denoise(y, used, device="cpu").mean.astype(float) - truth).mean()

    assert error(model) <= 1.012 * error("default")
