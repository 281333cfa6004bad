"""``vae-restore restore``: a result's recipe gives the result again."""

import json

import imageio.v3 as iio
import numpy as np
import pytest

import napari_vae_restore as vr
from napari_vae_restore.images.image_files import read_image, write_image


@pytest.fixture
def damaged(tmp_path, picture):
    """A folder with a picture and a mask in a folder of its own."""
    write_image(tmp_path / "in.tif", picture((64, 48)), "YX")
    (tmp_path / "masks").mkdir()
    mask = np.zeros((64, 48), np.uint8)
    mask[10:20, 12:30] = 1
    iio.imwrite(tmp_path / "masks" / "holes.png", mask)
    return tmp_path


COMMANDS = {
    "denoise": ["--noise", "gaussian:12"],
    "inpaint": ["--mask", "masks/holes.png", "--noise", "gaussian:12@0.2,0.15"],
    "super-resolve": ["--factor", 2, "--kernel", "gaussian"],
}


@pytest.mark.parametrize("form", ["json", "tif"])
@pytest.mark.parametrize("command", COMMANDS)
def test_round_trip(run, damaged, monkeypatch, command, form):
    monkeypatch.chdir(damaged)
    files = ["--samples", 2, "--uncertainty"]
    words = [command, "in.tif", *COMMANDS[command], "--seed", 7, "--tile", 32]
    assert run(*words, "-o", "first.tif", *files, "first_std.tif")[0] == 0
    recipe = "first.tif"
    if form == "json":
        recipe = "recipe.json"
        (damaged / recipe).write_text(read_image("first.tif").description)
    words = ["restore", "in.tif", "--recipe", recipe, "-o", "second.tif"]
    status, _, err = run(*words, *files, "second_std.tif")
    assert (status, err) == (0, "")
    for name in (".tif", "_std.tif", ".sample-2.tif"):
        first, second = read_image(f"first{name}"), read_image(f"second{name}")
        np.testing.assert_array_equal(first.data, second.data)
        assert first.description == second.description


def test_a_recipe_outlives_a_move_and_a_change_of_folder(run, damaged, tmp_path, monkeypatch):
    monkeypatch.chdir(damaged / "masks")
    (damaged / "out").mkdir()
    words = ["inpaint", "../in.tif", "--mask", "holes.png", "-o", "../out/a.tif"]
    assert run(*words)[0] == 0
    task = json.loads(read_image("../out/a.tif").description)["tasks"][0]
    assert task["mask"] == "../masks/holes.png"
    monkeypatch.chdir(damaged)
    moved = damaged / "elsewhere"
    moved.mkdir()
    for name in ("masks", "out"):
        (damaged / name).rename(moved / name)
    assert run("restore", "in.tif", "--recipe", moved / "out" / "a.tif", "-o", "b.tif")[0] == 0
    first, second = read_image(moved / "out" / "a.tif"), read_image("b.tif")
    np.testing.assert_array_equal(first.data, second.data)


def test_several_tasks_by_hand(run, damaged, picture):
    tasks = [{"kind": "super-resolve", "factor": 2}, {"kind": "denoise", "noise": "gaussian:9"}]
    recipe = damaged / "recipe.json"
    recipe.write_text(json.dumps({"tasks": tasks}))
    words = ["restore", damaged / "in.tif", "--recipe", recipe, "-o", damaged / "out.tif"]
    status, out, err = run(*words)
    assert (status, err) == (0, "")
    assert "Enlarged" in out
    assert "Noise" in out
    same = vr.restore(picture((64, 48)), [vr.SuperResolve(2), vr.Denoise("gaussian:9")])
    np.testing.assert_array_equal(read_image(damaged / "out.tif").data, same.mean)


def test_options_outweigh_the_recipe(run, damaged, model_file):
    recipe = damaged / "recipe.json"
    values = {"tasks": [{"kind": "denoise"}], "seed": 3, "tile": 64, "n_samples": 5}
    recipe.write_text(json.dumps(values))
    words = ["restore", damaged / "in.tif", "--recipe", recipe, "-o", damaged / "out.tif"]
    std = damaged / "std.tif"
    assert run(*words, "--uncertainty", std)[0] == 0
    done = json.loads(read_image(std).description)
    assert (done["seed"], done["tile"], done["n_samples"]) == (3, 64, 5)
    more = ["--model", model_file, "--seed", 4, "--tile", 32, "--overwrite"]
    assert run(*words, *more, "--axes", "XY")[0] == 0
    done = json.loads(read_image(damaged / "out.tif").description)
    assert (done["seed"], done["tile"], done["n_samples"]) == (4, 32, 0)
    assert (done["model"], done["axes"]) == ("model", "XY")


def test_departures_are_warnings(run, damaged, model_file):
    words = ["inpaint", damaged / "in.tif", "--mask", damaged / "masks" / "holes.png"]
    assert run(*words, "-o", damaged / "first.tif")[0] == 0
    other = np.zeros((64, 48), np.uint8)
    other[3:6, 3:6] = 1
    iio.imwrite(damaged / "other.png", other)
    words = ["restore", damaged / "in.tif", "--recipe", damaged / "first.tif"]
    words += ["-o", damaged / "second.tif", "--mask", damaged / "other.png"]
    status, _, err = run(*words)
    assert status == 0
    assert err.startswith("warning: the recipe was made with another mask")
    recipe = damaged / "recipe.json"
    tasks = [{"kind": "denoise", "noise": "gaussian:9"}]
    recipe.write_text(json.dumps({"tasks": tasks, "model": "mine", "model_sha256": "0" * 64}))
    words = ["restore", damaged / "in.tif", "--recipe", recipe, "-o", damaged / "third.tif"]
    status, _, err = run(*words)
    assert status == 2
    assert "--model FILE" in err
    status, _, err = run(*words, "--model", model_file)
    assert status == 0
    assert err.startswith("warning: the recipe was made with another model named 'mine'")
