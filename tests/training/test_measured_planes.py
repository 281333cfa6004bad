"""What a training learns from, where something was not measured."""

from __future__ import annotations

import numpy as np
import pytest
from skimage import data

import napari_vae_restore as vr
from napari_vae_restore.training.training_planes import measured_planes

TRUTH = data.camera()[100:228, 90:250].astype(np.float64)


def noisy(n: int = 3) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.rint(300 + TRUTH + 12 * rng.standard_normal((n, 1, *TRUTH.shape)))


@pytest.mark.parametrize("value", [0.0, 65535.0, np.nan])
def test_a_margin_and_a_lost_frame_are_not_learned(value):
    planes = noisy()
    known, (expected,) = measured_planes(planes, "gaussian")
    planes[:, :, :30] = value
    planes[1] = value
    found, (model,) = measured_planes(planes, "gaussian")
    assert len(found) == 2
    assert model.sigma == pytest.approx(expected.sigma, rel=0.05)
    np.testing.assert_array_equal(found[:, :, 30:], known[[0, 2], :, 30:])
    assert found.min() > 200
    assert found.max() < 700
    steps = np.diff(found[:, :, :30], axis=-1)
    assert steps.std() == pytest.approx(np.sqrt(2) * model.sigma, rel=0.1)


def test_nothing_measured_is_refused():
    with pytest.raises(vr.InputError, match="each holds one value"):
        measured_planes(np.zeros((2, 1, 32, 32)), "gaussian")


def test_a_training_takes_images_with_gaps():
    y = noisy(1)[0, 0].astype(np.float32)
    y[:, :30] = np.nan
    model = vr.train(y, config=vr.HVAEConfig(levels=2, width=8, latent=4), steps=3)
    out = vr.denoise(y, model)
    assert np.isnan(out.mean[:, :30]).all()
    assert np.isfinite(out.mean[:, 30:]).all()
