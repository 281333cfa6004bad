"""``vae-restore evaluate``: the measures, and their JSON."""

import json

import imageio.v3 as iio
import numpy as np
import pytest

from napari_vae_restore.image_files import write_image


def test_evaluate(run, folder, clean, noisy, tmp_path):
    reference = tmp_path / "clean.tif"
    write_image(reference, clean, "YX")
    words = ["evaluate", folder / "noisy.tif", "--reference", reference]
    status, out, err = run(*words, "--json")
    assert (status, err) == (0, "")
    values = json.loads(out)
    error = float(np.sqrt(np.mean((noisy.astype(float) - clean) ** 2)))
    assert values["rmse"] == pytest.approx(error)
    assert values["data_range"] == np.ptp(clean)
    assert values["psnr"] == pytest.approx(20 * np.log10(np.ptp(clean) / error))
    assert 0 < values["ssim"] < 1
    in_255 = json.loads(run(*words, "--json", "--range", "255")[1])
    assert in_255["psnr"] == pytest.approx(20 * np.log10(255 / error))
    status, out, _ = run(*words, "--range", 255)
    assert f"{in_255['psnr']:.2f} dB" in out
    assert "255 (as given)" in out


def test_evaluate_of_equal_images_is_json_still(run, folder):
    words = ["evaluate", folder / "noisy.tif", "--reference", folder / "noisy.tif", "--json"]
    assert json.loads(run(*words)[1])["psnr"] is None


def test_evaluate_leaves_alpha_out(run, tmp_path, picture):
    files = [tmp_path / "a.png", tmp_path / "b.png"]
    for n, path in enumerate(files):
        colours = picture((32, 40, 4), "uint8") // (n + 1)
        colours[..., 3] = 255
        iio.imwrite(path, colours)
    found = json.loads(run("evaluate", files[1], "--reference", files[0], "--json")[1])
    pair = [iio.imread(path)[..., :3].astype(float) for path in files]
    assert found["rmse"] == pytest.approx(np.sqrt(np.mean((pair[0] - pair[1]) ** 2)))
