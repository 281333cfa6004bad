"""``vae-restore compress`` and ``decompress``."""

import numpy as np
import pytest
from skimage import data

from napari_vae_restore.images.image_files import read_image, write_image


@pytest.fixture
def camera(tmp_path):
    path = tmp_path / "camera.tif"
    units = ("micrometer", "micrometer")
    write_image(path, data.camera()[100:164, 100:180], "YX", scale=(0.5, 0.5), units=units)
    return path


def test_there_and_back(run, tmp_path, camera):
    small, back = tmp_path / "camera.vaec", tmp_path / "back.tif"
    status, out, err = run("compress", camera, "-o", small, "--quality", 40)
    assert (status, err) == (0, "")
    assert f"{small.stat().st_size} bytes" in out
    status, _, err = run("decompress", small, "-o", back)
    assert (status, err) == (0, "")
    before, after = read_image(camera), read_image(back)
    assert (after.axes, after.units, after.data.dtype) == ("YX", before.units, np.uint8)
    assert after.scale == pytest.approx(before.scale)
    assert np.abs(after.data.astype(int) - before.data).mean() < 5


def test_lossless(run, tmp_path, camera):
    small, back = tmp_path / "camera.vaec", tmp_path / "back.png"
    assert run("compress", camera, "-o", small, "--lossless")[0] == 0
    assert run("decompress", small, "-o", back)[0] == 0
    np.testing.assert_array_equal(read_image(back).data, read_image(camera).data)


def test_refusals(run, tmp_path, camera):
    small = tmp_path / "camera.vaec"
    status, _, err = run("compress", camera, "-o", tmp_path / "camera.jpg")
    assert (status, "ends in .vaec" in err) == (2, True)
    status, _, err = run("decompress", camera, "-o", tmp_path / "out.tif")
    assert (status, "no .vaec file" in err) == (2, True)
    status, _, err = run("decompress", small, "-o", tmp_path / "out.tif")
    assert (status, "No such file" in err) == (2, True)
    assert not (tmp_path / "out.tif").exists()
