"""Pixels that nothing measured come back bit for bit, and spoil nothing beside them."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
from skimage import data

import napari_vae_restore as vr
from napari_vae_restore.images.zarr_files import open_store

TRUTH = data.camera()[100:228, 90:250].astype(np.float64)
NOISE = 12.0


def noisy(dtype: str, seed: int = 0, truth: np.ndarray = TRUTH) -> np.ndarray:
    offset = -500 if dtype == "int16" else 300 if dtype == "uint16" else 0
    values = truth + offset + NOISE * np.random.default_rng(seed).standard_normal(truth.shape)
    if np.dtype(dtype).kind in "ui":
        limits = np.iinfo(dtype)
        values = np.clip(np.rint(values), limits.min, limits.max)
    return values.astype(dtype)


def corners(shape: tuple[int, ...] = TRUTH.shape) -> np.ndarray:
    y, x = np.indices(shape)
    return (0.6 * x + y < 40) | (x - 0.5 * y > 0.8 * shape[1])


def rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values.astype(np.float64)))))


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        ("uint8", 0),
        ("uint16", 0),
        ("uint16", 65535),
        ("int16", -3024),
        ("float32", 0.0),
        ("float32", np.nan),
        ("float64", 1e5),
    ],
)
def test_a_region_of_any_value_stays_and_spoils_nothing(dtype, value):
    y, void = noisy(dtype), corners()
    alone = vr.denoise(y)
    spoilt = y.copy()
    spoilt[void] = value
    out = vr.denoise(spoilt)
    np.testing.assert_array_equal(out.mean[void], spoilt[void])
    assert out.mean.dtype == y.dtype
    (found,), (known,) = out.diagnostics.noise, alone.diagnostics.noise
    level = float(np.median(y))
    ratio = np.sqrt(found.variance(level) / known.variance(level))
    assert ratio == pytest.approx(1, abs=0.1)
    inside = ~void
    difference = rms((out.mean - alone.mean.astype(np.float64))[inside])
    assert difference < 0.35 * NOISE
    unmeasured = out.diagnostics.unmeasured
    assert unmeasured.share == pytest.approx(void.mean(), abs=0.02)
    assert unmeasured.text in out.diagnostics.findings


def test_what_they_hold_is_said():
    y = noisy("uint16")
    y[:, :20] = 0
    out = vr.denoise(y)
    assert out.diagnostics.unmeasured.values == (0.0,)
    assert "12 % of the pixels hold exactly 0 and were left" in " ".join(
        out.diagnostics.findings
    )


def test_frames_that_were_lost_stay_and_change_no_other():
    stack = np.stack([noisy("uint16", seed) for seed in range(4)])
    kept = vr.denoise(stack[[0, 2, 3]], axes="TYX").mean
    stack[1] = 0
    out = vr.denoise(stack, axes="TYX")
    assert not out.mean[1].any()
    assert np.abs(out.mean[[0, 2, 3]].astype(float) - kept).max() <= 2
    assert out.diagnostics.unmeasured.share == pytest.approx(0.25, abs=0.005)


def test_a_box_of_one_colour_stays_in_colours():
    truth = data.astronaut()[100:228, 180:308].astype(np.float64)
    y = noisy("uint8", truth=truth)
    y[20:50, 30:90] = (255, 0, 0)
    out = vr.denoise(y, axes="YXS", noise="gaussian:12")
    np.testing.assert_array_equal(out.mean[20:50, 30:90], y[20:50, 30:90])
    outside = np.ones(y.shape[:2], bool)
    outside[16:54, 26:94] = False
    assert rms((out.mean - truth)[outside]) < 0.7 * rms((y - truth)[outside])


def test_pixels_under_a_mask_are_filled_and_the_others_stay():
    y = noisy("float32")
    mask, void = np.zeros(y.shape, bool), np.zeros(y.shape, bool)
    void[:, :30], mask[60:70, 20:100] = True, True
    y[void] = 0
    y[mask] = np.nan
    out = vr.restore(y, [vr.Denoise("gaussian:12"), vr.Inpaint(mask)])
    assert not out.mean[void & ~mask].any()
    assert np.isfinite(out.mean).all()
    assert out.mean[mask & ~void].min() > 0


def test_enlarged_they_are_repeated():
    y = noisy("uint16")
    y[:, :40] = 0
    out = vr.restore(y, [vr.Denoise(), vr.SuperResolve(2)])
    assert not out.mean[:, :80].any()
    assert out.mean[:, 90:].min() > 100


@pytest.mark.parametrize("samples", [0, 2])
def test_tiles_and_lazy_arrays_give_the_same(samples):
    y = noisy("uint16")
    y[corners()] = 0
    whole = vr.denoise(y, noise="gaussian:12", n_samples=samples)
    tiled = vr.denoise(y, noise="gaussian:12", n_samples=samples, tile=64)
    assert np.abs(whole.mean.astype(float) - tiled.mean).max() <= 1
    lazy = vr.denoise(da.from_array(y, chunks=50), noise="gaussian:12", n_samples=samples)
    np.testing.assert_array_equal(lazy.mean.compute(), whole.mean)
    if samples:
        assert not whole.std[y == 0].any()
        np.testing.assert_array_equal(lazy.std.compute(), whole.std)


def test_a_store_keeps_them(tmp_path):
    y = noisy("uint16")
    y[:, :40] = 0
    stored = vr.restore_store(da.from_array(y, chunks=64), tmp_path / "out.zarr", vr.Denoise())
    found = open_store(tmp_path / "out.zarr").read().data
    np.testing.assert_array_equal(found, vr.denoise(y).mean)
    assert stored.diagnostics.unmeasured.share == pytest.approx(0.25, abs=0.02)


@pytest.mark.parametrize("scale", [1.0, -1.0, 1e-3, 1e4])
@pytest.mark.parametrize("offset", [0.0, -1000.0])
def test_signed_values_keep_their_local_means(scale, offset):
    rng = np.random.default_rng(0)
    y = rng.poisson(TRUTH / 4) * 4.0
    moved = (scale * (y + offset)).astype(np.float32)
    out = vr.denoise(moved)
    difference = (out.mean - moved) / abs(scale)
    blocks = difference[:128, :160].reshape(8, 16, 10, 16).mean(axis=(1, 3))
    assert np.abs(blocks).max() < 5 * np.sqrt(4 * TRUTH.max()) / 16
    truth = scale * (TRUTH + offset)
    # Negated, the noise falls with the intensity: no model says so, and one level stands in.
    assert rms(out.mean - truth) < (0.85 if scale < 0 else 0.8) * rms(moved - truth)
