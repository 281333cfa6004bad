"""Margins of masks: grown, faded and blended, plane by plane; no window."""

import numpy as np
import pytest

from napari_vae_restore._napari.feathering import blended, grown, ramp


def test_grow_is_a_disc_on_each_plane():
    mask = np.zeros((2, 11, 11), bool)
    mask[1, 5, 5] = True
    assert grown(mask, 0) is mask
    rows, columns = np.mgrid[:11, :11] - 5
    np.testing.assert_array_equal(grown(mask, 3)[1], np.hypot(rows, columns) <= 3)
    assert not grown(mask, 3)[0].any()


def test_the_ramp_falls_smoothly_beyond_the_mask_and_ends():
    mask = np.zeros((3, 30), bool)
    mask[:, :10] = True
    weights = ramp(mask, 4)[1]
    assert (weights[:10] == 1).all()
    assert (np.diff(weights[9:15]) < 0).all()
    assert (weights[14:] == 0).all()
    assert weights[12] == pytest.approx(1 - weights[11], abs=1e-6)
    np.testing.assert_array_equal(ramp(mask, 0), mask)


def test_blending_takes_both_ends_bit_for_bit_and_rounds_between():
    fill, original = np.full(4, 200, np.uint8), np.array([10, 10, 10, 11], np.uint8)
    weights = np.array([1, 0.5, 0, 0.25], np.float32)
    assert blended(fill, original, weights).tolist() == [200, 105, 10, 58]
    assert blended(fill, original, weights).dtype == np.uint8
