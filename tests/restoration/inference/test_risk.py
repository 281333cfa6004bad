"""The unbiased risk: right for linear estimators, whatever the noise's covariance."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_vae_restore.noise.autoregression import Autoregression
from napari_vae_restore.restoration.inference.risk import (
    STEP,
    WindowRisk,
    difference,
    divergence,
    probe,
    risk,
    share_of_texture,
    window_means,
)

TRUTH = 10 * np.sin(np.arange(400) / 9)[:, None] * np.cos(np.arange(400) / 13)[None]
KINDS = [(0.0, 0.0), (0.6, 0.6), (0.3, 0.0), Autoregression("row", (0.7,))]


def smooth(y):
    return gaussian_filter(y, 1.0)


def shrunk(y):
    return y - 2 * np.tanh(y / 4)  # not linear


@pytest.mark.parametrize("correlation", KINDS, ids=str)
@pytest.mark.parametrize("estimator", [smooth, shrunk])
def test_the_risk_is_that_of_the_clean_image(correlation, estimator):
    rng = np.random.default_rng(1)
    sigma = np.where(np.arange(400) < 200, 1.0, 3.0)
    y = TRUTH + probe(TRUTH.shape, sigma, correlation, rng)
    b = probe(TRUTH.shape, sigma, correlation, rng)
    f = estimator(y)
    found = risk(y, f, divergence(b, f, estimator(y + STEP * b)), sigma**2)
    true = np.square(f - TRUTH)
    for half in (slice(0, 200), slice(200, 400)):
        part = found[:, half]
        error = 5 * part.std() / np.sqrt(part.size)  # pixels are not independent
        assert part.mean() == pytest.approx(true[:, half].mean(), abs=max(3 * error, 0.03))


def test_what_was_not_measured_does_not_count():
    rng = np.random.default_rng(0)
    y = rng.standard_normal((64, 64))
    observed = rng.random(y.shape) > 0.3
    b = probe(y.shape, observed.astype(float), (0.0, 0.0), rng)
    assert (b[~observed] == 0).all()
    one = risk(y, 0 * y, divergence(b, 0 * y, 0 * y), 1.0, observed)
    y[~observed] = 1e9
    other = risk(y, 0 * y, divergence(b, 0 * y, 0 * y), 1.0, observed)
    windows = [(slice(0, 32), slice(0, 64)), (slice(32, 64), slice(0, 64))]
    np.testing.assert_array_equal(window_means(one, windows), window_means(other, windows))
    assert np.isfinite(window_means(one, windows)).all()


def windows_of(residual, trace, doubt=0.0):
    n = len(residual)
    return WindowRisk(np.asarray(residual), np.asarray(trace), np.ones(n), np.full(n, doubt))


def test_chance_is_called_a_gain_as_often_as_is_said():
    rng = np.random.default_rng(0)
    same = windows_of(np.zeros(12), np.zeros(12))
    found = [
        difference(windows_of(rng.normal(0, 1, 12), np.zeros(12)), same).is_lower
        for _ in range(4000)
    ]
    assert 0.035 < np.mean(found) < 0.065


def test_a_gain_that_the_noise_estimate_could_feign_is_none():
    start = windows_of(np.full(9, 0.9), np.full(9, 0.2))
    smoother = windows_of(np.full(9, 0.94), np.full(9, 0.175))  # gains 0.01 of a trace of 0.05
    assert difference(smoother, start).is_lower
    assert difference(smoother, start, noise_error=0.1).is_lower
    assert not difference(smoother, start, noise_error=0.3).is_lower


def test_nor_one_that_texture_in_the_noise_could_feign():
    start = windows_of(np.full(9, 0.9), np.full(9, 0.2), doubt=0.3)
    smoother = windows_of(np.full(9, 0.94), np.full(9, 0.175), doubt=0.3)
    assert not difference(smoother, start).is_lower
    # The same image's noise four times as strong holds a sixteenth of that doubt.
    strong, weak = (share_of_texture(sigma / 255, is_correlated=False) for sigma in (8, 2))
    assert 16 * strong == pytest.approx(weak) == 1
    assert share_of_texture(1 / 255, is_correlated=True) == 1


def test_few_windows_prove_nothing():
    one, other = windows_of([0.5], [0.1]), windows_of([0.9], [0.1])
    assert difference(one, other).mean < 0
    assert not difference(one, other).is_lower
    assert WindowRisk.joined([one, other]).residual.tolist() == [0.5, 0.9]
    assert np.isnan(WindowRisk.joined([]).mean)
