"""``vae-restore train``: what it saves and says, also when it is stopped."""

import contextlib
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

import napari_vae_restore as vr
from napari_vae_restore.cli import terminal
from napari_vae_restore.images.image_files import write_image
from napari_vae_restore.training.weight_updates import WeightUpdates

NOISE = "gaussian:25"


def test_train_says_what_it_did_and_what_to_do_next(run, folder, tmp_path):
    path = tmp_path / "my model.safetensors"
    words = ["train", folder / "noisy.tif", "-o", path, "--steps", 2]
    status, out, err = run(*words, "--noise", "poisson-gaussian:5,-15.8")
    assert (status, err) == (0, "")
    assert "Poisson-Gaussian, variance = 5 · signal − 15.8" in out
    assert "2 steps" in out
    assert "nats per pixel" in out
    assert f"--model '{path}'" in out
    assert vr.load(path).noise == vr.PoissonGaussianNoise(5, -15.8)


def test_train_on_a_folder_is_that_of_python(run, tmp_path, picture):
    images = tmp_path / "images"
    images.mkdir()
    for n in range(2):
        write_image(images / f"{n}.tif", picture((64, 64), "uint8") + np.uint8(n), "YX")
    path = tmp_path / "model.safetensors"
    assert run("train", images, "-o", path, "--steps", 2, "--noise", NOISE, "--seed", 3)[0] == 0
    same = vr.train(images, steps=2, noise=NOISE, seed=3)
    assert vr.load(path).sha256 == same.sha256
    assert vr.load(path).record.n_planes == 2


def test_train_on_an_array(run, noisy, tmp_path):
    np.save(tmp_path / "noisy.npy", noisy)
    path = tmp_path / "model.safetensors"
    words = ["train", tmp_path / "noisy.npy", "-o", path, "--steps", 1, "--noise", NOISE]
    status, out, err = run(*words)
    assert (status, err) == (0, "")
    assert "Next" not in out  # the other commands read pictures
    assert vr.load(path).record.n_pixels == noisy.size


def test_budget_is_time(run, folder, tmp_path):
    path = tmp_path / "model.safetensors"
    words = ["train", folder / "noisy.tif", "-o", path, "--noise", NOISE]
    assert run(*words, "--budget", "0.5s")[0] == 0
    assert 0 < vr.load(path).record.seconds < 30


@pytest.fixture
def interrupted_at(monkeypatch):
    """Press Ctrl-C when the bar comes to a step."""

    def prepare(step):
        def bar(description):
            def update(done, remark):
                if remark.startswith(f"step {step}"):
                    signal.raise_signal(signal.SIGINT)

            return contextlib.nullcontext(update)

        monkeypatch.setattr(terminal, "progress_bar", bar)

    return prepare


def test_stopped_training_is_saved_and_goes_on(
    run, folder, tmp_path, interrupted_at, monkeypatch
):
    path = tmp_path / "model.safetensors"
    words = ["train", folder / "noisy.tif", "-o", path]
    before = signal.getsignal(signal.SIGINT)
    with monkeypatch.context():
        interrupted_at(2)
        status, out, err = run(*words, "--steps", 4, "--noise", NOISE)
    assert (status, err) == (130, "stopped\n")
    assert "the best model so far" in out
    assert vr.load(path).record.n_steps == 2
    again = out.partition("vae-restore ")[2].split()
    assert again[: len(words)] == [str(word) for word in words]
    assert signal.getsignal(signal.SIGINT) is before
    monkeypatch.undo()
    status, out, err = run(*again)
    assert (status, err) == (0, "")
    assert vr.load(path).record.n_steps > 2


def test_failed_training_is_saved(run, folder, tmp_path, monkeypatch):
    def fail_at_third_step(self, fraction, take=WeightUpdates.step):
        if fraction >= 0.5:
            raise RuntimeError("cuda error")
        return take(self, fraction)

    monkeypatch.setattr(WeightUpdates, "step", fail_at_third_step)
    path = tmp_path / "model.safetensors"
    words = ["train", folder / "noisy.tif", "-o", path, "--steps", 4, "--noise", NOISE]
    status, _, err = run(*words)
    assert status == 2
    assert err.count("\n") == 1
    assert "the best model so far is saved" in err
    assert vr.load(path).record.n_steps == 2


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for a child process")
def test_ctrl_c_in_a_real_terminal(folder, tmp_path):
    path = tmp_path / "model.safetensors"
    words = ["train", folder / "noisy.tif", "-o", path, "--budget", "1h", "--noise", NOISE]
    child = subprocess.Popen(
        [sys.executable, "-m", "napari_vae_restore", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"FORCE_COLOR": "1", "COLUMNS": "120", "OMP_NUM_THREADS": "1"},
    )
    seen = b""
    while b"step" not in seen:  # the bar says that training is under way
        part = child.stderr.read1()
        assert part, seen.decode()
        seen += part
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=60)
    assert child.returncode == 130
    assert b"the best model so far" in out
    assert b"Traceback" not in seen + err
    assert vr.load(path).record.n_steps > 0


def test_adapting_from_the_command_line(run, folder, tmp_path):
    path = tmp_path / "mine.safetensors"
    words = ["adapt", folder / "noisy.tif", "-o", path, "--steps", 2, "--noise", NOISE]
    status, out, err = run(*words)
    assert (status, err) == (0, "")
    assert "Started as" in out
    assert "Gain" in out
    record = vr.load(path).record
    assert (record.start, record.supervision) == ("default", "noisy images")
    restored = tmp_path / "out.tif"
    status, _, _ = run("denoise", folder / "noisy.tif", "-o", restored, "--model", path)
    assert status == 0


@pytest.mark.parametrize(
    ("option", "supervision"),
    [("--second", "two shots"), ("--clean", "pairs"), ("--simulate", "clean images")],
)
def test_every_supervision(run, folder, tmp_path, option, supervision):
    path = tmp_path / "mine.safetensors"
    given = "denoise,inpaint" if option == "--simulate" else folder / "noisy.tif"
    words = ["train", folder / "noisy.tif", "-o", path, option, given, "--steps", 1]
    status, out, err = run(*words, "--noise", NOISE)
    assert (status, err) == (0, "")
    assert supervision in out
    assert vr.load(path).record.supervision == supervision


def test_two_supervisions_are_refused(run, folder, tmp_path):
    words = ["train", folder / "noisy.tif", "-o", tmp_path / "m.safetensors"]
    status, _, err = run(*words, "--clean", folder, "--second", folder)
    assert status == 2
    assert "one of --second and --clean" in err
