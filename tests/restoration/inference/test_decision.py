"""How much of the network's answer is taken: the estimate of the risk, and what it decides."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.optimize import minimize_scalar
from skimage import data

import napari_vae_restore as vr
from napari_vae_restore.noise.correlation import autocorrelation, impulse_response
from napari_vae_restore.operators import Downsampling
from napari_vae_restore.restoration.inference.decision import weight
from napari_vae_restore.restoration.inference.noise_field import noise_field
from napari_vae_restore.restoration.inference.risk import divergence

CAMERA = data.camera()[120:312, 120:312].astype(np.float64)


def rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def noisy(truth: np.ndarray, noise: str, seed: int = 0) -> np.ndarray:
    return vr.parse_noise(noise).sample(truth, np.random.default_rng(seed)).astype(np.float32)


# -- the estimate of the risk --------------------------------------------------------------


@pytest.mark.parametrize("correlation", [(0.0, 0.0), (0.5, 0.3)])
def test_products_have_the_mean_of_noise_times_what_is_taken_away(correlation):
    sigma, width = 5.0, 1.2
    fields = [noise_field((0, i, 0), (0, 0), CAMERA.shape, correlation) for i in range(6)]

    def smoothed(y: np.ndarray) -> np.ndarray:
        return gaussian_filter(y, width, mode="wrap")

    estimated, true = [], []
    for noise, probe in zip(fields[:3], fields[3:], strict=True):
        n, b = sigma * noise, sigma * probe
        y = CAMERA + n
        change = smoothed(y + 0.1 * b) - smoothed(y)
        estimated.append((divergence(b, 0.0, change, 0.1) - sigma**2).mean())
        true.append((n * (smoothed(y) - y)).mean())
    assert np.mean(estimated) == pytest.approx(np.mean(true), rel=0.05)


def test_the_weight_is_that_of_the_least_error():
    rng = np.random.default_rng(0)
    sigma = 4.0
    n = sigma * rng.standard_normal(CAMERA.shape)
    y = CAMERA + n
    answer = gaussian_filter(y, 1.0)
    b = sigma * rng.standard_normal(CAMERA.shape)
    change = gaussian_filter(y + 0.1 * b, 1.0) - answer
    products = divergence(b, 0.0, change, 0.1) - sigma**2
    seen = np.ones(CAMERA.shape, bool)
    found = weight(answer - y, products, seen)
    known = weight(answer - y, n * (answer - y), seen)
    np.testing.assert_allclose(found, known, atol=0.08)
    blended = y + found * (answer - y)
    assert rms(blended - CAMERA) < 0.99 * min(rms(y - CAMERA), rms(answer - CAMERA))


@pytest.mark.parametrize("seed", range(5))
def test_the_weight_has_the_least_risk_of_those_from_0_to_1(seed):
    rng = np.random.default_rng(seed)
    seen = np.ones((64, 64), bool)
    difference = np.full(seen.shape, rng.normal())
    products = np.full(seen.shape, rng.normal())
    found = weight(difference, products, seen)

    def risk(w: float) -> float:
        return float(np.mean(np.square(w * difference) + 2 * w * products))

    best = minimize_scalar(risk, bounds=(0, 1), method="bounded")
    assert found.min() >= 0
    assert found.max() <= 1
    assert risk(found.mean()) <= best.fun + 1e-4


def test_pixels_that_were_not_observed_do_not_count():
    rng = np.random.default_rng(0)
    difference, products = rng.standard_normal((2, 64, 64))
    seen = np.ones((64, 64), bool)
    seen[20:40] = False
    disturbed = np.where(seen, difference, 1e6), np.where(seen, products, -1e6)
    np.testing.assert_array_equal(weight(*disturbed, seen), weight(difference, products, seen))


# -- noise with a place ---------------------------------------------------------------------


@pytest.mark.parametrize("noise", ["gaussian:1", "gaussian:1@0.6,0.3", "gaussian:1@row:0.8"])
def test_a_part_of_a_field_is_the_part_of_the_whole(noise):
    correlation = vr.parse_noise(noise).correlation
    whole = noise_field((1, 2, 3), (-5, 7), (200, 150), correlation)
    part = noise_field((1, 2, 3), (40, 50), (30, 60), correlation)
    np.testing.assert_allclose(part, whole[45:75, 43:103], atol=1e-9)
    assert whole.std() == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("noise", ["gaussian:1@0.6,0.3", "gaussian:1@column:0.5"])
def test_a_field_has_the_correlation(noise):
    correlation = vr.parse_noise(noise).correlation
    response = impulse_response(correlation)
    lags = autocorrelation(correlation, 1)
    moved = np.roll(response, 1, axis=0), np.roll(response, 1, axis=1)
    found = [float((response * each).sum()) for each in moved]
    np.testing.assert_allclose(found, [lags[2, 1], lags[1, 2]], atol=0.01)


# -- no harm ----------------------------------------------------------------------------------


@pytest.mark.parametrize("sigma", [0.5, 2.0])
@pytest.mark.parametrize("kind", ["gaussian:{}", "gaussian:{}@0.6,0.6", "gaussian:{}@row:0.7"])
def test_little_noise_that_is_known_is_removed_and_nothing_else(kind, sigma):
    noise = kind.format(sigma)
    y = noisy(CAMERA, noise)
    out = vr.denoise(y, noise=noise)
    assert rms(out.mean - CAMERA) < 0.99 * rms(y - CAMERA)
    decision = out.diagnostics.decision
    gain = 20 * np.log10(rms(y - CAMERA) / rms(out.mean - CAMERA))
    assert decision.gain == pytest.approx(gain, abs=0.35)
    assert 0 < decision.share < 1
    assert decision.text in out.diagnostics.findings


def test_photon_noise_in_bright_light_is_removed_and_nothing_else():
    truth = 200 * CAMERA
    y = noisy(truth, "poisson-gaussian:1,100")
    out = vr.denoise(y, noise="poisson-gaussian:1,100")
    assert rms(out.mean - truth) < 0.99 * rms(y - truth)


@pytest.mark.parametrize("sigma", [0.125, 0.5, 2.0])
def test_an_estimate_of_little_noise_does_no_harm(sigma):
    y = noisy(CAMERA, f"gaussian:{sigma}")
    out = vr.denoise(y)
    assert rms(out.mean - CAMERA) < 1.005 * rms(y - CAMERA)


def test_a_clean_image_comes_back_bit_for_bit():
    y = data.camera()[120:312, 120:312]
    out = vr.denoise(y)
    np.testing.assert_array_equal(out.mean, y)
    assert out.diagnostics.decision.share == 0
    assert "left as it is" in out.diagnostics.decision.text


def test_colours_with_little_noise_gain():
    truth = data.astronaut()[100:228, 180:308].astype(np.float64)
    y = noisy(np.moveaxis(truth, -1, 0), "gaussian:1.5")
    y = np.moveaxis(y, 0, -1)
    out = vr.denoise(y, noise="gaussian:1.5", axes="YXS")
    assert rms(out.mean - truth) < 0.95 * rms(y - truth)


def test_holes_beside_little_noise_are_filled_and_the_rest_gains():
    y = noisy(CAMERA, "gaussian:1")
    mask = np.zeros(y.shape, bool)
    mask[60:70, 20:150] = True
    out = vr.restore(y, [vr.Denoise("gaussian:1"), vr.Inpaint(mask)])
    assert rms((out.mean - CAMERA)[~mask]) < 0.99 * rms((y - CAMERA)[~mask])
    y[mask] = 1e4
    again = vr.restore(y, [vr.Denoise("gaussian:1"), vr.Inpaint(mask)])
    np.testing.assert_array_equal(again.mean, out.mean)


def test_enlarged_with_little_noise_is_nearer_to_what_was_measured():
    small = Downsampling(2).apply(CAMERA)
    y = noisy(small, "gaussian:1")
    out = vr.restore(y, [vr.Denoise("gaussian:1"), vr.SuperResolve(2)])
    seen = Downsampling(2).apply(out.mean.astype(np.float64))
    assert rms(seen - small) < 0.97 * rms(y - small)
    assert 0 < out.diagnostics.decision.share < 1


def test_of_strong_noise_the_answer_is_taken_and_no_word_is_lost():
    out = vr.denoise(noisy(CAMERA, "gaussian:25"), noise="gaussian:25")
    assert out.diagnostics.decision.share > 0.97
    assert out.diagnostics.findings == ()


def test_samples_have_the_noise_that_is_left():
    y = noisy(CAMERA, "gaussian:0.3")
    out = vr.denoise(y, noise="gaussian:0.3", n_samples=8)
    error = rms(out.mean - CAMERA)
    assert rms(out.std) == pytest.approx(error, rel=0.15)


def test_tiles_equal_the_whole_and_lazy_arrays_equal_both():
    y = noisy(CAMERA, "gaussian:1")
    whole = vr.denoise(y, noise="gaussian:1").mean
    tiled = vr.denoise(y, noise="gaussian:1", tile=96).mean
    assert np.abs(tiled - whole).max() < 0.01
    lazy = vr.denoise(da.from_array(y, chunks=64), noise="gaussian:1").mean
    np.testing.assert_array_equal(lazy.compute(), whole)
