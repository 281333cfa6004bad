"""Metrics against their formulas written out, and their refusals."""

import math

import numpy as np
import pytest
from skimage import data
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from napari_vae_restore.errors import InputError
from napari_vae_restore.evaluation.metrics import (
    psnr,
    resolve_range,
    rmse,
    scale_invariant_psnr,
    ssim,
)


@pytest.fixture(scope="module")
def pair():
    reference = data.camera()[100:180, 200:264].astype(np.float64)
    noise = np.random.default_rng(0).normal(0, 20, reference.shape)
    return reference + noise, reference


def test_values_on_paper():
    restored, reference = [[0.0, 4.0]], [[3.0, 0.0]]
    assert rmse(restored, reference) == pytest.approx(math.sqrt(12.5))
    assert psnr(restored, reference, 255) == pytest.approx(20 * math.log10(255 / 12.5**0.5))
    assert psnr(restored, reference) == pytest.approx(20 * math.log10(3 / 12.5**0.5))
    # With one point at each side a line fits without error, up to rounding.
    assert scale_invariant_psnr(restored, reference) > 250


def test_agrees_with_scikit_image(pair):
    restored, reference = pair
    expected = peak_signal_noise_ratio(reference, restored, data_range=255)
    assert psnr(restored, reference, 255) == pytest.approx(expected)
    expected = structural_similarity(reference, restored, data_range=np.ptp(reference))
    assert ssim(restored, reference) == pytest.approx(expected)


def test_gain_and_offset_change_only_what_they_should(pair):
    restored, reference = pair
    changed = 0.3 * restored + 1000
    invariant = scale_invariant_psnr(restored, reference)
    assert scale_invariant_psnr(changed, reference) == pytest.approx(invariant)
    assert invariant >= psnr(restored, reference) > psnr(changed, reference)


def test_least_squares_fit(pair):
    restored, reference = pair
    gain, offset = np.polyfit(restored.ravel(), reference.ravel(), 1)
    expected = psnr(gain * restored + offset, reference)
    assert scale_invariant_psnr(restored, reference) == pytest.approx(expected)


def test_equal_images(pair):
    _, reference = pair
    assert psnr(reference, reference) == math.inf
    assert ssim(reference, reference) == pytest.approx(1)
    assert rmse(reference, reference) == 0


def test_constant_restoration_is_judged(pair):
    _, reference = pair
    flat = np.full_like(reference, 7.0)
    expected = 20 * math.log10(np.ptp(reference) / reference.std())
    assert scale_invariant_psnr(flat, reference) == pytest.approx(expected)


def test_unsigned_integers_do_not_wrap():
    assert rmse(np.uint8([[0, 10]]), np.uint8([[255, 10]])) == pytest.approx(255 / 2**0.5)


def test_ssim_is_the_mean_over_planes_and_channels(pair):
    restored, reference = pair
    planes = [(restored, reference), (reference, reference)]
    stacks = [np.stack(images, axis=-1) for images in zip(*planes, strict=True)]
    limits = {"data_range": 255}
    expected = np.mean([ssim(*plane, **limits) for plane in planes])
    assert ssim(*stacks, **limits, axes="YXC") == pytest.approx(expected)
    assert ssim(*[s.transpose(2, 0, 1) for s in stacks], **limits) == pytest.approx(expected)


@pytest.mark.parametrize("metric", [rmse, psnr, scale_invariant_psnr, ssim])
@pytest.mark.parametrize(
    ("restored", "reference", "message"),
    [
        (np.zeros((9, 9)), np.zeros((9, 8)), r"\(9, 9\).*\(9, 8\)"),
        (np.full((9, 9), np.nan), np.eye(9), "81 of 81 values of the restored"),
        (np.eye(9), np.diag([np.inf] * 9), "9 of 81 values of the reference"),
        (np.eye(9) * 1j, np.eye(9), "complex"),
        (np.zeros((0, 9)), np.zeros((0, 9)), "0 values"),
    ],
)
def test_unusable_arrays(metric, restored, reference, message):
    with pytest.raises(InputError, match=message):
        metric(restored, reference)


def test_unusable_ranges():
    with pytest.raises(InputError, match="every pixel has the same value"):
        psnr(np.eye(9), np.ones((9, 9)))
    assert math.isfinite(psnr(np.eye(9), np.ones((9, 9)), 255))
    for bad in (0, -1, math.nan, math.inf):
        with pytest.raises(InputError, match="positive range"):
            resolve_range(np.eye(9), bad)


def test_ssim_needs_a_window():
    with pytest.raises(InputError, match="7 x 7 pixels for SSIM, but 6 x 9"):
        ssim(np.eye(9)[:6], np.eye(9)[:6])
    with pytest.raises(InputError, match="2 dimensions"):
        ssim(np.arange(9), np.arange(9))
