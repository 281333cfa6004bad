"""``vae-restore sweep``, and the textbook VAE through the other commands."""

import json

import numpy as np
import pytest
from skimage import data

import napari_vae_restore as vr
from napari_vae_restore.images.image_files import read_image, write_image


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    path = tmp_path_factory.mktemp("faces") / "faces.tif"
    write_image(path, data.lfw_subset()[:12].astype(np.float32), "ZYX")
    return path


def test_sweep_recommends(run, faces, tmp_path):
    words = ["sweep", faces, "-o", tmp_path / "out", "--kind", "flat", "--latent", "1,2"]
    words += ["--simulate", "gaussian:0.2", "--budget", "1s"]
    status, out, err = run(*words)
    assert status == 0, err
    values = json.loads((tmp_path / "out" / "sweep.json").read_text())
    assert f"Recommended {values['recommended']}" in out
    assert "denoised/dB" in out
    assert run(*words)[1] == out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--latent", "2;8"], "numbers with commas"),
        (["--kind", "flat", "--levels", "2"], "one latent vector"),
        (["--simulate", "snow:2"], "noise"),
    ],
)
def test_sweep_refuses(run, faces, tmp_path, words, message):
    status, _, err = run("sweep", faces, "-o", tmp_path / "out", *words)
    assert status == 2
    assert message in err


def test_the_textbook_vae_through_the_commands(run, faces, tmp_path):
    model = tmp_path / "faces.safetensors"
    words = ["--kind", "flat", "--latent", 3, "--noise", "gaussian:0.2", "--steps", 3]
    status, _, err = run("train", faces, "-o", model, *words)
    assert status == 0, err
    assert vr.load(model).network.config == vr.FlatVAEConfig(size=28, width=4, z_dim=3)
    denoised, samples = tmp_path / "denoised.tif", tmp_path / "samples.tif"
    assert run("denoise", faces, "-o", denoised, "--model", model)[0] == 0
    assert read_image(denoised).data.shape == (12, 25, 25)
    assert run("generate", "-o", samples, "--model", model, "--n", 2)[0] == 0
    assert read_image(samples).data.shape == (2, 28, 28)
    assert run("evaluate", faces, "--model", model)[0] == 0
