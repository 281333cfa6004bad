"""The command line: files in, files out, statuses, and what is said where."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import types

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile

import napari_vae_restore as vr
from napari_vae_restore.cli import demo, doctor, main, runs
from napari_vae_restore.image_files import read_image, write_image

NOISE = "gaussian:25"


@pytest.fixture
def run(capsys):
    """Run the command line here: exit status, stdout and stderr."""

    def command(*words):
        capsys.readouterr()
        status = main([str(word) for word in words])
        return status, *capsys.readouterr()

    return command


@pytest.fixture(scope="module")
def folder(tmp_path_factory, noisy):
    folder = tmp_path_factory.mktemp("command_line")
    write_image(folder / "noisy.tif", noisy, "YX")
    return folder


@pytest.fixture(scope="module")
def model_file(folder):
    path = folder / "model.safetensors"
    words = ["train", folder / "noisy.tif", "-o", path, "--steps", 5, "--noise", NOISE]
    assert main([str(word) for word in words]) == 0
    return path


def picture(shape, dtype):
    values = np.random.default_rng(0).normal(120, 30, shape)
    return np.clip(values, 0, 255).astype(dtype)


def test_help_is_quick_and_complete():
    code = (
        "import sys; from napari_vae_restore.cli import main; main(['--help']);"
        "print({'torch', 'numpy', 'napari', 'tifffile'} & set(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.strip() == "set()"
    for command in ("demo", "train", "denoise", "evaluate", "doctor"):
        assert command in done.stdout


def test_output_in_a_narrow_encoding():
    done = subprocess.run(
        [sys.executable, "-m", "napari_vae_restore", "train", "--help"],
        capture_output=True,
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"A ? signal" in done.stdout


def test_version_and_no_command(run):
    assert run("--version") == (0, f"vae-restore {vr.__version__}\n", "")
    status, out, err = run()
    assert (status, err) == (0, "")
    assert "Usage" in out


@pytest.mark.parametrize(
    "words",
    [
        ["tain"],
        ["train"],
        ["train", "x.tif"],
        ["train", "x.tif", "-o", "m.safetensors", "--steps", "few"],
        ["denoise", "x.tif", "--frobnicate"],
        ["evaluate", "x.tif"],
    ],
)
def test_misuse_is_one_line(run, words):
    status, out, err = run(*words)
    assert (status, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert "--help" in err


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


def test_train_on_a_folder_is_that_of_python(run, tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    for n in range(2):
        write_image(images / f"{n}.tif", picture((64, 64), "uint8") + np.uint8(n), "YX")
    path = tmp_path / "model.safetensors"
    assert run("train", images, "-o", path, "--steps", 2, "--noise", NOISE, "--seed", 3)[0] == 0
    same = vr.train(images, steps=2, noise=NOISE, seed=3)
    assert vr.load(path).sha256 == same.sha256
    assert vr.load(path).record.n_planes == 2


def test_budget_is_time(run, folder, tmp_path):
    path = tmp_path / "model.safetensors"
    words = ["train", folder / "noisy.tif", "-o", path, "--noise", NOISE]
    assert run(*words, "--budget", "0.5s")[0] == 0
    assert 0 < vr.load(path).record.seconds < 30


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
def test_tiff_keeps_its_metadata(run, model_file, tmp_path, name, axes, shape, dtype):
    source, output = tmp_path / name, tmp_path / f"denoised_{name}"
    sizes = {"T": (2.0, "second"), "Z": (0.5, "micrometer"), "Y": (0.25, "micrometer")}
    scale, units = zip(
        *[sizes.get(a.replace("X", "Y"), (1.0, "pixel")) for a in axes], strict=True
    )
    image = picture(shape, dtype)
    write_image(source, image, axes, scale=scale, units=units)
    status, out, err = run("denoise", source, "-o", output, "--model", model_file)
    assert (status, err) == (0, "")
    before, after = read_image(source), read_image(output)
    assert after.data.dtype == image.dtype
    assert after.data.shape == image.shape
    assert (after.axes, after.units, after.format) == (axes, before.units, before.format)
    np.testing.assert_allclose(after.scale, scale, rtol=1e-6)
    assert not np.array_equal(after.data, image)
    assert str(output) in out


def test_files_of_imagej_and_microscopes(run, model_file, tmp_path):
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
def test_png(run, model_file, tmp_path, shape, dtype):
    source, output = tmp_path / "in.png", tmp_path / "out.png"
    iio.imwrite(source, picture(shape, dtype))
    assert run("denoise", source, "-o", output, "--model", model_file)[0] == 0
    result = read_image(output)
    assert (result.data.shape, result.data.dtype) == (shape, np.dtype(dtype))
    assert json.loads(result.description)["model"] == "model"


def test_same_numbers_as_python(run, folder, model_file, tmp_path):
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
    assert json.loads(mean.description) == same.recipe.to_dict()


def test_uncertainty_brings_its_samples(run, folder, model_file, tmp_path):
    output, std = tmp_path / "out.tif", tmp_path / "std.tif"
    words = ["denoise", folder / "noisy.tif", "-o", output, "--model", model_file]
    assert run(*words, "--uncertainty", std)[0] == 0
    assert json.loads(read_image(std).description)["n_samples"] == 16
    status, _, err = run(*words, "--samples", 4, "--overwrite")
    assert status == 0
    assert err.startswith("warning: ")


def test_noise_and_axes_are_passed_on(run, model_file, tmp_path):
    source, output = tmp_path / "in.tif", tmp_path / "out.tif"
    tifffile.imwrite(source, picture((3, 32, 40), "float32"), photometric="minisblack")
    words = ["denoise", source, "-o", output, "--model", model_file]
    assert run(*words, "--axes", "CYX", "--noise", "gaussian:12.5")[0] == 0
    result = read_image(output)
    assert result.axes == "CYX"
    recipe = json.loads(result.description)
    assert (recipe["axes"], recipe["noise"]) == ("CYX", ["gaussian:12.5"] * 3)


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


def test_evaluate_leaves_alpha_out(run, tmp_path):
    files = [tmp_path / "a.png", tmp_path / "b.png"]
    for n, path in enumerate(files):
        colours = picture((32, 40, 4), "uint8") // (n + 1)
        colours[..., 3] = 255
        iio.imwrite(path, colours)
    found = json.loads(run("evaluate", files[1], "--reference", files[0], "--json")[1])
    pair = [iio.imread(path)[..., :3].astype(float) for path in files]
    assert found["rmse"] == pytest.approx(np.sqrt(np.mean((pair[0] - pair[1]) ** 2)))


def test_doctor(run):
    status, out, err = run("doctor")
    assert (status, err) == (0, "")
    for word in ("Python", "torch", "cpu", "Qt", "Display", "Plugin", "Self-test", "Verdict"):
        assert word in out


def test_doctor_finds_what_is_broken(run, monkeypatch):
    def broken(*_, **__):
        raise ImportError("libgomp.so.1: no such file")

    monkeypatch.setattr(vr, "train", broken)
    monkeypatch.setattr(doctor, "_version", {"torch": "2.7"}.get)
    status, out, _ = run("doctor")
    assert status == 1
    assert "libgomp" in out
    assert "pip install pyqt6" in out
    assert 'pip install "napari-vae-restore[all]"' in out


@pytest.fixture
def micrograph(folder, monkeypatch):
    """A small sample in place of the packaged one."""
    samples = types.ModuleType("napari_vae_restore.samples")
    samples.SAMPLES = {"cells": "Small cells"}
    samples.sample_path = lambda name: folder / "noisy.tif"
    (folder / "SOURCES.md").write_text("Taken by A. Person, CC0")
    monkeypatch.setitem(sys.modules, samples.__name__, samples)


@pytest.mark.usefixtures("micrograph")
def test_demo_shows_its_result_and_keeps_to_its_files(run, tmp_path):
    folder = tmp_path / "new" / "demo"
    for _ in range(2):
        status, out, err = run("demo", "-o", folder, "--budget", "0.5s")
        assert (status, err) == (0, "")
        (folder / "mine.txt").write_text("untouched")
    assert {path.name for path in folder.iterdir()} == {
        *("noisy.tif", "denoised.tif", "model.safetensors", "mine.txt"),
        "about.txt",
        *("noisy.png", "denoised.png", "uncertainty.png", "comparison.png"),
    }
    drawn = iio.imread(folder / "comparison.png")
    assert drawn.shape[1] > 1.3 * drawn.shape[0]
    assert json.loads(read_image(folder / "denoised.tif").description)["model"] == "model"
    assert "vae-restore train" in out
    assert "standard deviation" in out
    assert "A. Person" in (folder / "about.txt").read_text()
    assert demo.FOLDER.name == "vae-restore-demo"


@pytest.fixture
def interrupted_at(monkeypatch):
    """Press Ctrl-C when the bar comes to a step."""

    def prepare(step):
        def bar(description):
            def update(done, seconds_left, remark):
                if remark.startswith(f"step {step}"):
                    signal.raise_signal(signal.SIGINT)

            return contextlib.nullcontext(update)

        monkeypatch.setattr(runs, "progress_bar", bar)

    return prepare


def test_stopped_training_is_saved_and_goes_on(
    run, folder, tmp_path, interrupted_at, monkeypatch
):
    path = tmp_path / "model.safetensors"
    words = ["train", folder / "noisy.tif", "-o", path]
    with monkeypatch.context():
        interrupted_at(2)
        status, out, err = run(*words, "--steps", 4, "--noise", NOISE)
    assert (status, err) == (130, "stopped\n")
    assert "the best model so far" in out
    assert vr.load(path).record.n_steps == 2
    again = out.partition("vae-restore ")[2].split()
    assert again[: len(words)] == [str(word) for word in words]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    monkeypatch.undo()
    status, out, err = run(*again)
    assert (status, err) == (0, "")
    assert vr.load(path).record.n_steps > 2


def test_failed_training_is_saved(run, folder, tmp_path, monkeypatch):
    def fail_at_third_step(self, fraction, optimise=vr.Training._optimise):
        if fraction >= 0.5:
            raise RuntimeError("cuda error")
        return optimise(self, fraction)

    monkeypatch.setattr(vr.Training, "_optimise", fail_at_third_step)
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


def test_unexpected_errors_name_themselves(run, folder, monkeypatch):
    def broken(*_, **__):
        raise KeyError("surprise")

    monkeypatch.setattr("napari_vae_restore.metrics.psnr", broken)
    words = ["evaluate", folder / "noisy.tif", "--reference", folder / "noisy.tif"]
    status, out, err = run(*words)
    assert (status, out) == (1, "")
    assert err.count("\n") == 1
    assert "KeyError: 'surprise'; run again with --debug" in err
    status, out, err = run(*words, "--debug")
    assert status == 1
    assert "Traceback" in err


def test_warnings_of_the_package_are_lines(run, tmp_path, model_file):
    source = tmp_path / "two.tif"
    with tifffile.TiffWriter(source) as file:
        for side in (32, 40):
            file.write(picture((side, side), "uint8"))
    _, _, err = run("denoise", source, "-o", tmp_path / "o.tif", "--model", model_file)
    assert err.startswith("warning: ")
    assert err.count("\n") == 1
