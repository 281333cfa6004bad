"""``vae-restore denoise``: files in, files out, the numbers of Python."""

import json

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile

import napari_vae_restore as vr
from napari_vae_restore.images.image_files import read_image, write_image


@pytest.mark.parametrize(
    ("name", "axes", "shape", "dtype"),
    [
        ("a.tif", "YX", (33, 47), "uint8"),
        ("a.tif", "ZYX", (3, 32, 40), "uint16"),
        ("a.tif", "TCYX", (2, 2, 32, 40), "float32"),
        ("a.tif", "YXS", (32, 40, 3), "uint8"),
        ("a.ome.tif", "CZYX", (2, 3, 32, 40), "uint16"),
    ],
)
def test_tiff_keeps_its_metadata(run, model_file, tmp_path, name, axes, shape, dtype, picture):
    source, output = tmp_path / name, tmp_path / f"denoised_{name}"
    sizes = {"T": (2.0, "second"), "Z": (0.5, "micrometer"), "Y": (0.25, "micrometer")}
    scale, units = zip(
        *[sizes.get(a.replace("X", "Y"), (1.0, "pixel")) for a in axes], strict=True
    )
    image = picture(shape, dtype)
    write_image(source, image, axes, scale=scale, units=units)
    status, out, err = run("denoise", source, "-o", output, "--model", model_file)
    assert status == 0, err
    before, after = read_image(source), read_image(output)
    assert after.data.dtype == image.dtype
    assert after.data.shape == image.shape
    assert (after.axes, after.units, after.format) == (axes, before.units, before.format)
    np.testing.assert_allclose(after.scale, scale, rtol=1e-6)
    assert not np.array_equal(after.data, image)
    assert str(output) in out


def test_files_of_imagej_and_microscopes(run, model_file, tmp_path, picture):
    source, output = tmp_path / "fiji.tif", tmp_path / "out.tif"
    tifffile.imwrite(
        source,
        picture((3, 32, 40), "uint16"),
        imagej=True,
        resolution=(5.0, 5.0),
        metadata={"axes": "ZYX", "spacing": 0.7, "unit": "um"},
    )
    assert run("denoise", source, "-o", output, "--model", model_file)[0] == 0
    with tifffile.TiffFile(output) as file:
        assert file.is_imagej
        assert file.imagej_metadata["spacing"] == pytest.approx(0.7)
        assert file.pages[0].tags["XResolution"].value == pytest.approx((5, 1))


@pytest.mark.parametrize(
    ("shape", "dtype"), [((32, 40), "uint8"), ((32, 40), "uint16"), ((32, 40, 3), "uint8")]
)
def test_png(run, model_file, tmp_path, shape, dtype, picture):
    source, output = tmp_path / "in.png", tmp_path / "out.png"
    iio.imwrite(source, picture(shape, dtype))
    assert run("denoise", source, "-o", output, "--model", model_file)[0] == 0
    result = read_image(output)
    assert (result.data.shape, result.data.dtype) == (shape, np.dtype(dtype))
    assert json.loads(result.description)["model"] == "model"


def test_same_numbers_as_python(run, folder, model_file, tmp_path, recipe_of):
    files = [tmp_path / name for name in ("a.tif", "a_std.tif", "b.tif", "b_std.tif")]
    for output, std in (files[:2], files[2:]):
        words = ["denoise", folder / "noisy.tif", "-o", output, "--model", model_file]
        words += ["--uncertainty", std, "--samples", 3, "--seed", 5, "--tile", 128]
        assert run(*words)[0] == 0
    assert files[0].read_bytes() == files[2].read_bytes()
    assert files[1].read_bytes() == files[3].read_bytes()
    image = read_image(folder / "noisy.tif")
    same = vr.denoise(
        image.data, vr.load(model_file), axes=image.axes, n_samples=3, seed=5, tile=128
    )
    mean, std = read_image(files[0]), read_image(files[1])
    np.testing.assert_array_equal(mean.data, same.mean)
    np.testing.assert_array_equal(std.data, same.std)
    assert std.data.dtype == np.float32
    assert json.loads(mean.description) == recipe_of(same, folder / "noisy.tif")


def test_the_bundled_model_needs_no_option(run, folder, noisy, tmp_path):
    files = [tmp_path / name for name in ("a.tif", "b.tif")]
    for output, more in zip(files, ([], ["--model", "default"]), strict=True):
        status, out, err = run("denoise", folder / "noisy.tif", "-o", output, *more)
        assert status == 0, err
    assert "Model       default" in out
    assert "Noise       Poisson-Gaussian" in out
    assert "Verdict" not in out  # nothing is wrong
    assert files[0].read_bytes() == files[1].read_bytes()
    np.testing.assert_array_equal(read_image(files[0]).data, vr.denoise(noisy).mean)


def test_correlated_noise_is_reported(run, folder, tmp_path):
    words = ["denoise", folder / "noisy.tif", "-o", tmp_path / "out.tif"]
    status, out, _ = run(*words, "--noise", "gaussian:25@0.6,0.58")
    assert status == 0
    told = "standard deviation 25, correlated between neighbours: 0.60 along Y, 0.58 along X"
    assert told in out


def test_uncertainty_brings_its_samples(run, folder, model_file, tmp_path):
    output, std = tmp_path / "out.tif", tmp_path / "std.tif"
    words = ["denoise", folder / "noisy.tif", "-o", output, "--model", model_file]
    assert run(*words, "--uncertainty", std)[0] == 0
    assert json.loads(read_image(std).description)["n_samples"] == 16
    assert set(tmp_path.iterdir()) == {output, std}


@pytest.mark.parametrize("name", ["out.tif", "out.ome.tif"])
def test_samples_are_files_beside_the_output(
    run, folder, model_file, tmp_path, name, recipe_of
):
    stem, _, suffix = name.partition(".")
    files = [tmp_path / f"{stem}.sample-{n}.{suffix}" for n in (1, 2)]
    words = ["denoise", folder / "noisy.tif", "-o", tmp_path / name, "--model", model_file]
    words += ["--samples", 2, "--seed", 3]
    status, out, err = run(*words)
    assert status == 0, err
    assert set(tmp_path.iterdir()) == {tmp_path / name, *files}
    image = read_image(folder / "noisy.tif")
    same = vr.denoise(image.data, vr.load(model_file), n_samples=2, keep_samples=True, seed=3)
    for path, sample in zip(files, same.samples, strict=True):
        assert str(path) in out
        found = read_image(path)
        np.testing.assert_array_equal(found.data, sample)
        assert found.format == read_image(tmp_path / name).format
        told = json.loads(found.description)
        assert (told.pop("is"), "drawn at random" in told.pop("note")) == ("sample", True)
        assert told == recipe_of(same, folder / "noisy.tif")


def test_noise_and_axes_are_passed_on(run, model_file, tmp_path, picture):
    source, output = tmp_path / "in.tif", tmp_path / "out.tif"
    tifffile.imwrite(source, picture((3, 32, 40), "float32"), photometric="minisblack")
    words = ["denoise", source, "-o", output, "--model", model_file]
    assert run(*words, "--axes", "CYX", "--noise", "gaussian:12.5")[0] == 0
    result = read_image(output)
    assert result.axes == "CYX"
    recipe = json.loads(result.description)
    assert (recipe["axes"], recipe["noise"]) == ("CYX", ["gaussian:12.5"] * 3)
