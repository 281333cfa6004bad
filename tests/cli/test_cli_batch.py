"""Folders, globs and several files on the command line."""

import json

import imageio.v3 as iio
import numpy as np
import pytest

from napari_vae_restore.batch import run as batches
from napari_vae_restore.images.image_files import read_image, write_image


@pytest.fixture
def data(tmp_path, picture, monkeypatch):
    """A folder with three images, one of them in a folder of its own."""
    (tmp_path / "data" / "day2").mkdir(parents=True)
    for name in ("a.tif", "b.tif", "day2/c.tif"):
        write_image(tmp_path / "data" / name, picture((32, 40), "float32"), "YX")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(folder):
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )


def test_a_folder_then_again_then_the_rest(run, data, model_file):
    words = ["denoise", "data", "-o", "out", "--model", model_file]
    status, out, err = run(*words, "--dry-run")
    assert status == 0, err
    lines = [line.split() for line in out.splitlines()]
    assert lines[:2] == [["Plan", "Image", "Output"], ["restore", "data/a.tif", "out/a.tif"]]
    assert "3 to restore, of 3 images; nothing was done" in out
    assert not (data / "out").exists()
    status, out, err = run(*words)
    assert status == 0, err
    assert names(data / "out") == ["a.tif", "b.tif", "day2/c.tif"]
    assert "3 restored, of 3 images" in out
    single = data / "single.tif"
    assert run("denoise", "data/a.tif", "-o", single, "--model", model_file)[0] == 0
    assert single.read_bytes() == (data / "out" / "a.tif").read_bytes()
    (data / "out" / "b.tif").unlink()
    status, out, _ = run(*words, "--dry-run")
    assert (status, "2 there already, 1 to restore, of 3" in out) == (0, True)
    status, out, _ = run(*words)
    assert (status, "1 restored, 2 there already, of 3 images" in out) == (0, True)


def test_globs_and_several_files_with_a_suffix(run, data, model_file):
    more = ["-o", "out", "--model", model_file, "--suffix", "-x"]
    assert run("denoise", "data/**/*.tif", *more)[0] == 0
    assert names(data / "out") == ["a-x.tif", "b-x.tif", "day2/c-x.tif"]
    more = ["-o", "two", "--model", model_file, "--samples", 2, "--uncertainty", "spread"]
    assert run("denoise", "data/a.tif", "data/b.tif", *more)[0] == 0
    assert names(data / "two")[:3] == ["a.sample-1.tif", "a.sample-2.tif", "a.tif"]
    assert names(data / "spread") == ["a.tif", "b.tif"]
    (data / "three").mkdir()
    assert run("denoise", "data/a.tif", "-o", "three", "--model", model_file)[0] == 0
    assert names(data / "three") == ["a.tif"]


def test_bad_files_are_listed_at_the_end(run, data, model_file):
    (data / "data" / "a.tif").write_text("torn")
    words = ["denoise", "data", "-o", "out", "--model", model_file]
    status, out, err = run(*words)
    assert status == 1
    assert names(data / "out") == ["b.tif", "day2/c.tif"]
    assert "2 restored, 1 failed, of 3 images" in out
    assert err.splitlines()[-1].startswith("failed: data/a.tif: ")


def test_ctrl_c_says_how_many_are_done(run, data, model_file, monkeypatch):
    real = batches.iter_restore_file

    def stopped(files, *args, **options):
        if files.image.name == "b.tif":
            raise KeyboardInterrupt
        return (yield from real(files, *args, **options))

    monkeypatch.setattr(batches, "iter_restore_file", stopped)
    words = ["denoise", "data", "-o", "out", "--model", model_file]
    status, _, err = run(*words)
    assert status == 130
    assert "1 restored" in err
    assert names(data / "out") == ["a.tif"]
    monkeypatch.undo()
    monkeypatch.chdir(data)
    assert "2 restored, 1 there already" in run(*words)[1]


def test_overwriting(run, data, model_file):
    words = ["denoise", "data", "-o", "out", "--model", model_file]
    assert run(*words)[0] == 0
    status, _, err = run(*words, "--noise", "gaussian:9")
    assert (status, "--overwrite missing" in err) == (2, True)
    status, out, _ = run(*words, "--noise", "gaussian:9", "--overwrite", "missing")
    assert (status, "3 there already" in out) == (0, True)
    for replace in (["--overwrite", "always"], ["--overwrite"]):
        status, out, _ = run(*words[:2], *replace, *words[2:], "--noise", "gaussian:9")
        assert (status, "3 restored" in out) == (0, True)
    one = ["denoise", "data/a.tif", "-o", "out/a.tif", "--model", model_file]
    assert run(*one)[0] == 2
    status, out, _ = run(*one, "--overwrite", "missing")
    assert (status, "keep" in out) == (0, True)
    assert run(*one, "--overwrite", "sometimes")[0] == 2


def test_what_cannot_be_is_refused(run, data, model_file):
    for words, told in {
        ("data", "-o", "out.tif"): "name a folder",
        ("data", "-o", "data"): "would replace one",
        ("nothing*", "-o", "out"): "none matches",
        ("data", "-o", "out", "--noise", "gausian:3"): "gausian",
        ("data/a.tif", "-o", "a.tif", "--suffix", "-x"): "--suffix",
    }.items():
        status, _, err = run("denoise", *words, "--model", model_file)
        assert (status, told in err) == (2, True), err
    assert not (data / "out").exists()


def test_masks_for_all_and_by_name(run, data):
    hole = np.zeros((32, 40), np.uint8)
    hole[4:8, 4:9] = 255
    iio.imwrite("mask.png", hole)
    assert run("inpaint", "data", "--mask", "mask.png", "-o", "all")[0] == 0
    assert names(data / "all") == ["a.tif", "b.tif", "day2/c.tif"]
    (data / "masks").mkdir()
    for name in ("a", "c_mask"):
        iio.imwrite(f"masks/{name}.png", hole)
    words = ["inpaint", "data", "--mask", "masks", "-o", "own"]
    status, out, err = run(*words, "--dry-run")
    assert (status, "mask masks/a.png" in out) == (0, True)
    status, out, err = run(*words)
    assert status == 1
    assert "failed: data/b.tif: there is no mask" in err
    first, second = read_image("all/a.tif"), read_image("own/a.tif")
    np.testing.assert_array_equal(first.data, second.data)
    assert json.loads(second.description)["tasks"][0]["mask"] == "../masks/a.png"
    # A recipe that fills holes takes the masks of other images.
    words = ["restore", "data", "--recipe", "all/a.tif", "--mask", "masks", "-o", "again"]
    status, _, err = run(*words)
    assert (status, "warning" in err) == (1, False)
    np.testing.assert_array_equal(read_image("again/a.tif").data, second.data)


def test_super_resolution_of_a_folder(run, data):
    assert run("super-resolve", "data", "--factor", 2, "-o", "large")[0] == 0
    assert read_image("large/day2/c.tif").data.shape == (64, 80)


def test_noise_and_evaluation_of_folders(run, data, noisy, model_file):
    for top, name in enumerate(("a.tif", "b.tif", "day2/c.tif")):
        write_image(f"data/{name}", noisy[top : top + 96, :96], "YX", overwrite=True)
    status, out, err = run("noise", "data", "--json", "--plot", "plots")
    assert status == 0, err
    told = [json.loads(line) for line in out.splitlines()]
    assert [each["image"] for each in told] == ["data/a.tif", "data/b.tif", "data/day2/c.tif"]
    assert names(data / "plots") == ["a.tif.svg", "b.tif.svg", "day2/c.tif.svg"]
    run("denoise", "data", "-o", "out", "--model", model_file)
    (data / "out" / "day2" / "c.tif").rename(data / "out" / "d.tif")
    status, out, err = run("evaluate", "out", "--reference", "data")
    assert status == 1
    assert err.startswith("failed: out/d.tif: there is no image of this name in data")
    table = [line.split() for line in out.splitlines()]
    assert [row[0] for row in table] == ["Image", "out/a.tif", "out/b.tif", "mean"]
    first, second, mean = (float(row[1]) for row in table[1:])
    assert mean == pytest.approx((first + second) / 2, abs=0.01)


def test_a_store_in_a_folder_is_one_of_the_images(run, data, model_file, picture):
    zarr = pytest.importorskip("zarr")
    zarr.save_array("data/day2/s.zarr", picture((48, 40), "float32"))
    words = ["denoise", "data", "-o", "out", "--model", model_file, "--noise", "gaussian:30"]
    status, out, err = run(*words)
    assert status == 0, err
    assert "4 restored, of 4 images" in out
    single = ["denoise", "data/day2/s.zarr", "-o", "single.zarr", *words[4:]]
    assert run(*single)[0] == 0
    both = [zarr.open(f"{name}.zarr", mode="r")["0"][:] for name in ("out/day2/s", "single")]
    np.testing.assert_array_equal(*both)
    status, out, _ = run(*words)
    assert (status, "Done        out/day2/s.zarr, before" in out) == (0, True)
    status, out, _ = run(*words, "--overwrite", "missing")
    assert (status, "4 there already" in out) == (0, True)
