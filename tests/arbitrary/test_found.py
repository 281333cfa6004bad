"""What arbitrary images and damaged files have broken, one test each: it stays mended."""

from __future__ import annotations

import json
import shutil
import struct
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import dask.array as da
import google_crc32c
import imageio.v3 as iio
import numcodecs
import numpy as np
import pytest
import tifffile
import torch
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec, GzipCodec, ZstdCodec

import napari_vae_restore as vr
from napari_vae_restore.errors import shortened
from napari_vae_restore.generation.compression import container
from napari_vae_restore.images.array_files import open_array
from napari_vae_restore.images.image_files import read_image, write_image
from napari_vae_restore.images.zarr_files import open_store
from napari_vae_restore.models.config import RestorationConfig
from napari_vae_restore.restoration.recipes.replay import read_recipe
from napari_vae_restore.training.sources import listed
from napari_vae_restore.training.windows import WindowSampler
from napari_vae_restore.zoo.archive import import_package

Picture = NDArray[Any]
RISING = np.arange(1024).reshape(32, 32)


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
    for spoilt, name in ((np.inf, "image"), (np.inf, "restored")):
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
    assert shortened(ValueError("x\n" * 10_000)).count("\n") == 0
    assert len(shortened(ValueError("x" * 10_000))) < 300
    assert shortened(KeyError()) == "KeyError"


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


@pytest.mark.parametrize("side", [16 * 10**5, 16 * 10**400])
def test_shards_of_any_size_were_an_error_of_dask(tmp_path: Path, side: int) -> None:
    path = tmp_path / "in.zarr"
    zarr.create_array(path, data=RISING, chunks=(16, 16), shards=(32, 32))
    values = json.loads((path / "zarr.json").read_text())
    values["chunk_grid"]["configuration"]["chunk_shape"] = [side, 16 * 10**5]
    (path / "zarr.json").write_text(json.dumps(values))
    with pytest.raises(vr.ImageFileError, match=r"claims .* GB"):
        open_store(path)


def _broken_off(stack: Picture, out: Path, model: vr.Model) -> Path:
    """A store that is not finished: one block of it is."""
    steps = vr.iter_restore_store(stack, out, vr.Denoise("gaussian:5"), model)
    for _ in range(2):
        next(steps)
    steps.close()
    return out.with_name(f"{out.name}.partial")


def _claiming(path: Path, version: int, **said: Any) -> Path:
    """A store of 32 x 32 pixels that says something else of itself."""
    zarr.create_array(path, data=RISING, chunks=(16, 16), zarr_format=version)
    file = path / {2: ".zarray", 3: "zarr.json"}[version]
    values = json.loads(file.read_text())
    if version == 3 and "chunks" in said:
        values["chunk_grid"]["configuration"]["chunk_shape"] = said.pop("chunks")
    file.write_text(json.dumps(values | said))
    return path


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize(
    "said",
    [
        {"shape": [32, 3_000_000]},  # 0.8 GB of 256 bytes each were looked for, one by one
        {"shape": [64, 3_000_000], "chunks": [1, 1]},
        {"shape": [10**9, 32]},
        {"shape": [10**18, 32]},
        {"chunks": [0, 16]},
    ],
    ids=str,
)
def test_sizes_were_believed_that_no_store_has(
    every_task: vr.Model, tmp_path: Path, version: int, said: dict[str, Any]
) -> None:
    path = _claiming(tmp_path / "in.zarr", version, **said)
    with pytest.raises(vr.ImageFileError, match="damaged or was made up"):
        open_store(path)
    with pytest.raises(vr.ImageFileError, match="damaged or was made up"):
        vr.restore_store(path, tmp_path / "out.zarr", vr.Denoise("gaussian:5"), every_task)


def test_a_mask_of_which_little_is_there_is_one(tmp_path: Path) -> None:
    path = tmp_path / "mask.zarr"
    shape, chunks = (4000, 2048, 2048), (1, 256, 256)
    mask = zarr.create_array(path, shape=shape, chunks=chunks, dtype=bool, fill_value=False)
    mask[3, :9, :9] = True
    assert open_array(path)[0][3, :20, :20].sum() == 81


def _chunks(path: Path) -> list[Path]:
    return [file for file in path.rglob("*") if file.is_file() and file.name[0] in "0123456789"]


@pytest.mark.parametrize(
    ("version", "codec", "place", "claim"),
    [
        (2, numcodecs.Blosc(), 4, (2**31 - 1).to_bytes(4, "little")),
        (2, numcodecs.LZ4(), 0, (2**31 - 1).to_bytes(4, "little")),
        (2, numcodecs.Zstd(), 4, b"\xe0" + (2**40).to_bytes(8, "little")),
        (3, BloscCodec(), 4, (2**31 - 1).to_bytes(4, "little")),
        (3, ZstdCodec(), 4, b"\xe0" + (2**40).to_bytes(8, "little")),
    ],
    ids=["blosc 2", "lz4 2", "zstd 2", "blosc 3", "zstd 3"],
)
def test_a_chunk_was_given_the_memory_that_it_claims(
    every_task: vr.Model, tmp_path: Path, version: int, codec: Any, place: int, claim: bytes
) -> None:
    path, out = tmp_path / "in.zarr", tmp_path / "out.zarr"
    image = np.random.default_rng(0).integers(0, 99, (32, 32))
    zarr.create_array(path, data=image, chunks=(16, 16), compressors=codec, zarr_format=version)
    np.testing.assert_array_equal(open_store(path).read().data, image)
    for chunk in _chunks(path):
        content = chunk.read_bytes()
        chunk.write_bytes(content[:place] + claim + content[place + len(claim) :])
    with pytest.raises(vr.ImageFileError, match="its chunk holds 2048"):
        open_store(path).read()
    with pytest.raises(vr.ImageFileError, match="its chunk holds 2048"):
        vr.restore_store(path, out, vr.Denoise("gaussian:5"), every_task)


ZEROS = np.zeros(2**24, "u1")  # as a hundred times as many would be


@pytest.mark.parametrize(
    "codec",
    [
        numcodecs.Blosc("zstd", shuffle=0),
        numcodecs.Zlib(),
        numcodecs.GZip(),
        numcodecs.BZ2(),
        numcodecs.LZMA(),
    ],
    ids=lambda codec: codec.codec_id,
)
def test_a_small_chunk_became_gigabytes(tmp_path: Path, codec: Any) -> None:
    path = tmp_path / "in.zarr"
    zarr.create_array(path, data=RISING.astype("u1"), compressors=codec, zarr_format=2)
    (chunk,) = _chunks(path)
    honest = chunk.read_bytes()
    for content in (codec.encode(ZEROS), honest + codec.encode(ZEROS)):
        if content.startswith(honest) and codec.codec_id == "blosc":
            continue  # what comes after one is not looked at
        chunk.write_bytes(content)
        with pytest.raises(vr.ImageFileError, match=r"claims \d+ bytes"):
            open_store(path).read()


@pytest.mark.parametrize("place", ["start", "end"])
@pytest.mark.parametrize("part", [slice(None), slice(5)])
def test_a_chunk_in_a_shard_became_gigabytes(tmp_path: Path, place: str, part: slice) -> None:
    path = tmp_path / "in.zarr"
    image = np.random.default_rng(0).integers(0, 99, (32, 32)).astype("u1")
    shards = {"shape": (32, 32), "index_location": place}
    zarr.create_array(path, data=image, chunks=(16, 16), shards=shards, compressors=GzipCodec())
    (shard,) = _chunks(path)
    whole, bomb = shard.read_bytes(), numcodecs.GZip().encode(ZEROS)
    n_index = 4 * 16 + 4
    chunks = whole[n_index:] if place == "start" else whole[:-n_index]
    index = np.frombuffer(whole[:64] if place == "start" else whole[-n_index:-4], "<u8").copy()
    begin = int(index[::2].min()) + len(chunks)
    index[:2] = begin, len(bomb)
    sealed = index.tobytes() + struct.pack("<I", google_crc32c.value(index.tobytes()))
    shard.write_bytes(sealed + chunks + bomb if place == "start" else chunks + bomb + sealed)
    array, _ = open_array(path)
    with pytest.raises(vr.ImageFileError, match=r"claims \d+ bytes"):
        array[part, part]


def test_a_damaged_chunk_was_an_error_of_its_codec(
    every_task: vr.Model, tmp_path: Path
) -> None:
    path = tmp_path / "in.zarr"
    zarr.create_array(path, data=RISING, chunks=(16, 16))
    for chunk in _chunks(path):
        chunk.write_bytes(b"torn")
    with pytest.raises(vr.ImageFileError, match="damaged"):
        open_store(path).read()
    noise = vr.Denoise("gaussian:5")
    with pytest.raises(vr.ImageFileError, match="Cannot read a part"):
        vr.restore_store(path, tmp_path / "out.zarr", noise, every_task)
    with pytest.raises(vr.InputError, match=r"in\.zarr: .*cannot .*decompression"):
        vr.adapt(path, every_task, steps=1)
    with pytest.raises(vr.ImageFileError, match=r"Cannot read a part of in\.zarr"):
        WindowSampler([(item,) for item in listed(path)], None, 0)


@pytest.mark.parametrize("size", [10**6, (8, 10**13)])
def test_the_pieces_of_an_endless_sample_were_listed(every_task: vr.Model, size: Any) -> None:
    with pytest.raises(vr.RestorationError, match=r"out of memory: .* pixels take"):
        vr.sample(every_task, size=size)


def test_a_sweep_that_failed_kept_its_folder_from_another(tmp_path: Path) -> None:
    images = [np.arange(256, dtype=np.uint8).reshape(16, 16)] * 5  # has no noise
    options = {"kind": "flat", "latent": (2,), "size": 16, "budget": 0.01}
    with pytest.raises(vr.InputError, match="noise cannot be estimated"):
        vr.sweep(images, tmp_path, **options)
    assert vr.sweep(images, tmp_path, **options, noise="gaussian:5").recommended


def test_an_endless_budget_was_a_time() -> None:
    for budget in ("9" * 400, "9" * 306 + " h"):
        with pytest.raises(vr.InputError, match="positive time"):
            vr.parse_budget(budget)


@pytest.mark.parametrize("name", ["orders.json", "mean/zarr.json", "mean/0/zarr.json"])
def test_a_damaged_unfinished_store_was_an_error_of_json(
    every_task: vr.Model, picture: Picture, tmp_path: Path, name: str
) -> None:
    out, stack = tmp_path / "out.zarr", np.stack([picture] * 2)
    (_broken_off(stack, out, every_task) / name).write_text("{")
    with pytest.raises(vr.ImageFileError, match="delete it and start again"):
        vr.restore_store(stack, out, vr.Denoise("gaussian:5"), every_task)


def test_a_damaged_mark_marks_nothing(
    every_task: vr.Model, picture: Picture, tmp_path: Path
) -> None:
    out, noise = tmp_path / "out.zarr", vr.Denoise("gaussian:5")
    stack = np.stack([picture] * 2)
    for text in ("{", "[]", '{"surprise": 1}', '{"removed": null, "expected": 0, "n_hot": 0}'):
        mark = next((_broken_off(stack, out, every_task) / "marks").iterdir())
        mark.write_text(text)
        vr.restore_store(stack, out, noise, every_task)
        expected = vr.denoise(stack, every_task, noise="gaussian:5").mean
        np.testing.assert_array_equal(open_store(out).read().data, expected)
        shutil.rmtree(out)


def test_a_package_with_a_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "package.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("\xe9.yaml", "name: it")
    path.write_bytes(path.read_bytes().replace(b"\xc3\xa9", b"\xbe\xbe"))
    with pytest.raises(vr.ModelFileError, match="torn"):
        import_package(path, tmp_path / "out.safetensors")


@pytest.mark.parametrize("shape", [(5, 3, 1), (1, 2, 1), (2, 5, 1, 1)])
@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
def test_a_stack_one_pixel_across_lost_its_x(
    shape: tuple[int, ...], dtype: str, tmp_path: Path
) -> None:
    axes, path = "TZYX"[-len(shape) :], tmp_path / "a.tif"
    data = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    write_image(path, data, axes)
    image = read_image(path)
    assert image.axes == axes
    np.testing.assert_array_equal(image.data, data)


def test_a_tiff_of_a_single_pixel_had_two_axes_x(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((1, 1, 1, 1), np.uint8))
    assert read_image(tmp_path / "a.tif").axes == "TZYX"


@pytest.mark.skipif(np.dtype(np.longdouble).itemsize == 8, reason="there is none here")
def test_a_tiff_of_float128_was_read_as_nothing(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((1, 30, 30), np.longdouble))
    with pytest.raises(vr.ImageFileError, match="export it again"):
        read_image(tmp_path / "a.tif")
