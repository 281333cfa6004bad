"""What was measured and what a model supplied: bounds, extremes and words."""

from __future__ import annotations

import numpy as np
import pytest
from skimage import data

import napari_vae_restore as vr
from napari_vae_restore.operators import Downsampling
from napari_vae_restore.restoration.trust.invented import note_on

CAMERA = data.camera()[128:224, 160:272].astype(np.float32)
SAMPLES = {"n_samples": 4, "device": "cpu"}


@pytest.fixture(scope="module")
def filled() -> tuple[np.ndarray, vr.Restoration]:
    mask = np.zeros(CAMERA.shape, bool)
    mask[24:72, 30:80] = True
    mask[80:82, 5:100] = True
    return mask, vr.inpaint(CAMERA, mask, **SAMPLES)


def test_what_was_measured_is_not_invented(
    filled: tuple[np.ndarray, vr.Restoration],
) -> None:
    mask, out = filled
    share = out.invented()
    assert share.dtype == np.float32
    assert share.shape == CAMERA.shape
    assert (share[~mask] == 0).all()
    assert share[mask].min() > 0
    assert share.max() <= 1


def test_a_hole_is_invented_more_than_single_pixels_of_it(
    filled: tuple[np.ndarray, vr.Restoration],
) -> None:
    dots = np.zeros(CAMERA.shape, bool)
    dots[24:72, 30:80] = np.random.default_rng(0).random((48, 50)) < 0.2
    share = vr.inpaint(CAMERA, dots, **SAMPLES).invented()
    assert filled[1].invented()[dots].mean() > 3 * share[dots].mean()


def test_an_enlarged_picture_is_judged_by_its_details() -> None:
    small = Downsampling(2).apply(CAMERA)
    out = vr.super_resolve(small, 2, **SAMPLES)
    share = out.invented()
    whole = (out.expected_error().astype(float) ** 2 / out.mean.astype(float).var()).clip(0, 1)
    # Of all that varies the coarser pixels saw most; of the details, not nearly so much.
    assert share.mean() > 5 * whole.mean()
    assert 0 <= share.min() <= share.max() <= 1


def test_more_noise_leaves_more_to_the_prior() -> None:
    rng = np.random.default_rng(0)
    means = []
    for sigma in (5.0, 50.0):
        noise = vr.GaussianNoise(sigma)
        noisy = noise.sample(CAMERA, rng).astype(np.float32)
        means.append(vr.denoise(noisy, noise=noise, **SAMPLES).invented().mean())
    assert 0 < 3 * means[0] < means[1] < 1


def test_colours_and_stacks_keep_their_axes() -> None:
    stack = np.stack([CAMERA[:48, :48], CAMERA[40:88, 40:88]])
    mask = np.zeros((48, 48), bool)
    mask[10:30, 10:30] = True
    out = vr.inpaint(stack, mask, axes="CYX", **SAMPLES)
    assert out.invented().shape == stack.shape


def test_without_samples_nobody_knows() -> None:
    with pytest.raises(vr.InputError, match="n_samples"):
        vr.denoise(CAMERA, noise="gaussian:5", device="cpu").invented()


def test_the_note_names_what_is_no_measurement() -> None:
    hole, larger, noise = {"kind": "inpaint"}, {"kind": "super-resolve"}, {"kind": "denoise"}
    assert note_on([noise]) == ""
    assert note_on([hole]).startswith("What was missing was filled in by a model")
    assert "finer than the pixels" in note_on([noise, hole, larger])
    assert note_on([hole], "std") == ""
    assert "drawn at random" in note_on([noise], "sample-2")
