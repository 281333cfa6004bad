"""``vae-restore inpaint``: masks of all kinds; measured pixels stay, bit for bit."""

import json

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile
from PIL import Image

import napari_vae_restore as vr
from napari_vae_restore.images.image_files import read_image, write_image


@pytest.fixture
def holes():
    """(32, 40), True in two spots."""
    mask = np.zeros((32, 40), bool)
    mask[5:12, 8:14] = mask[20:22, 0:30] = True
    return mask


def as_rgba(mask):
    return np.dstack([mask.astype(np.uint8) * 255] * 3 + [np.full(mask.shape, 255, np.uint8)])


RED = np.array([255, 0, 0], np.uint8)
MASKS = {
    "bool.tif": lambda path, mask: tifffile.imwrite(path, mask),
    "label.tif": lambda path, mask: tifffile.imwrite(path, mask.astype(np.uint16) * 700),
    "signed.tif": lambda path, mask: tifffile.imwrite(path, -mask.astype(np.int16)),
    "grey.png": lambda path, mask: iio.imwrite(path, mask.astype(np.uint8)),
    "bit.png": lambda path, mask: Image.fromarray(mask).save(path),
    "palette.png": lambda path, mask: (
        Image.fromarray(as_rgba(mask)[..., :3]).quantize(2).save(path)
    ),
    "rgb.png": lambda path, mask: iio.imwrite(path, as_rgba(mask)[..., :3]),
    "rgba.png": lambda path, mask: iio.imwrite(path, as_rgba(mask)),
    "transparent.png": lambda path, mask: iio.imwrite(
        path, np.dstack([np.full((*mask.shape, 3), 200, np.uint8), as_rgba(mask)[..., 0]])
    ),
    "red.bmp": lambda path, mask: iio.imwrite(path, as_rgba(mask)[..., :3] & RED),
}


@pytest.mark.parametrize("name", MASKS)
def test_masks_of_all_kinds(run, picture, holes, tmp_path, name):
    image = picture((32, 40))
    write_image(tmp_path / "in.tif", image, "YX")
    MASKS[name](tmp_path / name, holes)
    output = tmp_path / "out.tif"
    words = ["inpaint", tmp_path / "in.tif", "--mask", tmp_path / name, "-o", output]
    status, out, err = run(*words)
    assert (status, err) == (0, "")
    assert f"Filled      {holes.sum()} of 1280 pixels ({holes.mean():.2%})" in out
    assert "Noise" not in out
    result = read_image(output).data
    np.testing.assert_array_equal(result[~holes], image[~holes])
    assert (result[holes] != image[holes]).any()
    np.testing.assert_array_equal(result, vr.inpaint(image, holes).mean)


def test_a_plausible_picture_in_place_of_the_average(run, picture, holes, tmp_path):
    image = picture((32, 40))
    write_image(tmp_path / "in.tif", image, "YX")
    MASKS["bool.tif"](tmp_path / "mask.tif", holes)
    words = ["inpaint", tmp_path / "in.tif", "--mask", tmp_path / "mask.tif"]
    status, _, err = run(*words, "-o", tmp_path / "out.tif", "--fill", "sample")
    assert (status, err) == (0, "")
    result = read_image(tmp_path / "out.tif")
    np.testing.assert_array_equal(result.data, vr.inpaint(image, holes, fill="sample").mean)
    assert json.loads(result.description)["tasks"][0]["fill"] == "sample"
    status, _, err = run(*words, "-o", tmp_path / "other.tif", "--fill", "median")
    assert status == 2
    assert "fill: expected one of mean, sample" in err


@pytest.mark.parametrize(
    ("name", "axes", "shape", "dtype", "mask_shape", "share"),
    [
        ("a.png", "YXS", (32, 40, 4), "uint8", (32, 40), "102 of 1280 pixels ("),
        ("a.tif", "ZYX", (2, 32, 40), "uint16", (32, 40), "102 of 1280 pixels of every plane"),
        ("a.tif", "ZYX", (2, 32, 40), "float32", (2, 32, 40), "204 of 2560 pixels ("),
        ("a.ome.tif", "CYX", (2, 32, 40), "uint16", (2, 32, 40), "204 of 2560 pixels ("),
    ],
)
def test_images_of_all_kinds(
    run, picture, holes, tmp_path, name, axes, shape, dtype, mask_shape, share
):
    image = picture(shape, dtype)
    write_image(tmp_path / name, image, axes)
    mask = np.broadcast_to(holes, mask_shape)
    tifffile.imwrite(tmp_path / "mask.tif", mask, photometric="minisblack")
    output = tmp_path / f"out_{name}"
    words = ["inpaint", tmp_path / name, "--mask", tmp_path / "mask.tif", "-o", output]
    status, out, err = run(*words)
    assert (status, err) == (0, "")
    assert share in out
    result = read_image(output)
    assert (result.axes, result.data.dtype) == (axes, image.dtype)
    kept = np.broadcast_to(~holes[..., None] if "S" in axes else ~holes, shape)
    np.testing.assert_array_equal(result.data[kept], image[kept])


def test_with_noise_everything_is_restored(run, folder, noisy, tmp_path, recipe_of):
    mask = np.zeros(noisy.shape, bool)
    mask[40:50, 40:60] = True
    iio.imwrite(tmp_path / "mask.png", mask.astype(np.uint8) * 255)
    output, std = tmp_path / "out.tif", tmp_path / "std.tif"
    words = ["inpaint", folder / "noisy.tif", "--mask", tmp_path / "mask.png", "-o", output]
    words += ["--noise", "auto", "--samples", 2, "--uncertainty", std]
    status, out, err = run(*words)
    assert (status, err) == (0, "")
    assert "Filled" in out
    assert "Noise       Poisson-Gaussian" in out
    tasks = [vr.Inpaint(mask, "mask.png"), vr.Denoise("auto")]
    same = vr.restore(noisy, tasks, n_samples=2, keep_samples=True)
    np.testing.assert_array_equal(read_image(output).data, same.mean)
    np.testing.assert_array_equal(read_image(std).data, same.std)
    sample = read_image(tmp_path / "out.sample-2.tif")
    np.testing.assert_array_equal(sample.data, same.samples[1])
    told = json.loads(sample.description)
    assert (told.pop("is"), "drawn at random" in told.pop("note")) == ("sample", True)
    assert told == recipe_of(same, folder / "noisy.tif")
    assert "no measurement" in json.loads(read_image(output).description)["note"]
    assert json.loads(read_image(std).description)["is"] == "std"


def test_an_empty_mask_changes_nothing(run, picture, tmp_path):
    write_image(tmp_path / "in.tif", picture((32, 40)), "YX")
    iio.imwrite(tmp_path / "mask.png", np.zeros((32, 40), np.uint8))
    output = tmp_path / "out.tif"
    words = ["inpaint", tmp_path / "in.tif", "--mask", tmp_path / "mask.png", "-o", output]
    status, out, err = run(*words)
    assert status == 0
    assert err.startswith("warning: the mask is 0 everywhere")
    assert "0 of 1280 pixels" in out
    np.testing.assert_array_equal(read_image(output).data, picture((32, 40)))
