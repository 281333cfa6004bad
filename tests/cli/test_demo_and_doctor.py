"""``vae-restore demo`` and ``doctor``: the main job at once, and what stands in its way."""

import json
import sys
import types

import imageio.v3 as iio
import numpy as np
import pytest

import napari_vae_restore as vr
from napari_vae_restore.cli import demo, doctor
from napari_vae_restore.images.image_files import read_image
from napari_vae_restore.models import bundled


def test_doctor(run):
    status, out, err = run("doctor")
    assert (status, err) == (0, "")
    for word in ("Python", "torch", "cpu", "Qt", "Display", "Plugin", "Model", "Self-test"):
        assert word in out


def test_doctor_finds_what_is_broken(run, monkeypatch):
    def broken(*_, **__):
        raise ImportError("libgomp.so.1: no such file")

    monkeypatch.setattr(vr, "train", broken)
    monkeypatch.setattr(doctor, "version_of", {"torch": "2.7"}.get)
    status, out, _ = run("doctor")
    assert status == 1
    assert "libgomp" in out
    assert "pip install pyqt6" in out
    assert 'pip install "napari-vae-restore[all]"' in out


def test_doctor_finds_a_changed_model(run, monkeypatch, tmp_path):
    weights = tmp_path / "default.safetensors"
    weights.write_bytes(b"torn")
    bundled._bundled.cache_clear()
    monkeypatch.setattr(bundled, "WEIGHTS", weights)
    status, out, _ = run("doctor")
    bundled._bundled.cache_clear()
    assert status == 1
    assert "is not the file that this version came with" in out
    assert "the bundled model fails" in out


@pytest.fixture
def micrograph(folder, monkeypatch):
    """A small sample in place of the packaged one."""
    samples = types.ModuleType("napari_vae_restore.samples")
    samples.SAMPLES = {"cells": "Small cells"}
    samples.sample_path = lambda name: folder / "noisy.tif"
    (folder / "SOURCES.md").write_text("Taken by A. Person, CC0")
    monkeypatch.setitem(sys.modules, samples.__name__, samples)


RESULTS = {
    *("noisy.tif", "denoised.tif", "scratched.tif", "filled.tif", "small.tif", "enlarged.tif"),
    *("noisy.png", "denoised.png", "uncertainty.png", "mask.png"),
    *("comparison.png", "filled.png", "enlarged.png", "about.txt"),
}


@pytest.mark.usefixtures("micrograph")
def test_demo_shows_its_results_and_keeps_to_its_files(run, tmp_path):
    folder = tmp_path / "new" / "demo"
    for _ in range(2):
        status, out, err = run("demo", "-o", folder)
        assert (status, err) == (0, "")
        (folder / "mine.txt").write_text("untouched")
    assert {path.name for path in folder.iterdir()} == {*RESULTS, "mine.txt"}
    for name in ("comparison.png", "filled.png", "enlarged.png"):
        drawn = iio.imread(folder / name)
        assert drawn.shape[1] > 1.3 * drawn.shape[0]
    assert json.loads(read_image(folder / "denoised.tif").description)["model"] == "default"
    assert "vae-restore inpaint" in out
    assert "Noise       Poisson-Gaussian" in out
    assert "A. Person" in (folder / "about.txt").read_text()
    assert demo.FOLDER.name == "vae-restore-demo"


@pytest.mark.usefixtures("micrograph")
def test_what_the_demo_made_is_made_again_by_its_recipe(run, tmp_path):
    folder = tmp_path / "demo"
    assert run("demo", "-o", folder)[0] == 0
    for damaged, restored in (("scratched", "filled"), ("small", "enlarged")):
        recipe = folder / f"{restored}.tif"
        words = ["restore", folder / f"{damaged}.tif", "--recipe", recipe]
        assert run(*words, "-o", tmp_path / "again.tif", "--overwrite")[0] == 0
        again = read_image(tmp_path / "again.tif")
        np.testing.assert_array_equal(again.data, read_image(recipe).data)
        np.testing.assert_allclose(again.scale, read_image(recipe).scale)


@pytest.mark.usefixtures("micrograph")
def test_demo_with_a_budget_trains(run, tmp_path):
    status, out, err = run("demo", "-o", tmp_path / "demo", "--budget", "0.5s")
    assert (status, err) == (0, "")
    assert "Trained" in out
    assert vr.load(tmp_path / "demo" / "model.safetensors").record.n_steps > 0
    recipe = json.loads(read_image(tmp_path / "demo" / "denoised.tif").description)
    assert recipe["model"] == "model"
