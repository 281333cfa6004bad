"""``vae-restore noise``: rows, JSON and the picture."""

import json

import numpy as np
import pytest

import napari_vae_restore as vr
from napari_vae_restore.images.image_files import write_image


@pytest.fixture
def striped(tmp_path, clean):
    path = tmp_path / "striped.tif"
    noise = vr.parse_noise("gaussian:25@row:0.8")
    image = noise.sample(clean, np.random.default_rng(0)).astype(np.float32)
    write_image(path, image, "YX")
    return path


def test_noise_in_words(run, striped, tmp_path):
    status, out, err = run("noise", striped, "--plot", tmp_path / "noise.svg")
    assert (status, err) == (0, "")
    assert "Gaussian" in out
    assert "along rows (X)" in out
    assert "lag-1 autocorrelation" in out
    option = out.split("--noise '")[1].split("'")[0]
    assert vr.parse_noise(option).correlation.direction == "row"
    assert (tmp_path / "noise.svg").read_text(encoding="utf-8").startswith("<svg")
    status, _, err = run("noise", striped, "--plot", tmp_path / "noise.svg")
    assert status == 2
    assert "--overwrite" in err or "exists" in err


def test_noise_as_json(run, striped):
    status, out, err = run("noise", striped, "--json", "--correlation", "white")
    assert (status, err) == (0, "")
    found = json.loads(out)
    assert found["image"] == str(striped)
    assert found["channels"][0]["lag_one"] == [0, 0]
    assert "contradicts" in found["channels"][0]["residual"]["doubt"]


def test_channels_and_frames(run, tmp_path, clean):
    draw = np.random.default_rng(0)
    frames = draw.normal(clean[None, None, :64, :64], 9.0, (5, 2, 64, 64)).astype(np.float32)
    write_image(tmp_path / "frames.tif", frames, "TCYX")
    status, out, _ = run("noise", tmp_path / "frames.tif", "--frames", "T")
    assert status == 0
    assert out.count("Channel") == 2


def test_unusable_options_are_refused(run, striped):
    assert run("noise", striped, "--kind", "speckle")[0] == 2
    assert run("noise", striped, "--plot", "noise.png")[0] == 2
