"""``vae-restore super-resolve``: more and smaller pixels that agree with the measured."""

import json

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile

import napari_vae_restore as vr
from napari_vae_restore.images.image_files import read_image, write_image

MICRON = "micrometer"


@pytest.mark.parametrize(
    ("name", "axes", "shape", "dtype", "factor"),
    [
        ("a.tif", "YX", (33, 17), "uint8", 2),
        ("a.tif", "ZYX", (2, 16, 18), "float32", 3),
        ("a.tif", "YX", (16, 18), "float64", 2),
        ("a.ome.tif", "CYX", (2, 16, 18), "uint16", 4),
        ("a.png", "YX", (16, 18), "uint16", 2),
        ("a.png", "YXS", (16, 18, 4), "uint8", 2),
    ],
)
def test_shape_and_pixel_size(
    run, picture, tmp_path, name, axes, shape, dtype, factor, recipe_of
):
    sizes = {"Z": (0.5, MICRON), "Y": (0.3, MICRON), "X": (0.24, MICRON)}
    scale, units = zip(*(sizes.get(axis, (1.0, "pixel")) for axis in axes), strict=True)
    image = picture(shape, dtype)
    write_image(tmp_path / name, image, axes, scale=scale, units=units)
    output = tmp_path / f"out_{name}"
    words = ["super-resolve", tmp_path / name, "--factor", factor, "-o", output]
    status, out, err = run(*words)
    assert (status, err) == (0, "")
    assert f"pixels of {0.24 / factor:.4g} micrometer" in out
    result = read_image(output)
    assert (result.axes, result.units, result.data.dtype) == (axes, units, image.dtype)
    factors = np.array([factor if axis in "YX" else 1 for axis in axes])
    assert result.data.shape == tuple(np.array(shape) * factors)
    np.testing.assert_allclose(result.scale, scale / factors, rtol=1e-5)
    same = vr.super_resolve(image, factor, axes=axes)
    np.testing.assert_array_equal(result.data, same.mean)
    told = json.loads(result.description)
    assert "finer than the pixels" in told.pop("note")
    assert told == recipe_of(same, tmp_path / name)


def test_resolution_tags_are_what_other_programs_read(run, picture, tmp_path):
    write_image(
        tmp_path / "in.tif",
        picture((16, 18)),
        "YX",
        scale=(0.5, 0.5),
        units=(MICRON, MICRON),
    )
    words = ["super-resolve", tmp_path / "in.tif", "--factor", 2, "-o", tmp_path / "out.tif"]
    assert run(*words)[0] == 0
    with tifffile.TiffFile(tmp_path / "out.tif") as file:
        assert file.is_imagej
        numerator, denominator = file.pages[0].tags["XResolution"].value
    assert numerator / denominator == pytest.approx(4)


def test_an_unknown_pixel_size_stays_unknown(run, picture, tmp_path):
    write_image(tmp_path / "in.tif", picture((16, 18)), "YX")
    words = ["super-resolve", tmp_path / "in.tif", "--factor", 2, "-o", tmp_path / "out.tif"]
    status, out, _ = run(*words)
    assert status == 0
    assert "16 × 18 to 32 × 36 pixels\n" in out
    result = read_image(tmp_path / "out.tif")
    assert (result.scale, result.units) == ((1.0, 1.0), ("pixel", "pixel"))


def test_the_resolution_of_a_printer_is_no_pixel_size(run, picture, tmp_path):
    iio.imwrite(tmp_path / "in.png", picture((16, 18)), dpi=(300, 300))
    words = ["super-resolve", tmp_path / "in.png", "--factor", 2, "-o", tmp_path / "out.tif"]
    assert run(*words)[0] == 0
    assert read_image(tmp_path / "out.tif").units == ("pixel", "pixel")


def test_kernel_noise_and_uncertainty(run, folder, noisy, tmp_path):
    output, std = tmp_path / "out.tif", tmp_path / "std.tif"
    words = ["super-resolve", folder / "noisy.tif", "--factor", 2, "-o", output]
    words += ["--kernel", "box", "--noise", "gaussian:25", "--uncertainty", std]
    status, out, err = run(*words, "--samples", 2)
    assert (status, err) == (0, "")
    assert "Noise       Gaussian, standard deviation 25" in out
    tasks = [vr.SuperResolve(2, "box"), vr.Denoise("gaussian:25")]
    same = vr.restore(noisy, tasks, n_samples=2)
    np.testing.assert_array_equal(read_image(output).data, same.mean)
    np.testing.assert_array_equal(read_image(std).data, same.std)
