"""``vae-restore evaluate``: the measures, and their JSON."""

import json

import imageio.v3 as iio
import numpy as np
import pytest

import napari_vae_restore as vr
from napari_vae_restore.images.image_files import write_image


def test_evaluate(run, folder, clean, noisy, tmp_path):
    reference = tmp_path / "clean.tif"
    write_image(reference, clean, "YX")
    words = ["evaluate", folder / "noisy.tif", "--reference", reference]
    status, out, err = run(*words, "--json", "-")
    assert (status, err) == (0, "")
    values = json.loads(out)
    error = float(np.sqrt(np.mean((noisy.astype(float) - clean) ** 2)))
    assert values["rmse"] == pytest.approx(error)
    assert values["data_range"] == np.ptp(clean)
    assert values["psnr"] == pytest.approx(20 * np.log10(np.ptp(clean) / error))
    assert 0 < values["ssim"] < 1
    in_255 = json.loads(run(*words, "--json", "-", "--range", "255")[1])
    assert in_255["psnr"] == pytest.approx(20 * np.log10(255 / error))
    status, out, _ = run(*words, "--range", 255)
    assert f"{in_255['psnr']:.2f} dB" in out
    assert "255 (as given)" in out


def test_evaluate_of_equal_images_is_json_still(run, folder):
    words = [
        "evaluate",
        folder / "noisy.tif",
        "--reference",
        folder / "noisy.tif",
        "--json",
        "-",
    ]
    assert json.loads(run(*words)[1])["psnr"] is None


def test_evaluate_leaves_alpha_out(run, tmp_path, picture):
    files = [tmp_path / "a.png", tmp_path / "b.png"]
    for n, path in enumerate(files):
        colours = picture((32, 40, 4), "uint8") // (n + 1)
        colours[..., 3] = 255
        iio.imwrite(path, colours)
    found = json.loads(run("evaluate", files[1], "--reference", files[0], "--json", "-")[1])
    pair = [iio.imread(path)[..., :3].astype(float) for path in files]
    assert found["rmse"] == pytest.approx(np.sqrt(np.mean((pair[0] - pair[1]) ** 2)))


def test_evaluate_a_model_on_a_folder(run, folder, model_file, clean, noisy, tmp_path):
    for name, image in (("noisy", noisy), ("clean", clean)):
        (tmp_path / name).mkdir()
        for n in range(2):
            part = image[n * 96 : (n + 1) * 96]
            write_image(tmp_path / name / f"{n}.tif", part, "YX")
    figures, report = tmp_path / "figures.json", tmp_path / "report.html"
    words = ["evaluate", tmp_path / "noisy", "--model", model_file, "--samples", 2]
    words += ["--reference", tmp_path / "clean", "--json", figures, "--report", report]
    status, out, err = run(*words)
    assert status == 0, err
    values = json.loads(figures.read_text())
    expected = vr.evaluate(model_file, tmp_path / "noisy", tmp_path / "clean", n_samples=2)
    assert values == json.loads(json.dumps(expected.to_dict()))
    assert [each["name"] for each in values["images"]] == ["0.tif", "1.tif"]
    assert "nats per pixel" in out
    assert "<svg" in report.read_text()
    status, _, err = run(*words)
    assert status == 2
    assert "exists" in err


def test_evaluate_writes_a_page_of_files(run, folder, tmp_path, clean):
    reference, report = tmp_path / "clean.tif", tmp_path / "report.html"
    write_image(reference, clean, "YX")
    words = ["evaluate", folder / "noisy.tif", "--reference", reference]
    assert run(*words, "--report", report, "--json", tmp_path / "figures.json")[0] == 0
    (row,) = json.loads((tmp_path / "figures.json").read_text())
    assert f"{row['psnr']:.2f}" in report.read_text()


def test_evaluate_needs_something_to_measure_by(run, folder):
    status, _, err = run("evaluate", folder / "noisy.tif")
    assert status == 2
    assert "--reference" in err
    assert "--model" in err
