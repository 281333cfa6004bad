"""Margins of masks: grown, faded and blended, plane by plane; no window."""

import numpy as np
import pytest

import napari_vae_restore as vr
from napari_vae_restore.restoration.blocks.feathering import blended, fading, feathered, grown


def test_grow_is_a_disc_on_each_plane():
    mask = np.zeros((2, 11, 11), bool)
    mask[1, 5, 5] = True
    assert grown(mask, 0) is mask
    rows, columns = np.mgrid[:11, :11] - 5
    np.testing.assert_array_equal(grown(mask, 3)[1], np.hypot(rows, columns) <= 3)
    assert not grown(mask, 3)[0].any()


def test_a_fill_fades_smoothly_over_the_rim_of_its_mask():
    drawn = np.zeros((3, 40, 40), bool)
    drawn[:, 15:22, 15:22] = True
    missing = grown(drawn, 4)
    weights = fading(missing, 4)[1]
    assert (weights[drawn[1]] == 1).all()
    assert (weights[~missing[1]] == 0).all()
    assert (np.diff(weights[18, 21:27]) < 0).all()
    assert weights[18, 23] == pytest.approx(1 - weights[18, 24], abs=1e-6)
    np.testing.assert_array_equal(fading(missing, 0), missing)


def test_blending_takes_both_ends_bit_for_bit_and_rounds_between():
    fill, original = np.full(4, 200, np.uint8), np.array([10, 10, 10, 11], np.uint8)
    weights = np.array([1, 0.5, 0, 0.25], np.float32)
    assert blended(fill, original, weights).tolist() == [200, 105, 10, 58]
    assert blended(fill, original, weights).dtype == np.uint8


@pytest.mark.parametrize("axes", ["YX", "YXS", "XYZ"])
def test_a_feathered_result_is_the_image_outside_and_the_fill_inside(axes):
    shape = {"Y": 48, "X": 40, "S": 4, "Z": 2}
    rng = np.random.default_rng(0)
    image = rng.integers(0, 200, [shape[a] for a in axes]).astype(np.uint8)
    mask = np.zeros((48, 40), bool)
    mask[10:30, 10:30] = True
    if axes == "XYZ":
        mask = mask.T
    out = vr.inpaint(image, mask, axes=axes, n_samples=2, keep_samples=True)
    soft = feathered(out, image, mask, 5)
    where = tuple(slice(None) if a in "YX" else None for a in axes)
    weights = np.broadcast_to(fading(mask, 5)[where], image.shape)
    assert (soft.mean[weights == 0] == image[weights == 0]).all()
    assert (soft.mean[weights == 1] == out.mean[weights == 1]).all()
    rim = (weights > 0) & (weights < 1)
    assert (soft.mean[rim] != out.mean[rim]).any()
    assert (soft.samples[:, weights == 0] == image[weights == 0]).all()
    part = weights[..., :3] if axes == "YXS" else weights
    np.testing.assert_allclose(soft.std, out.std * part, rtol=1e-6)
    assert soft.recipe.tasks[0]["feather"] == 5
    assert "feather" not in out.recipe.tasks[0]


def test_what_cannot_be_feathered_is_said():
    image = np.arange(1024, dtype=np.uint16).reshape(32, 32)
    mask = np.zeros((32, 32), bool)
    mask[8:20, 8:20] = True
    out = vr.inpaint(image, mask)
    with pytest.raises(vr.InputError, match="width"):
        feathered(out, image, mask, 0)
    with pytest.raises(vr.InputError, match="that was filled"):
        feathered(out, image[:, :30], mask, 2)
