"""The program as a whole: help, statuses, and what is said where."""

import os
import subprocess
import sys
from typing import get_type_hints

import pytest
import tifffile

import napari_vae_restore as vr
from napari_vae_restore.cli.options import RestoreOptions
from napari_vae_restore.images.tiling import TILE
from napari_vae_restore.restoration.recipes.replay import Request


def test_help_is_quick_and_complete():
    code = (
        "import sys; from napari_vae_restore.cli import main; main(['--help']);"
        "print({'torch', 'numpy', 'napari', 'tifffile'} & set(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.strip() == "set()"
    for command in (
        *("demo", "denoise", "inpaint", "super-resolve", "restore"),
        *("train", "evaluate", "models", "doctor"),
    ):
        assert command in done.stdout


def test_help_names_the_defaults_of_the_library():
    """As literals: to import them would cost the help a second."""
    hints = get_type_hints(RestoreOptions, include_extras=True)
    usual = {"model": "model", "samples": "n_samples", "tile": "tile", "seed": "seed"}
    for option, field in usual.items():
        (told,) = hints[option].__metadata__
        usually = TILE if field == "tile" else getattr(Request(()), field)
        assert told.show_default == str(usually)


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
        ["inpaint", "x.tif", "-o", "y.tif"],
        ["super-resolve", "x.tif", "-o", "y.tif", "--factor", "much"],
        ["restore", "x.tif", "-o", "y.tif"],
    ],
)
def test_misuse_is_one_line(run, words):
    status, out, err = run(*words)
    assert (status, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert "--help" in err


def test_unexpected_errors_name_themselves(run, folder, monkeypatch):
    def broken(*_, **__):
        raise KeyError("surprise")

    monkeypatch.setattr("napari_vae_restore.evaluation.metrics.psnr", broken)
    words = ["evaluate", folder / "noisy.tif", "--reference", folder / "noisy.tif"]
    status, out, err = run(*words)
    assert (status, out) == (1, "")
    assert err.count("\n") == 1
    assert "KeyError: 'surprise'; run again with --debug" in err
    status, out, err = run(*words, "--debug")
    assert status == 1
    assert "Traceback" in err


def test_warnings_of_the_package_are_lines(run, tmp_path, model_file, picture):
    source = tmp_path / "two.tif"
    with tifffile.TiffWriter(source) as file:
        for side in (32, 40):
            file.write(picture((side, side), "uint8"))
    _, _, err = run("denoise", source, "-o", tmp_path / "o.tif", "--model", model_file)
    first, *others = err.splitlines()
    assert first.startswith("warning: ")
    assert "2 images" in first
    assert all(line.startswith("warning: ") for line in others)  # of a model of five steps
