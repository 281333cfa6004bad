"""Holes that are filled with one plausible picture, in place of the average."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import data

import napari_vae_restore as vr
from napari_vae_restore.restoration.recipes.code import Places, as_command, as_python
from napari_vae_restore.restoration.recipes.replay import tasks_of
from napari_vae_restore.restoration.trust.invented import note_on

SIDE = 96


@pytest.fixture(scope="module")
def image() -> NDArray[np.uint8]:
    return data.camera()[100 : 100 + SIDE, 200 : 200 + SIDE]


@pytest.fixture(scope="module")
def mask() -> NDArray[np.bool_]:
    y, x = np.mgrid[:SIDE, :SIDE]
    return np.hypot(y - 48, x - 40) < 12


def filled(image: object, mask: NDArray[np.bool_], **options: object) -> vr.Restoration:
    task = vr.Inpaint(mask, fill="sample")
    return vr.restore(image, task, device="cpu", **options)  # type: ignore[arg-type]


def test_it_is_the_first_sample_and_all_else_stays(image, mask):
    out = filled(image, mask, n_samples=2, keep_samples=True)
    assert out.samples is not None
    own, other = (out.mean.astype(float)[mask] - each[mask] for each in out.samples)
    assert own.std() < 2 < other.std()  # the picture has a grain of one grey level
    np.testing.assert_array_equal(out.mean[~mask], image[~mask])
    mean = vr.inpaint(image, mask, device="cpu").mean
    assert (mean[mask] != out.mean[mask]).mean() > 0.3
    alone = vr.inpaint(image, mask, fill="sample", device="cpu")
    np.testing.assert_array_equal(alone.mean, out.mean)
    assert alone.std is None
    assert alone.samples is None


def test_the_seed_decides_and_nothing_else(image, mask):
    first = filled(image, mask, seed=3).mean
    np.testing.assert_array_equal(filled(image, mask, seed=3).mean, first)
    assert (filled(image, mask, seed=4).mean != first)[mask].mean() > 0.3
    lazy = filled(da.from_array(image, chunks=48), mask, seed=3).mean
    np.testing.assert_array_equal(np.asarray(lazy), first)


def grain(picture: NDArray[np.float32]) -> float:
    """Standard deviation of the noise inside the hole, from its finest differences."""
    inner = picture[40:57, 32:49].astype(float)
    finest = inner[1:, 1:] - inner[1:, :-1] - inner[:-1, 1:] + inner[:-1, :-1]
    return float(np.median(np.abs(finest)) / 0.6745 / 2)


def test_every_channel_keeps_its_own_grain(image, mask):
    noise = np.random.default_rng(0).standard_normal((2, *image.shape))
    noisy = (image + np.array([15, 45])[:, None, None] * noise).astype(np.float32)
    low, high = filled(noisy, mask, axes="CYX").mean
    assert 0.7 * 15 < grain(low) < 1.4 * 15
    assert 0.7 * 45 < grain(high) < 1.4 * 45


def test_a_noisy_image_keeps_its_grain_in_the_hole(image, mask):
    noisy = image + np.random.default_rng(0).normal(0, 15, image.shape).astype(np.float32)
    drawn = filled(noisy, mask).mean
    assert 0.7 * 15 < grain(drawn) < 1.4 * 15
    assert grain(vr.inpaint(noisy, mask, device="cpu").mean) < 0.5 * 15
    np.testing.assert_array_equal(drawn[~mask], noisy[~mask])
    clean = vr.restore(
        noisy, [vr.Denoise("gaussian:15"), vr.Inpaint(mask, fill="sample")], device="cpu"
    ).mean
    assert grain(clean) < 0.7 * 15  # noise that is removed around the hole does not come back


def test_recipes_say_so(image, mask):
    out = filled(image, mask, seed=5)
    recipe = out.recipe.to_dict()
    assert recipe["tasks"][0]["fill"] == "sample"
    again = vr.restore(image, tasks_of(recipe, missing=mask), seed=5, device="cpu")
    np.testing.assert_array_equal(again.mean, out.mean)
    places = Places("a.tif", mask="m.png")
    assert 'vr.Inpaint(mask, fill="sample")' in as_python(recipe, places)
    assert "--fill sample" in as_command(recipe, places, "b.tif")
    assert "drawn at random" in note_on(recipe["tasks"])
    plain = vr.inpaint(image, mask, device="cpu").recipe.to_dict()
    assert "fill" not in plain["tasks"][0]  # as recipes were before there was a choice


def test_other_fills_are_refused(mask):
    with pytest.raises(vr.InputError, match="fill: expected one of mean, sample"):
        vr.Inpaint(mask, fill="median")
