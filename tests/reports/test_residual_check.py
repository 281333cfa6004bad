"""The residual tells noise from structure, and says so."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from skimage import data

from napari_vae_restore import (
    Denoise,
    GaussianNoise,
    Inpaint,
    InputError,
    PoissonGaussianNoise,
    SuperResolve,
)
from napari_vae_restore.operators import Downsampling
from napari_vae_restore.reports.residual_check import check_residual

SIGMA = 12.0


@pytest.fixture(scope="module")
def clean():
    return data.camera()[100:300, 100:320].astype(float)


@pytest.mark.parametrize(
    "noise",
    [
        GaussianNoise(SIGMA),
        PoissonGaussianNoise(1.0, 9.0),
        GaussianNoise(SIGMA, (0.5, 0.3)),
    ],
    ids=str,
)
def test_a_perfect_result_leaves_noise(clean, noise):
    noisy = noise.sample(clean, np.random.default_rng(0))
    check = check_residual(noisy, clean, Denoise(), [noise], axes="YX")
    assert check.looks_like_noise
    assert check.ratio == pytest.approx(1, abs=0.03)
    np.testing.assert_allclose(check.correlation, check.expected, atol=0.03)
    np.testing.assert_allclose(check.residual, noisy - clean, atol=1e-4)
    assert check.verdict.startswith("Keep it: the residual looks like noise")


def test_a_blurred_result_has_lost_structure(clean):
    noise = GaussianNoise(SIGMA)
    noisy = noise.sample(clean, np.random.default_rng(0))
    check = check_residual(noisy, gaussian_filter(noisy, 3), Denoise(), [noise], axes="YX")
    assert not check.looks_like_noise
    assert check.judged.grade == "do not measure"
    assert check.verdict.startswith("More than noise was removed in")


def test_noise_that_is_kept_is_no_fault_and_noise_that_was_not_stated_is_seen(clean):
    noise = GaussianNoise(SIGMA)
    noisy = noise.sample(clean, np.random.default_rng(0))
    half = (noisy + clean) / 2
    check = check_residual(noisy, half, Denoise(), [noise], axes="YX")
    assert check.looks_like_noise
    assert check.ratio == pytest.approx(0.5, abs=0.02)
    less = GaussianNoise(SIGMA / 2)
    check = check_residual(noisy, clean, Denoise(), [less], axes="YX")
    assert check.judged.grade == "do not measure"
    check = check_residual(noisy, half, Denoise(), [less], axes="YX")
    assert "2.0 × the noise that was assumed: some remains" in check.verdict


def test_what_nothing_measured_does_not_count(clean):
    noise = GaussianNoise(SIGMA)
    noisy = noise.sample(clean, np.random.default_rng(0))
    noisy[:60, :90] = np.nan
    noisy[150:] = 0.0
    truth = np.where(np.isnan(noisy) | (noisy == 0), noisy, clean)
    check = check_residual(noisy, truth, Denoise(), [noise], axes="YX")
    assert check.looks_like_noise
    assert check.ratio == pytest.approx(1, abs=0.03)
    assert np.isfinite(check.residual).all()


def test_missing_pixels_do_not_count_and_channels_are_apart(clean):
    noise = [GaussianNoise(SIGMA), GaussianNoise(3.0)]
    rng = np.random.default_rng(0)
    stack = np.stack([model.sample(clean, rng) for model in noise], axis=-1)
    mask = np.zeros(clean.shape, bool)
    mask[40:80, 50:90] = True
    stack[mask] = 1e5
    truth = np.stack([clean, clean], axis=-1)
    check = check_residual(stack, truth, [Denoise(), Inpaint(mask)], noise, axes="YXC")
    assert check.looks_like_noise
    assert check.residual.shape == stack.shape
    assert not check.residual[mask].any()


def test_an_enlarged_result_is_compared_on_the_pixels_of_the_image(clean):
    noise = GaussianNoise(SIGMA)
    small = Downsampling(2, "bicubic").apply(clean[None])[0]
    noisy = noise.sample(small, np.random.default_rng(0))
    check = check_residual(noisy, clean, [SuperResolve(2), Denoise()], [noise], axes="YX")
    assert check.looks_like_noise
    assert check.residual.shape == small.shape
    exact = check_residual(small, clean, SuperResolve(2), [], axes="YX")
    assert exact.ratio is None
    assert "agrees" in exact.verdict


def test_what_does_not_fit_is_refused(clean):
    noise = GaussianNoise(SIGMA)
    with pytest.raises(InputError, match="2 times"):
        check_residual(clean, clean, SuperResolve(2), [], axes="YX")
    with pytest.raises(InputError, match="each of 1 channels"):
        check_residual(clean, clean, Denoise(), [noise, noise], axes="YX")
