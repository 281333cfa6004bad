"""From the spread of samples to the error: fitted, monotone, honest about what it covers."""

from __future__ import annotations

import math
from dataclasses import asdict, replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import norm

import napari_vae_restore as vr
from napari_vae_restore.models.error_calibration import LEVELS, ErrorCalibration
from napari_vae_restore.models.files import load, model_hash, save

N = 200_000
Pixels = tuple[NDArray[np.float64], NDArray[np.float64]]


def pixels(seed: int, tails: bool = True) -> Pixels:
    """Errors larger than the spread where that is small, with heavy tails."""
    rng = np.random.default_rng(seed)
    std = np.exp(rng.normal(-2, 1, N))
    drawn = rng.standard_t(4, N) / math.sqrt(2) if tails else rng.standard_normal(N)
    return std, 1.5 * std**0.7 * drawn


@pytest.fixture(scope="module")
def fitted() -> ErrorCalibration:
    return ErrorCalibration.fit(*pixels(0))


@pytest.mark.parametrize("level", [0.5, 0.73, 0.8, 0.9, 0.95, 0.99])
def test_intervals_cover_other_pixels_as_they_say(
    fitted: ErrorCalibration, level: float
) -> None:
    std, error = pixels(1)
    covered = np.abs(error) <= fitted.factor(level) * fitted.error(std)
    assert covered.mean() == pytest.approx(level, abs=0.015)


def test_the_expected_error_holds_in_every_tenth(fitted: ErrorCalibration) -> None:
    std, error = pixels(1)
    for members in np.array_split(np.argsort(std), 10):
        found = math.sqrt(float(np.square(error[members]).mean()))
        told = math.sqrt(float(np.square(fitted.error(std[members])).mean()))
        assert found == pytest.approx(told, rel=0.1)


def test_the_map_rises_and_goes_on_in_proportion(fitted: ErrorCalibration) -> None:
    std = np.geomspace(1e-9, 1e4, 400)
    error = fitted.error(std)
    assert np.isfinite(error).all()
    assert (np.diff(error) >= 0).all()
    assert error[-1] / fitted.error(std[-1:] / 10)[0] == pytest.approx(10)
    assert fitted.error(np.zeros(1))[0] == 0
    assert fitted.error(std.reshape(20, 20)).shape == (20, 20)


def test_factors_rise_with_the_level(fitted: ErrorCalibration) -> None:
    factors = [fitted.factor(level) for level in np.linspace(0.01, 0.99, 60)]
    assert (np.diff(factors) > 0).all()
    # Heavy tails: narrower than a Gaussian's in the middle, wider outside.
    assert factors[30] < norm.ppf((1 + np.linspace(0.01, 0.99, 60)[30]) / 2)
    assert fitted.factor(0.99) > norm.ppf(0.995)


def test_noise_in_the_truth_is_taken_out() -> None:
    std, error = pixels(0, tails=False)
    noisy = error + np.random.default_rng(3).standard_normal(N)
    exact, found = ErrorCalibration.fit(std, error), ErrorCalibration.fit(std, noisy, noise=1.0)
    middle = np.quantile(std, [0.6, 0.8, 0.95])
    np.testing.assert_allclose(found.error(middle), exact.error(middle), rtol=0.1)
    assert found.factor(0.9) == pytest.approx(1.645, rel=0.01)
    assert ErrorCalibration.fit(std, noisy, noise=1.0, like=exact).factors == exact.factors


def test_samples_that_agree_entirely_are_passed_over() -> None:
    std, error = pixels(0)
    agreed = np.arange(N) % 50 == 0
    found = ErrorCalibration.fit(np.where(agreed, 0.0, std), np.where(agreed, 5.0, error))
    assert found == ErrorCalibration.fit(std[~agreed], error[~agreed])


def test_too_few_pixels_are_refused() -> None:
    with pytest.raises(vr.InputError, match="pixels to calibrate by"):
        ErrorCalibration.fit(np.ones(50), np.ones(50))


def test_other_levels_are_refused(fitted: ErrorCalibration) -> None:
    for level in (0.0, 0.995, 1.0, -1, math.nan):
        with pytest.raises(vr.InputError, match="level"):
            fitted.factor(level)


@pytest.mark.parametrize(
    "wrong",
    [
        {"log_std": (0.0, -1.0), "log_error": (0.0, 1.0)},
        {"log_std": (0.0,), "log_error": (0.0, 1.0)},
        {"log_std": (), "log_error": ()},
        {"log_error": (math.nan,), "log_std": (0.0,)},
        {"factors": (1.0,)},
        {"factors": (0.0,) * len(LEVELS)},
    ],
)
def test_what_is_no_map_is_refused(
    fitted: ErrorCalibration, wrong: dict[str, tuple[float]]
) -> None:
    with pytest.raises(vr.InputError, match="rise"):
        replace(fitted, **wrong)


def test_a_model_file_keeps_it(model: vr.Model, fitted: ErrorCalibration, tmp_path) -> None:
    calibrated = replace(model, spreads={"denoise": fitted})
    save(calibrated, tmp_path / "a.safetensors")
    found = load(tmp_path / "a.safetensors")
    assert {kind: asdict(s) for kind, s in found.spreads.items()} == {"denoise": asdict(fitted)}
    # It decides on no pixel of a result.
    assert model_hash(calibrated) == model_hash(model)
