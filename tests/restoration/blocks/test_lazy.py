"""Lazy images give what eager ones give, to the bit, and compute what is looked at."""

from __future__ import annotations

from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
import zarr
from numpy.typing import NDArray
from skimage import data

import napari_vae_restore as vr
from napari_vae_restore.restoration.blocks import parts, plan
from napari_vae_restore.restoration.blocks import windows as sampling

SIGMA = 10.0
TILE = 64


@pytest.fixture(scope="module")
def image() -> NDArray[np.uint8]:
    """A noisy picture, (131, 150)."""
    clean = data.camera()[100:231, 150:300].astype(float)
    noisy = clean + np.random.default_rng(0).normal(0, SIGMA, clean.shape)
    return noisy.clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def mask(image: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Two scratches in the upper left part."""
    missing = np.zeros(image.shape, bool)
    missing[20:24, 10:55] = missing[30:50, 41:44] = True
    return missing


@pytest.fixture(params=["whole planes", "tiles"])
def cut(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Planes as one block, or as large ones whose tiles are computed apart."""
    if request.param == "tiles":
        monkeypatch.setattr(plan, "PLANE_PIXELS", 2**12)
        monkeypatch.setattr(parts, "measured_halo", lambda model: 16)
        monkeypatch.setattr(sampling, "_RANGE_WINDOWS", 4)
        monkeypatch.setattr(sampling, "_RANGE_SIDE", 40)
        monkeypatch.setattr(sampling, "_STACK_PIXELS", 2**15)
        monkeypatch.setattr(sampling, "_NOISE_SIDE", 128)
    return str(request.param)


def tasks(kind: str, mask: Any) -> list[Any]:
    return {
        "denoise": [vr.Denoise("gaussian")],
        "inpaint": [vr.Inpaint(mask)],
        "super-resolve": [vr.SuperResolve(2)],
        "all": [vr.Denoise("gaussian:10"), vr.Inpaint(mask), vr.SuperResolve(2)],
    }[kind]


@pytest.mark.parametrize("kind", ["denoise", "inpaint", "super-resolve", "all"])
def test_lazy_equals_eager(
    image: NDArray[np.uint8],
    mask: NDArray[np.bool_],
    every_task: vr.Model,
    kind: str,
    cut: str,
) -> None:
    options: dict[str, Any] = {"n_samples": 2, "keep_samples": True, "tile": TILE, "seed": 3}
    options["model"] = every_task
    eager = vr.restore(image, tasks(kind, mask), **options)
    lazily = da.from_array(image, chunks=(53, 71))
    lazy_mask = da.from_array(mask, chunks=(47, 150))
    lazy = vr.restore(lazily, tasks(kind, lazy_mask), **options)
    assert isinstance(lazy.mean, da.Array)
    assert lazy.mean.shape == eager.mean.shape
    mean, std, samples = dask.compute(lazy.mean, lazy.std, lazy.samples)
    np.testing.assert_array_equal(mean, eager.mean)
    np.testing.assert_array_equal(std, eager.std)
    np.testing.assert_array_equal(samples, eager.samples)
    assert lazy.recipe == eager.recipe
    assert len(lazy.mean.chunks[0]) == (
        1 if cut == "whole planes" else len(range(0, mean.shape[0], TILE))
    )


def test_tiles_of_a_large_image_equal_the_whole(
    image: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "PLANE_PIXELS", 2**12)
    pictures = [
        vr.denoise(image.astype(np.float32), noise="gaussian:10", tile=tile)
        for tile in (TILE, 1024)
    ]
    apart, whole = pictures
    assert (apart.diagnostics.n_tiles, whole.diagnostics.n_tiles) == (9, 1)
    assert np.sqrt(np.square(whole.mean - apart.mean).mean()) < 0.01 * SIGMA


def test_every_axis_and_alpha_come_back_from_a_zarr_array(
    image: NDArray[np.uint8], model: vr.Model, tmp_path: Any
) -> None:
    picture = np.stack([image, image[::-1], image, np.full_like(image, 200)], axis=-1)
    stack = np.stack([picture, picture[:, ::-1]])
    stored = zarr.create_array(
        tmp_path / "stack.zarr", shape=stack.shape, dtype=stack.dtype, chunks=(1, 64, 64, 4)
    )
    stored[:] = stack
    eager = vr.denoise(stack, model, axes="ZYXS", noise="gaussian:10", n_samples=2)
    lazy = vr.denoise(stored, model, axes="ZYXS", noise="gaussian:10", n_samples=2)
    np.testing.assert_array_equal(lazy.mean.compute(), eager.mean)
    np.testing.assert_array_equal(lazy.std.compute(), eager.std)


@pytest.mark.parametrize("lazy", [False, True], ids=["numpy", "dask"])
def test_labels_of_xarray_are_kept_and_refined(
    image: NDArray[np.uint8], every_task: vr.Model, lazy: bool
) -> None:
    values = da.from_array(image, chunks=100) if lazy else image
    rows, columns = image.shape
    labelled = xr.DataArray(
        values,
        dims=("y", "x"),
        coords={"y": 0.5 * np.arange(rows), "x": 1.0 + 0.5 * np.arange(columns), "t": 3},
        attrs={"stain": "H&E"},
        name="slide",
    )
    out = vr.super_resolve(labelled, 2, every_task, n_samples=2, keep_samples=True)
    assert isinstance(out.mean, xr.DataArray)
    assert (out.mean.chunks is not None) == lazy
    assert out.mean.dims == ("y", "x")
    assert out.mean.attrs == labelled.attrs
    assert out.mean.name == "slide"
    assert int(out.mean.t) == 3
    np.testing.assert_allclose(out.mean.x[:3], [0.875, 1.125, 1.375])
    assert out.samples.dims == ("sample", "y", "x")
    plain = vr.super_resolve(image, 2, every_task)
    np.testing.assert_array_equal(out.mean.values, plain.mean)
    np.testing.assert_array_equal(
        vr.denoise(labelled, every_task, noise="gaussian:10").mean.y, labelled.y
    )


def test_blocks_without_holes_are_passed_through(
    image: NDArray[np.uint8],
    mask: NDArray[np.bool_],
    every_task: vr.Model,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(plan, "PLANE_PIXELS", 2**12)
    lazy = vr.inpaint(da.from_array(image, chunks=64), mask, every_task, tile=TILE).mean
    solved = [key for key in lazy.__dask_graph__() if "_mean" in str(key)]
    assert len(solved) == 1
    np.testing.assert_array_equal(lazy[TILE:, TILE:].compute(), image[TILE:, TILE:])


def test_only_what_is_looked_at_is_read(
    image: NDArray[np.uint8], every_task: vr.Model, cut: str
) -> None:
    read: list[tuple[int, int]] = []

    def load(block_info: Any = None) -> NDArray[np.uint8]:
        (top, bottom), (left, right) = block_info[None]["array-location"]
        read.append((top, left))
        return image[top:bottom, left:right]

    lazily = da.map_blocks(load, chunks=((64, 64, 3), (64, 64, 22)), dtype=np.uint8)
    mean = vr.denoise(lazily, every_task, noise="gaussian:10", tile=48).mean
    planned = len(read)  # the plan looks for noise and gaps on a sample of the image
    assert planned <= 9
    part = mean[:20, :20].compute()
    np.testing.assert_array_equal(
        part, vr.denoise(image, every_task, noise="gaussian:10", tile=48).mean[:20, :20]
    )
    if cut == "tiles":
        assert len(read) - planned <= 40  # the range's windows, and those around the part


def test_values_that_are_not_finite_are_named_when_they_are_met(
    image: NDArray[np.uint8],
) -> None:
    broken = image.astype(np.float32)
    broken[5, 7] = np.inf
    lazy = vr.denoise(da.from_array(broken, chunks=100), noise="gaussian:10").mean
    with pytest.raises(vr.InputError, match="1 NaN or infinite"):
        lazy.compute()


def test_a_lazy_array_must_be_an_image() -> None:
    with pytest.raises(vr.InputError, match="empty array"):
        vr.denoise(da.zeros((0, 100)))
    with pytest.raises(vr.InputError, match="complex"):
        vr.denoise(da.zeros((40, 100), dtype=complex))
