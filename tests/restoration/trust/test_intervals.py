"""Intervals of restorations: of the right shape and units, and as wide as calibrated."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import data

import napari_vae_restore as vr
from napari_vae_restore.models.bundled import find_model
from napari_vae_restore.operators import Downsampling
from napari_vae_restore.restoration.trust.intervals import unit_of

NOISE = vr.GaussianNoise(20.0)


@pytest.fixture(scope="module")
def calibrated(clean: NDArray[np.float32]) -> vr.Model:
    return vr.calibrate(vr.Clean(clean[:120, :120]), device="cpu", seed=1)


def noisy(clean: NDArray[np.float32]) -> NDArray[np.float32]:
    return NOISE.sample(clean, np.random.default_rng(0)).astype(np.float32)


def test_intervals_contain_the_truth_about_as_often_as_they_say(
    clean: NDArray[np.float32],
) -> None:
    one, part = clean[:96], clean[96:]
    pairs = vr.Pairs(noisy(one), one)
    calibrated = vr.calibrate(pairs, noise=NOISE, device="cpu")
    out = vr.denoise(noisy(part), calibrated, noise=NOISE, n_samples=16, device="cpu")
    for level in (0.5, 0.9):
        low, high = out.interval(level)
        assert low.shape == high.shape == part.shape
        assert low.dtype == np.float32
        covered = float(((low <= part) & (part <= high)).mean())
        assert covered == pytest.approx(level, abs=0.06)
    error = float(np.sqrt(np.square(out.mean - part).mean()))
    told = float(np.sqrt(np.square(out.expected_error()).mean()))
    assert told == pytest.approx(error, rel=0.3)


def test_every_task_has_a_calibration_of_its_own(
    clean: NDArray[np.float32], calibrated: vr.Model
) -> None:
    hole = np.zeros((64, 64), bool)
    hole[20:30, 20:40] = True
    part = clean[:64, :64]
    found = [
        vr.denoise(noisy(part), calibrated, n_samples=2, device="cpu"),
        vr.inpaint(part, hole, calibrated, n_samples=2, device="cpu"),
        vr.super_resolve(part, 2, calibrated, n_samples=2, device="cpu"),
    ]
    spreads = calibrated.spreads
    names = ("denoise", "inpaint", "super-resolve")
    assert [out.error_calibration for out in found] == [spreads[name] for name in names]
    low, high = found[1].interval(0.9)
    # What was measured is known.
    assert (high - low)[~hole].max() < 0.01 * (high - low)[hole].mean()


def test_mixtures_with_noise_have_calibrations_of_their_own(
    clean: NDArray[np.float32], calibrated: vr.Model
) -> None:
    hole = np.zeros((64, 64), bool)
    hole[20:30, 20:40] = True
    part = clean[:64, :64]
    options = {"n_samples": 2, "device": "cpu"}
    denoise, spreads = vr.Denoise(NOISE), calibrated.spreads
    out = vr.restore(noisy(part), [denoise, vr.Inpaint(hole)], calibrated, **options)
    assert out.error_calibration == spreads["denoise"]
    assert out.filled.error_calibration == spreads["denoise+inpaint"]
    np.testing.assert_array_equal(out.filled.mask, hole)
    half = np.ptp(out.interval(0.9), axis=0) / 2
    error = out.expected_error()
    for where, kind in ((hole, "denoise+inpaint"), (~hole, "denoise")):
        np.testing.assert_allclose(
            half[where], spreads[kind].factor(0.9) * error[where], rtol=1e-3, atol=1e-2
        )
    lazy = vr.restore(
        da.from_array(noisy(part), chunks=40),
        [denoise, vr.Inpaint(hole)],
        calibrated,
        **options,
    )
    np.testing.assert_array_equal(np.asarray(lazy.filled.mask), hole)
    large = vr.restore(noisy(part), [denoise, vr.SuperResolve(2)], calibrated, **options)
    assert (large.error_calibration, large.filled) == (spreads["denoise+super-resolve"], None)
    both = [denoise, vr.Inpaint(hole), vr.SuperResolve(2)]
    out = vr.restore(noisy(part), both, calibrated, **options)
    assert out.filled.mask.shape == out.std.shape == out.interval(0.5)[0].shape == (128, 128)


def test_intervals_move_with_the_intensities(
    clean: NDArray[np.float32], calibrated: vr.Model
) -> None:
    part = clean[:64, :64]
    options = {"n_samples": 4, "device": "cpu"}
    one = vr.super_resolve(part, 2, calibrated, **options).interval(0.8)
    other = vr.super_resolve(1000 * part + 7e4, 2, calibrated, **options).interval(0.8)
    np.testing.assert_allclose(other[0], 1000 * one[0] + 7e4, rtol=2e-3)


def test_the_units_in_which_errors_are_alike(clean: NDArray[np.float32]) -> None:
    part, options = clean[:64, :64], {"n_samples": 2, "device": "cpu"}
    hole = np.zeros(part.shape, bool)
    hole[20:31, 20:31] = True

    def contrast(out: vr.Restoration) -> float:
        return float(np.ptp(np.percentile(out.mean, (0.1, 99.9))))

    out = vr.denoise(noisy(part), noise=NOISE, **options)
    np.testing.assert_allclose(unit_of(out), np.sqrt(contrast(out) * NOISE.sigma), rtol=1e-5)
    out = vr.super_resolve(part, 3, **options)
    np.testing.assert_allclose(unit_of(out), contrast(out) * 3, rtol=1e-5)
    out = vr.inpaint(part, hole, n_samples=8, device="cpu")  # two agree by chance
    relative = unit_of(out) / contrast(out)
    assert relative[25, 25] == pytest.approx(np.sqrt(6), rel=1e-5)
    np.testing.assert_allclose(relative[20, 20:31], 1, rtol=1e-5)
    np.testing.assert_allclose(relative[~hole], 1, rtol=1e-5)


def test_channels_have_their_own_contrast(clean: NDArray[np.float32], model: vr.Model) -> None:
    stack = np.stack([clean[:64, :64], 100 * clean[:64, :64]])
    out = vr.super_resolve(stack, 2, axes="CYX", n_samples=2, device="cpu")
    bright = unit_of(out)[1] / unit_of(out)[0]
    np.testing.assert_allclose(bright, 100, rtol=0.05)


def test_colours_and_opacity(calibrated: vr.Model) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (32, 32, 4), np.uint8)
    out = vr.denoise(picture, calibrated, noise=NOISE, n_samples=2, device="cpu")
    low, high = out.interval(0.9)
    assert low.shape == (32, 32, 3)
    assert (low <= high).all()
    assert (low < high).mean() > 0.95  # two samples of a saturated pixel may agree


def test_without_calibration_a_gaussian_is_taken(
    clean: NDArray[np.float32], model: vr.Model
) -> None:
    out = vr.denoise(noisy(clean[:64, :64]), model, n_samples=4, device="cpu")
    assert out.error_calibration is None
    with pytest.warns(DeprecationWarning, match="spread is now error_calibration"):
        assert out.spread is None
    with pytest.warns(DeprecationWarning, match="unlikeness is now ood_score"):
        assert out.diagnostics.unlikeness is None
    assert out.std is not None
    np.testing.assert_array_equal(out.expected_error(), out.std)
    low, high = out.interval(0.9)
    np.testing.assert_allclose((high - low) / 2, 1.645 * out.std, rtol=1e-3, atol=1e-4)


def test_what_is_wrong_is_said(clean: NDArray[np.float32], model: vr.Model) -> None:
    out = vr.denoise(noisy(clean[:64, :64]), model, device="cpu")
    with pytest.raises(vr.InputError, match="n_samples=16"):
        out.interval(0.9)
    with pytest.raises(vr.InputError, match="between 0 and 1"):
        out.interval(90)
    with pytest.raises(vr.InputError, match=r"vr\.Pairs"):
        vr.calibrate(clean)


def test_two_shots_calibrate_without_any_truth(
    clean: NDArray[np.float32], calibrated: vr.Model
) -> None:
    first, second = (
        NOISE.sample(clean, np.random.default_rng(seed)).astype(np.float32) for seed in (0, 1)
    )
    by_shots = vr.calibrate(vr.Shots(first, second), "default", noise=NOISE, device="cpu")
    by_truth = vr.calibrate(vr.Pairs(first, clean), "default", noise=NOISE, device="cpu")
    std = np.array([0.3, 0.5])
    np.testing.assert_allclose(
        by_shots.spreads["denoise"].error(std),
        by_truth.spreads["denoise"].error(std),
        rtol=0.25,
    )


def test_the_bundled_model_is_calibrated() -> None:
    clean = data.camera()[100:260, 180:340].astype(np.float32)
    hole = np.random.default_rng(0).random(clean.shape) < 0.5
    found = {
        "denoise": (vr.denoise(noisy(clean), n_samples=16, device="cpu"), ...),
        "inpaint": (vr.inpaint(clean, hole, n_samples=16, device="cpu"), hole),
        "super-resolve": (
            vr.super_resolve(Downsampling(2).apply(clean), 2, n_samples=16, device="cpu"),
            ...,
        ),
    }
    assert find_model("default").spreads.keys() >= found.keys()
    for kind, (out, where) in found.items():
        low, high = out.interval(0.9)
        covered = float(((low <= clean) & (clean <= high))[where].mean())
        assert 0.8 < covered < 0.98, kind


@pytest.mark.parametrize("sigma", [0.5, 1.0, 3.0])
def test_with_little_noise_no_error_is_expected_beyond_it(
    clean: NDArray[np.float32], sigma: float
) -> None:
    """The decision takes no answer that is worse than the measurement, so intervals fit."""
    part = clean[96:]
    noise = vr.GaussianNoise(sigma)
    y = noise.sample(part, np.random.default_rng(0)).astype(np.float32)
    out = vr.denoise(y, noise=noise, n_samples=8)
    assert out.expected_error().max() <= sigma * 1.001
    low, high = out.interval(0.9)
    assert 0.84 < ((low <= part) & (part <= high)).mean() < 0.96
    hole = np.zeros(part.shape, bool)
    hole[20:40, 20:40] = True
    filled = vr.restore(y, [vr.Denoise(noise), vr.Inpaint(hole)], n_samples=8)
    assert filled.expected_error()[hole].mean() > sigma
