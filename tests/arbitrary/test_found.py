"""What arbitrary images and damaged files have broken, one test each: it stays mended."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import dask.array as da
import imageio.v3 as iio
import numpy as np
import pytest
import tifffile
import torch
import zarr
from numpy.typing import NDArray

import napari_vae_restore as vr
from napari_vae_restore.array_files import open_array
from napari_vae_restore.errors import told
from napari_vae_restore.generation.compression import container
from napari_vae_restore.models.config import RestorationConfig
from napari_vae_restore.restoration.recipes import read_recipe
from napari_vae_restore.scale.ome_zarr import open_store

Picture = NDArray[Any]


@pytest.fixture(scope="module")
def picture() -> Picture:
    waves = 120 + 60 * np.sin(np.add.outer(np.arange(40) / 4, np.arange(36) / 5))
    return (waves + np.random.default_rng(0).normal(0, 5, waves.shape)).astype(np.float32)


@pytest.fixture
def hole(picture: Picture) -> NDArray[np.bool_]:
    mask = np.zeros(picture.shape, bool)
    mask[10:20, 10:22] = True
    return mask


def test_samples_and_lazy_results_lost_the_byte_order(
    every_task: vr.Model, picture: Picture, hole: NDArray[np.bool_]
) -> None:
    image = picture.astype(">u2")
    options = {"n_samples": 2, "keep_samples": True}
    filled = vr.inpaint(image, hole, every_task, **options)
    latents = vr.encode(image, every_task)
    lazy = vr.inpaint(da.from_array(image, chunks=20), hole, every_task, **options)
    for result in (
        filled.samples,
        vr.feathered(filled, image, hole, 2).mean,
        vr.feathered(filled, image, hole, 2).samples,
        vr.vary(latents, every_task, 2),
        vr.interpolate(image, image, every_task, 2),
        lazy.mean.compute(),
        lazy.samples.compute(),
    ):
        assert result.dtype == image.dtype


def test_holes_of_an_enlarged_image_were_looked_at_for_warnings(
    every_task: vr.Model, picture: Picture, hole: NDArray[np.bool_]
) -> None:
    tasks = [vr.Denoise("gaussian:5"), vr.Inpaint(hole), vr.SuperResolve(2)]
    image = np.where(hole, np.nan, picture)
    assert np.isfinite(vr.restore(image, tasks, every_task).mean).all()
    image[0, 0] = np.inf
    with pytest.raises(vr.InputError, match="outside the mask"):
        vr.restore(image, tasks, every_task)


def test_a_residual_of_what_is_no_number_was_no_number(picture: Picture) -> None:
    noise = [vr.GaussianNoise(5.0)]
    for spoilt, name in ((np.nan, "image"), (np.inf, "restored")):
        images = {"image": picture, "restored": picture}
        images[name] = np.where(np.eye(40, 36), spoilt, picture)
        with pytest.raises(vr.InputError, match=f"{name}: expected finite"):
            vr.check_residual(*images.values(), vr.Denoise(), noise, axes="YX")


def test_what_is_no_number_faded_into_a_fill(
    every_task: vr.Model, picture: Picture, hole: NDArray[np.bool_]
) -> None:
    image = np.where(hole, np.nan, picture)
    filled = vr.inpaint(image, hole, every_task)
    np.testing.assert_array_equal(vr.feathered(filled, image, hole, 3).mean, filled.mean)


def test_enhancing_lost_the_opacity(every_task: vr.Model, picture: Picture) -> None:
    image = np.stack([picture] * 3 + [np.full_like(picture, 200)], -1).astype(np.uint8)
    found = vr.enhance(image, every_task, detail={2: 1.5}).enhanced
    assert found.shape == image.shape
    np.testing.assert_array_equal(found[..., 3], image[..., 3])


@pytest.mark.parametrize("unit", [1e-20, 1e-9, 1e-3, 1e9])
def test_small_units_were_taken_for_a_constant_image(
    every_task: vr.Model, picture: Picture, hole: NDArray[np.bool_], unit: float
) -> None:
    # Heights in metres have a range of 1e-8: they were enlarged as if they were flat.
    image = picture.astype(float)
    for restore in (
        lambda values: vr.super_resolve(values, 2, every_task),
        lambda values: vr.inpaint(values, hole, every_task),
        lambda values: vr.denoise(
            values, every_task, noise=f"gaussian:{5 * values.max() / 200}"
        ),
    ):
        expected = restore(image).mean
        np.testing.assert_allclose(restore(image * unit).mean / unit, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda image: image.astype(np.float64) * 1e30, "up to 1e\\+30"),
        (lambda image: image.astype(np.float64) * 1e-40, "differ by 1e-30"),
        (lambda image: image.astype(np.longdouble), "astype\\(float\\)"),
    ],
    ids=["overflow", "underflow", "more than 64 bits"],
)
def test_numbers_that_cannot_be_computed_with_overflowed(
    every_task: vr.Model, picture: Picture, change: Callable[[Picture], Any], message: str
) -> None:
    if np.dtype(np.longdouble).itemsize == 8 and "astype" in message:
        pytest.skip("this machine has no such numbers")
    with pytest.raises(vr.InputError, match=message):
        vr.denoise(change(picture), every_task, noise="gaussian:5")


def test_a_foreign_error_filled_the_screen() -> None:
    assert told(ValueError("x\n" * 10_000)).count("\n") == 0
    assert len(told(ValueError("x" * 10_000))) < 300
    assert told(KeyError()) == "KeyError"


def test_a_psf_of_endless_numbers_overflowed(tmp_path: Path) -> None:
    path = tmp_path / "recipe.json"
    path.write_text(json.dumps({"tasks": [{"kind": "deblur", "psf": [[10**400]]}]}))
    with pytest.raises(vr.InputError, match="psf: expected rows of numbers"):
        read_recipe(path)


def test_a_compressed_unit_of_any_size_overflowed(
    every_task: vr.Model, picture: Picture
) -> None:
    data = vr.compress(picture, every_task)
    header, parts = container.unpacked(data)
    plane = replace(header.planes[0], unit=1e308)
    with pytest.raises(vr.ImageFileError, match="steps that cannot be"):
        vr.decompress(container.packed(replace(header, planes=(plane,)), parts), every_task)


def test_a_mask_of_an_endless_name_was_an_error_of_the_system(tmp_path: Path) -> None:
    path = tmp_path / "recipe.json"
    path.write_text(json.dumps({"tasks": [{"kind": "inpaint", "mask": "x" * 100_000}]}))
    with pytest.raises(vr.InputError, match="mask is not there") as error:
        read_recipe(path)
    assert len(str(error.value)) < 1000


def test_a_zip_was_taken_for_an_array(tmp_path: Path) -> None:
    path = tmp_path / "array.npy"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a.npy", b"")
    with pytest.raises(vr.ImageFileError, match="no array of numbers"):
        open_array(path)
    np.save(path, np.array([{}], object), allow_pickle=True)
    with pytest.raises(vr.ImageFileError, match="no array of numbers"):
        open_array(path)


def test_weights_that_are_no_numbers_were_loaded(every_task: vr.Model, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    every_task.save(path)
    spoilt = vr.load(path)
    with torch.no_grad():
        next(spoilt.network.parameters()).view(-1)[0] = torch.nan
    spoilt.save(path, overwrite=True)
    with pytest.raises(vr.ModelFileError, match="no finite numbers"):
        vr.load(path)


@pytest.mark.parametrize(
    "sizes", [{"depths": (1, 10**7)}, {"widths": (8, 10**9)}, {"blocks": 10**6}, {"patch": 0}]
)
def test_a_network_of_any_size_was_built(sizes: dict[str, Any]) -> None:
    with pytest.raises(vr.InputError, match="model config: expected"):
        RestorationConfig(**{"widths": (8, 8), "depths": (1, 1), **sizes})


def test_pixels_were_allocated_on_the_word_of_a_header(tmp_path: Path) -> None:
    path = tmp_path / "in.tif"
    tifffile.imwrite(path, np.zeros((16, 16), np.uint8), compression="zlib")
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tif:
        for name in ("ImageWidth", "ImageLength"):
            place = tif.pages[0].tags[name].valueoffset
            content[place : place + 4] = (60_000).to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(vr.ImageFileError, match="claims"):
        vr.read_image(path)


def test_a_part_of_a_png_was_allocated_on_its_word(tmp_path: Path) -> None:
    path = tmp_path / "in.png"
    iio.imwrite(path, np.eye(16, dtype=np.uint8))
    content = path.read_bytes()
    place = content.index(b"IDAT") - 4
    path.write_bytes(content[:place] + b"\xff" * 4 + content[place + 4 :])
    with pytest.raises(vr.ImageFileError, match="ends before its data do"):
        vr.read_image(path)


def test_chunks_were_allocated_on_the_word_of_a_store(tmp_path: Path) -> None:
    path = tmp_path / "in.zarr"
    zarr.create_array(path, data=np.zeros((16, 16), "u1"), chunks=(16, 16))
    for shape, chunks in (((16, 16), [10**5] * 2), ((10**5, 10**5), [100, 100])):
        values = json.loads((path / "zarr.json").read_text())
        values["shape"] = shape
        values["chunk_grid"]["configuration"]["chunk_shape"] = chunks
        (path / "zarr.json").write_text(json.dumps(values))
        with pytest.raises(vr.ImageFileError, match="claims"):
            open_store(path).read()


def test_a_damaged_chunk_was_an_error_of_its_codec(
    every_task: vr.Model, tmp_path: Path
) -> None:
    path = tmp_path / "in.zarr"
    zarr.create_array(path, data=np.arange(1024).reshape(32, 32), chunks=(16, 16))
    for chunk in (path / "c").rglob("*"):
        if chunk.is_file():
            chunk.write_bytes(b"torn")
    with pytest.raises(vr.ImageFileError, match="damaged"):
        open_store(path).read()
    noise = vr.Denoise("gaussian:5")
    with pytest.raises(vr.ImageFileError, match="Cannot read a part"):
        vr.restore_store(path, tmp_path / "out.zarr", noise, every_task)


@pytest.mark.parametrize("name", ["orders.json", "mean/zarr.json", "mean/0/zarr.json"])
def test_a_damaged_unfinished_store_was_an_error_of_json(
    every_task: vr.Model, picture: Picture, tmp_path: Path, name: str
) -> None:
    out = tmp_path / "out.zarr"
    steps = vr.iter_restore_store(
        np.stack([picture] * 2), out, vr.Denoise("gaussian:5"), every_task
    )
    for _ in range(2):
        next(steps)
    steps.close()
    (tmp_path / "out.zarr.partial" / name).write_text("{")
    with pytest.raises(vr.ImageFileError, match="delete it and start again"):
        vr.restore_store(np.stack([picture] * 2), out, vr.Denoise("gaussian:5"), every_task)


def test_a_damaged_mark_marks_nothing(
    every_task: vr.Model, picture: Picture, tmp_path: Path
) -> None:
    out, noise = tmp_path / "out.zarr", vr.Denoise("gaussian:5")
    stack = np.stack([picture] * 2)
    for text in ("{", "[]", '{"surprise": 1}', '{"removed": null, "expected": 0, "n_hot": 0}'):
        steps = vr.iter_restore_store(stack, out, noise, every_task)
        for _ in range(2):
            next(steps)
        steps.close()
        mark = next((tmp_path / "out.zarr.partial" / "marks").iterdir())
        mark.write_text(text)
        vr.restore_store(stack, out, noise, every_task)
        expected = vr.denoise(stack, every_task, noise="gaussian:5").mean
        np.testing.assert_array_equal(open_store(out).read().data, expected)
        shutil.rmtree(out)
