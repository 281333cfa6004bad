"""``vae-restore generate``, ``encode`` and ``enhance``: the numbers of Python, in files."""

import csv
import json

import numpy as np
import pytest
from skimage import data

import napari_vae_restore as vr
from napari_vae_restore.images.image_files import read_image, write_image


@pytest.fixture(scope="module")
def camera(tmp_path_factory):
    path = tmp_path_factory.mktemp("pictures") / "camera.tif"
    units = ("micrometer", "micrometer")
    write_image(path, data.camera()[100:164, 100:180], "YX", scale=(0.5, 0.5), units=units)
    return path


def test_generate_writes_a_stack(run, tmp_path):
    output = tmp_path / "out.tif"
    words = ("--n", 2, "--size", "40x56", "--temperature", 0.8, "--seed", 3)
    status, out, err = run("generate", "-o", output, *words)
    assert (status, err) == (0, "")
    found = read_image(output)
    assert found.axes == "TYX"
    expected = vr.sample(n=2, size=(40, 56), temperature=0.8, seed=3)
    np.testing.assert_array_equal(found.data, expected)
    assert json.loads(found.description)["generated"]["seed"] == 3
    assert "none was measured" in out


def test_generate_between_and_like_images(run, tmp_path, camera):
    between, like = tmp_path / "between.tif", tmp_path / "like.tif"
    assert run("generate", "-o", between, "--n", 3, "--between", camera, camera)[0] == 0
    assert run("generate", "-o", like, "--n", 2, "--like", camera, "--levels", 2)[0] == 0
    found = read_image(like)
    assert found.data.shape == (2, 64, 80)
    assert found.scale[1:] == pytest.approx((0.5, 0.5))
    image = read_image(camera).data
    np.testing.assert_array_equal(read_image(between).data[0], vr.decode(vr.encode(image)))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--size", "64 by 64"], "--size HEIGHTxWIDTH"),
        (["--size", "4x4"], "at least 8"),
        (["--model", "nowhere.safetensors"], "does not exist"),
        (["--between", "a.tif", "b.tif", "--like", "a.tif"], "leave one out"),
        (["--like", "a.tif", "--size", "64x64"], "no --size"),
    ],
)
def test_generate_refuses(run, tmp_path, words, message):
    status, _, err = run("generate", "-o", tmp_path / "out.tif", *words)
    assert status == 2
    assert message in err


def test_encode_writes_a_table(run, tmp_path, camera):
    labels, output = tmp_path / "labels.tif", tmp_path / "features.csv"
    regions = np.zeros((64, 80), np.uint16)
    regions[:30, :30], regions[40:, 50:] = 1, 2
    write_image(labels, regions, "YX")
    status, out, err = run("encode", camera, "-o", output, "--regions", labels)
    assert (status, err) == (0, "")
    with output.open(newline="") as file:
        rows = list(csv.DictReader(file))
    expected = vr.features(vr.encode(read_image(camera).data), regions)
    assert list(rows[0]) == list(expected)
    np.testing.assert_allclose(
        [float(row["z4_03_mean"]) for row in rows], expected["z4_03_mean"], rtol=1e-5
    )
    assert "2 regions" in out


def test_enhance_labels_its_output(run, camera):
    status, out, err = run("enhance", camera, "--detail", "2:1.5", "--gamma", 0.8)
    assert (status, err) == (0, "")
    output = camera.with_name("camera-enhanced.tif")
    found = read_image(output)
    expected = vr.enhance(read_image(camera).data, detail={2: 1.5}, tones={"gamma": 0.8})
    np.testing.assert_array_equal(found.data, expected.enhanced)
    assert found.scale == pytest.approx((0.5, 0.5))
    assert "no longer measurements" in json.loads(found.description)["enhanced"]["note"]
    assert "no longer measurements" in out


def test_enhance_can_denoise_first(run, tmp_path, camera):
    output = tmp_path / "enhanced.tif"
    assert run("enhance", camera, "-o", output, "--noise", "gaussian:5")[0] == 0
    recipe = json.loads(read_image(output).description)["enhanced"]
    assert recipe["restored"]["noise"] == ["gaussian:5.0"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["-o", "plain.tif"], '"enhanced" in its name'),
        (["--detail", "2"], "PX:GAIN"),
        (["--detail", "5:2"], "levels of 2, 4, 8, 16 px"),
        (["--gamma", 0], "gamma"),
    ],
)
def test_enhance_refuses(run, tmp_path, camera, words, message):
    output = [] if "-o" in words else ["-o", tmp_path / "enhanced.tif"]
    status, _, err = run("enhance", camera, *output, *words)
    assert status == 2
    assert message in err
