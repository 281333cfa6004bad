"""Clean pictures: patches of many places, sizes and tones."""

from __future__ import annotations

import numpy as np
import pytest
from skimage import data

import napari_vae_restore as vr
from napari_vae_restore.training.pictures import PatchSource, Picture


def test_patches_have_their_shape_range_and_variety() -> None:
    colour = np.moveaxis(data.astronaut(), -1, 0)[None] / 255
    grey = data.moon()[None, None] / 255
    pictures = [
        Picture(colour.astype(np.float16), 2.0, True),
        Picture(grey.astype(np.float16), 1.0, False),
        Picture(np.zeros((1, 1, 20, 200), np.float16), 100.0, False),  # too small
    ]
    source = PatchSource(pictures, 48)
    patches = np.stack([source.draw(np.random.default_rng(i)) for i in range(60)])
    assert patches.shape == (60, 48, 48)
    assert patches.dtype == np.float32
    assert patches.min() >= -0.2
    assert patches.max() <= 1.3
    assert np.median(patches.std(axis=(1, 2))) > 0.03
    assert np.array_equal(source.draw(np.random.default_rng(5)), patches[5])
    assert len({patch.tobytes() for patch in patches}) == 60


def test_pictures_that_are_all_too_small_are_refused() -> None:
    picture = Picture(np.zeros((1, 1, 20, 200), np.float16), 1.0, False)
    with pytest.raises(vr.InputError, match="none of 1 pictures has 48 x 48"):
        PatchSource([picture], 48)
